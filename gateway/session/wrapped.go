package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"sluice/codec"
	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

// wrapped is the dialect of /ws with the subprotocol sluice.v1: every message is a
// JSON object, in which the payload stands under "data". The client sees positions
// and resumes from them, subscribes while it is connected, and hears what became of
// what it sent. The handshake is answered at once; what is subscribed is said after.
type wrapped struct {
	guest
	subs subs[subscription, *subscription]
}

// subscription is one channel of a connection that may take up and give up others.
type subscription struct {
	hub.Member
	wish *wish // until it has been answered
}

// wish is what a subscription's answer needs.
type wish struct {
	id      string          // of the command that asked for it
	resumes bool            // the client has a position
	since   pubsub.Position // this one
}

func (h *Handler) openWrapped(c *loop.Conn, a *arrival, channels []string, since map[string]pubsub.Position) {
	s := &wrapped{guest: a.guest}
	c.Session = s
	if !c.Upgrade(a.upgrade, envelopeProtocol, a.extensions) {
		return
	}
	c.SetKind(uint8(KindEnvelope))
	h.watchExpiry(c, &s.guest)
	h.watchAge(c)
	h.connected(c, &s.guest, strings.Join(channels, " "))
	for _, name := range channels {
		position, resumes := since[name]
		s.join(h, c, name, wish{resumes: resumes, since: position})
	}
}

// join subscribes a channel that the client may have.
func (s *wrapped) join(h *Handler, c *loop.Conn, name string, w wish) {
	wants := hub.Wants{Form: FormEnvelope, Deflated: c.Deflates(), Gaps: true}
	h.node.InForce().follow(&wants, name, w.since, w.resumes)
	one := s.subs.place()
	one.wish = &w
	h.local.Join(c, &one.Member, name, wants)
	s.subs.add(one)
	if one.Ready() {
		s.subscribed(h, c, &one.Member, nil)
	}
}

// subscribed tells the client from where on it hears a channel, and what it missed
// if that is known to be everything. The position is that before the first message
// which follows: a client that is cut off in between comes back to it.
func (s *wrapped) subscribed(h *Handler, c *loop.Conn, m *hub.Member, r *hub.Recovery) {
	one := s.subs.find(m.Name())
	if one == nil || one.wish == nil {
		return
	}
	w := one.wish
	one.wish = nil
	n := notice{ID: w.id, Channel: m.Name(), Subscribed: true}
	if r == nil {
		c.Send(n.frame())
		return
	}
	if r.Err != nil {
		n.Subscribed, n.Error = false, faultUnreadable
		s.drop(h, c, one)
		h.unsubscribedFrom(c, &s.guest, n.Channel) // the inbox was told when it was asked for
		c.Send(n.frame())
		return
	}
	n.Position = uint64(r.Position)
	for _, first := range r.Messages {
		if first.Position != 0 {
			n.Position = uint64(first.Before)
			break
		}
	}
	if w.resumes {
		n.Recovered = &r.Recovered
	}
	c.Send(n.frame())
	if missed := r.Encoded(FormEnvelope, c.Deflates()); len(missed) > 0 {
		c.Send(missed)
	}
}

// drop ends a subscription.
func (s *wrapped) drop(h *Handler, c *loop.Conn, one *subscription) {
	s.subs.remove(one)
	h.leave(c, &one.Member)
}

func (s *wrapped) gap(_ *Handler, c *loop.Conn, m *hub.Member) {
	c.Send((&notice{Gap: m.Name()}).frame())
}

func (s *wrapped) drained(h *Handler, c *loop.Conn) {
	for one := range s.subs.all {
		h.local.Drained(c, &one.Member)
	}
}

func (s *wrapped) direct(c *loop.Conn, d *hub.Direct) bool {
	op, data := envelope(&hub.Message{Payload: d.Payload})
	return c.Write(op, data)
}

func (s *wrapped) closed(h *Handler, c *loop.Conn, end loop.End) {
	h.node.goodbye(c, &s.guest)
	h.node.ended(c, end)
	h.disconnected(c, &s.guest, s.channels(), end)
	for one := range s.subs.all {
		h.leave(c, &one.Member)
	}
}

func (s *wrapped) channels() string { return s.subs.channels() }

// message carries out a command.
func (s *wrapped) message(h *Handler, c *loop.Conn, _ codec.Opcode, payload []byte) {
	var k command
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&k); err != nil || d.More() {
		c.Send((&notice{Error: faultCommand}).frame())
		return
	}
	if refusal := s.carryOut(h, c, &k); refusal != nil {
		c.Send((&notice{ID: k.ID, Channel: k.channel(), Error: refusal}).frame())
	}
}

