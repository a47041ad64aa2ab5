package loop

import (
	"net/netip"
	"time"

	"github.com/panjf2000/gnet/v2"
	"go.uber.org/zap"

	"sluice/codec"
)

// Conn is one client. All of it belongs to its reactor: no method may be
// called from another goroutine. Only its ID may travel.
type Conn struct {
	// Session is the handler's own.
	Session any

	r     *Reactor
	g     gnet.Conn // nil once gnet has closed the socket: its fd may be another client's by then
	id    ConnID
	peer  [16]byte // its address, IPv4 mapped into IPv6: half of what a netip.AddrPort takes
	port  uint16
	kind  uint8 // below Kinds
	fd    int32
	marks marks
	state state
	ping  uint8 // which of Options.Pings it is pinged with, and one more; 0: a ping frame

	over      uint32         // tick since which more than MaxQueue waits for it; 0: less does
	seen      uint32         // tick of the last sign of life
	begun     uint32         // tick in which the message began that is not complete yet; 0: none. Before that: see opened
	held      uint32         // bytes of it, as counted in Engine.incomplete
	allowance allowance      // what it may send before it has to pause
	timer     timer          // handshake, ping or close deadline, as state says
	rare      *rare          // nil while nothing unusual is going on
	dec       *codec.Decoder // nil: no message is incomplete

	outbox
}

// rare is what a connection needs at its beginning, at its end, and in trouble.
// Most of the time it has none.
type rare struct {
	proxy   codec.ProxyReader   // until the PROXY header is complete
	request codec.RequestReader // until the request is complete
	early   []byte              // what came behind the request before it was answered
	pong    pong                // the answer to the newest ping, where it has to wait
	end     End                 // how the connection ends
	ending  bool                // end is set

	discarded int // bytes thrown away while closing, or of a stream's client
}

// special is c's rare state, made where it has none.
func (c *Conn) special() *rare {
	if c.rare == nil {
		c.rare = new(rare)
	}
	return c.rare
}

// state is where a connection stands. It only ever moves down this list.
type state uint8

const (
	greeting  state = iota // a load balancer's PROXY header is not complete
	securing               // the TLS handshake is not over
	reading                // the request head is not complete
	pending                // the handler has the request
	open                   // WebSocket messages both ways
	closing                // our close frame is queued or sent, the client's has not come
	flushing               // what is queued goes out, then the socket is closed
	lingering              // what is queued goes out, then the client gets time to read it
	dead                   // the socket is to be closed or is closed
)

// marks are a connection's yes-or-no facts.
type marks uint16

const (
	markRefused marks = 1 << iota // came when the node was full: its request is answered 503
	markDirty                     // on the reactor's dirty list
	markBlocked                   // the socket took no more; the watcher will tell
	markWatched                   // known to the watcher
	markPinged                    // a ping is unanswered
	markSplit                     // the first queued chunk is partly sent
	markShut                      // our side of the TCP connection is shut down
	markHead                      // the request was HEAD: its answer has no body
	markKnown                     // the handler has seen it, so it is told of the end
	markDeflate                   // permessage-deflate was agreed on
	markWaits                     // the handler wants to know when the queue is empty
	markHeld                      // what is sent waits for Release
	markStream                    // the answer is an event stream: nothing is read, and nothing framed
	markSecure                    // it speaks TLS
)

func (m marks) has(x marks) bool { return m&x != 0 }

// ID names the connection in this process.
func (c *Conn) ID() ConnID { return c.id }

// Remote is the client's address: that of the TCP peer, or what a load balancer
// said in a PROXY header, or what SetRemote was told.
func (c *Conn) Remote() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(c.peer).Unmap(), c.port)
}

// SetRemote says where the client really is, without a port.
func (c *Conn) SetRemote(a netip.Addr) {
	if a.IsValid() && a != c.Remote().Addr() {
		c.peer, c.port = a.As16(), 0
	}
}

// Reactor is the owner.
func (c *Conn) Reactor() *Reactor { return c.r }

// Open reports whether messages can be sent.
func (c *Conn) Open() bool { return c.state == open }

// Deflates reports whether permessage-deflate was agreed on, so that frames made
// by codec.Deflater may be sent.
func (c *Conn) Deflates() bool { return c.marks.has(markDeflate) }

