package session

import (
	"encoding/json"
	"iter"
	"slices"
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
	offer  *offer // until the handshake is answered
	member hub.Member
	more   *further // nil: it has one channel
	opened bool
	gaps   bool // the client wants to be told when messages may have been missed
}

// further are the memberships of the second channel and all others. They do not
// move: channels refer to them.
type further []hub.Member

// offer is what the answer to the handshake needs.
type offer struct {
	upgrade    codec.Upgrade
	protocol   string
	extensions string
	waiting    int // channels that Redis has not confirmed
}

func (h *Handler) openPlain(c *loop.Conn, r *codec.Request) {
	a, ok := h.admit(c, r)
	if !ok {
		return
	}
	s := &plain{guest: a.guest, offer: &offer{upgrade: a.upgrade, protocol: a.protocol, extensions: a.extensions}}
	c.Session = s // from here on its end is counted
	channels, refusal := h.node.Policy.channels(a.who, a.query["channel"])
	if refusal == nil {
		s.gaps, refusal = wantsGaps(a.query["gaps"])
	}
	if refusal != nil {
		c.Refuse(refusal)
		return
	}
	s.join(h, c, channels)
	if s.offer.waiting == 0 {
		s.open(h, c)
	}
}

// channels are those that a client is to be subscribed to: what it asks for and
// may have, and what its token says, which needs no other permission; without
// repetitions.
func (p *Policy) channels(who *auth.Identity, asked []string) ([]string, *codec.HTTPError) {
	var given []string
	if who != nil {
		given = who.Channels
	}
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

func (s *plain) join(h *Handler, c *loop.Conn, channels []string) {
	if n := len(channels) - 1; n > 0 {
		more := make(further, n)
		s.more = &more
	}
	for m := range s.members() {
		h.local.Join(c, m, channels[0], hub.Wants{Form: FormPayload, Deflated: s.offer.extensions != "", Gaps: s.gaps})
		channels = channels[1:]
		if !m.Ready() {
			s.offer.waiting++
		}
	}
}

// members are all memberships, in the order of the request.
func (s *plain) members() iter.Seq[*hub.Member] {
	return func(yield func(*hub.Member) bool) {
		if !yield(&s.member) || s.more == nil {
			return
		}
		for i := range *s.more {
			if !yield(&(*s.more)[i]) {
				return
			}
		}
	}
}

// subscribed counts one more channel that Redis has confirmed.
func (s *plain) subscribed(h *Handler, c *loop.Conn, _ *hub.Member, _ *hub.Recovery) {
	if s.offer == nil {
		return
	}
	if s.offer.waiting--; s.offer.waiting == 0 {
		s.open(h, c)
	}
}

// open answers the handshake and reports the connection to the inbox.
func (s *plain) open(h *Handler, c *loop.Conn) {
	o := s.offer
	s.offer = nil
	if !c.Upgrade(o.upgrade, o.protocol, o.extensions) {
		return // the client has been refused meanwhile
	}
	s.opened = true
	h.watchExpiry(c, &s.guest)
	h.connected(c, &s.guest, s.channels(nil))
}

func (s *plain) message(h *Handler, c *loop.Conn, _ codec.Opcode, payload []byte) {
	channels := s.channels(func(name string) bool { return h.node.Policy.mayPublish(s.who, name) })
	if channels == "" {
		c.Close(codec.StatusPolicyViolation, "this client may not send through its channels")
		return
	}
	id, r := c.ID(), h.r
	h.report(c, &s.guest, pubsub.Entry{Type: "message", Channel: channels, Data: append([]byte{}, payload...)}, func(err error) {
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
	if !s.opened {
		return
	}
	text, err := json.Marshal(struct {
		Gap string `json:"gap"`
	}{m.Name()})
	if err == nil { // a string is always written
		c.Send(hub.Frame(text))
	}
}

func (s *plain) drained(h *Handler, c *loop.Conn) {
	for m := range s.members() {
		h.local.Drained(c, m)
	}
}

func (s *plain) direct(c *loop.Conn, d *hub.Direct) bool { return c.Send(hub.Frame(d.Payload)) }

func (s *plain) closed(h *Handler, c *loop.Conn, end loop.End) {
	h.node.goodbye(c, &s.guest)
	if s.opened {
		h.node.ended(c, end)
		h.disconnected(c, &s.guest, s.channels(nil), end)
	}
	for m := range s.members() {
		h.local.Leave(m)
	}
}

// channels are the names of those of the connection's channels that are wanted,
// nil for all, put together with spaces, which no name contains.
func (s *plain) channels(wanted func(string) bool) string {
	var names []string
	for m := range s.members() {
		if wanted == nil || wanted(m.Name()) {
			if s.more == nil {
				return m.Name()
			}
			names = append(names, m.Name())
		}
	}
	return strings.Join(names, " ")
}
