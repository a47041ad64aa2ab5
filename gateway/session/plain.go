package session

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"sluice/codec"
	"sluice/gateway/auth"
	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

// plain is the dialect of /ws: what is published to the connection's channels
// comes as whole messages, payload for payload, and what the client sends goes
// to the inbox.
//
// The handshake is answered when Redis has confirmed every channel, so an open
// connection is a subscribed one.
type plain struct {
	guest
	memberships
	offer *offer // until the handshake is answered
}

// opened reports whether the client has been let in.
func (s *plain) opened() bool { return s.offer == nil }

// offer is what the answer to the handshake needs.
type offer struct {
	upgrade    codec.Upgrade
	protocol   string
	extensions string
	waiting    int // channels that Redis has not confirmed
	since      map[string]pubsub.Position
	later      []resumption
}

func (h *Handler) openPlain(c *loop.Conn, r *codec.Request) {
	a, ok := h.admit(c, r)
	if !ok {
		return
	}
	s := &plain{guest: a.guest, offer: &offer{upgrade: a.upgrade, protocol: a.protocol, extensions: a.extensions}}
	c.Session = s // from here on its end is counted
	channels, refusal := h.node.InForce().channels(a.who, a.query["channel"])
	var since map[string]pubsub.Position
	if refusal == nil {
		since, refusal = h.node.InForce().since(a.query["since"], a.query["channel"])
	}
	if refusal == nil {
		s.gaps, refusal = wantsGaps(a.query["gaps"])
	}
	wraps := slices.Contains(a.upgrade.Protocols, envelopeProtocol)
	if refusal == nil && len(since) > 0 && !wraps && !s.gaps {
		refusal = errSinceMute
	}
	if refusal != nil {
		c.Refuse(refusal)
		return
	}
	if wraps {
		h.openWrapped(c, &a, channels, since)
		return
	}
	s.offer.since = since
	s.join(h, c, channels)
	if s.offer.waiting == 0 {
		s.open(h, c)
	}
}

// since reads the positions from which a client resumes, each that of the channel in
// the same place of the query; an empty one is none.
func (p *Policy) since(values, channels []string) (map[string]pubsub.Position, *codec.HTTPError) {
	if len(values) > len(channels) {
		return nil, errSince
	}
	var since map[string]pubsub.Position
	for i, v := range values {
		if v == "" {
			continue
		}
		n, err := strconv.ParseUint(v, 10, 53)
		if err != nil {
			return nil, errSince
		}
		if !*p.Namespace(channels[i]).Durable {
			return nil, errNotDurable
		}
		if since == nil {
			since = map[string]pubsub.Position{}
		}
		since[channels[i]] = pubsub.Position(n)
	}
	return since, nil
}

// channels are those that a client is to be subscribed to: what it asks for and
// may have, and what it is given, which needs no other permission; without
// repetitions.
func (p *Policy) channels(who *auth.Identity, asked []string) ([]string, *codec.HTTPError) {
	given := p.given(who)
	if len(asked)+len(given) == 0 {
		return nil, errNoChannel
	}
	seen := make(map[string]struct{}, min(len(asked)+len(given), p.MaxChannels))
	channels := make([]string, 0, len(seen))
	for i, name := range slices.Concat(asked, given) {
		if err := pubsub.CheckChannel(name); err != nil {
			return nil, &codec.HTTPError{Status: 400, Reason: err.Error()} // a constant of package pubsub
		}
		if _, ok := seen[name]; ok {
			continue
		}
		if len(channels) == p.MaxChannels {
			return nil, errManyChan
		}
		if i < len(asked) && !slices.Contains(given, name) && !p.maySubscribe(who, name) {
			if strings.HasPrefix(name, "#") {
				return nil, errUserPrefix
			}
			return nil, errNotAllowed
		}
		seen[name] = struct{}{}
		channels = append(channels, name)
	}
	return channels, nil
}

// join subscribes the channels. Those whose log is read come last, when the client is
// open, or it would miss what comes for them meanwhile.
func (s *plain) join(h *Handler, c *loop.Conn, channels []string) {
	s.room(len(channels))
	var later []resumption
	for m := range s.members() {
		name := channels[0]
		channels = channels[1:]
		since, resumes := s.offer.since[name]
		if resumes || h.node.InForce().Namespace(name).LastValue {
			later = append(later, resumption{m, name, since, resumes})
			continue
		}
		h.local.Join(c, m, name, hub.Wants{Form: FormPayload, Deflated: s.offer.extensions != "", Gaps: s.gaps})
		if !m.Ready() {
			s.offer.waiting++
		}
	}
	s.offer.later = later
}