// receive takes all bytes that the socket had. They are gnet's one read
// buffer, or bytes held back: dead when receive returns.
func (c *Conn) receive(b []byte) {
	c.alive()
	if c.state == open && !c.spendBytes(len(b)) {
		return
	}
	if c.rare != nil && c.rare.early != nil && c.state >= open { // it comes before what the socket has now
		early := c.rare.early
		c.rare.early = nil
		if !c.rare.ending {
			c.rare = nil
		}
		c.consume(early)
	}
	c.consume(b)
	if c.state == open {
		c.timeMessage()
	}
}

// alive notes a sign of life, which is also the answer to a ping.
func (c *Conn) alive() {
	c.allowance.grow(c.r.wheel.now-c.seen, &c.r.rates)
	c.seen = c.r.wheel.now
	if c.marks.has(markPinged) {
		c.marks &^= markPinged
		if c.state == open {
			c.r.waitForSilence(c, c.r.interval(c))
		}
	}
}

// consume works bytes off, as the state demands.
func (c *Conn) consume(b []byte) {
	for len(b) > 0 {
		switch c.state {
		case greeting:
			b = c.readProxy(b)
		case securing:
			c.shake(b)
			return
		case reading:
			b = c.readRequest(b)
		case pending:
			b = c.hold(b)
		case open, closing:
			if c.marks.has(markStream) {
				c.discard(len(b))
				return
			}
			b = c.readFrames(b)
		case flushing, lingering:
			c.discard(len(b))
			return
		case dead:
			return
		}
	}
}

// readProxy reads the header in which a load balancer says whose connection it
// relays. A balancer that says nothing, or nonsense, gets no answer: it would
// not know what to do with one.
func (c *Conn) readProxy(b []byte) (rest []byte) {
	h, n, done, err := c.special().proxy.Next(b)
	if err == nil && done && !c.r.opts.ProxyVersion.takes(h.Version) {
		err = codec.ErrProxyUnwanted
	}
	if err != nil {
		c.r.count.misproxied.Add(1)
		c.r.log.Warn("a connection from proxy.from is dropped: "+err.Error(), c.named(), zap.Stringer("remote", c.Remote()))
		c.abort()
		return nil
	}
	if done {
		c.state = c.r.engine.begins()
		if !h.Local {
			c.peer, c.port = h.Source.Addr().As16(), h.Source.Port()
		}
	}
	return b[n:]
}

// readRequest reads the request head (RFC 6455 §4.2.1) and hands it up.
func (c *Conn) readRequest(b []byte) (rest []byte) {
	req, n, err := c.special().request.Next(b, &c.r.opts.Request)
	if err != nil {
		c.Refuse(asRefusal(err))
		return b[len(b):]
	}
	if req == nil {
		return b[n:]
	}
	c.state = pending
	if req.Method == "HEAD" {
		c.marks |= markHead
	}
	switch {
	case c.marks.has(markRefused) && (c.r.opts.Vital == nil || !c.r.opts.Vital(req)):
		c.Refuse(errFull)
	case c.r.engine.draining.Load(): // it came too late to be among those that Shutdown closes
		c.Refuse(errEnded)
	default:
		c.marks |= markKnown
		c.r.handler.OnRequest(c, req)
	}
	return b[n:]
}

// hold keeps what a client sends before its request is answered. Few do, and
// those send a frame or two.
func (c *Conn) hold(b []byte) (rest []byte) {
	s := c.special()
	if len(s.early)+len(b) > maxEarly {
		c.Refuse(errEager)
		return nil
	}
	s.early = append(s.early, b...)
	return nil
}

// maxEarly bounds, in bytes, what a client may send behind its request before
// the answer.
const maxEarly = 16 << 10

// readFrame reads up to one message and acts on it.
func (c *Conn) readFrame(d *codec.Decoder, b []byte) (rest []byte) {
	m, n, err := d.Next(b)
	if err != nil {
		c.fail(asViolation(err))
		return nil
	}
	switch m.Op {
	case codec.OpText, codec.OpBinary:
		c.begun = 0
		if c.state == open && c.spendMessage() {
			c.message(m)
		}
	case codec.OpPing:
		if c.spendControl() { // also behind our close frame, until the client's has come (§5.5.2)
			c.answer(m.Payload)
		}
	case codec.OpPong: // a sign of life
		if c.state == open {
			c.spendControl()
		}
	case codec.OpClose:
		c.peerClosed(m.Payload)
	case codec.OpContinuation: // an incomplete message
	}
	return b[n:]
}

