package loop

import (
	"bytes"
	"sync/atomic"
	"testing"

	"sluice/codec"
)

// Long flushes are cut into slices, and events wait for the last of them.
func TestTurnSlices(t *testing.T) {
	n := start(t, Options{}, &script{})
	const many = 10*sliceLength + 1
	var list []*Conn
	var first, last int64
	n.on(func(r *Reactor) {
		first = r.count.turns.Load()
		for range many {
			c := &Conn{r: r, state: dead, marks: markDirty}
			list = append(list, c)
			r.dirty = append(r.dirty, c)
		}
	})
	late := &Conn{state: dead, marks: markDirty}
	n.on(func(r *Reactor) {
		last = r.count.turns.Load()
		for i, c := range list {
			if c.marks.has(markDirty) {
				t.Errorf("%d was not flushed", i)
			}
		}
		late.r = r
		r.dirty = append(r.dirty, late)
	})
	if got := last - first; got < many/sliceLength {
		t.Errorf("%d connections were flushed in %d turns", many, got)
	}
	n.on(func(r *Reactor) {
		if late.marks.has(markDirty) || len(r.dirty) != 0 || r.flushed != 0 || r.burst != 0 {
			t.Errorf("%d left dirty, %d flushed, burst %d", len(r.dirty), r.flushed, r.burst)
		}
	})
}

// Connections that get dirty while a burst is flushed neither hold up the next
// burst nor make the list grow without end.
func TestDirtyWithoutEnd(t *testing.T) {
	n := start(t, Options{}, &script{})
	n.on(func(r *Reactor) {
		fresh := func() *Conn { return &Conn{r: r, state: dead, marks: markDirty} }
		for range 3 * sliceLength {
			r.dirty = append(r.dirty, fresh())
		}
		r.burst = len(r.dirty)
		for range 100 {
			r.flushSlice()
			for range sliceLength {
				r.dirty = append(r.dirty, fresh())
			}
		}
		if len(r.dirty) > 8*sliceLength {
			t.Errorf("%d on the list", len(r.dirty))
		}
		if r.flushed < r.burst {
			t.Error("events wait for ever")
		}
	})
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
