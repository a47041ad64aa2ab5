package loop

import (
	"math"
	"runtime"
	"sync"
	"testing"
)

// Order is kept per goroutine, and a burst costs few wake-ups.
func TestPostOrder(t *testing.T) {
	const goroutines, each = 8, 100_000
	type stamp struct{ from, number int }
	var next [goroutines]int
	done := make(chan struct{})
	total := 0
	n := start(t, Options{}, &script{events: func(events []any) {
		for _, e := range events {
			s := e.(*stamp)
			if s.number != next[s.from] {
				t.Errorf("goroutine %d: event %d instead of %d", s.from, s.number, next[s.from])
			}
			next[s.from] = s.number + 1
			if total++; total == goroutines*each {
				close(done)
			}
		}
	}})
	r := n.Reactors()[0]
	before := n.Stats().Turns
	var posting sync.WaitGroup
	for g := range goroutines {
		posting.Go(func() {
			stamps := make([]stamp, each)
			for i := range stamps {
				stamps[i] = stamp{g, i}
				if i%2 == 0 {
					r.Post(&stamps[i])
				} else {
					for !r.Offer(&stamps[i], 1) {
						runtime.Gosched()
					}
				}
			}
		})
	}
	posting.Wait()
	<-done
	turns := n.Stats().Turns - before
	t.Logf("%d events in %d turns", goroutines*each, turns)
	if turns > goroutines*each/4 {
		t.Errorf("%d turns for %d events", turns, goroutines*each)
	}
}

func TestOfferIsBounded(t *testing.T) {
	for _, row := range []struct {
		name            string
		count, size     int // of the mailbox
		event, accepted int
	}{
		{"by count", 3, 100, 1, 3},
		{"by size", 100, 10, 4, 2},
		{"to the byte", 100, 8, 4, 2},
		{"too big for any", 100, 10, 11, 0},
		{"nearly all there is", 100, 10, 1<<63 - 1, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := mailbox{maxCount: row.count, maxSize: row.size}
			for range 2 { // as good as new after take
				accepted := 0
				for range 10 {
					if m.offer("x", row.event) {
						accepted++
					}
				}
				if accepted != row.accepted || m.depth() != accepted {
					t.Errorf("%d accepted, %d deep, want %d", accepted, m.depth(), row.accepted)
				}
				m.put("y") // always
				if got, _ := m.take(nil); len(got) != accepted+1 {
					t.Errorf("took %d", got)
				}
				m.release()
			}
			m.close()
			m.put("z")
			if m.offer("z", 0) || m.depth() != 0 {
				t.Error("a closed mailbox takes events")
			}
		})
	}
}

func TestOfferOfAbsurdSize(t *testing.T) {
	m := mailbox{maxCount: 10, maxSize: 10}
	if !m.offer("x", 1) || m.offer("x", math.MaxInt) {
		t.Error("the sum of sizes overflowed")
	}
}

func TestMailboxLetsGo(t *testing.T) {
	var m mailbox
	for range 10 * maxIdleMailbox {
		m.put(t)
	}
	m.take(nil)
	m.release()
	if cap(m.out) > maxIdleMailbox {
		t.Errorf("%d slots kept after a burst", cap(m.out))
	}
	for range 10 {
		m.put(t)
	}
	events, _ := m.take(nil)
	m.release()
	for i, e := range events[:cap(events)] {
		if e != nil {
			t.Errorf("slot %d refers to an event that is done with", i)
		}
	}
}

func TestLostOffersAreCounted(t *testing.T) {
	n := start(t, Options{MaxMailbox: 1}, &script{})
	busy, done := make(chan struct{}), make(chan struct{})
	r := n.Reactors()[0]
	r.Post(func() { close(busy); <-done })
	<-busy
	if !r.Offer(func() {}, 1) || r.Offer(func() {}, 1) {
		t.Error("a mailbox for one took none or two")
	}
	if s := n.Stats(); s.MailboxRefused != 1 || s.Mailbox != 1 {
		t.Errorf("refused %d, waiting %d", s.MailboxRefused, s.Mailbox)
	}
	close(done)
	until(t, "an empty mailbox", func() bool { return n.Stats().Mailbox == 0 })
}
