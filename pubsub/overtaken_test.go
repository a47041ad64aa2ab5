package pubsub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// lateTape is a Sink whose lane at one address is slow to take note of confirmations.
type lateTape struct {
	slow    string        // name of the lane
	entered chan struct{} // closed when it is about to
	release chan struct{} // closed: it goes on

	mu    sync.Mutex
	lines []string // guarded by mu
}

type lateEar struct {
	movedFunc
	t    *lateTape
	name string
}

func (t *lateTape) Lane(l Link) Receiver {
	return &lateEar{func(string) {}, t, l.Name()}
}

func (e *lateEar) Subscribed(channel string) {
	if e.name == e.t.slow {
		close(e.t.entered)
		<-e.t.release
	}
	e.t.mu.Lock()
	defer e.t.mu.Unlock()
	e.t.lines = append(e.t.lines, e.name)
}

func (t *lateTape) heard() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.lines)
}

// A lane that was about to announce a channel when it went to another one must not have
// the last word: the receiver would take nothing more from the lane that has it.
func TestOvertakenConfirmation(t *testing.T) {
	t.Parallel()
	fake := &fakeRedis{answer: polite}
	var master atomic.Value
	master.Store("a:1")
	looks := func(context.Context) (found, error) {
		addr, _ := master.Load().(string)
		return found{addrs: []string{addr}}, nil
	}
	o := Options{URL: "redis+sentinel://s:1?master_name=m", ProbeEvery: -1, RefreshEvery: 10 * time.Millisecond}
	o.PingEvery, o.PongTimeout = time.Hour, time.Minute // a connection that is lost because this process stands still is not what this is about
	o.dial = fake.dial
	o.look = looks
	o.reigns = func(string) bool { return false }
	r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	tape := &lateTape{slow: "a:1#0", entered: make(chan struct{}), release: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, tape) }()
	r.Subscribe("news")
	<-tape.entered // a:1 has confirmed it, and its lane is about to say so
	master.Store("b:1")
	eventually(t, func() bool { return slices.Equal(tape.heard(), []string{"b:1#0"}) })
	close(tape.release)
	eventually(t, func() bool { return slices.Equal(tape.heard(), []string{"b:1#0", "a:1#0", "b:1#0"}) })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	fake.running.Wait()
}

// eventually waits until what has to become true is.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("it has not come true within 30 s")
		}
	}
}
