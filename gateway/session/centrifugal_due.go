package session

import (
	"time"

	"sluice/gateway/centrifuge"
	"sluice/loop"
)

// lookAt has the connection looked at when a second of Handler.expiry is over, 0 for never. One
// look is noted at a time, the next one that is due, however often a client brings new tokens
// or changes its mind.
func (s *centrifugal) lookAt(h *Handler, c *loop.Conn, second int64) {
	if second == 0 || s.looked != 0 && s.looked <= second {
		return
	}
	s.looked = second
	h.expiry.note(c.ID(), second)
}

// watch has the connection looked at when a token and the time to bring a new one are over, and
// returns the second in which that is, 0 if it never is.
func (s *centrifugal) watch(h *Handler, c *loop.Conn, expires time.Time) (due int64) {
	if expires.IsZero() {
		return 0
	}
	due = h.expiry.second(expires.Add(h.node.InForce().Grace))
	s.lookAt(h, c, due)
	return due
}

// stale is called when the connection is to be looked at: a token may be over, or the patience with
// a client that does not say who it is, or with a Redis that does not confirm a channel. now is a
// second of Handler.expiry.
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
		s.staleSub(h, c, s.subs.list[i], now)
	}
	if s.looked <= now {
		s.looked = 0
		s.lookAt(h, c, s.nextDue())
	}
}

// staleSub ends a subscription whose token is over, or which has been waited for too long.
func (s *centrifugal) staleSub(h *Handler, c *loop.Conn, one *sub, now int64) {
	expired := one.due != 0 && one.due <= now
	switch {
	case one.asked == nil && expired:
		s.drop(h, c, one, centrifuge.SubscriptionExpired)
	case one.asked != nil && expired:
		s.unsubscribable(h, c, one, one.asked, centrifuge.ErrTokenExpired)
	case one.asked != nil && one.asked.until != 0 && one.asked.until <= now:
		s.unsubscribable(h, c, one, one.asked, centrifuge.ErrInternal)
	}
}

// nextDue is the second in which something is due next, 0 if nothing is.
func (s *centrifugal) nextDue() (next int64) {
	sooner := func(second int64) {
		if second != 0 && (next == 0 || second < next) {
			next = second
		}
	}
	sooner(s.due)
	for _, one := range s.subs.list {
		sooner(one.due)
		if one.asked != nil {
			sooner(one.asked.until)
		}
	}
	return next
}
