package session

import (
	"sluice/gateway/auth"
	"sluice/gateway/centrifuge"
	"sluice/loop"
	"sluice/pubsub"
)

// shown is a token that a client has shown for one subscription.
type shown struct {
	who  *auth.Identity
	link link // in crew.shown
}

// show notes the token of a subscription, in place of an earlier one, so that it is found
// when it is revoked.
func (h *Handler) show(c *loop.Conn, one *sub, who *auth.Identity) {
	h.conceal(one)
	one.token = &shown{who: who, link: link{conn: c}}
	if who.ID != "" {
		h.crew.shown.add(who.ID, &one.token.link)
	}
}

// conceal is the reverse of show. It may be called twice.
func (h *Handler) conceal(one *sub) {
	if one.token == nil {
		return
	}
	if id := one.token.who.ID; id != "" {
		h.crew.shown.remove(id, &one.token.link)
	}
	one.token = nil
}

// withdraw ends the subscriptions whose tokens a command revokes. Their connections, which
// have tokens of their own, go on.
func (h *Handler) withdraw(k *pubsub.Command) {
	var conns []*loop.Conn
	switch {
	case k.Token != "":
		conns = h.crew.shown.all(k.Token)
	case k.Do == pubsub.DoRevoke:
		conns = h.crew.users.all(k.User) // a subscription's token is that of the connection's user
	}
	for _, c := range conns {
		if s, ok := c.Session.(*centrifugal); ok && c.Open() {
			s.withdraw(h, c, k)
		}
	}
}

func (s *centrifugal) withdraw(h *Handler, c *loop.Conn, k *pubsub.Command) {
	var revoked []*sub
	for _, one := range s.subs.list {
		if t := one.token; t != nil && (k.Token != "" && t.who.ID == k.Token || k.Token == "" && t.who.IssuedUntil(k.Before)) {
			revoked = append(revoked, one)
		}
	}
	for _, one := range revoked {
		h.node.Counters.Steered.Add(1)
		if one.asked != nil {
			s.unsubscribable(h, c, one, one.asked, centrifuge.ErrPermissionDenied)
		} else {
			s.drop(h, c, one, centrifuge.Unsubscribe)
		}
	}
}
