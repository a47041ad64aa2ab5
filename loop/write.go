package loop

import (
	"bytes"
	"errors"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"sluice/codec"
)

// outbox is what waits for one client's socket. The chunks are whole frames,
// shared with other connections and never changed; the first may be partly
// sent. One chunk is the usual case and needs no slice of its own.
type outbox struct {
	first  []byte
	more   *backlog // nil: none
	queued int32    // bytes of first and more, and chunkCost for each
	backed uint32   // of queued, what is counted in Engine.backlog
}

const (
	chunkCost  = 24        // bytes that a reference itself takes
	gatherSize = 64 << 10  // bytes: chunks are put together for one send up to this
	maxSend    = 256 << 10 // bytes given to the kernel at a time: a raw system call holds up the garbage collector
	corkSize   = 64 << 10  // bytes of answers collected while reading, before they are sent
	corkFrame  = 16 << 10  // bytes: bigger frames are not worth the copy
)

// Send queues frames that others may be sent too: frame is one or more whole
// frames, kept by reference and never to be changed again. It reports whether
// the connection takes part: not when it is closing, or was too slow and is
// now.
func (c *Conn) Send(frame []byte) bool {
	c.r.owner.check()
	if c.state != open {
		return false
	}
	if c.r.current == c && len(c.r.cork) > 0 { // keep the order with what is corked
		if len(frame) <= corkFrame {
			c.output(frame)
			return c.state == open
		}
		c.uncork()
	}
	if !c.room(len(frame)) {
		return false
	}
	c.push(frame)
	c.flushSoon()
	return true
}

// Offer is Send for frames that the connection can do without: it returns false,
// and nothing happens, where Send would close a connection that reads too slowly.
func (c *Conn) Offer(frame []byte) bool {
	c.r.owner.check()
	if c.state == open && !c.fits(len(frame)) {
		c.flush() // it may not have been given the chance in this turn
	}
	return c.state == open && c.fits(len(frame)) && c.Send(frame)
}

// Backed reports whether the connection has not taken all that it was sent: its
// socket is full.
func (c *Conn) Backed() bool { return c.first != nil && c.marks.has(markBlocked) }

// TellDrained asks for one call of Handler.OnDrained when the connection has taken
// all that it was sent.
func (c *Conn) TellDrained() { c.marks |= markWaits }

// Write sends a message of the given type, copying the payload. A stream has none.
func (c *Conn) Write(op codec.Opcode, payload []byte) bool {
	c.r.owner.check()
	if c.state != open || c.marks.has(markStream) {
		return false
	}
	c.write(op, payload)
	return c.state == open
}

// write frames a payload and sends it: through the cork while c is being read
// from, so that the answers to one read are one send.
func (c *Conn) write(op codec.Opcode, payload []byte) {
	size := codec.FrameSize(len(payload))
	if c.corkable() {
		if size <= corkFrame {
			c.r.cork = c.appendFrame(c.r.cork, op, payload)
			c.corked()
			return
		}
		c.uncork()
	}
	if c.room(size) {
		c.push(c.appendFrame(make([]byte, 0, size), op, payload))
		c.flushSoon()
	}
}

// appendFrame frames a payload, deflated where that was agreed on and pays.
func (c *Conn) appendFrame(dst []byte, op codec.Opcode, payload []byte) []byte {
	if c.marks.has(markDeflate) && c.r.opts.MinDeflate > 0 && len(payload) >= c.r.opts.MinDeflate {
		if frame, ok := c.r.deflater.AppendFrame(dst, op, payload); ok {
			return frame
		}
	}
	return codec.AppendFrame(dst, op, payload)
}

// pong is a pong frame that waits.
type pong struct {
	size  uint8 // 0: none does
	frame [2 + 125]byte
}

// answer sends the pong to a ping. Where it has to wait it replaces an earlier
// one, as §5.5.3 allows: a client that pings without reading costs one frame.
func (c *Conn) answer(ping []byte) {
	if c.corkable() {
		c.r.cork = codec.AppendFrame(c.r.cork, codec.OpPong, ping)
		c.corked()
		return
	}
	p := &c.special().pong
	p.size = uint8(len(codec.AppendFrame(p.frame[:0], codec.OpPong, ping)))
	c.flushSoon()
}

// output sends bytes that are not kept: a response, a close frame. It asks for
// no room, because these are small and the last or first words.
func (c *Conn) output(b []byte) {
	if c.corkable() {
		c.r.cork = append(c.r.cork, b...)
		c.corked()
		return
	}
	c.push(append([]byte(nil), b...))
	c.flushSoon()
}

// corkable reports whether answers may be collected in the reactor's cork.
func (c *Conn) corkable() bool { return c.r.current == c && c.first == nil } // a held one has something first

