package hub

import (
	"fmt"
	"testing"
	"time"

	"sluice/pubsub"
)

// figures are what a namespace's usage says: channels, subscriptions, messages, bytes.
func (u *Usage) figures() [4]int64 {
	return [4]int64{u.Channels.Load(), u.Subscriptions.Load(), u.Messages.Load(), u.Bytes.Load()}
}

func TestUsageByNamespace(t *testing.T) {
	bench := newBench()
	var old, next Usage
	bench.SetRules(func(string) *Rules { return &Rules{Usage: &old} })
	var a, b, c Member
	bench.join(0, &a, "news")
	bench.join(1, &b, "news")
	bench.join(0, &c, "sport")
	bench.Deliver([]byte("news"), []byte("hello"))
	bench.Deliver([]byte("nobody"), []byte("hello"))
	if got, want := old.figures(), [4]int64{2, 3, 1, 5}; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	bench.SetRules(func(name string) *Rules { // as a reload does that takes a channel to another namespace
		if name == "news" {
			return &Rules{Usage: &next}
		}
		return &Rules{Usage: &old}
	})
	bench.Deliver([]byte("news"), []byte("hi"))
	if got, want := old.figures(), [4]int64{1, 1, 1, 5}; got != want {
		t.Errorf("%v are left, want %v", got, want)
	}
	if got, want := next.figures(), [4]int64{1, 2, 1, 2}; got != want {
		t.Errorf("%v have come over, want %v", got, want)
	}
	for i, m := range []*Member{&a, &b, &c} {
		bench.locals[i%2].Leave(m)
	}
	if old.Channels.Load()+old.Subscriptions.Load()+next.Channels.Load()+next.Subscriptions.Load() != 0 {
		t.Errorf("when all have left: %v and %v", old.figures(), next.figures())
	}
}

// How late durable messages come is counted once for each burst.
func TestLagOfDurableMessages(t *testing.T) {
	bench := newBench()
	var m Member
	bench.locals[0].Join(nil, &m, "news", Wants{})
	at := pubsub.Position(time.Since(pubsub.Position(0).Time()).Microseconds()) - 3_000_000
	for burst := range 2 {
		for i := range 3 {
			p := at + pubsub.Position(10*burst+i)
			bench.Deliver([]byte("news"), fmt.Appendf(nil, "\x01sluice %d %d 3\nx", p, p-1))
		}
		bench.Delivered()
	}
	s := bench.Stats().Lag
	if s.Total() != 2 || s.Sum < 5*time.Second || s.Sum > 10*time.Minute {
		t.Errorf("%d bursts came %v late", s.Total(), s.Sum)
	}
}

// Channels that come back are counted, those that are new are not.
func TestResubscribed(t *testing.T) {
	bench := newBench()
	var m Member
	bench.locals[0].Join(nil, &m, "news", Wants{})
	bench.Subscribed("news")
	bench.Subscribed("news")
	if got := bench.Stats().Resubscribed; got != 0 {
		t.Errorf("%d resubscribed before anything was lost", got)
	}
	bench.Interrupted(nil)
	bench.Subscribed("news")
	if got := bench.Stats().Resubscribed; got != 1 {
		t.Errorf("%d resubscribed, want 1", got)
	}
}
