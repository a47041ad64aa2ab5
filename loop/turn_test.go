package loop

import (
	"bytes"
	"sync/atomic"
	"testing"

	"sluice/codec"
)

// Long flushes are cut into slices, and what happens meanwhile waits for the next
// station, not for the end.
func TestTurnSlices(t *testing.T) {
	n := start(t, Options{}, &script{})
	const many = 10 * stations * sliceLength
	var list []*Conn
	var first, last int64
	late := &Conn{state: dead, marks: markDirty}
	meanwhile := func(r *Reactor) {
		for i, c := range list {
			if was := i >= int(r.round.served); c.marks.has(markDirty) != was {
				t.Errorf("%d, of which %d were served: still in line is %v", i, r.round.served, !was)
			}
		}
		if got := many - r.round.len(); got == 0 || got > many/stations {
			t.Errorf("%d of %d were served before an event was handed on", got, many)
		}
		late.r = r
		r.round.add(late)
	}
	n.on(func(r *Reactor) {
		first = r.count.turns.Load()
		for range many {
			c := &Conn{r: r, state: dead, marks: markDirty}
			list = append(list, c)
			r.round.add(c)
		}
		r.Post(func() { meanwhile(r) }) // it is there before the flush begins, however late this test is
	})
	until(t, "all are served", func() (done bool) {
		n.on(func(r *Reactor) { done, last = r.round.len() == 0, r.count.turns.Load() })
		return done
	})
	for i, c := range append(list, late) {
		if c.marks.has(markDirty) {
			t.Errorf("%d was not flushed", i)
		}
	}
	if got := last - first; got < many/sliceLength {
		t.Errorf("%d connections were flushed in %d turns", many, got)
	}
}

// A long burst comes in several calls, in order; while events breed events for
// ever, clients are served all the same.
func TestFloodOfEvents(t *testing.T) {
	var r *Reactor
	var longest, events atomic.Int64
	stop := atomic.Bool{}
	var breed func()
	breed = func() {
		events.Add(1)
		if !stop.Load() {
			r.Post(breed)
			if events.Load() < 5000 {
				r.Post(breed)
			}
		}
	}
	s := &script{}
	s.events = func(list []any) {
		longest.Store(max(longest.Load(), int64(len(list))))
		for _, e := range list {
			e.(func())()
		}
	}
	n := start(t, Options{}, s)
	r = n.Reactors()[0]
	ws := dial(t, n.addr)
	r.Post(breed)
	until(t, "a flood", func() bool { return events.Load() > 10000 })
	for range 10 {
		roundTrip(t, ws)
	}
	stop.Store(true)
	if got := longest.Load(); got > eventBatch {
		t.Errorf("%d events in one call", got)
	}
}

// A client that floods its reactor with small frames is read a buffer at a
// time; its neighbour on the same reactor is answered in between.
func TestFloodOfFrames(t *testing.T) {
	n := start(t, Options{}, &script{message: func(c *Conn, op codec.Opcode, p []byte) {
		if len(p) > 0 {
			c.Write(op, p)
		}
	}})
	flood := dialOpen(t, n.addr, 0)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b := bytes.Repeat([]byte(text("")), 100_000)
		for {
			if _, err := flood.Write(b); err != nil {
				return
			}
		}
	}()
	until(t, "a flood", func() bool { return n.Stats().MessagesIn > 100_000 })
	ws := dial(t, n.addr)
	for range 10 {
		roundTrip(t, ws)
	}
	flood.Close()
	<-stopped
}
