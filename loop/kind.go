package loop

import "sync/atomic"

// A connection's kind is what its handler makes of it: figures are kept by kind, and
// nothing else depends on it. All are of kind 0 until SetKind.

// Kinds is how many kinds there may be.
const Kinds = 8

// traffic is what a reactor counts of the connections of a kind.
type traffic struct {
	open                    atomic.Int64
	messagesIn, messagesOut atomic.Int64
	bytesIn, bytesOut       atomic.Int64
}

// Traffic is a snapshot of the figures of a kind. All but Open only grow.
type Traffic struct {
	Open                    int64 // connections now
	MessagesIn, MessagesOut int64 // whole messages: received, and what CountOut was told
	BytesIn, BytesOut       int64 // of sockets, everything included
}

func (t *Traffic) add(c *traffic) {
	t.Open += c.open.Load()
	t.MessagesIn += c.messagesIn.Load()
	t.MessagesOut += c.messagesOut.Load()
	t.BytesIn += c.bytesIn.Load()
	t.BytesOut += c.bytesOut.Load()
}

// SetKind says what c is, a number below Kinds.
func (c *Conn) SetKind(kind uint8) {
	c.r.owner.check()
	if c.state != dead {
		c.traffic().open.Add(-1)
		c.kind = kind
		c.traffic().open.Add(1)
	}
}

// CountOut counts n messages of the handler's as sent to connections of c's kind. It is
// the handler that knows how many there are in what it sends: once for a channel and
// burst is enough, whoever of its members c is.
func (c *Conn) CountOut(n int) { c.traffic().messagesOut.Add(int64(n)) }

// traffic are the figures that c's are part of.
func (c *Conn) traffic() *traffic { return &c.r.count.kinds[c.kind] }
