package hub

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/pubsub"
)

// Gaps counts, for the channels of a namespace, how often messages may have been
// missed, once for each channel. A nil one counts nothing.
type Gaps struct {
	Connection, Moved, Mailbox, Oversize, Log atomic.Int64
}

func (g *Gaps) count(cause pubsub.Cause) {
	if g == nil {
		return
	}
	switch cause {
	case pubsub.CauseConnection:
		g.Connection.Add(1)
	case pubsub.CauseMoved:
		g.Moved.Add(1)
	case pubsub.CauseMailbox:
		g.Mailbox.Add(1)
	case pubsub.CauseOversize:
		g.Oversize.Add(1)
	case pubsub.CauseLog:
		g.Log.Add(1)
	}
}

// unfilled says that a channel's log does not hold what was missed before what is
// handed on next. The stream's lock is held.
func (h *Hub) unfilled(c *Channel) {
	h.holes.Add(1)
	now := time.Now()
	h.onGap(pubsub.Gap{Link: "the log", Channel: c.name, Cause: pubsub.CauseLog, From: now, To: now, Channels: 1})
	c.rules.Load().Gaps.count(pubsub.CauseLog)
	h.mu.RLock()
	defer h.mu.RUnlock()
	for i := range c.seats {
		h.tellHere(c, &c.seats[i])
	}
}

// tellHere has a reactor tell its members of a gap between what it has been handed of
// the channel and what it will be. Hub.mu is held for reading, and the stream's lock.
func (h *Hub) tellHere(c *Channel, s *seat) {
	if s.telling > 0 && !s.gapped {
		s.gapped = true
		h.reactors[s.reactor].Post(&publication{channel: c, gap: true})
	}
}

// toldHere takes note that a reactor tells its members of the gap now: what is missed
// from now on is another one, even where nothing has come in between.
func (h *Hub) toldHere(c *Channel, reactor int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range c.seats {
		if c.seats[i].reactor == int32(reactor) {
			c.seats[i].gapped = false
		}
	}
}

// gapped says that a channel is heard again after messages may have been missed
// on it. h.mu is held.
func (h *Hub) gapped(c *Channel, cause pubsub.Cause) {
	c.rules.Load().Gaps.count(cause)
	for _, s := range c.seats {
		if s.telling > 0 {
			h.tell(c, int(s.reactor))
		}
	}
}

// missed is the channels on which a reactor's members may have missed something
// and have not been told. There is one event for all of them, so that a reactor
// that is behind does not fall further behind.
type missed struct {
	mu       sync.Mutex
	channels map[*Channel]struct{} // guarded by mu
}

// tell has a reactor tell its members of a channel that they may have missed
// something.
func (h *Hub) tell(c *Channel, reactor int) {
	m := h.missed[reactor]
	m.mu.Lock()
	first := len(m.channels) == 0
	if first {
		m.channels = map[*Channel]struct{}{}
	}
	m.channels[c] = struct{}{}
	m.mu.Unlock()
	if first {
		h.reactors[reactor].Post(m)
	}
}

// take empties it.
func (m *missed) take() map[*Channel]struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	channels := m.channels
	m.channels = nil
	return channels
}

// tellMissed tells the members who want to know. Who has not been told yet that it is
// subscribed has not missed anything.
func (l *Local) tellMissed(m *missed) {
	for channel := range m.take() {
		if p := l.parts[channel]; p != nil { // else all have left meanwhile
			l.tellGap(p)
		}
	}
}

func (l *Local) tellGap(p *part) {
	l.release(p)
	for r := range p.rows() {
		// Backwards, as in confirm: telling one may end its connection.
		for i := len(r.places) - 1; i >= 0; i-- {
			if i < len(r.places) && r.places[i].member.marks.has(markTelling) && r.places[i].member.stage == live {
				l.events.Gap(r.places[i].conn, r.places[i].member)
			}
		}
	}
}

// release makes those live who wait until what comes live has reached what they
// have: after a gap it may never. Who waits for the log is told when it has answered.
func (l *Local) release(p *part) {
	if !p.isWatched() {
		return
	}
	for _, g := range slices.Clone(p.more.groups) {
		if g.until == 0 { // what the log says may not be all that is missing
			g.gapped, g.seen = true, nil // that is from before the gap
			continue
		}
		l.settle(p, g)
	}
}