// message hands a whole data message up, inflated where it came deflated.
func (c *Conn) message(m codec.Message) {
	c.traffic().messagesIn.Add(1)
	if m.RSV1 {
		inflated, err := c.r.inflater.Inflate(m.Payload, int(c.r.opts.Decoder.MaxMessage))
		if err == nil && m.Op == codec.OpText && !codec.ValidText(inflated) {
			err = codec.ErrInvalidText
		}
		if err != nil {
			c.fail(asViolation(err))
			return
		}
		// A message of 64 bytes may have become 64 KiB: what it costs others is not what it cost its sender.
		if grown := len(inflated) - len(m.Payload); grown > 0 && !c.spendBytes(grown) {
			return
		}
		m.Payload = inflated
	}
	c.r.handler.OnMessage(c, m.Op, m.Payload)
}

// timeMessage starts or ends the time that a message may take to become
// complete. Without it a client could have us hold a large part of one for ever,
// at the price of a byte now and then.
func (c *Conn) timeMessage() {
	held, partial := 0, c.dec != nil
	if partial {
		held = c.dec.Held()
	}
	if c.marks.has(markSecure) {
		n := c.secure().partial()
		held, partial = held+n, partial || n > 0
	}
	c.countHeld(held)
	if !partial {
		c.begun = 0
		return
	}
	if c.begun == 0 {
		c.begun = max(1, c.r.wheel.now)
		if due := c.r.wheel.after(c.r.opts.MessageTimeout); int32(due-c.timer.due) < 0 {
			c.r.wheel.set(c, due)
		}
	}
}

// Upgrade accepts the handshake: the client is sent 101 and c is open. protocol
// and extensions are what was agreed on, "" for none; the one extension that
// there is is permessage-deflate as codec.NegotiateDeflate answers it. It reports
// false, and nothing happens, when the request has been answered already: its
// deadline may have passed.
func (c *Conn) Upgrade(u codec.Upgrade, protocol, extensions string) bool {
	c.r.owner.check()
	if c.state != pending {
		return false
	}
	c.state = open
	if extensions != "" {
		c.marks |= markDeflate
	}
	c.opened()
	c.r.count.upgraded.Add(1)
	c.r.armPing(c)
	c.output(codec.AppendSwitch(c.r.scratch[:0], u.Key, protocol, extensions))
	if c.special().early != nil {
		c.r.resume(c)
		return true
	}
	c.rare = nil
	return true
}

// accepted notes when c's socket was accepted, in microseconds of the engine's clock, of
// which the lowest bits are enough: a handshake takes far less than the 71 minutes that they
// last. It stands where nothing else does until c is open.
func (c *Conn) accepted(now time.Duration) { c.begun = uint32(now / time.Microsecond) }

// opened is what c's being open begins with.
func (c *Conn) opened() {
	took := uint32(c.r.engine.now()/time.Microsecond) - c.begun
	c.r.count.handshake.Add(time.Duration(took) * time.Microsecond)
	c.begun = 0
	c.allowance.fill(&c.r.rates)
}

// Refuse answers the request with an HTTP error, and more header lines as for
// Respond, and ends the connection.
func (c *Conn) Refuse(err *codec.HTTPError, header ...string) {
	c.r.owner.check()
	if c.state > pending {
		return
	}
	if c.veiled() { // a panic
		c.r.secured.failed(faultInternal)
		c.abort()
		return
	}
	c.r.reached(limitOfRefusal(err))
	c.r.refused(c, err)
	c.respond(c.refusal(err, header), End{Reason: err.Reason, Local: true, Code: codec.StatusAbnormal})
}

// Respond answers the request with a page of text and ends the connection. A
// HEAD request gets the header alone.
func (c *Conn) Respond(status int, header []string, contentType, body string) {
	c.respond(codec.AppendResponse(c.r.scratch[:0], status, header, contentType, body, c.marks.has(markHead)),
		End{Reason: "answered", Local: true, Code: codec.StatusAbnormal})
}

// respond sends a whole HTTP response. What the client sends after its request
// is never parsed: a balancer may disagree with us on where that ends.
func (c *Conn) respond(response []byte, end End) {
	c.r.owner.check()
	if c.state > pending {
		return
	}
	c.begin(end)
	c.output(response)
	c.linger()
}

// expired acts on the connection's deadline.
func (c *Conn) expired() {
	switch c.state {
	case greeting:
		c.r.reached(LimitHandshakeTime)
		c.abort()
	case securing:
		c.r.reached(LimitHandshakeTime)
		c.r.secured.failed(faultTimeout)
		c.abort()
	case reading:
		c.Refuse(errTimeout)
	case pending:
		c.Refuse(errNotReady)
	case open:
		c.r.heartbeat(c)
	case closing, flushing, lingering:
		c.abort()
	case dead:
	}
}
