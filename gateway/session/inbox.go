package session

import (
	"errors"

	"sluice/codec"
	"sluice/loop"
	"sluice/pubsub"
)

// unstored tells a reactor that a client's message is not in the inbox.
type unstored struct {
	conn loop.ConnID
	err  error
}

// unstored tells the client in the one way that the plain dialect has: the
// connection ends, with a code that means "come back and send it again".
func (h *Handler) unstored(u unstored) {
	c := h.r.Conn(u.conn)
	if c == nil || !c.Open() {
		return
	}
	reason := "message not stored: send it again"
	if errors.Is(u.err, pubsub.ErrInboxFull) {
		reason = "message not stored: the inbox is full"
	}
	c.Close(codec.StatusTryAgainLater, reason)
}
