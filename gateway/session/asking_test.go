package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/pubsub"
)

// What one connection asks of Redis takes up few places in the lines; more waits with it, in order; what is beyond is refused.
// Nothing is found out for a connection that has ended, what it has said is published all the same, and a panic is an error.
func TestAsking(t *testing.T) {
	s := newStand(t, Policy{})
	b, e := &s.redis, s.node.Errands
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()

	ws := s.dial()
	s.send(ws, "ask xxx panic")
	for i := range 3 {
		s.want(ws, fmt.Sprintf("panic %d: %v", i, errErrandPanic))
	}
	if got := e.Stats(); got.Panics != 3 || got.Failed != 3 {
		t.Errorf("%+v", got)
	}

	const room = maxReadings + maxLater
	s.send(ws, "ask "+strings.Repeat("x", room+2)+" a")
	for i := range 2 {
		s.want(ws, fmt.Sprintf("a %d: %v", room+i, errManyAsked))
	}
	if got := e.Stats(); got.Pending != maxReadings || got.Refused != 2 {
		t.Errorf("%+v, want %d that wait in the line", got, maxReadings)
	}
	for i := range room {
		b.answer <- struct{}{}
		s.want(ws, fmt.Sprintf("a %d: <nil>", i))
	}

	gone := s.dial()
	s.send(gone, "ask xxxxxx b", "pass xx c", "id x y")
	s.entry(0) // all has been read
	gone.Close()
	for deadline := time.Now().Add(patience); s.engine.Stats().Connections > 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the connection does not end")
		}
	}
	s.send(ws, "id y z")
	s.entry(1) // its reactor is through with the one that has ended
	close(b.answer)
	for deadline := time.Now().Add(patience); e.Stats().Pending > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", e.Stats())
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	count := map[string]int{}
	for _, said := range b.said {
		count[said[:1]]++
	}
	if count["b"] > 1 || count["c"] != 2 {
		t.Errorf("%d questions and %d messages of a connection that has ended were carried out, want at most the one that was under way, and 2", count["b"], count["c"])
	}
}

// What waits to be published has a bound in bytes for the node, and in messages for a connection.
func TestPassingIsBounded(t *testing.T) {
	s := newStand(t, Policy{}) // whose errands are not run
	ws := s.dial()
	most := errandBytes >> 18
	if most < maxRelays {
		t.Fatal("this test is for another bound")
	}
	s.send(ws, "pass "+strings.Repeat("x", maxRelays+1)+" a")
	s.want(ws, fmt.Sprintf("a %d: %v", maxRelays, errManyAsked))
	if most > maxRelays {
		t.Fatalf("%d", most)
	}
	other := s.dial()
	s.send(other, "pass x b")
	s.want(other, fmt.Sprintf("b 0: %v", errManyErrands))
}

func TestFitting(t *testing.T) {
	log := []pubsub.Durable{{Payload: []byte("123")}, {Payload: []byte("45")}, {}, {Payload: []byte("6")}}
	for most, want := range map[int]int{0: 1, 3: 1, 4: 1, 5: 3, 6: 4, 7: 4} {
		if got := len(fitting(log, most)); got != want {
			t.Errorf("of %d bytes: %d entries, want %d", most, got, want)
		}
	}
	if got := fitting(nil, 0); got != nil {
		t.Errorf("%v", got)
	}
}
