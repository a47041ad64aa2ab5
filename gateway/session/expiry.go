package session

import (
	"math/rand/v2"
	"time"

	"sluice/codec"
	"sluice/loop"
)

// expiry ends connections whose tokens have expired. It belongs to one reactor.
// A token's end is a moment of the wall clock; it is turned into one of the
// monotonic clock when the client connects, so that a clock which is set later
// neither ends nor prolongs anything.
type expiry struct {
	began time.Time
	open  func(loop.ConnID) bool   // whether the connection has not ended
	done  moment                   // the last one that was looked at
	due   map[moment][]loop.ConnID // by the one after which the token is not valid
	noted int                      // connections in due
	most  int                      // of them, before those are looked for that have ended
}

// moment is a second since an expiry began. 0 stands for never.
type moment uint32

// newExpiry makes one that asks open which connections have not ended.
func newExpiry(open func(loop.ConnID) bool) *expiry {
	return &expiry{began: time.Now(), open: open, due: map[moment][]loop.ConnID{}, most: minNoted}
}

const (
	minNoted = 1024                       // connections that are noted before any is forgotten
	forever  = 100 * 365 * 24 * time.Hour // no node runs for longer; beyond, a moment would overflow
)

// add notes when a connection has to end.
func (e *expiry) add(id loop.ConnID, expires time.Time) { e.note(id, e.moment(expires)) }

// note has a connection taken when a moment is over.
func (e *expiry) note(id loop.ConnID, at moment) {
	if at == 0 {
		return
	}
	if e.noted >= e.most {
		e.forget()
	}
	at = max(e.done+1, at)
	e.due[at] = append(e.due[at], id)
	e.noted++
}

// moment is the one after which expires has passed.
func (e *expiry) moment(expires time.Time) moment {
	left := time.Until(expires)
	if left > forever {
		return 0
	}
	return max(e.done+1, moment(max(0, time.Since(e.began)+left)/time.Second)+1)
}

// forget drops the connections that have ended. Where tokens are valid for long
// and clients come and go they would be many more than those that are open.
func (e *expiry) forget() {
	e.noted = 0
	for at, ids := range e.due {
		var open []loop.ConnID
		for _, id := range ids {
			if e.open(id) {
				open = append(open, id)
			}
		}
		if e.due[at] = open; len(open) == 0 {
			delete(e.due, at)
		}
		e.noted += len(open)
	}
	e.most = max(minNoted, 2*e.noted)
}

// take returns the connections whose time has come.
func (e *expiry) take() (due []loop.ConnID) {
	for now := moment(time.Since(e.began) / time.Second); e.done < now; {
		e.done++
		due = append(due, e.due[e.done]...)
		delete(e.due, e.done)
	}
	e.noted -= len(due)
	return due
}

// watchExpiry sees to it that a connection ends when its guest's token has expired, or
// is taken back.
func (h *Handler) watchExpiry(c *loop.Conn, g *guest) {
	h.enlist(c, g)
	if g.who != nil && !g.who.Expires.IsZero() {
		h.expiry.add(c.ID(), g.who.Expires)
	}
}

// watchAge sees to it that a connection does not last for ever, where that is
// wanted. The fifth more or less keeps clients that came together from going together.
func (h *Handler) watchAge(c *loop.Conn) {
	if age := h.node.InForce().MaxAge; age > 0 {
		h.ages.add(c.ID(), time.Now().Add(age*4/5+rand.N(age*2/5))) //nolint:gosec // nobody gains by guessing it
	}
}

// OnTick implements loop.Handler.
func (h *Handler) OnTick() {
	for _, id := range h.expiry.take() {
		c := h.r.Conn(id)
		if c == nil {
			continue
		}
		if s, ok := c.Session.(*centrifugal); ok {
			s.stale(h, c, h.expiry.done)
		} else {
			c.Close(codec.StatusPolicyViolation, "the token has expired")
		}
	}
	for _, id := range h.ages.take() {
		if c := h.r.Conn(id); c != nil {
			c.Close(codec.StatusServiceRestart, "this connection is old: come back, perhaps to another node")
		}
	}
	h.expireCalls(time.Now())
	h.restateSome()
}
