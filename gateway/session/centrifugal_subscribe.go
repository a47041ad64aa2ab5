package session

import (
	"strings"
	"time"

	"github.com/centrifugal/protocol"

	"sluice/config"
	"sluice/gateway/auth"
	"sluice/gateway/centrifuge"
	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

// flagStrict in a subscribe command has it refused where the client cannot be recovered.
const flagStrict = 1 << 1

// subscribe takes up a channel. It is answered when Redis has confirmed that, and, where the
// client wants positions, when the channel's log has been read.
func (s *centrifugal) subscribe(h *Handler, c *loop.Conn, command uint32, r *protocol.SubscribeRequest) {
	var who *auth.Identity
	refusal := s.maySubscribe(h, r)
	if refusal == nil && r.Token != "" {
		who, refusal = s.verifySubscription(h, r.Token, r.Channel)
	}
	if refusal != nil {
		s.refuse(h, c, command, refusal)
		return
	}
	one := s.subs.place()
	one.asked = &asked{command: command, epoch: strings.Clone(r.Epoch)} // not to keep the frame
	if who != nil {
		one.asked.expires = who.Expires
		h.show(c, one, who, s.watch(h, c, who.Expires))
	}
	s.join(h, c, one, r.Channel, r)
}

// maySubscribe is why a subscribe command is refused, whatever its token says, nil if it is not.
func (s *centrifugal) maySubscribe(h *Handler, r *protocol.SubscribeRequest) *protocol.Error {
	p := h.node.InForce()
	switch {
	case r.Channel == "":
		return centrifuge.ErrBadRequest
	case pubsub.CheckChannel(r.Channel) != nil:
		return centrifuge.ErrUnknownChannel
	case r.Type != 0 || r.Tf != nil: // maps, polls and filters: what they leave out would come all the same
		return centrifuge.ErrNotAvailable
	case s.subs.find(r.Channel) != nil:
		return centrifuge.ErrAlreadySubscribed
	case s.subs.count() >= p.MaxChannels:
		return centrifuge.ErrLimitExceeded
	case r.Token == "" && !p.mayTakeUp(s.who, r.Channel):
		return centrifuge.ErrPermissionDenied
	case r.Token != "" && p.Namespace(r.Channel).Subscribe == config.AccessNobody: // as with a connection's token
		return centrifuge.ErrPermissionDenied
	}
	return nil
}

// verifySubscription judges a token for one channel: it must be this user's.
func (s *centrifugal) verifySubscription(h *Handler, token, channel string) (*auth.Identity, *protocol.Error) {
	if h.node.InForce().Tokens == nil {
		return nil, centrifuge.ErrPermissionDenied
	}
	who, err := h.node.InForce().Tokens.VerifySubscription(token)
	if err != nil {
		if refusal, _ := judge(err); refusal != nil {
			return nil, refusal
		}
		return nil, centrifuge.ErrPermissionDenied
	}
	if who.Channel != channel || who.User != s.user() {
		return nil, centrifuge.ErrPermissionDenied
	}
	return who, nil
}

// join makes a subscription a member of its channel.
func (s *centrifugal) join(h *Handler, c *loop.Conn, one *sub, channel string, r *protocol.SubscribeRequest) {
	one.asked.resuming, one.asked.strict = r.Recover, r.Flag&flagStrict != 0
	wants := hub.Wants{Form: s.form(), Deflated: c.Deflates(), Gaps: true}
	// Whether or not the SDK was told to ask for it; a position beyond is none of ours.
	logged := !one.asked.steered && h.node.InForce().follow(&wants, channel, pubsub.Position(r.Offset), r.Recover && r.Offset < 1<<53)
	if one.isGiven() && !logged {
		wants.Gaps = false // SDKs do not subscribe again to what they have not asked for
	}
	h.local.Join(c, &one.Member, channel, wants)
	s.subs.add(one)
	if one.Ready() {
		s.subscribed(h, c, &one.Member, nil)
		return
	}
	if !one.isGiven() { // else connect waits for it
		one.asked.until = h.expiry.moment(time.Now().Add(subscribeTime))
		s.lookAt(h, c, one.asked.until)
	}
}

// subscribeTime is how long Redis has to confirm a channel before the client is told to try
// again, which SDKs do after a while. They lose patience after five seconds, and would make a new
// connection, which helps nobody.
const subscribeTime = 3 * time.Second

// subscribed answers who waits for a channel.
func (s *centrifugal) subscribed(h *Handler, c *loop.Conn, m *hub.Member, r *hub.Recovery) {
	name := m.Name()
	one := s.subs.find(name)
	if one == nil || one.asked == nil {
		return
	}
	asked := one.asked
	one.asked = nil
	if r != nil && r.Err != nil {
		s.unsubscribable(h, c, one, asked, centrifuge.ErrInternal)
		return
	}
	result, rest := s.result(h, c, asked, r)
	if asked.strict && result.WasRecovering && !result.Recovered {
		s.unsubscribable(h, c, one, asked, centrifuge.ErrUnrecoverable)
		return
	}
	if asked.steered && s.entrance == nil {
		s.enrolled(h, c, name)
		return
	}
	if one.isGiven() {
		if len(rest) > 0 {
			c.Send(rest) // it is held behind the answer
		}
		h.present(c, &s.guest, name)
		s.taken(h, c, name, result)
		return
	}
	s.reply(h, c, &protocol.Reply{Id: asked.command, Subscribe: result})
	if len(rest) > 0 {
		c.Send(rest)
	}
	h.subscribedTo(c, &s.guest, name)
}

// unsubscribable ends a subscription that has come to nothing.
func (s *centrifugal) unsubscribable(h *Handler, c *loop.Conn, one *sub, asked *asked, why *protocol.Error) {
	given := one.isGiven()
	s.leave(h, c, one)
	if given {
		s.disconnect(h, c, centrifuge.ServerError) // to come back and try again
		return
	}
	s.refuse(h, c, asked.command, why)
}

// result is the answer to a subscribe command. What the client missed is in it if it is all that it
// missed. Otherwise there may be a rest, of what came while the log was read: it comes as frames to
// be sent behind the answer, which says what was before.
func (s *centrifugal) result(h *Handler, c *loop.Conn, asked *asked, r *hub.Recovery) (result *protocol.SubscribeResult, rest []byte) {
	result = &protocol.SubscribeResult{WasRecovering: asked.resuming}
	result.Expires, result.Ttl = lifetime(asked.expires)
	if r == nil {
		return result, nil
	}
	result.Recoverable, result.Positioned = true, true
	result.Epoch, result.Offset = r.Epoch, uint64(r.Position)
	switch {
	case !r.Recovered:
		result.Offset = uint64(before(r))
		rest = r.Encoded(s.form(), c.Deflates())
	case asked.epoch != "" && asked.epoch != r.Epoch: // its position is of another log: it has to load afresh what was published up to now
	case asked.resuming:
		result.Recovered = true
		result.Publications = h.recovered.list(s.encoding, r)
	}
	return result, rest
}

// before is the position before a recovery's messages.
func before(r *hub.Recovery) pubsub.Position {
	for _, m := range r.Messages {
		if m.Position != 0 {
			return m.Before
		}
	}
	return r.Position
}

// unsubscribe gives a channel up.
func (s *centrifugal) unsubscribe(h *Handler, c *loop.Conn, command uint32, r *protocol.UnsubscribeRequest) {
	if one := s.subs.find(r.Channel); one != nil {
		name, asked, given := one.Name(), one.asked, one.isGiven()
		s.leave(h, c, one)
		switch {
		case asked == nil:
			if s.entrance != nil {
				delete(s.entrance.results, name)
			}
			h.unsubscribedFrom(c, &s.guest, name)
		case given:
			s.untaken(h, c, name, asked)
		default: // its subscribe is not answered yet, and would never be
			s.refuse(h, c, asked.command, centrifuge.ErrInternal)
		}
	}
	s.reply(h, c, &protocol.Reply{Id: command, Unsubscribe: &protocol.UnsubscribeResult{}})
}

// untaken notes that a given channel has been left before it was subscribed. The entry of
// the connection in the inbox names those of its token already.
func (s *centrifugal) untaken(h *Handler, c *loop.Conn, name string, asked *asked) {
	if !asked.steered {
		h.unsubscribedFrom(c, &s.guest, name)
	}
	s.taken(h, c, name, nil)
}

// leave gives a subscription up, of which nothing is left.
func (s *centrifugal) leave(h *Handler, c *loop.Conn, one *sub) {
	h.conceal(one)
	s.subs.remove(one)
	h.leave(c, &one.Member)
	one.asked = nil
}

// gap tells a client that it may have missed messages, by ending its subscription with a code at
// which its SDK subscribes again, with the position that it has: so it is recovered, or told that it
// is not. Channels that its token gives are taken up again by connecting again alone.
func (s *centrifugal) gap(h *Handler, c *loop.Conn, m *hub.Member) {
	one := s.subs.find(m.Name())
	switch {
	case one == nil || one.asked != nil:
	case one.isGiven():
		s.disconnect(h, c, centrifuge.InsufficientState)
	default:
		s.drop(h, c, one, centrifuge.Insufficient)
	}
}

// drop ends a subscription and says why.
func (s *centrifugal) drop(h *Handler, c *loop.Conn, one *sub, why centrifuge.Unsubscription) {
	name := one.Name()
	s.leave(h, c, one)
	h.unsubscribedFrom(c, &s.guest, name)
	s.reply(h, c, centrifuge.Unsubscribed(name, why))
}
