package session

import (
	"time"

	"sluice/gateway/centrifuge"
	"sluice/loop"
)

// lookAt has the connection looked at when a moment is over, 0 for never. One
// look is noted at a time, the next one that is due, however often a client brings new tokens
// or changes its mind.
func (s *centrifugal) lookAt(h *Handler, c *loop.Conn, at moment) {
	if at == 0 || s.looked != 0 && s.looked <= at {
		return
	}
	s.looked = at
	h.expiry.note(c.ID(), at)
}

// watch has the connection looked at when a token and the time to bring a new one are over, and
// returns the moment in which that is, 0 if it never is.
func (s *centrifugal) watch(h *Handler, c *loop.Conn, expires time.Time) (due moment) {
	if expires.IsZero() {
		return 0
	}
	due = h.expiry.moment(expires.Add(h.node.InForce().Grace))
	s.lookAt(h, c, due)
	return due
}

// stale is called when the connection is to be looked at: a token may be over, or the patience with
// a client that does not say who it is, or with a Redis that does not confirm a channel.
func (s *centrifugal) stale(h *Handler, c *loop.Conn, now moment) {
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
	for one := range s.subs.all {
		s.staleSub(h, c, one, now)
	}
	if s.looked <= now {
		s.looked = 0
		s.lookAt(h, c, s.nextDue())
	}
}

// staleSub ends a subscription whose token is over, or which has been waited for too long.
func (s *centrifugal) staleSub(h *Handler, c *loop.Conn, one *sub, now moment) {
	expired := one.token.isOver(now)
	switch {
	case one.asked == nil && expired:
		s.drop(h, c, one, centrifuge.SubscriptionExpired)
	case one.asked != nil && expired:
		s.unsubscribable(h, c, one, one.asked, centrifuge.ErrTokenExpired)
	case one.asked != nil && one.asked.until != 0 && one.asked.until <= now:
		s.unsubscribable(h, c, one, one.asked, centrifuge.ErrInternal)
	}
}

// nextDue is the moment in which something is due next, 0 if nothing is.
func (s *centrifugal) nextDue() (next moment) {
	sooner := func(at moment) {
		if at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	sooner(s.due)
	for one := range s.subs.all {
		if one.token != nil {
			sooner(one.token.due)
		}
		if one.asked != nil {
			sooner(one.asked.until)
		}
	}
	return next
}
