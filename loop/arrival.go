package loop

import "time"

// arrival is when the newest messages of a burst were received, of which a mailbox
// holds those for one reactor.
type arrival struct {
	at time.Duration // of the engine's clock
	n  int64         // bursts: those that came after it are counted with it where there are too many
}

// maxArrivals is how many arrivals a mailbox tells apart. The times of further
// bursts are taken for the last one's, which is longer.
const maxArrivals = 64

// arrived notes the arrival of a burst whose events have been offered. The reactor may
// have taken some or all of them: then it hears of the burst a turn later than it was
// handed it, and while that is not flushed it takes no other.
func (m *mailbox) arrived(at time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.arrivals); n == maxArrivals {
		m.arrivals[n-1].n++
		return
	}
	m.arrivals = append(m.arrivals, arrival{at, 1})
}

// delivered notes that all connections have been flushed which the bursts are for that
// were taken last. Those whose sockets are full count as flushed: what they wait for is
// their own time.
func (r *Reactor) delivered(now time.Duration) {
	for _, a := range r.arrivals {
		r.count.delivery.add(now-a.at, a.n)
	}
	r.arrivals = r.arrivals[:0]
}