// corked counts what was put into the cork, and sends that before it gets big.
func (c *Conn) corked() {
	c.r.count.framesOut.Add(1)
	if len(c.r.cork) >= corkSize {
		c.uncork()
	}
}

// uncork sends what was collected. What the socket does not take is copied out
// of the cork and queued, without asking for room: nothing else waits, and a
// cork is no bigger than a frame may be.
func (c *Conn) uncork() {
	b := c.r.cork
	if len(b) == 0 {
		return
	}
	c.r.cork = b[:0]
	if cap(b) > maxIdleCork { // a response with a long body was in it
		c.r.cork = nil
	}
	if c.state == dead {
		return
	}
	n := 0
	if !c.marks.has(markBlocked) {
		var ok bool
		if n, ok = c.send(b); !ok {
			return
		}
	}
	if n == len(b) {
		return
	}
	if n > 0 {
		c.marks |= markSplit
	}
	c.enqueue(append([]byte(nil), b[n:]...))
	c.block()
}

// maxIdleCork is the capacity, in bytes, that a cork keeps after a burst.
const maxIdleCork = 4 * corkSize

// room makes sure that n more bytes may wait for c. A connection that cannot
// have them is closed: it reads too slowly. One frame may always wait, however
// big, or no big message would ever get through.
func (c *Conn) room(n int) bool {
	if c.fits(n) {
		return c.state == open
	}
	if !c.marks.has(markBlocked) {
		c.flush() // it has not been given the chance in this turn
		if c.fits(n) {
			return c.state == open
		}
	}
	c.overflow()
	return false
}

// fits reports whether n more bytes may wait. A burst may be bigger than MaxQueue
// without the client being slow: for burstTime it may be burstFactor times as big.
func (c *Conn) fits(n int) bool {
	if c.first == nil {
		return true
	}
	if c.r.engine.backlog.Load() > int64(c.r.opts.MaxBacklog) {
		return false
	}
	size := int(c.queued) + n + chunkCost
	if size <= c.r.opts.MaxQueue {
		return true
	}
	if c.over == 0 {
		c.over = max(1, c.r.wheel.now)
	}
	return size <= min(burstFactor*c.r.opts.MaxQueue, maxQueue) && int32(c.r.wheel.now-c.over) < int32(ticks(burstTime))
}

const (
	burstTime   = time.Second
	burstFactor = 16
)

// overflow ends a connection that reads too slowly. Its queue is dropped, but
// for the rest of a frame that is partly sent, and the reason put in its place.
func (c *Conn) overflow() {
	if c.state != open {
		return
	}
	limit := LimitQueue
	if c.r.engine.backlog.Load() > int64(c.r.opts.MaxBacklog) {
		limit = LimitBacklog
	}
	c.r.reached(limit)
	rest := c.first
	split := c.marks.has(markSplit)
	c.dropQueue()
	if split {
		c.enqueue(rest)
	}
	c.Close(errSlow.Code, errSlow.Reason)
}

// push puts a chunk at the end of the queue and counts it.
func (c *Conn) push(chunk []byte) {
	if len(chunk) == 0 || c.state == dead {
		return
	}
	c.r.count.framesOut.Add(1)
	c.enqueue(chunk)
}

// enqueue puts a chunk, which has a byte at least, at the end of the queue.
func (c *Conn) enqueue(chunk []byte) {
	c.queued += int32(len(chunk)) + chunkCost
	if c.marks.has(markBlocked) {
		c.countBacklog()
	}
	if c.first == nil {
		c.first = chunk
		return
	}
	if c.more == nil {
		c.more = c.r.backlogs.take()
	}
	c.more.push(chunk)
}

// dropQueue forgets all that waits.
func (c *Conn) dropQueue() {
	c.outbox = outbox{backed: c.backed}
	if c.marks.has(markSecure) {
		c.queued = int32(len(c.secure().rest))
	}
	c.countBacklog()
}

// flushSoon sees to it that c is flushed in this turn.
func (c *Conn) flushSoon() {
	if c.marks&(markDirty|markBlocked) != 0 || c.r.current == c {
		return
	}
	c.marks |= markDirty
	c.r.round.add(c)
	if !c.r.turning {
		c.r.bell.ring()
	}
}

// flush writes until the queue is empty or the socket full.
func (c *Conn) flush() {
	if c.marks&(markHeld|markSecure) != 0 && !c.flushable() {
		return
	}
	if c.rare != nil && (c.state == open || c.state == closing) && !c.marks.has(markBlocked) {
		c.pushPong()
	}
	for c.first != nil && !c.marks.has(markBlocked) && c.state != dead {
		if len(c.first) == 0 { // where Release would have put something
			c.sent(0)
			continue
		}
		b := c.gather()
		n, ok := c.send(b)
		if !ok {
			return
		}
		c.sent(n)
		if n < len(b) {
			c.block()
		}
	}
	c.countBacklog()
	if c.first == nil && !c.marks.has(markBlocked) {
		c.drained()
	}
}

