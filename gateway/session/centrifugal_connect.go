package session

import (
	"errors"
	"strings"
	"time"

	"github.com/centrifugal/protocol"

	"sluice/gateway/auth"
	"sluice/gateway/centrifuge"
	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

// connect lets a client in. Its token is the command's, or else that of the handshake.
// The channels that the token gives are subscribed before the answer, which tells of
// them; what they and further commands bring meanwhile is held behind it.
func (s *centrifugal) connect(h *Handler, c *loop.Conn, command uint32, r *protocol.ConnectRequest) {
	if s.stage > stageRefused {
		s.disconnect(h, c, centrifuge.BadRequest)
		return
	}
	who, refusal, end := h.node.InForce().introduce(r.Token, s.entrance.door)
	switch {
	case end != nil:
		s.disconnect(h, c, *end)
		return
	case refusal != nil: // the client goes, and comes back with what it lacks; if not, it is stale in a moment
		s.stage = stageRefused
		s.refuse(h, c, command, refusal)
		return
	}
	if h.node.name(who) != nil {
		h.node.Counters.PerUser.Add(1)
		s.disconnect(h, c, centrifuge.ConnectionLimit)
		return
	}
	s.who, s.stage, s.entrance.command = who, stageEntering, command
	c.SetPing(int(s.encoding))
	if who != nil {
		s.due = s.watch(h, c, who.Expires)
	}
	given := s.given(h.node.InForce())
	if len(given) > h.node.InForce().MaxChannels {
		h.node.Counters.Channels.Add(1)
		s.disconnect(h, c, centrifuge.ChannelLimit)
		return
	}
	s.takeUp(h, c, given, r.Subs)
	h.report(c, &s.guest, pubsub.Entry{Type: "connect", Channel: s.channels(), Data: r.Data}, nil)
	if h.enlist(c, &s.guest); !c.Open() {
		return
	}
	if s.entrance.waiting == 0 {
		s.enter(h, c)
		return
	}
	h.batch.flush() // an answer to an earlier connect, perhaps
	if s.entrance.held = c.Hold(); !s.entrance.held {
		s.disconnect(h, c, centrifuge.Slow)
	}
}

// takeUp subscribes the channels that the client's token gives. had is where it has got in some
// of them.
func (s *centrifugal) takeUp(h *Handler, c *loop.Conn, given []string, had map[string]*protocol.SubscribeRequest) {
	if len(given) == 0 {
		return
	}
	s.entrance.results = make(map[string]*protocol.SubscribeResult, len(given))
	s.entrance.waiting = len(given) + 1 // so that nothing is answered before all have been asked for
	for _, name := range given {
		had := had[name]
		if had == nil {
			had = &protocol.SubscribeRequest{}
		}
		one := s.subs.place()
		one.token, one.asked = unasked, &asked{epoch: strings.Clone(had.Epoch)}
		s.join(h, c, one, name, had)
	}
	s.entrance.waiting--
}

// taken notes that a given channel is subscribed, or will not be: result is nil then. One that
// a service has given since connect was answered nobody waits for.
func (s *centrifugal) taken(h *Handler, c *loop.Conn, name string, result *protocol.SubscribeResult) {
	if s.entrance == nil {
		return
	}
	if result != nil {
		s.entrance.results[name] = result
	}
	if s.entrance.waiting--; s.entrance.waiting == 0 {
		s.enter(h, c)
	}
}

// introduce finds out whom a token names, or else the handshake. A token that has expired
// is refused with the error on which SDKs fetch a new one.
func (p *Policy) introduce(token string, door *auth.Identity) (*auth.Identity, *protocol.Error, *centrifuge.Disconnection) {
	switch {
	case token != "" && p.Tokens != nil:
		who, err := p.Tokens.Verify(token)
		if err == nil {
			return who, nil, nil
		}
		refusal, end := judge(err)
		return nil, refusal, end
	case token != "" && !p.Anonymous: // there is nothing to judge it with
		return nil, nil, &centrifuge.InvalidToken
	case door == expired:
		return nil, centrifuge.ErrTokenExpired, nil
	case door != nil || p.Anonymous:
		return door, nil, nil
	}
	return nil, centrifuge.ErrUnauthorized, nil
}

// judge is how a token that is not valid is answered.
func judge(err error) (*protocol.Error, *centrifuge.Disconnection) {
	var why *auth.Error
	switch {
	case !errors.As(err, &why):
		return centrifuge.ErrInternal, nil
	case why.Temporary():
		return centrifuge.ErrInternal, nil
	case why.Code == auth.CodeExpired:
		return centrifuge.ErrTokenExpired, nil
	}
	return nil, &centrifuge.InvalidToken
}

// given are the channels that the client is given. Names that no channel can have
// are left out: they have nothing to say.
func (s *centrifugal) given(p *Policy) (names []string) {
	for _, name := range p.given(s.who) {
		if pubsub.CheckChannel(name) == nil {
			names = append(names, name)
		}
	}
	return names
}

// enter answers connect, when all given channels are subscribed.
func (s *centrifugal) enter(h *Handler, c *loop.Conn) {
	s.stage = stageConnected
	result := &protocol.ConnectResult{
		Client:  hub.ConnName(h.node.Life, c.ID()),
		Version: "sluice " + h.node.Version,
		Node:    h.node.ID,
		Ping:    seconds(h.node.InForce().Ping),
		Pong:    true,
		Subs:    s.entrance.results,
	}
	if s.who != nil {
		result.Expires, result.Ttl = lifetime(s.who.Expires)
	}
	reply, held := &protocol.Reply{Id: s.entrance.command, Connect: result}, s.entrance.held
	s.entrance = nil
	if held {
		c.Release(s.encoding.Opcode(), s.encoding.Append(nil, reply))
		return
	}
	s.reply(h, c, reply)
}

// lifetime is how long a token is good, in whole seconds, for the SDK to fetch another
// one when they are over. Nothing happens to who is a little late: see stale.
func lifetime(expires time.Time) (ends bool, ttl uint32) {
	if expires.IsZero() {
		return false, 0
	}
	return true, seconds(min(time.Until(expires), maxLifetime))
}

// maxLifetime keeps SDKs from setting timers that overflow.
const maxLifetime = 365 * 24 * time.Hour

// seconds is d in whole seconds, at least one: 0 means never.
func seconds(d time.Duration) uint32 { return uint32(max(1, (d+time.Second-1)/time.Second)) }
