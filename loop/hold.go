package loop

import "sluice/codec"

// Hold keeps what is sent to c from going out until Release, which puts something
// in front of it: an answer that has to be the first word and takes its time. What
// waits counts towards MaxQueue; the connection's end is not held up. It reports false, and nothing is
// held, where the client has not taken what it was sent before.
func (c *Conn) Hold() bool {
	c.r.owner.check()
	if c.state != open || c.marks.has(markHeld) {
		return false
	}
	if c.r.current == c {
		c.uncork()
	}
	if c.first != nil {
		c.flush()
	}
	if c.first != nil || c.state != open {
		return false
	}
	c.marks |= markHeld
	c.enqueue(reserved)
	return true
}

// reserved stands in the queue where Release puts its frame.
var reserved = []byte{}

// Release sends a message of the given type, copying the payload, and all that was
// held behind it. Without Hold it is Write.
func (c *Conn) Release(op codec.Opcode, payload []byte) bool {
	c.r.owner.check()
	if !c.marks.has(markHeld) {
		return c.Write(op, payload)
	}
	c.marks &^= markHeld
	if c.state != open {
		return false
	}
	frame := c.appendFrame(nil, op, payload)
	c.r.count.framesOut.Add(1)
	c.first = frame
	c.queued += int32(len(frame))
	c.flushSoon()
	return true
}