// flushable reports whether what is queued may go out. What TLS has sealed goes first.
func (c *Conn) flushable() bool {
	if c.marks.has(markSecure) && !c.pay() {
		c.countBacklog()
		return false
	}
	return !c.marks.has(markHeld) || c.state != open
}

// pushPong queues the pong that waited. The connection has nothing rare then.
func (c *Conn) pushPong() {
	if p := &c.rare.pong; p.size > 0 {
		c.push(bytes.Clone(p.frame[:p.size]))
		p.size = 0
	}
	if c.rare.early == nil && !c.rare.ending && c.rare.discarded == 0 {
		c.rare = nil
	}
}

// gather is what the next send is given: the first chunk, or several small ones
// put together, which costs less than telling the kernel about each.
func (c *Conn) gather() []byte {
	size := gatherSize
	if c.marks.has(markSecure) { // the socket may not take more than one record
		size = maxRecord
	}
	if c.more == nil || len(c.first)+len(c.more.next()) > size {
		return c.first[:min(len(c.first), maxSend)]
	}
	b := append(c.r.scratch[:0], c.first...)
	for _, chunk := range c.more.waiting() {
		if len(b)+len(chunk) > size {
			break
		}
		b = append(b, chunk...)
	}
	c.r.scratch = b[:0]
	return b
}

// sent takes n bytes from the front of the queue.
func (c *Conn) sent(n int) {
	c.queued -= int32(n)
	if int(c.queued) <= c.r.opts.MaxQueue {
		c.over = 0
	}
	for c.first != nil && n >= len(c.first) {
		n -= len(c.first)
		c.queued -= chunkCost
		c.marks &^= markSplit
		c.first = nil
		if c.more == nil {
			return
		}
		c.first = c.more.pop()
		if c.more.len() == 0 {
			c.r.backlogs.give(c.more)
			c.more = nil
		}
	}
	if n > 0 {
		c.first = c.first[n:]
		c.marks |= markSplit
	}
}

// send writes what the socket takes. ok is false when the connection is gone.
func (c *Conn) send(b []byte) (n int, ok bool) {
	if c.marks.has(markSecure) {
		return c.seal(b)
	}
	return c.put(b)
}

// put writes straight to the socket.
func (c *Conn) put(b []byte) (n int, ok bool) {
	c.r.count.sends.Add(1)
	n, err := sendNow(int(c.fd), b)
	if err == nil {
		c.traffic().bytesOut.Add(int64(n))
		return n, true
	}
	if errors.Is(err, unix.EAGAIN) {
		return 0, true
	}
	c.lost(err) // ECONNRESET, EPIPE, ETIMEDOUT: nobody is there
	c.abort()
	return 0, false
}

// block waits for the socket to be writable again.
func (c *Conn) block() {
	if c.marks.has(markBlocked) { // by TLS, of whose records a part is left
		return
	}
	c.r.count.blocked.Add(1)
	c.setBlocked(true)
	c.countBacklog()
	if err := c.r.watcher.watch(c); err != nil {
		c.r.log.Error("cannot watch a socket for writability: the connection is dropped", c.named(), zap.Error(err))
		c.abort()
	}
}

// setBlocked notes whether the socket is full, and counts those that are.
func (c *Conn) setBlocked(blocked bool) {
	switch {
	case blocked == c.marks.has(markBlocked):
	case blocked:
		c.marks |= markBlocked
		c.r.count.waiting.Add(1)
	default:
		c.marks &^= markBlocked
		c.r.count.waiting.Add(-1)
	}
}

// writable is the watcher's answer. A client that takes bytes is alive.
func (c *Conn) writable() {
	c.setBlocked(false)
	c.alive()
	c.flushSoon()
}

// drained acts on the queue being empty.
func (c *Conn) drained() {
	if c.marks.has(markSecure) && c.state >= flushing && !c.part() {
		return
	}
	switch c.state {
	case flushing:
		c.kill()
	case lingering:
		if !c.marks.has(markShut) {
			c.marks |= markShut
			_ = unix.Shutdown(int(c.fd), unix.SHUT_WR) // it fails only where the client is gone: EOF follows
		}
	case open:
		if c.marks.has(markWaits) {
			c.marks &^= markWaits
			c.r.handler.OnDrained(c)
		}
	case greeting, securing, reading, pending, closing, dead:
	}
}
