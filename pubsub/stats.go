package pubsub

import (
	"slices"
	"sync/atomic"
	"time"
)

// Stats is a snapshot of a Redis broker, over all its lanes. Counters start at
// zero with Open and only grow.
type Stats struct {
	Messages int64 // delivered to the sink
	Bytes    int64 // of their payloads

	Oversize      int64 // messages longer than Options.MaxMessage: skipped, lost
	OversizeBytes int64 // of their payloads

	Connects   int64 // subscribe connections that came up
	Losses     int64 // of those, how many broke: each is one Receiver.Interrupted
	FailedDial int64 // attempts that never came up
	Probes     int64 // that came back

	Wished    int // channels wished for now
	Confirmed int // of those, confirmed by Redis
	Pending   int // SUBSCRIBEs and UNSUBSCRIBEs that wait to be sent or confirmed
	Refused   int // channels whose SUBSCRIBE Redis refuses (ACL)

	Connected   bool          // all lanes are
	Silent      bool          // a lane's connection says nothing, and others are being tried
	RoundTrip   time.Duration // of the last PING, at least; includes what was queued before it; the slowest lane's
	LastError   string        // why the last connection or attempt failed; "" if none ever did
	LastErrorAt time.Time

	Lanes []LaneStats // by name
}

// LaneStats is a snapshot of one subscribe connection.
type LaneStats struct {
	Name           string // address and number
	Connected      bool
	ConnectedSince time.Time     // zero while not connected
	ProofAge       time.Duration // since the newest probe that came back was published; -1: none ever did
	ProbeTime      time.Duration // that it took to come back
	Channels       int
	Messages       int64
}

// counters are what a lane counts.
type counters struct {
	messages, bytes         atomic.Int64
	oversize, oversizeBytes atomic.Int64
	connects, losses, fails atomic.Int64
	roundTrip               atomic.Int64 // ns
}

// Stats returns a snapshot.
func (r *Redis) Stats() Stats {
	r.routes.RLock()
	defer r.routes.RUnlock()
	sum := r.past
	sum.Connected = len(r.layout.servers) > 0
	for _, s := range r.layout.servers {
		for _, l := range s.lanes {
			sum.add(l)
		}
	}
	for _, s := range r.leaving {
		for _, l := range s.lanes {
			sum.count(l)
		}
	}
	sum.Wished += r.limbo.wishes.count().wished
	slices.SortFunc(sum.Lanes, func(a, b LaneStats) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return sum
}

// add adds a lane that works.
func (s *Stats) add(l *lane) {
	s.count(l)
	l.mu.Lock()
	state := l.state
	l.mu.Unlock()
	c := l.wishes.count()
	up := state.session != nil && state.session.up.Load()
	one := LaneStats{Name: l.name, Connected: up, ProofAge: -1, Channels: l.channels(), Messages: l.stats.messages.Load()}
	if age, never := l.proof.age(time.Now()); !never {
		one.ProofAge, one.ProbeTime = age, l.proof.took()
	}
	s.Wished += one.Channels
	s.Refused += c.refused
	s.Pending += c.queued
	s.Connected = s.Connected && up
	if up {
		s.Silent = s.Silent || state.session.doubted()
		one.ConnectedSince = state.since
		s.Pending += c.flying
		s.Confirmed += c.confirmed
		if l.wishes.isSubscribed(l.probeName()) {
			s.Confirmed--
		}
	}
	if rtt := time.Duration(l.stats.roundTrip.Load()); rtt > s.RoundTrip {
		s.RoundTrip = rtt
	}
	s.Lanes = append(s.Lanes, one)
}

// count adds what a lane has counted.
func (s *Stats) count(l *lane) {
	s.Messages += l.stats.messages.Load()
	s.Bytes += l.stats.bytes.Load()
	s.Oversize += l.stats.oversize.Load()
	s.OversizeBytes += l.stats.oversizeBytes.Load()
	s.Connects += l.stats.connects.Load()
	s.Losses += l.stats.losses.Load()
	s.FailedDial += l.stats.fails.Load()
	s.Probes += l.proof.count()
	l.mu.Lock()
	state := l.state
	l.mu.Unlock()
	if state.lastErr != nil && state.lastAt.After(s.LastErrorAt) {
		s.LastError, s.LastErrorAt = state.lastErr.Error(), state.lastAt
	}
}
