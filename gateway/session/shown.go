package session

import (
	"sluice/gateway/auth"
	"sluice/gateway/centrifuge"
	"sluice/loop"
	"sluice/pubsub"
)

// shown is by what a client has a subscription, where that is more than its asking.
type shown struct {
	given bool           // it has not asked
	who   *auth.Identity // of the token that it has shown for this one subscription; nil: none
	due   moment         // in which that is over; 0: never
	link  link           // in crew.shown
}

// unasked is by what a client has a subscription that it is given, while it shows no token for it.
var unasked = &shown{given: true}

// id is the token's, "" if there is none.
func (t *shown) id() string {
	if t == nil || t.who == nil {
		return ""
	}
	return t.who.ID
}

// isOver reports whether the time of a token has passed.
func (t *shown) isOver(now moment) bool { return t != nil && t.due != 0 && t.due <= now }

// isRevoked reports whether a command takes a token back.
func (t *shown) isRevoked(k *pubsub.Command) bool {
	if t == nil || t.who == nil {
		return false
	}
	if k.Token != "" {
		return t.who.ID == k.Token
	}
	return t.who.IssuedUntil(k.Before)
}

// show notes the token of a subscription, in place of an earlier one, so that it is found
// when it is revoked. It is over in the moment due.
func (h *Handler) show(c *loop.Conn, one *sub, who *auth.Identity, due moment) {
	given := one.isGiven()
	h.conceal(one)
	one.token = &shown{given: given, who: who, due: due, link: link{conn: c}}
	if id := one.token.id(); id != "" {
		h.crew.shown.add(id, &one.token.link)
	}
}

// conceal is the reverse of show. It may be called twice.
func (h *Handler) conceal(one *sub) {
	if id := one.token.id(); id != "" {
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
	for one := range s.subs.all {
		if one.token.isRevoked(k) {
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
