package loop

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// A connection may speak TLS (Options.TLS). The record layer is crypto/tls's, over a
// transport that never blocks: what it reads are the bytes that the socket just had, and
// what it writes goes to the socket by the same system call as that of everybody else.
// So it needs no goroutine of its own but during its handshake (tls_handshake.go), and a
// connection without TLS pays a test of one bit where bytes go in and out.
//
// What waits for a client waits as plain text, as references to shared frames. It is
// sealed when the socket takes it, at most maxRecord bytes ahead of that.

// secure is the TLS side of one connection. It belongs to the reactor, but for what the
// goroutine of the handshake uses until that is over: cut.
type secure struct {
	c         *Conn
	tls       *tls.Conn // nil until the handshake is over
	cut       cutter
	handshake *handshake // nil when it is over
	unwanted  bool       // when it is over nothing is to follow but the refusal
	input     []byte     // of the socket, while it is being read from
	records   int        // passed on whole, of input
	rest      []byte     // sealed, and not taken by the socket; counted in Conn.queued
	fault     error      // what the socket said last, where that was the end
	bye       bool       // close_notify has been sent
}

const (
	maxRecord = 16 << 10 // bytes of plain text in a record (RFC 8446 §5.1)
	maxRest   = 64 << 10 // bytes of records that may wait, of a client which has us answer without reading
)

// secures are the TLS sides of a reactor's connections, by slot: so that connections
// without one are no bigger.
type secures []*secure

func (s *secures) put(slot int, x *secure) {
	for len(*s) <= slot {
		*s = append(*s, nil)
	}
	(*s)[slot] = x
}

// secure is c's TLS side, for connections marked with markSecure.
func (c *Conn) secure() *secure { return c.r.secures[c.id.slot()] }

// veiled reports whether TLS is to be spoken with c and is not yet, so that nothing can
// be said.
func (c *Conn) veiled() bool { return c.state <= securing && c.r.engine.shaker != nil }

// unveil takes c's TLS side away: its socket is closed, or it speaks none.
func (c *Conn) unveil() {
	s := c.secure()
	if c.state == securing {
		c.r.secured.failed(faultLeft)
	}
	if s.handshake != nil {
		c.r.engine.shaker.forget(s.handshake)
	}
	s.input, s.rest = nil, nil
	c.r.secures.put(c.id.slot(), nil)
	c.marks &^= markSecure
}

// unseal lets c take what the bytes of its socket hold, then sends all its answers.
func (r *Reactor) unseal(c *Conn, b []byte) {
	r.current = c
	r.decipher(c, b)
	r.give(c)
	r.current, r.cork = nil, r.cork[:0]
}

// decipher is the recover boundary of everything that a TLS client's bytes cause.
func (r *Reactor) decipher(c *Conn, b []byte) {
	defer r.Recover(c, "TLS input")
	switch {
	case c.state == securing:
		c.alive()
		c.shake(b)
	case c.state >= flushing: // what it says means nothing any more, be it sealed or not
		c.consume(b)
	default:
		c.decipher(b)
	}
}

// decipher opens the records in b and works off what is in them.
func (c *Conn) decipher(b []byte) {
	s := c.secure()
	s.input, s.records = b, 0
	data, reads := 0, 0
	for c.state < flushing {
		n, k, err := s.open(c.r.plain())
		data, reads = data+n, reads+k
		c.receive(c.r.clear[:n])
		if err == nil {
			continue
		}
		s.input = nil
		if !errors.Is(err, errAgain) {
			c.unsealed(err)
			return
		}
		break
	}
	s.input = nil
	if c.state == open && c.spendBytes(max(0, len(b)-data)) {
		for range s.records - reads { // KeyUpdate and its kind cost us more than their bytes
			if !c.spendControl() {
				break
			}
		}
	}
	c.owe()
}

// open reads records into p, which has room for at least one, and returns how many bytes
// there were in how many records. errAgain: the socket has no more.
func (s *secure) open(p []byte) (n, records int, err error) {
	for len(p)-n >= maxRecord {
		k, err := s.tls.Read(p[n:])
		n += k
		if k > 0 {
			records++
		}
		if err != nil {
			return n, records, err
		}
	}
	return n, records, nil
}

// plain is where records are opened.
func (r *Reactor) plain() []byte {
	if r.clear == nil {
		r.clear = make([]byte, 2*maxRecord)
	}
	return r.clear
}

