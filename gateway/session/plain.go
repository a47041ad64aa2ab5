package session

import (
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sluice/codec"
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
	offer  *offer // until the handshake is answered
	member hub.Member
	more   *further // nil: it has one channel
	sent   uint32   // inbox entries of this connection so far
	opened bool
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
	u, ok := h.admit(c, r)
	if !ok {
		return
	}
	p := &h.node.Policy
	channels, refusal := wanted(r.RawQuery, p.MaxChannels)
	if refusal != nil {
		c.Refuse(refusal)
		return
	}
	s := &plain{offer: &offer{upgrade: u, protocol: p.protocol(u.Protocols), extensions: p.extensions(u.Extensions, r)}}
	c.Session = s
	s.join(h, c, channels)
	if s.offer.waiting == 0 {
		s.open(h, c)
	}
}

// wanted reads the channels from a query string, without repetitions.
func wanted(query string, limit int) ([]string, *codec.HTTPError) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errQuery
	}
	asked := values["channel"]
	if len(asked) == 0 {
		return nil, errNoChannel
	}
	seen := make(map[string]struct{}, min(len(asked), limit))
	channels := asked[:0]
	for _, name := range asked {
		if err := pubsub.CheckChannel(name); err != nil {
			return nil, &codec.HTTPError{Status: 400, Reason: err.Error()}
		}
		if strings.HasPrefix(name, "#") {
			return nil, errUserPrefix
		}
		if _, ok := seen[name]; ok {
			continue
		}
		if len(channels) == limit {
			return nil, errManyChan
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
		h.local.Join(c, m, channels[0], s.offer.extensions != "")
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
func (s *plain) subscribed(h *Handler, c *loop.Conn) {
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
	s.report(h, c, "connect", nil, nil)
}

func (s *plain) message(h *Handler, c *loop.Conn, _ codec.Opcode, payload []byte) {
	id, r := c.ID(), h.r
	s.report(h, c, "message", append([]byte{}, payload...), func(err error) {
		if err != nil {
			r.Post(unstored{id, err})
		}
	})
}

func (s *plain) direct(c *loop.Conn, d *hub.Direct) bool { return c.Send(hub.Frame(d.Payload)) }

func (s *plain) closed(h *Handler, c *loop.Conn, end loop.End) {
	if s.opened {
		h.node.ended(c, end)
		s.report(h, c, "disconnect", []byte(strconv.Itoa(int(end.Code))+" "+end.Reason), nil)
	}
	for m := range s.members() {
		h.local.Leave(m)
	}
}

// report puts an entry into the inbox. done, if any, is called once with what
// became of it, also when it is refused at once.
func (s *plain) report(h *Handler, c *loop.Conn, kind string, data []byte, done func(error)) {
	name := hub.ConnName(h.node.ID, c.ID())
	s.sent++
	err := h.node.Inbox.Add(pubsub.Entry{
		Type:    kind,
		ID:      name + "." + strconv.FormatUint(uint64(s.sent), 36),
		Conn:    name,
		Channel: s.channels(),
		Data:    data,
		Reply:   h.node.Reply,
		Node:    h.node.ID,
		Time:    time.Now(),
		Done: func(err error) {
			if err != nil {
				h.node.Counters.InboxFailed.Add(1)
			}
			if done != nil {
				done(err)
			}
		},
	})
	if err == nil {
		return
	}
	h.node.Counters.InboxFailed.Add(1)
	if done != nil {
		done(err)
	}
}

// channels are the names of the connection's channels, put together with
// spaces, which no name contains.
func (s *plain) channels() string {
	if s.more == nil {
		return s.member.Name()
	}
	names := make([]string, 0, 1+len(*s.more))
	for m := range s.members() {
		names = append(names, m.Name())
	}
	return strings.Join(names, " ")
}
