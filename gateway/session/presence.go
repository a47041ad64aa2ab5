package session

import (
	"time"

	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

// Presence is where it is kept who is subscribed to a channel. What it is told it
// carries out later.
type Presence interface {
	Join(channel string, a pubsub.Attendee)
	Leave(channel, conn string)
}

// present says that a connection is subscribed to a channel, where its namespace
// wants that known.
func (h *Handler) present(c *loop.Conn, g *guest, channel string) {
	if !h.keepsPresence(channel) {
		return
	}
	a := pubsub.Attendee{Conn: hub.ConnName(h.node.Life, c.ID()), User: g.user(), Since: time.Now()}
	if g.who != nil {
		a.Info = g.who.Info
	}
	h.node.Presence.Join(channel, a)
}

// absent says that it is not any more. Whether the namespace wants that known is not asked: it may
// have when the connection came.
func (h *Handler) absent(c *loop.Conn, channel string) {
	if h.node.Presence != nil {
		h.node.Presence.Leave(channel, hub.ConnName(h.node.Life, c.ID()))
	}
}

// leave ends a membership, and presence with it.
func (h *Handler) leave(c *loop.Conn, m *hub.Member) {
	if name := m.Name(); name != "" {
		h.absent(c, name)
	}
	h.local.Leave(m)
}

func (h *Handler) keepsPresence(channel string) bool {
	return h.node.Presence != nil && h.node.InForce().Namespace(channel).Presence
}
