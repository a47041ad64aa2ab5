package loop

import (
	"math"
	"time"

	"sluice/codec"
)

// rates are the limits of what one client may send. They are kept in
// parts of which perUnit make a message, a byte or a control frame, so that a
// tick of the wheel brings a whole number of them, however low the rate. A burst
// of 0 means that there is no limit.
type rates struct {
	messages, messageBurst uint64 // parts: per tick, at most
	bytes, byteBurst       uint64
	controls, controlBurst uint64
}

const perUnit = uint64(time.Second / tickLength)

func newRates(o *Options) rates {
	in := func(second, burst int) (tick, most uint64) {
		if second <= 0 {
			return 0, 0
		}
		return uint64(second), perUnit * max(uint64(second)/perUnit, uint64(max(1, burst)))
	}
	var r rates
	r.messages, r.messageBurst = in(o.MessageRate, o.MessageBurst)
	r.bytes, r.byteBurst = in(o.ByteRate, o.ByteBurst)
	r.controls, r.controlBurst = in(o.ControlRate, o.ControlBurst)
	r.messageBurst = min(r.messageBurst, math.MaxUint32)
	r.byteBurst = min(r.byteBurst, math.MaxUint32)
	r.controlBurst = min(r.controlBurst, math.MaxUint16)
	return r
}

// allowance is what one client may still send: token buckets that are filled
// when it gives a sign of life, by the time since the last one.
type allowance struct {
	bytes    uint32 // parts
	messages uint32
	controls uint16
}

// fill makes all buckets full.
func (a *allowance) fill(r *rates) {
	*a = allowance{bytes: uint32(r.byteBurst), messages: uint32(r.messageBurst), controls: uint16(r.controlBurst)}
}

// bound fills the buckets that had no limit: nothing was put into them.
func (a *allowance) bound(old, r *rates) {
	var full allowance
	full.fill(r)
	if old.byteBurst == 0 {
		a.bytes = full.bytes
	}
	if old.messageBurst == 0 {
		a.messages = full.messages
	}
	if old.controlBurst == 0 {
		a.controls = full.controls
	}
}

// grow adds what ticks bring.
func (a *allowance) grow(ticks uint32, r *rates) {
	if ticks == 0 {
		return
	}
	a.bytes = uint32(min(uint64(a.bytes)+uint64(ticks)*r.bytes, r.byteBurst))
	a.messages = uint32(min(uint64(a.messages)+uint64(ticks)*r.messages, r.messageBurst))
	a.controls = uint16(min(uint64(a.controls)+uint64(ticks)*r.controls, r.controlBurst))
}

// spendMessage takes one data message off the allowance. Where nothing is left
// the connection is closed, and false returned.
func (c *Conn) spendMessage() bool {
	return c.r.rates.messageBurst == 0 || spend(c, &c.allowance.messages, 1, errChatty)
}

// SpendMessage takes one more message off the allowance, for a message that holds
// several. Where nothing is left the connection is closed, and false returned.
func (c *Conn) SpendMessage() bool {
	c.r.owner.check()
	return c.state == open && c.spendMessage()
}

func (c *Conn) spendControl() bool {
	return c.r.rates.controlBurst == 0 || spend(c, &c.allowance.controls, 1, errNagging)
}

func (c *Conn) spendBytes(n int) bool {
	return c.r.rates.byteBurst == 0 || spend(c, &c.allowance.bytes, uint64(n), errVoluble)
}

func spend[T uint16 | uint32](c *Conn, left *T, n uint64, excess *codec.Error) bool {
	if n *= perUnit; uint64(*left) < n {
		c.fail(excess)
		return false
	}
	*left -= T(n)
	return true
}

// countHeld keeps the sum of incomplete messages. Where it is beyond the limit
// of the node, the client whose message made it so comes back later.
func (c *Conn) countHeld(held int) {
	if uint32(held) == c.held {
		return
	}
	sum := c.r.engine.incomplete.Add(int64(held) - int64(c.held))
	grown := uint32(held) > c.held
	c.held = uint32(held)
	if grown && sum > int64(c.r.opts.MaxIncomplete) {
		c.fail(errCrowded)
	}
}

// countBacklog keeps the sum of what waits for clients whose sockets are full.
func (c *Conn) countBacklog() {
	now := uint32(0)
	if c.marks.has(markBlocked) && c.state != dead {
		now = uint32(c.queued)
	}
	if now != c.backed {
		c.r.engine.backlog.Add(int64(now) - int64(c.backed))
		c.backed = now
	}
}