// unsealed acts on the end of what the client says: its close_notify, which is to TLS
// what FIN is to TCP, or a breach of the protocol, which crypto/tls has answered with an
// alert.
func (c *Conn) unsealed(err error) {
	if c.state == dead {
		return
	}
	if errors.Is(err, io.EOF) {
		c.uncork() // it may still be reading
		c.lost(err)
		c.kill()
		return
	}
	c.r.secured.failed(faultRecord)
	c.lost(err)
	c.r.cork = c.r.cork[:0]
	c.dropQueue()
	c.linger()
}

// partial is how many bytes crypto/tls holds of a record that is not complete.
func (s *secure) partial() int { return s.cut.have }

// seal is send for TLS: n bytes of b were sealed, which the socket has taken or which
// are c's rest. In the second case c waits for the socket already.
func (c *Conn) seal(b []byte) (n int, ok bool) {
	s := c.secure()
	for n < len(b) && len(s.rest) == 0 {
		k, err := s.tls.Write(b[n:min(n+maxRecord, len(b))])
		n += k
		if err != nil {
			c.lost(errors.Join(s.fault, err))
			c.abort()
			return 0, false
		}
	}
	c.owe()
	return n, c.state != dead
}

// owe sees to it that c waits for its socket while that has not taken all that was sealed.
func (c *Conn) owe() {
	if s := c.secure(); len(s.rest) > 0 && c.state != dead {
		c.block()
	}
}

// pay sends what was sealed, and reports whether nothing of it is left.
func (c *Conn) pay() bool {
	s := c.secure()
	if len(s.rest) == 0 {
		return true
	}
	if c.marks.has(markBlocked) || c.state == dead {
		return false
	}
	n, ok := c.put(s.rest)
	if !ok {
		return false
	}
	c.queued -= int32(n)
	s.rest = s.rest[n:]
	if len(s.rest) > 0 {
		c.block()
		return false
	}
	s.rest = nil
	return true
}

// part says close_notify when all else has been said, and reports whether that is done.
func (c *Conn) part() bool {
	s := c.secure()
	if s.tls != nil && !s.bye && c.state != dead {
		s.bye = true
		_ = s.tls.CloseWrite() // where the client is gone the socket says so, too
		c.owe()
	}
	return len(s.rest) == 0
}

// Read is crypto/tls's: bytes of the current record.
func (s *secure) Read(p []byte) (int, error) {
	if h := s.handshake; h != nil {
		return h.read(p, &s.cut)
	}
	n, whole := s.cut.pass(p, s.input)
	s.input = s.input[n:]
	if whole {
		s.records++
	}
	if n == 0 {
		return 0, errAgain
	}
	return n, nil
}

// Write is crypto/tls's: it sends records, and keeps what the socket does not take.
func (s *secure) Write(b []byte) (int, error) {
	if h := s.handshake; h != nil {
		return h.write(b)
	}
	return len(b), s.send(b)
}

// send sends sealed bytes, and keeps what the socket does not take.
func (s *secure) send(b []byte) error {
	n := 0
	if len(s.rest) == 0 {
		var err error
		if n, err = sendNow(int(s.c.fd), b); err != nil && !errors.Is(err, unix.EAGAIN) {
			s.fault = err
			return err
		}
		s.c.r.count.sends.Add(1)
		s.c.traffic().bytesOut.Add(int64(n))
	}
	if len(s.rest)+len(b)-n > maxRest {
		s.fault = errHoard
		return errHoard
	}
	if n < len(b) {
		s.rest = append(s.rest, b[n:]...)
		s.c.queued += int32(len(b) - n)
	}
	return nil
}

var errHoard = errors.New("the client has more answered than it reads")

// The rest of net.Conn, which crypto/tls calls or hands on.

// Close does nothing: the socket is the reactor's.
func (s *secure) Close() error { return nil }

// LocalAddr is nil: nobody asks.
func (s *secure) LocalAddr() net.Addr { return nil }

// RemoteAddr is nil: nobody asks.
func (s *secure) RemoteAddr() net.Addr { return nil }

// SetDeadline does nothing: the deadlines are the reactor's.
func (s *secure) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (s *secure) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (s *secure) SetWriteDeadline(time.Time) error { return nil }

// errAgain is what the transport says when the socket has no more: crypto/tls keeps its
// state at errors that say they are temporary, as at no others.
var errAgain error = again{}

type again struct{}

func (again) Error() string   { return "no more bytes for now" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }
