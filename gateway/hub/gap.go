package hub

import (
	"sync"
	"sync/atomic"

	"sluice/pubsub"
)

// Gaps counts, for the channels of a namespace, how often messages may have been
// missed, once for each channel. A nil one counts nothing.
type Gaps struct {
	Connection, Moved, Mailbox, Oversize atomic.Int64
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
	}
}

// gapped says that a channel is heard again after messages may have been missed
// on it. h.mu is held.
func (h *Hub) gapped(c *Channel, cause pubsub.Cause) {
	c.rules.Gaps.count(cause)
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
		p := l.parts[channel]
		if p == nil {
			continue // all have left meanwhile
		}
		for f := range forms {
			// Backwards, as in confirm: telling one may end its connection.
			for i := len(p[f]) - 1; i >= 0; i-- {
				if i < len(p[f]) && p[f][i].member.telling && p[f][i].member.ready {
					l.events.Gap(p[f][i].conn, p[f][i].member)
				}
			}
		}
	}
}