// channel is what the command is about.
func (k *command) channel() string {
	switch {
	case k.Subscribe != "":
		return k.Subscribe
	case k.Unsubscribe != "":
		return k.Unsubscribe
	}
	return k.Channel
}

func (s *wrapped) carryOut(h *Handler, c *loop.Conn, k *command) *fault {
	if k.ID != "" && checkEntryID(k.ID) != nil {
		k.ID = ""
		return faultID
	}
	if name := k.channel(); name != "" && pubsub.CheckChannel(name) != nil {
		return faultChannel
	}
	switch {
	case k.Subscribe != "" && k.Unsubscribe == "" && k.Call == "" && !k.hasPayload():
		return s.subscribe(h, c, k)
	case k.Unsubscribe != "" && k.Subscribe == "" && k.Call == "" && !k.hasPayload():
		return s.unsubscribe(h, c, k)
	case k.Call != "" && k.ID != "" && k.Subscribe == "" && k.Unsubscribe == "":
		return s.call(h, c, k)
	case k.hasPayload() && k.Call == "" && k.Subscribe == "" && k.Unsubscribe == "":
		return s.send(h, c, k)
	}
	return faultCommand
}

func (s *wrapped) subscribe(h *Handler, c *loop.Conn, k *command) *fault {
	p := h.node.InForce()
	switch {
	case s.subs.find(k.Subscribe) != nil:
		return faultSubscribed
	case s.subs.count() >= p.MaxChannels:
		h.node.Counters.Channels.Add(1)
		return faultManyChan
	case !p.mayTakeUp(s.who, k.Subscribe):
		return faultDenied
	case k.Since != nil && !*p.Namespace(k.Subscribe).Durable:
		return faultNotDurable
	}
	since := pubsub.Position(0)
	if k.Since != nil {
		since = pubsub.Position(*k.Since)
	}
	if since > pubsub.MaxPosition {
		return faultCommand
	}
	h.subscribedTo(c, &s.guest, k.Subscribe)
	s.join(h, c, k.Subscribe, wish{id: k.ID, resumes: k.Since != nil, since: since})
	return nil
}

func (s *wrapped) unsubscribe(h *Handler, c *loop.Conn, k *command) *fault {
	one := s.subs.find(k.Unsubscribe)
	if one == nil {
		return faultUnknown
	}
	s.drop(h, c, one)
	h.unsubscribedFrom(c, &s.guest, k.Unsubscribe)
	c.Send((&notice{ID: k.ID, Channel: k.Unsubscribe, Unsubscribed: true}).frame())
	return nil
}

// send puts a message into the inbox. With an id the client is told when Redis has
// it; without one, the connection ends where Redis does not take it, as in the plain
// dialect.
func (s *wrapped) send(h *Handler, c *loop.Conn, k *command) *fault {
	channels := k.Channel
	if channels == "" {
		channels = s.sendable(h)
		if channels == "" {
			return faultNoChannelTo
		}
	} else if !h.node.InForce().mayPublish(s.who, channels) {
		return faultDenied
	}
	id := k.ID
	h.say(c, &s.guest, pubsub.Entry{Type: "message", ID: id, Channel: channels, Data: k.payload()}, func(err error) {
		switch {
		case err != nil && id == "":
			h.unstored(unstored{c.ID(), err})
		case errors.Is(err, errReserved):
			c.Send((&notice{ID: id, Error: faultReserved}).frame())
		case errors.Is(err, errManyAsked):
			c.Send((&notice{ID: id, Error: faultManySaid}).frame())
		case err != nil:
			c.Send((&notice{ID: id, Error: faultUnstored}).frame())
		case id != "":
			c.Send((&notice{Ack: id}).frame())
		}
	})
	return nil
}

// sendable are the channels that the client may send through.
func (s *wrapped) sendable(h *Handler) string {
	var names []string
	for one := range s.subs.all {
		if h.node.InForce().mayPublish(s.who, one.Name()) {
			names = append(names, one.Name())
		}
	}
	return strings.Join(names, " ")
}

func (s *wrapped) call(h *Handler, c *loop.Conn, k *command) *fault {
	if !h.node.InForce().mayPublish(s.who, k.Channel) {
		return faultDenied
	}
	id := k.ID
	h.call(c, &s.guest, pubsub.Entry{Method: k.Call, Channel: k.Channel, Data: k.payload()}, func(payload []byte, err error) {
		n := notice{Reply: id}
		switch {
		case err == nil:
			n.carry(payload)
		case errors.Is(err, errCallTimeout):
			n.Error = faultNoAnswer
		case errors.Is(err, errManyCalls):
			n.Error = faultManyCalls
		case errors.Is(err, errMethodName):
			n.Error = faultCommand
		default:
			n.Error = faultUnstored
		}
		c.Send(n.frame())
	})
	return nil
}
