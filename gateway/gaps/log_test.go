package gaps

import (
	"fmt"
	"testing"
	"time"

	"sluice/pubsub"
)

func at(seconds float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func TestNote(t *testing.T) {
	var l Log
	l.Note(pubsub.Gap{ID: 1, Link: "a", Cause: pubsub.CauseConnection, From: at(0), Channels: 3})
	l.Note(pubsub.Gap{ID: 2, Link: "b", Cause: pubsub.CauseMoved, From: at(1), Channels: 1})
	l.Note(pubsub.Gap{Channel: "news", Cause: pubsub.CauseMailbox, From: at(1), To: at(2)})
	if n := l.Open(); n != 2 {
		t.Errorf("%d are open, want 2", n)
	}
	l.Note(pubsub.Gap{ID: 1, Link: "a", Cause: pubsub.CauseConnection, From: at(0), To: at(3), Channels: 3})
	for _, g := range []pubsub.Gap{
		{Channel: "news", Cause: pubsub.CauseMailbox, From: at(2), To: at(2.5)},   // goes on
		{Channel: "other", Cause: pubsub.CauseMailbox, From: at(2), To: at(2.5)},  // another channel
		{Channel: "news", Cause: pubsub.CauseMailbox, From: at(3.4), To: at(3.5)}, // later
	} {
		l.Note(g)
	}
	got := ""
	gaps, forgotten := l.List()
	for _, g := range gaps {
		to := "open"
		if !g.To.IsZero() {
			to = fmt.Sprint(g.To.Sub(at(0)))
		}
		got += fmt.Sprintf("%s%s %s %v..%s\n", g.Link, g.Channel, g.Cause, g.From.Sub(at(0)), to)
	}
	want := "a connection 0s..3s\nb moved 1s..open\nnews mailbox 1s..2.5s\nother mailbox 2s..2.5s\nnews mailbox 3.4s..3.5s\n"
	if got != want || forgotten != 0 {
		t.Errorf("%d forgotten, and these are remembered:\n%swant\n%s", forgotten, got, want)
	}
}

func TestOldestIsForgotten(t *testing.T) {
	var l Log
	l.Note(pubsub.Gap{ID: 1, From: at(0)}) // open
	for i := range Kept + 9 {
		l.Note(pubsub.Gap{ID: uint64(i + 2), From: at(0), To: at(float64(i))})
	}
	gaps, forgotten := l.List()
	if len(gaps) != Kept || forgotten != 10 || gaps[0].ID != 1 || gaps[1].ID != 12 {
		t.Errorf("%d remembered from %d, %d on; %d forgotten", len(gaps), gaps[0].ID, gaps[1].ID, forgotten)
	}
}
