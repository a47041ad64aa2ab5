package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"sluice/pubsub"
)

// slow is a Redis that answers when it is told to.
type slow struct {
	nobody
	answer chan struct{}

	mu   sync.Mutex
	said []string // guarded by mu
}

func (s *slow) Publish(ctx context.Context, channel string, payload []byte) (int64, error) {
	select {
	case <-s.answer:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, channel+" "+string(payload))
	if string(payload) == "bad" {
		return 0, errors.New("no")
	}
	return 1, nil
}

func (s *slow) PublishDurable(context.Context, string, []byte, pubsub.DurableOptions) (pubsub.Position, string, error) {
	return 0, "", nil
}

func (s *slow) HistoryBefore(context.Context, string, pubsub.Position, int) (pubsub.History, error) {
	return pubsub.History{}, nil
}

func (s *slow) Attendance(context.Context, string, int, string) (pubsub.Attendance, error) {
	return pubsub.Attendance{}, nil
}

func (s *slow) AttendanceStats(context.Context, string) (int64, int64, error) { return 0, 0, nil }

// Errands of one connection are carried out in their order, there is room for so many, those that wait when
// the node ends are carried out all the same, and nothing is done for a connection that has ended.
func TestErrands(t *testing.T) {
	s := newStand(t, Policy{})
	b, e := &s.redis, s.node.Errands
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()

	ws := s.dial()
	var most int
	s.send(ws, "errands")
	for most == 0 { // the reactor has asked for as many as there is room for
		if _, err := fmt.Sscanf(s.read(ws), "no room after %d", &most); err != nil {
			t.Fatal(err)
		}
	}
	if most < errandsInLine || most > errandsInLine+1 { // one is being carried out
		t.Errorf("there was room for %d", most)
	}
	for range 10 {
		b.answer <- struct{}{}
	}
	for i := range 10 {
		s.want(ws, fmt.Sprintf("%d done <nil>", i))
	}
	cancel()
	close(b.answer)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for i := 10; i < most; i++ {
		s.want(ws, fmt.Sprintf("%d done <nil>", i))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.said) != most || b.said[most-1] != fmt.Sprintf("a %d", most-1) {
		t.Errorf("%d were carried out, of %d", len(b.said), most)
	}
	if got := e.Stats(); got.Pending != 0 || got.Made != int64(most) || got.Refused != 1 || got.Failed != 0 {
		t.Errorf("%+v", got)
	}
}
