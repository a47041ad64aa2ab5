package session

import (
	"slices"

	"github.com/centrifugal/protocol"

	"sluice/gateway/centrifuge"
	"sluice/gateway/hub"
	"sluice/loop"
)

// This file is how the dialects take it that a service subscribes and unsubscribes
// their clients: sluice_subscribe, sluice_unsubscribe.

// enroll implements steerable. The client is not told: in this dialect nothing comes
// but payloads.
func (s *plain) enroll(h *Handler, c *loop.Conn, channel string) {
	there, n := s.find(channel)
	if there != nil || h.full(n) {
		return
	}
	if s.more == nil {
		s.more = new(further)
	}
	m := new(hub.Member)
	s.more.added = append(s.more.added, m)
	h.local.Join(c, m, channel, hub.Wants{Form: FormPayload, Deflated: c.Deflates(), Gaps: s.gaps})
	if m.Ready() {
		s.enrolled(h, c, m)
	}
}

// enrolled notes that Redis has confirmed a channel, if that was added.
func (s *plain) enrolled(h *Handler, c *loop.Conn, m *hub.Member) {
	if s.more != nil && slices.Contains(s.more.added, m) {
		h.subscribedTo(c, &s.guest, m.Name())
	}
}

func (s *plain) dismiss(h *Handler, c *loop.Conn, channel string) {
	m, _ := s.find(channel)
	if m == nil {
		return
	}
	h.leave(c, m)
	if s.more != nil {
		s.more.added = slices.DeleteFunc(s.more.added, func(other *hub.Member) bool { return other == m })
	}
	h.unsubscribedFrom(c, &s.guest, channel)
}

// enroll implements steerable: an event stream keeps the channels that it was opened
// with, because they are what the ids of its events are about.
func (*events) enroll(*Handler, *loop.Conn, string) {}

func (s *events) dismiss(h *Handler, c *loop.Conn, channel string) {
	if m, _ := s.find(channel); m != nil {
		h.leave(c, m)
		h.unsubscribedFrom(c, &s.guest, channel)
	}
}

func (s *wrapped) enroll(h *Handler, c *loop.Conn, channel string) {
	if s.subs.find(channel) != nil || h.full(s.subs.count()) {
		return
	}
	h.subscribedTo(c, &s.guest, channel)
	s.join(h, c, channel, wish{})
}

func (s *wrapped) dismiss(h *Handler, c *loop.Conn, channel string) {
	one := s.subs.find(channel)
	if one == nil {
		return
	}
	s.drop(h, c, one)
	h.unsubscribedFrom(c, &s.guest, channel)
	c.Send((&notice{Channel: channel, Unsubscribed: true}).frame())
}

// enroll implements steerable, by a subscription of the server's, as SDKs call it. It has no
// positions: an SDK that comes back could not resume what is not given again.
func (s *centrifugal) enroll(h *Handler, c *loop.Conn, channel string) {
	if s.stage <= stageRefused || s.subs.find(channel) != nil || h.full(s.subs.count()) {
		return
	}
	if e := s.entrance; e != nil {
		e.waiting++
		if e.results == nil {
			e.results = map[string]*protocol.SubscribeResult{}
		}
	}
	one := s.subs.place()
	one.token, one.asked = unasked, &asked{steered: true}
	s.join(h, c, one, channel, &protocol.SubscribeRequest{})
}

// enrolled tells a client that is connected of a subscription that it has not asked for.
func (s *centrifugal) enrolled(h *Handler, c *loop.Conn, channel string) {
	s.reply(h, c, centrifuge.Subscribed(channel))
	h.subscribedTo(c, &s.guest, channel)
}

func (s *centrifugal) dismiss(h *Handler, c *loop.Conn, channel string) {
	one := s.subs.find(channel)
	switch {
	case one == nil:
	case one.asked == nil:
		s.drop(h, c, one, centrifuge.Unsubscribe)
	case !one.isGiven():
		s.unsubscribable(h, c, one, one.asked, centrifuge.ErrPermissionDenied)
	default:
		name, asked := one.Name(), one.asked
		s.leave(h, c, one)
		s.untaken(h, c, name, asked)
	}
}
