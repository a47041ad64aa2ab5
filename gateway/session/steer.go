package session

import (
	"cmp"
	"unicode/utf8"

	"go.uber.org/zap"

	"sluice/codec"
	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

// Steer tells a reactor what services want done about its clients.
type Steer []pubsub.Command

// host is a dialect whose connections are somebody's.
type host interface {
	dialect
	self() *guest
}

// steerable is a dialect whose connections can be subscribed and unsubscribed by
// services. Either means nothing where it is so already.
type steerable interface {
	host
	enroll(h *Handler, c *loop.Conn, channel string)
	dismiss(h *Handler, c *loop.Conn, channel string)
}

func (h *Handler) steer(commands Steer) {
	for i := range commands {
		h.obey(&commands[i])
	}
}

// obey is the recover boundary of one command: the others go on.
func (h *Handler) obey(k *pubsub.Command) {
	defer h.r.Recover(nil, "command")
	for _, c := range h.meant(k) {
		if !c.Open() {
			continue // it is going already, or has not come: then it is not what the service knew
		}
		h.node.Counters.Steered.Add(1)
		switch s, ok := c.Session.(steerable); {
		case k.Do == pubsub.DoDisconnect || k.Do == pubsub.DoRevoke:
			h.sendAway(c, k)
		case !ok: // what it speaks has no channels that change
		case k.Do == pubsub.DoSubscribe:
			s.enroll(h, c, k.Channel)
		case k.Do == pubsub.DoUnsubscribe:
			s.dismiss(h, c, k.Channel)
		}
	}
	if k.Do == pubsub.DoRevoke || k.Do == pubsub.DoDisconnect {
		h.withdraw(k)
	}
}

// meant are the connections that a command is about.
func (h *Handler) meant(k *pubsub.Command) []*loop.Conn {
	switch {
	case k.Conn != "":
		id, ok := hub.ParseConn(h.node.Life, k.Conn)
		if !ok || id.Reactor() != h.r.Index() {
			return nil
		}
		if c := h.r.Conn(id); c != nil {
			if _, ok := c.Session.(host); ok {
				return []*loop.Conn{c}
			}
		}
		return nil
	case k.Token != "":
		return h.crew.tokens.all(k.Token)
	case k.Do != pubsub.DoRevoke:
		return h.crew.users.all(k.User)
	}
	var conns []*loop.Conn
	for l := h.crew.users[k.User]; l != nil; l = l.next {
		if s, ok := l.conn.Session.(host); ok && s.self().who.IssuedUntil(k.Before) {
			conns = append(conns, l.conn)
		}
	}
	return conns
}

// sendAway closes a connection as a service wants it.
func (h *Handler) sendAway(c *loop.Conn, k *pubsub.Command) {
	reason := k.Reason
	if reason == "" && k.Do == pubsub.DoRevoke {
		reason = reasonRevoked
	}
	if !utf8.ValidString(reason) {
		reason = ""
	}
	c.Close(codec.StatusCode(k.Code), cmp.Or(reason, "disconnected by a service"))
	h.node.Log.Debug("a service has had a connection closed", zap.String("conn", hub.ConnName(h.node.Life, c.ID())), zap.Int("code", k.Code))
}

// full reports whether a connection that has n channels can have no more, and counts
// that.
func (h *Handler) full(n int) bool {
	if n < h.node.InForce().MaxChannels {
		return false
	}
	h.node.Counters.Channels.Add(1)
	return true
}
