package loop

// A node that goes away meets handshakes that are not over. How much their clients can be
// told depends on how far those are:
//
//   - Before the client's hello there is nothing to be said but FIN.
//   - Until the hello is answered nothing is encrypted: close_notify as it stands
//     (RFC 8446 §6.1), then FIN. Client and node are spared a handshake for nothing.
//   - After that crypto/tls alone could say something, and does not in the middle of a
//     handshake. But one round trip is all that is missing: the handshake goes on, and
//     what follows is the refusal that clients without TLS get.
//   - Where Shutdown's time is over there is FIN once more.

// closeNotify is that alert as it is sent before anything is encrypted.
var closeNotify = []byte{recordAlert, 3, 3, 0, 2, 1, 0}

// leave ends c, with which TLS is to be spoken and is not yet: this node goes away.
func (c *Conn) leave() {
	if !c.marks.has(markSecure) {
		c.r.secured.failed(faultLeaving)
		c.linger()
		return
	}
	s := c.secure()
	if !s.handshake.dismiss() {
		s.unwanted = true
		return
	}
	c.r.engine.shaker.forget(s.handshake)
	c.r.secured.failed(faultLeaving)
	if fault := s.send(closeNotify); fault != nil {
		c.abort()
		return
	}
	c.owe()
	c.linger()
}

// cutShort ends c at once: what leave left to its client was not done in time.
func (c *Conn) cutShort() {
	c.r.secured.failed(faultLeaving)
	c.kill() // without RST: the kernel has no more than a flight of a handshake to send
}