// resumption is a channel that a client resumes.
type resumption struct {
	member  *hub.Member
	name    string
	since   pubsub.Position
	resumes bool // else only the last value is wanted
}

// subscribed counts one more channel that Redis has confirmed, or sends what was
// missed on one that is resumed.
func (s *plain) subscribed(h *Handler, c *loop.Conn, m *hub.Member, r *hub.Recovery) {
	if r != nil {
		s.resumed(h, c, m, r)
		return
	}
	if s.opened() {
		s.enrolled(h, c, m)
		return
	}
	if s.offer.waiting--; s.offer.waiting == 0 {
		s.open(h, c)
	}
}

// resumed sends what was missed, behind the notice of a gap where that may not be
// everything.
func (s *plain) resumed(h *Handler, c *loop.Conn, m *hub.Member, r *hub.Recovery) {
	if r.Err != nil {
		c.Close(codec.StatusTryAgainLater, "the channel's log cannot be read: come back")
		return
	}
	if !r.Recovered && r.Since != 0 && s.gaps {
		s.gap(h, c, m)
	}
	if missed := r.Encoded(FormPayload, c.Deflates()); len(missed) > 0 {
		c.Send(missed)
	}
}

// open answers the handshake and reports the connection to the inbox.
func (s *plain) open(h *Handler, c *loop.Conn) {
	o := s.offer
	if !c.Upgrade(o.upgrade, o.protocol, o.extensions) {
		return // the client has been refused meanwhile
	}
	c.SetKind(uint8(KindPlain))
	s.offer = nil
	h.watchExpiry(c, &s.guest)
	h.watchAge(c)
	for _, r := range o.later {
		wants := hub.Wants{Form: FormPayload, Deflated: o.extensions != "", Gaps: s.gaps}
		h.node.InForce().follow(&wants, r.name, r.since, r.resumes)
		h.local.Join(c, r.member, r.name, wants)
	}
	h.connected(c, &s.guest, s.channels(nil))
}

func (s *plain) message(h *Handler, c *loop.Conn, _ codec.Opcode, payload []byte) {
	channels := s.channels(func(name string) bool { return h.node.InForce().mayPublish(s.who, name) })
	if channels == "" {
		c.Close(codec.StatusPolicyViolation, "this client may not send through its channels")
		return
	}
	id, r := c.ID(), h.r
	e := pubsub.Entry{Type: "message", Channel: channels, Data: append([]byte{}, payload...)}
	if h.node.InForce().relaysAny(channels) {
		h.say(c, &s.guest, e, func(err error) {
			if err != nil {
				h.unstored(unstored{id, err})
			}
		})
		return
	}
	h.report(c, &s.guest, e, func(err error) {
		if err != nil {
			r.Post(unstored{id, err})
		}
	})
}

// wantsGaps reads ?gaps=tell, by which a client asks for something in between the
// payloads, which otherwise come as they were published and nothing else.
func wantsGaps(values []string) (bool, *codec.HTTPError) {
	switch {
	case len(values) == 0:
		return false, nil
	case len(values) == 1 && values[0] == "tell":
		return true, nil
	}
	return false, errGaps
}

// gap tells the client that it may have missed messages of a channel, which is
// heard again: the moment to load from the source of truth what it shows.
func (s *plain) gap(_ *Handler, c *loop.Conn, m *hub.Member) {
	if !s.opened() {
		return
	}
	text, err := json.Marshal(struct {
		Gap string `json:"gap"`
	}{m.Name()})
	if err == nil { // a string is always written
		c.Send(hub.Frame(text))
	}
}

func (s *plain) direct(c *loop.Conn, d *hub.Direct) bool { return c.Send(hub.Frame(d.Payload)) }

func (s *plain) closed(h *Handler, c *loop.Conn, end loop.End) {
	h.node.goodbye(c, &s.guest)
	if s.opened() {
		h.node.ended(c, end)
		h.disconnected(c, &s.guest, s.channels(nil), end)
	}
	s.leave(h, c)
}
