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
	if !c.Upgrade(a.upgrade, a.protocol, a.extensions) {
		return // the client has been refused meanwhile
	}
	c.SetKind(uint8(KindEcho))
	h.watchExpiry(c, &e.guest)
}

func (*echo) message(_ *Handler, c *loop.Conn, op codec.Opcode, payload []byte) {
	if c.Write(op, payload) {
		c.CountOut(1)
	}
}

func (*echo) direct(*loop.Conn, *hub.Direct) bool { return false } // nobody is told its name

func (e *echo) closed(h *Handler, c *loop.Conn, end loop.End) {
	h.node.goodbye(c, &e.guest)
	h.node.ended(c, end)
}
