package session

import (
	"sluice/codec"
	"sluice/gateway/auth"
	"sluice/loop"
)

// crew finds the connections of a user, and those that have shown a token, for all or for one subscription. It belongs
// to one reactor. Anonymous connections are not in it.
type crew struct {
	users  roll
	tokens roll // by jti
	shown  roll // by the jti of tokens for single subscriptions; a connection may be there more than once
}

// mate is a connection's place in the crew.
type mate struct {
	who         *auth.Identity // as it was enlisted
	user, token link
}

// roll is lists of connections by a name.
type roll map[string]*link

type link struct {
	conn       *loop.Conn
	prev, next *link
}

func (r roll) add(name string, l *link) {
	if l.next = r[name]; l.next != nil {
		l.next.prev = l
	}
	r[name] = l
}

func (r roll) remove(name string, l *link) {
	switch {
	case l.prev != nil:
		l.prev.next = l.next
	case l.next != nil:
		r[name] = l.next
	default:
		delete(r, name)
	}
	if l.next != nil {
		l.next.prev = l.prev
	}
}

// all are the connections of a name.
func (r roll) all(name string) (conns []*loop.Conn) {
	for l := r[name]; l != nil; l = l.next {
		conns = append(conns, l.conn)
	}
	return conns
}

// enlist notes whose connection it is, so that commands find it, and ends it if its
// token was revoked since it was verified.
func (h *Handler) enlist(c *loop.Conn, g *guest) {
	h.discharge(g)
	who := g.who
	if who == nil {
		return
	}
	g.mate = &mate{who: who, user: link{conn: c}, token: link{conn: c}}
	h.crew.users.add(who.User, &g.mate.user)
	if who.ID != "" {
		h.crew.tokens.add(who.ID, &g.mate.token)
	}
	if f := h.node.InForce().Revoked; f != nil && f(who) {
		c.Close(statusRevoked, reasonRevoked)
	}
}

// discharge is the reverse of enlist. It may be called twice.
func (h *Handler) discharge(g *guest) {
	m := g.mate
	if m == nil {
		return
	}
	g.mate = nil
	h.crew.users.remove(m.who.User, &m.user)
	if m.who.ID != "" {
		h.crew.tokens.remove(m.who.ID, &m.token)
	}
}

// The close frame for a connection whose token is not valid any more. SDKs of the
// centrifuge dialect do not come back after it.
const (
	statusRevoked codec.StatusCode = 4501
	reasonRevoked                  = "the token has been revoked"
)
