package loop

import (
	"crypto/tls"

	"go.uber.org/zap"

	"sluice/codec"
)

// begins is the state of a connection of which nothing is known but where it is from.
func (e *Engine) begins() state {
	if e.shaker != nil {
		return securing
	}
	return reading
}

// shake takes bytes of c's TLS handshake.
func (c *Conn) shake(b []byte) {
	if !c.marks.has(markSecure) {
		s := &secure{c: c}
		s.handshake = &handshake{s: s, id: c.id, peer: c.Remote().Addr(), turns: c.r.engine.shaker.turns, wake: make(chan struct{}, 1)}
		c.r.secures.put(c.id.slot(), s)
		c.marks |= markSecure
	}
	h := c.secure().handshake
	if !h.begun {
		c.greet(h, b)
		return
	}
	held, ok := h.give(b)
	if !ok {
		c.unshaken(faultMalformed)
		return
	}
	c.countHello(held)
}

// countHello counts what c's handshake holds of its input, which may be too much for the node.
func (c *Conn) countHello(held int) {
	if c.countHeld(held); c.state > securing {
		c.r.reached(LimitIncomplete)
		c.r.engine.shaker.forget(c.secure().handshake)
	}
}

// greet collects the client's first record. No goroutine waits for that: who connects
// and says nothing, or one byte now and then, costs no more than without TLS.
func (c *Conn) greet(h *handshake, b []byte) {
	if len(h.hello) == 0 && openingOf(b) == openingHello { // mostly
		c.introduce(h, b)
		return
	}
	h.hello = append(h.hello, b...)
	switch openingOf(h.hello) {
	case openingShort:
		c.countHello(len(h.hello))
	case openingHello:
		c.introduce(h, h.hello)
	case openingPlain:
		c.r.secured.failed(faultPlain)
		c.state = reading
		c.unveil()
		c.Refuse(errPlain)
	case openingGarbage:
		c.unshaken(faultGarbage)
	}
}

// introduce lets the handshake begin, with the bytes that there are.
func (c *Conn) introduce(h *handshake, b []byte) {
	h.hello = nil
	h.begun = true
	held, ok := h.give(b)
	switch {
	case !ok:
		c.unshaken(faultMalformed)
	case !c.r.engine.shaker.begin(h):
		c.unshaken(faultCrowded)
	default:
		c.countHello(held) // it may wait in line
	}
}

var errPlain = &codec.HTTPError{Status: 400, Reason: "TLS is spoken on this port: https:// or wss:// is what begins its URLs"}

// unshaken ends a connection whose handshake came to nothing, after what crypto/tls has
// had sent: an alert, mostly.
func (c *Conn) unshaken(f TLSFault) {
	c.r.secured.failed(f)
	c.r.log.Info("a TLS handshake came to nothing: "+f.String(), zap.Stringer("remote", c.Remote()))
	c.r.engine.shaker.forget(c.secure().handshake)
	c.linger()
}

// takeShaken lets handshakes go on.
func (r *Reactor) takeShaken() {
	for _, id := range r.shaken.take() {
		if c := r.conns.get(id); c != nil {
			r.advance(c)
		}
	}
}

// advance is the recover boundary of what handshakes have to say.
func (r *Reactor) advance(c *Conn) {
	defer r.Recover(c, "TLS handshake")
	c.shaken()
}

// shaken sends what the handshake has written, and goes on where it is over.
func (c *Conn) shaken() {
	if c.state != securing {
		return
	}
	s := c.secure()
	h := s.handshake
	h.mu.Lock()
	out, rest, conn, alert, err := h.out, h.in, h.conn, h.alert, h.err
	h.out = nil
	h.mu.Unlock()
	if len(out) > 0 {
		if fault := s.send(out); fault != nil {
			c.r.secured.failed(faultLeft)
			c.lost(fault)
			c.abort()
			return
		}
		c.owe()
	}
	switch {
	case conn == nil:
		c.countHello(len(rest))
	case err != nil:
		c.unshaken(faultOf(err, alert))
	default:
		s.handshake, s.tls = nil, conn
		c.state = reading
		c.countHeld(0)
		c.r.secured.succeeded(s.tls)
		if s.unwanted {
			c.Refuse(errEnded)
			return
		}
		c.r.unseal(c, rest)
	}
}

// succeeded counts a handshake.
func (k *tlsCounters) succeeded(conn *tls.Conn) {
	state := conn.ConnectionState()
	version := 0
	if state.Version == tls.VersionTLS13 {
		version = 1
	}
	if state.DidResume {
		k.resumed[version].Add(1)
		return
	}
	k.full[version].Add(1)
}
