package session

import (
	"time"

	"github.com/centrifugal/protocol"

	"sluice/gateway/centrifuge"
	"sluice/loop"
)

// refresh takes a new token for the connection, of the same user. One that has expired already
// ends the connection: the SDK comes back, is told so, and fetches another one.
func (s *centrifugal) refresh(h *Handler, c *loop.Conn, command uint32, r *protocol.RefreshRequest) {
	if s.who == nil || r.Token == "" || h.node.Policy.Tokens == nil {
		s.disconnect(h, c, centrifuge.BadRequest)
		return
	}
	who, err := h.node.Policy.Tokens.Verify(r.Token)
	if err != nil {
		switch refusal, end := judge(err); {
		case end != nil:
			s.disconnect(h, c, *end)
		case refusal == centrifuge.ErrTokenExpired:
			s.disconnect(h, c, centrifuge.Expired)
		default:
			s.refuse(h, c, command, refusal)
		}
		return
	}
	if who.User != s.user() {
		s.disconnect(h, c, centrifuge.InvalidToken)
		return
	}
	s.who, s.due = who, h.watch(c, who.Expires)
	if h.enlist(c, &s.guest); !c.Open() {
		return
	}
	result := &protocol.RefreshResult{}
	result.Expires, result.Ttl = lifetime(who.Expires)
	s.reply(h, c, &protocol.Reply{Id: command, Refresh: result})
}

// subRefresh takes a new token for a subscription. One that has expired already ends the
// subscription: the SDK subscribes again, and fetches another one.
func (s *centrifugal) subRefresh(h *Handler, c *loop.Conn, command uint32, r *protocol.SubRefreshRequest) {
	one := s.subs.find(r.Channel)
	if one == nil || one.asked != nil {
		s.refuse(h, c, command, centrifuge.ErrPermissionDenied)
		return
	}
	if r.Type != 0 || len(r.Track)+len(r.Untrack) > 0 {
		s.refuse(h, c, command, centrifuge.ErrNotAvailable)
		return
	}
	who, refusal := s.verifySubscription(h, r.Token, one.name)
	if refusal != nil {
		if refusal == centrifuge.ErrTokenExpired {
			s.drop(h, c, one, centrifuge.SubscriptionExpired)
		}
		s.refuse(h, c, command, refusal)
		return
	}
	one.due = h.watch(c, who.Expires)
	result := &protocol.SubRefreshResult{}
	result.Expires, result.Ttl = lifetime(who.Expires)
	s.reply(h, c, &protocol.Reply{Id: command, SubRefresh: result})
}

// watch has the connection looked at when a token and the time to bring a new one are over. It
// returns the second of Handler.expiry in which that is, 0 if it never is.
func (h *Handler) watch(c *loop.Conn, expires time.Time) (due int64) {
	if expires.IsZero() {
		return 0
	}
	return h.expiry.add(c.ID(), expires.Add(h.node.Policy.Grace))
}

// stale is called when the connection is to be looked at: a token may be over, or the patience with
// a client that does not say who it is. now is a second of Handler.expiry.
func (s *centrifugal) stale(h *Handler, c *loop.Conn, now int64) {
	switch {
	case s.stage <= stageRefused:
		s.disconnect(h, c, centrifuge.Stale)
		return
	case s.stage == stageEntering: // Redis has not confirmed its channels
		s.disconnect(h, c, centrifuge.ServerError)
		return
	case s.due != 0 && s.due <= now:
		s.disconnect(h, c, centrifuge.Expired)
		return
	}
	for i := len(s.subs.list) - 1; i >= 0; i-- { // backwards: the last takes the place of one that is dropped
		one := s.subs.list[i]
		expired := one.due != 0 && one.due <= now
		switch {
		case one.asked == nil && expired:
			s.drop(h, c, one, centrifuge.SubscriptionExpired)
		case one.asked != nil && expired:
			s.unsubscribable(h, c, one, one.asked, centrifuge.ErrTokenExpired)
		case one.asked != nil && one.asked.until <= now:
			s.unsubscribable(h, c, one, one.asked, centrifuge.ErrInternal)
		}
	}
}

// subscribeTime is how long Redis has to confirm a channel before the client is told to try
// again, which SDKs do after a while. They lose patience after five seconds, and would make a new
// connection, which helps nobody.
const subscribeTime = 3 * time.Second

// await has a subscription looked at that is not answered yet.
func (s *centrifugal) await(h *Handler, c *loop.Conn, one *sub) {
	at := time.Now().Add(subscribeTime)
	if s.patience != h.expiry.second(at) { // else that has been noted for another one
		s.patience = h.expiry.add(c.ID(), at)
	}
	one.asked.until = s.patience
}
