package session

import (
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
	done  int64                   // the last second that was looked at, since began
	due   map[int64][]loop.ConnID // by the second after which the token is not valid
}

func newExpiry() *expiry { return &expiry{began: time.Now(), due: map[int64][]loop.ConnID{}} }

// add notes when a connection has to end.
func (e *expiry) add(id loop.ConnID, expires time.Time) {
	second := max(e.done+1, int64((time.Since(e.began)+time.Until(expires))/time.Second)+1)
	e.due[second] = append(e.due[second], id)
}

// take returns the connections whose time has come.
func (e *expiry) take() (due []loop.ConnID) {
	for now := int64(time.Since(e.began) / time.Second); e.done < now; {
		e.done++
		due = append(due, e.due[e.done]...)
		delete(e.due, e.done)
	}
	return due
}

// OnTick implements loop.Handler.
func (h *Handler) OnTick() {
	for _, id := range h.expiry.take() {
		if c := h.r.Conn(id); c != nil {
			c.Close(codec.StatusPolicyViolation, "the token has expired")
		}
	}
}
