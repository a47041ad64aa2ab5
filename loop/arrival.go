package loop

import (
	"math"
	"time"
)

// arrival is when the newest messages of a burst were received, of which a mailbox
// holds those for one reactor.
type arrival struct {
	at  time.Duration // of the engine's clock
	n   int64         // bursts: those that came after it are counted with it where there are too many
	due int64         // of round.served: when all have been flushed that it is for
}

// notHandedOn is when a burst is due whose events the handler has not had.
const notHandedOn = math.MaxInt64

// maxArrivals is how many arrivals a mailbox tells apart. The times of further
// bursts are taken for the last one's, which is longer.
const maxArrivals = 64

// arrived notes the arrival of a burst whose events have been offered. The reactor may
// have taken some or all of them: then it hears of the burst a station later than it was
// handed it.
func (m *mailbox) arrived(at time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.arrivals); n == maxArrivals {
		m.arrivals[n-1].n++
		return
	}
	m.arrivals = append(m.arrivals, arrival{at, 1, notHandedOn})
}

// handedOn notes that the handler has had all events that were taken. Whom they are for
// waits to be flushed by now.
func (r *Reactor) handedOn() {
	for i := len(r.arrivals) - 1; i >= 0 && r.arrivals[i].due == notHandedOn; i-- {
		r.arrivals[i].due = r.round.end()
	}
}

// delivered counts the bursts that have been flushed to all connections they are for.
// Those whose sockets are full count as flushed: what they wait for is their own time.
func (r *Reactor) delivered(now time.Duration) {
	n := 0
	for n < len(r.arrivals) && r.arrivals[n].due <= r.round.served {
		r.count.delivery.add(now-r.arrivals[n].at, r.arrivals[n].n)
		n++
	}
	r.arrivals = r.arrivals[:copy(r.arrivals, r.arrivals[n:])]
}
