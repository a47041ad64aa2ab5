package session

import (
	"sluice/codec"
	"sluice/gateway/hub"
	"sluice/loop"
)

// echo is the dialect of /echo: what arrives goes back, its type kept. It has no
// state.
type echo struct{}

func (h *Handler) openEcho(c *loop.Conn, r *codec.Request) {
	p := &h.node.Policy
	if !p.Echo {
		c.Refuse(errNotFound)
		return
	}
	u, ok := h.admit(c, r)
	if !ok {
		return
	}
	c.Session = echo{}
	c.Upgrade(u, p.protocol(u.Protocols), p.extensions(u.Extensions, r))
}

func (echo) message(_ *Handler, c *loop.Conn, op codec.Opcode, payload []byte) {
	c.Write(op, payload)
}

func (echo) direct(*loop.Conn, *hub.Direct) bool { return false } // nobody is told its name

func (echo) closed(h *Handler, c *loop.Conn, end loop.End) { h.node.ended(c, end) }
