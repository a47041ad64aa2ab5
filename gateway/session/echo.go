package session

import (
	"sluice/codec"
	"sluice/gateway/hub"
	"sluice/loop"
)

// echo is the dialect of /echo: what arrives goes back, its type kept.
type echo struct{ guest }

func (h *Handler) openEcho(c *loop.Conn, r *codec.Request) {
	if !h.node.InForce().Echo {
		c.Refuse(errNotFound)
		return
	}
	a, ok := h.admit(c, r)
	if !ok {
		return
	}
	e := &echo{a.guest}
	c.Session = e
	c.Upgrade(a.upgrade, a.protocol, a.extensions)
	h.watchExpiry(c, &e.guest)
}

func (*echo) message(_ *Handler, c *loop.Conn, op codec.Opcode, payload []byte) {
	c.Write(op, payload)
}

func (*echo) direct(*loop.Conn, *hub.Direct) bool { return false } // nobody is told its name

func (e *echo) closed(h *Handler, c *loop.Conn, end loop.End) {
	h.node.goodbye(c, &e.guest)
	h.node.ended(c, end)
}
