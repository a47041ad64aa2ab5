package session

import (
	"github.com/centrifugal/protocol"

	"sluice/gateway/centrifuge"
	"sluice/loop"
)

// refresh takes a new token for the connection, of the same user. One that has expired already
// ends the connection: the SDK comes back, is told so, and fetches another one.
func (s *centrifugal) refresh(h *Handler, c *loop.Conn, command uint32, r *protocol.RefreshRequest) {
	if s.who == nil || r.Token == "" || h.node.InForce().Tokens == nil {
		s.disconnect(h, c, centrifuge.BadRequest)
		return
	}
	who, err := h.node.InForce().Tokens.Verify(r.Token)
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
	s.who, s.due = who, s.watch(h, c, who.Expires)
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
	who, refusal := s.verifySubscription(h, r.Token, one.Name())
	if refusal != nil {
		if refusal == centrifuge.ErrTokenExpired {
			s.drop(h, c, one, centrifuge.SubscriptionExpired)
		}
		s.refuse(h, c, command, refusal)
		return
	}
	h.show(c, one, who, s.watch(h, c, who.Expires))
	result := &protocol.SubRefreshResult{}
	result.Expires, result.Ttl = lifetime(who.Expires)
	s.reply(h, c, &protocol.Reply{Id: command, SubRefresh: result})
}
