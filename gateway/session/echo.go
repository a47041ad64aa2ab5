package session

import (
	"net/url"

	"sluice/codec"
	"sluice/gateway/hub"
	"sluice/loop"
)

// echo is the dialect of /echo: what arrives goes back, its type kept.
type echo struct{ guest }

func (h *Handler) openEcho(c *loop.Conn, r *codec.Request) {
	p := &h.node.Policy
	if !p.Echo {
		c.Refuse(errNotFound)
		return
	}
	query, err := url.ParseQuery(r.RawQuery)
	if err != nil {
		c.Refuse(errQuery)
		return
	}
	u, g, refusal := h.admit(c, r, query)
	if refusal != nil {
		c.Refuse(refusal)
		return
	}
	c.Session = &echo{g}
	c.Upgrade(u, p.protocol(u.Protocols), p.extensions(u.Extensions, r))
	if g.who != nil && !g.who.Expires.IsZero() {
		h.expiry.add(c.ID(), g.who.Expires)
	}
}

func (*echo) message(_ *Handler, c *loop.Conn, op codec.Opcode, payload []byte) {
	c.Write(op, payload)
}

func (*echo) direct(*loop.Conn, *hub.Direct) bool { return false } // nobody is told its name

func (e *echo) closed(h *Handler, c *loop.Conn, end loop.End) {
	h.node.goodbye(c, &e.guest)
	h.node.ended(c, end)
}
