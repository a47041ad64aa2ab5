package hub

import (
	"sync"
	"sync/atomic"

	"sluice/pubsub"
)

// stream is the log of one channel as this node follows it. Its lock is taken
// before Hub.mu, and held until what has been decided stands in the mailboxes of
// the reactors, or lanes and readers of the log would overtake each other.
type stream struct {
	mu       sync.Mutex
	chain    chain // guarded by mu
	kept     *kept // nil: no answer is kept; guarded by mu
	answered bool  // members have been given what the log has, and count on what is live behind that; guarded by mu

	mixed atomic.Bool // messages without a position have come, too, of which the log knows nothing
}

// kept is an answer that the log gave lately. It is good for as long as nothing has
// been published since: many clients come back to a channel from one position, not all
// in the same moment.
type kept struct {
	*reading
	doubts uint32
}

// keptFor is the answer to a reading that need not be made, nil if it has to be. s.mu
// is held.
func (s *stream) keptFor(key readingKey) *pubsub.History {
	c := &s.chain
	if c.last == 0 || c.asking || c.unsure { // something may have been missed, of which only the log knows
		return nil
	}
	if key.since == c.last { // what has come live tells that nothing was published since
		return &pubsub.History{Last: c.last, Epoch: c.epoch, Proven: true}
	}
	if k := s.kept; k != nil && k.readingKey == key && k.doubts == c.doubts && k.history.Last == c.last && k.history.Epoch == c.epoch {
		return &k.history
	}
	return nil
}

// forgetKept drops the kept answer.
func (s *stream) forgetKept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = nil
}

// streamOf is the channel's, made where it has none.
func (h *Hub) streamOf(c *Channel) *stream {
	h.mu.RLock()
	s := c.stream
	h.mu.RUnlock()
	if s != nil {
		return s
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.stream == nil {
		c.stream = &stream{chain: chain{name: c.name}}
	}
	return c.stream
}

// deliver takes a message with a position, as it comes live.
func (s *stream) deliver(e *emitter, c *Channel, m *Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = nil
	if s.chain.follows(m) {
		e.emit(c, m)
		return
	}
	if s.chain.knows(m) {
		e.h.repeated.Add(1)
	}
	s.carryOut(e, c, s.chain.live(m))
}

// wakeEvery is after how many messages reactors are woken that a chain hands on at once.
const wakeEvery = 16

// carryOut does what the chain wants. s.mu is held.
func (s *stream) carryOut(e *emitter, c *Channel, v verdict) {
	for i, m := range v.emit {
		if m == nil {
			e.h.unfilled(c)
		} else {
			e.emit(c, m)
		}
		if i%wakeEvery == wakeEvery-1 { // or the mailboxes may not take all of it
			e.wake()
		}
	}
	if v.ask {
		e.h.log.want(&reading{readingKey: readingKey{channel: c, since: s.chain.last, limit: fillLimit}, fills: true, asked: s.chain.asked, tries: s.chain.tries})
	}
}

// doubt says that the channel is heard again after messages may have been missed.
// It reports whether the log will tell.
func (s *stream) doubt(e *emitter, c *Channel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, covered := s.chain.doubt()
	s.carryOut(e, c, v)
	return covered && !s.mixed.Load()
}

// fill takes the answer to a reading that the chain asked for.
func (s *stream) fill(e *emitter, r *reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.chain.filled(r.asked, r.history, r.err)
	e.h.filled.Add(int64(len(r.history.Entries)))
	s.carryOut(e, r.channel, v)
	e.wake()
}
