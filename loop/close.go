package loop

import "sluice/codec"

// Close starts the closing handshake (RFC 6455 §7.1.2): everything sent so far
// goes out, then the close frame. reason is at most 123 bytes of UTF-8.
func (c *Conn) Close(code codec.StatusCode, reason string) {
	c.r.owner.check()
	switch {
	case c.veiled():
		c.leave()
	case c.state < open:
		c.Refuse(errEnded)
	case c.state == open && c.marks.has(markStream):
		c.endStream(code, reason)
	case c.state == open:
		code, reason = c.closing(code, reason)
		c.begin(End{Code: code, Reason: reason, Local: true})
		c.state = closing
		c.r.wheel.set(c, c.r.wheel.after(c.r.opts.CloseTimeout))
		c.output(codec.AppendClose(c.r.scratch[:0], code, reason))
	}
}

// fail ends a connection whose client broke the protocol (§7.1.7). Its input
// means nothing any more; it gets time to read why.
func (c *Conn) fail(err *codec.Error) {
	if c.state == open {
		c.r.reached(limitOfViolation(err))
		if c.marks.has(markStream) {
			c.endStream(err.Code, err.Reason)
			return
		}
		code, reason := c.closing(err.Code, err.Reason)
		c.begin(End{Code: code, Reason: reason, Local: true})
		c.output(codec.AppendClose(c.r.scratch[:0], code, reason))
	}
	c.linger()
}

// closing is what the close frame says in the words of the connection's dialect.
func (c *Conn) closing(code codec.StatusCode, reason string) (codec.StatusCode, string) {
	if choose := c.r.opts.Closing; choose != nil {
		return choose(c, code, reason)
	}
	return code, reason
}

// peerClosed answers the client's close frame, or takes it as the answer to
// ours; either way the server closes the TCP connection (§7.1.1).
func (c *Conn) peerClosed(payload []byte) {
	code, reason, err := codec.ParseClose(payload)
	if err != nil {
		c.fail(asViolation(err))
		return
	}
	unanswered := c.state == open
	c.begin(End{Code: code, Reason: reason})
	c.state = flushing
	c.r.wheel.set(c, c.r.wheel.after(c.r.opts.CloseTimeout))
	if unanswered {
		c.output(codec.AppendClose(c.r.scratch[:0], code, ""))
	}
	c.flushSoon()
}

// begin notes how the connection ends. The first word counts.
func (c *Conn) begin(end End) {
	if s := c.special(); !s.ending {
		s.end, s.ending = end, true
	}
}

// linger lets the queue go out and then waits a little for the client to close:
// closing with unread input would send RST, which throws away what the client
// has not read yet.
func (c *Conn) linger() {
	if c.state >= lingering {
		return
	}
	c.state = lingering
	c.special().early = nil
	c.dropMessage()
	c.countHeld(0)
	c.r.wheel.set(c, c.r.wheel.after(min(c.r.opts.CloseTimeout, maxLinger)))
	c.flushSoon()
}

// discard counts input that no longer means anything, and loses patience.
func (c *Conn) discard(n int) {
	s := c.special()
	if s.discarded += n; s.discarded >= maxDiscard {
		c.begin(End{Code: errVoluble.Code, Reason: errVoluble.Reason, Local: true})
		c.abort()
	}
}

// abort ends the connection at once, with RST, so that the kernel keeps nothing
// for a client that does not read.
func (c *Conn) abort() {
	if c.g != nil && c.state != dead {
		_ = c.g.SetLinger(0) // it fails only where the socket is gone already
	}
	c.kill()
}

// kill closes the socket: after this callback when gnet is in one for c, else
// by a task of gnet's, which runs after the current batch of epoll events. Not
// in the middle of it: the batch may hold an event of this very fd, and the fd
// may be somebody else's by then.
func (c *Conn) kill() {
	if c.state == dead {
		return
	}
	c.state = dead
	if c.r.callback != c && c.g != nil {
		_ = c.g.Close() // queued; it fails only where the engine has ended
	}
}
