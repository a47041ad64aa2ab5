package loop

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestDurations(t *testing.T) {
	var h Durations
	h.Add(-time.Second)
	h.Add(0)
	h.Add(50 * time.Microsecond)
	h.Add(51 * time.Microsecond)
	h.add(10*time.Second, 2)
	h.Add(time.Hour)
	var d Distribution
	d.Count(&h)
	d.Count(&h) // of two reactors
	last := len(d.Counts) - 1
	if d.Counts[0] != 6 || d.Counts[1] != 2 || d.Counts[last-1] != 4 || d.Counts[last] != 2 || d.Total() != 14 {
		t.Errorf("%v", d.Counts)
	}
	if want := 2 * (101*time.Microsecond + 20*time.Second + time.Hour); d.Sum != want {
		t.Errorf("a sum of %v, want %v", d.Sum, want)
	}
}

func TestPeakIsSeenByEveryoneWhoAsks(t *testing.T) {
	var p peak
	p.turn(time.Second)
	p.raise(5)
	p.raise(3)
	for _, row := range []struct {
		now  time.Duration
		want time.Duration
	}{
		{time.Second, 5},
		{peakWindow - 1, 5},
		{peakWindow, 5}, // the next window has begun
		{2*peakWindow - 1, 5},
		{2 * peakWindow, 0},
	} {
		if p.turn(row.now); p.most() != row.want {
			t.Errorf("at %v: %v, want %v", row.now, p.most(), row.want)
		}
	}
}

// A burst counts when the last connection that it is for has been flushed, with the time since it was received.
func TestDeliveryIsTimed(t *testing.T) {
	n := start(t, Options{}, &script{})
	r := n.reactors[0]
	received := time.Now().Add(-time.Hour)
	many := func() {
		for range 3*sliceLength + 1 {
			r.round.add(&Conn{r: r, state: dead, marks: markDirty})
		}
	}
	for range 3 {
		if !r.Offer(many, 1) {
			t.Fatal("refused")
		}
		r.Wake(received)
	}
	until(t, "the bursts to be counted", func() bool { return n.Stats().Delivery.Total() == 3 })
	n.on(func(r *Reactor) {
		if r.round.len() > 0 {
			t.Errorf("%d are still to be flushed", r.round.len())
		}
	})
	s := n.Stats()
	if got := s.Delivery.Counts[len(s.Delivery.Counts)-1]; got != 3 || s.Delivery.Sum < 3*time.Hour {
		t.Errorf("%d took longer than the longest bucket, %v together", got, s.Delivery.Sum)
	}
	r.Wake(time.Time{})
	n.on(func(*Reactor) {})
	if got := n.Stats().Delivery.Total(); got != 3 {
		t.Errorf("%d were counted; the last was not to be timed", got)
	}
}

func TestManyArrivals(t *testing.T) {
	var m mailbox
	for i := range maxArrivals + 10 {
		m.arrived(time.Duration(i))
	}
	_, arrivals := m.take(nil)
	if last := arrivals[maxArrivals-1]; len(arrivals) != maxArrivals || last.n != 11 || last.at != maxArrivals-1 {
		t.Errorf("%d arrivals, the last is %+v", len(arrivals), last)
	}
	if _, rest := m.take(arrivals[:0]); len(rest) > 0 {
		t.Errorf("%d are told twice", len(rest))
	}
}

// Who holds a reactor up is counted, and told in the log.
func TestStallsAreTold(t *testing.T) {
	core, lines := observer.New(zap.WarnLevel)
	n := start(t, Options{Log: zap.New(core)}, &script{})
	until(t, "a stall to be counted", func() bool { // where something else took longer in the same turn, that is told
		n.on(func(*Reactor) { time.Sleep(stallLimit + 50*time.Millisecond) }) // a handler that blocks
		n.on(func(*Reactor) {})                                               // in the turn after
		return n.Stats().Stalls[StallEvents] > 0
	})
	if got := lines.FilterMessage(stallLines[StallEvents]).Len(); got == 0 {
		t.Error("nothing was logged")
	}
	s := n.Stats()
	if s.Longest < stallLimit || s.Turn.Total() == 0 || s.Turn.Sum < stallLimit {
		t.Errorf("the longest turn is %v, all %d together took %v", s.Longest, s.Turn.Total(), s.Turn.Sum)
	}
	until(t, "the ticker to have been answered", func() bool { return n.Stats().Lag.Total() > 0 })
}
