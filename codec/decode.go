package codec

// DecoderOptions are shared by all connections of a kind and only read.
type DecoderOptions struct {
	// FromServer: frames come from a server and must not be masked. False: they come from a client and must be (§5.1).
	FromServer bool
	// MaxMessage bounds a message in bytes, after reassembly (and, with Deflate, before inflation). A header that would
	// take a message over it fails with 1009 before a byte of that payload is looked at. 0 leaves empty messages only.
	MaxMessage uint64
	// MaxFragments bounds the frames of a message; values below 1 count as 1. One more fails with 1008, not 1009: the
	// message is not too big, it is its cutting that is refused, and sending less would not help the peer.
	MaxFragments int
	// Deflate says AllowDeflate for every connection.
	Deflate bool
}

// Message is what a Decoder hands out: a whole data message or a control frame.
type Message struct {
	Op      Opcode // OpContinuation: nothing complete yet
	RSV1    bool   // the payload is deflated
	Payload []byte // unmasked; see Decoder.Next for how long it lives
}

// Decoder turns the bytes of one connection into messages (RFC 6455 §5). The zero value needs Init. It holds nothing but
// these bytes while no message is open, and belongs to one goroutine.
type Decoder struct {
	opts *DecoderOptions
	err  *Error // once set, for ever
	// buf is the open message so far, unmasked. A control frame that arrives in pieces is kept behind it.
	buf     []byte
	rest    uint64 // payload bytes of the current frame still to come
	key     uint32 // its masking key, at the phase of the next byte
	frames  int32  // frames of the open message
	head    [maxHeader - 1]byte
	headLen uint8 // bytes in head: a header cut off by the end of the input
	rules   headerRules
	op      Opcode // of the open message; OpContinuation: none
	frame   Opcode // of the current frame
	control uint8  // payload bytes of the current frame, if it is a control frame
	tail    uint8  // bytes at the end of the open text that begin a code point; 0 again at its end
	inFrame bool   // the current frame's header is behind us, its last byte is not
	fin     bool   // of the current frame
	rsv1    bool   // of the open message
}

// Init makes d ready for a new connection. o is kept, shared and never written.
func (d *Decoder) Init(o *DecoderOptions) {
	*d = Decoder{opts: o, rules: refuseUnmasked}
	if o.FromServer {
		d.rules = refuseMasked
	}
	if !o.Deflate {
		d.rules |= refuseRSV1
	}
}

// AllowDeflate allows RSV1 on the first frame of a data message (RFC 7692 §6), when the handshake of this connection agreed on
// permessage-deflate. Call it between Init and the first Next. Such a message is handed out as it came, and the text in it
// not checked: that is for an Inflater and ValidText.
func (d *Decoder) AllowDeflate() { d.rules &^= refuseRSV1 }

// Next takes bytes from the front of b, n of them, and returns a message when they complete one. Unless it does, m.Op is
// OpContinuation and n is len(b): partial headers and payloads are kept inside the Decoder, callers keep nothing. Control frames are
// messages of their own, also between the fragments of another.
//
// b is written to: a payload is unmasked where it lies. m.Payload is valid until the next call of Next, and no longer than
// b itself, of which it is a part when the whole frame lay in b. err is always an *Error; after one the Decoder stays failed and takes
// whatever it is given.
func (d *Decoder) Next(b []byte) (m Message, n int, err error) {
	if d.err != nil {
		return Message{}, len(b), d.err
	}
	for {
		if !d.inFrame {
			h, k, err := d.header(b[n:])
			if err != nil {
				return d.fail(err, len(b))
			}
			if k == 0 {
				return Message{}, len(b), nil
			}
			n += k
			if err := d.admit(&h); err != nil {
				return d.fail(err, len(b))
			}
			if h.Length <= uint64(len(b)-n) && d.alone() {
				end := n + int(h.Length)
				m, err := d.inPlace(b[n:end:end])
				if err != nil {
					return d.fail(err, len(b))
				}
				return m, end, nil
			}
		}
		part := b[n:]
		if uint64(len(part)) > d.rest {
			part = part[:d.rest]
		}
		n += len(part)
		if err := d.keep(part); err != nil {
			return d.fail(err, len(b))
		}
		if d.rest > 0 {
			return Message{}, n, nil
		}
		if m, done := d.finish(); done {
			return m, n, nil
		}
	}
}

// header parses the header at the front of b, of which an earlier call may have kept the first bytes. n is the number of
// bytes taken from b; 0 means that all of b was kept and more must come.
func (d *Decoder) header(b []byte) (h Header, n int, err *Error) {
	kept := int(d.headLen)
	if kept == 0 {
		h, n, err = parseHeader(b, d.rules)
		if n == 0 && err == nil {
			d.headLen = uint8(copy(d.head[:], b))
		}
		return h, n, err
	}
	var whole [maxHeader]byte
	copy(whole[:], d.head[:kept])
	have := kept + copy(whole[kept:], b)
	h, n, err = parseHeader(whole[:have], d.rules)
	if err != nil {
		return h, 0, err
	}
	if n == 0 { // so have < maxHeader: all of b is in whole
		d.headLen = uint8(copy(d.head[:], whole[:have]))
		return h, 0, nil
	}
	d.headLen = 0
	return h, n - kept, nil
}

// deflated reports whether the message is deflated that is open or, where none is, begins with h.
func (d *Decoder) deflated(h *Header) bool {
	if d.op != OpContinuation {
		return d.rsv1
	}
	return h.RSV1
}

// limit is the most bytes of a message on the wire. DEFLATE makes what it cannot compress a little longer: five bytes for a stored block, and
// senders make blocks of 4 KiB and more. Such a message may be as long as any other; what it inflates to is for the inflater to bound.
func (d *Decoder) limit(deflated bool) uint64 {
	if !deflated {
		return d.opts.MaxMessage
	}
	return d.opts.MaxMessage + d.opts.MaxMessage>>9 + 64
}

// admit opens the frame h, if it may come here and now. Lengths are compared by subtraction, before anything is kept.
func (d *Decoder) admit(h *Header) *Error {
	if !h.Op.IsControl() {
		if h.Length > d.limit(d.deflated(h))-uint64(len(d.buf)) {
			return ErrMessageTooBig
		}
		if h.Op == OpContinuation {
			if d.op == OpContinuation {
				return ErrContinuation
			}
		} else {
			if d.op != OpContinuation {
				return ErrInterleaved
			}
			d.op, d.rsv1, d.frames = h.Op, h.RSV1, 0
		}
		if d.frames > 0 && int(d.frames) >= d.opts.MaxFragments {
			return ErrTooManyFragments
		}
		d.frames++
	} else {
		d.control = uint8(h.Length)
	}
	d.frame, d.fin, d.rest, d.key = h.Op, h.Fin, h.Length, h.Key
	d.inFrame = true
	return nil
}

// alone reports whether the current frame is a message by itself.
func (d *Decoder) alone() bool {
	return d.fin && d.frame != OpContinuation
}

// inPlace finishes a frame that is alone and lies whole in p.
func (d *Decoder) inPlace(p []byte) (Message, *Error) {
	if d.key != 0 {
		mask(p, d.key)
	}
	d.inFrame, d.rest = false, 0
	if d.frame.IsControl() {
		return Message{Op: d.frame, Payload: p}, nil
	}
	d.op = OpContinuation
	if d.frame == OpText && !d.rsv1 && !validText(p) {
		return Message{}, ErrInvalidText
	}
	return Message{Op: d.frame, RSV1: d.rsv1, Payload: p}, nil
}

// keep adds part, the next bytes of the current frame, to buf, unmasks them there and checks them.
func (d *Decoder) keep(part []byte) *Error {
	start := len(d.buf)
	d.buf = extend(d.buf, part, d.room())
	d.rest -= uint64(len(part))
	if d.key != 0 {
		d.key = mask(d.buf[start:], d.key)
	}
	if d.op != OpText || d.rsv1 || d.frame.IsControl() {
		return nil
	}
	tail, ok := validTextPrefix(d.buf[start-int(d.tail):])
	if !ok || tail > 0 && d.fin && d.rest == 0 {
		return ErrInvalidText
	}
	d.tail = uint8(tail)
	return nil
}

// room is the most bytes that buf can have to hold: known exactly in a message's last frame, else its limit.
func (d *Decoder) room() uint64 {
	if d.fin {
		return uint64(len(d.buf)) + d.rest
	}
	return d.limit(d.rsv1)
}

// finish ends the current frame, whose last byte is kept, and hands out the message if this was its end. The buffer goes
// with the message: between messages a Decoder holds no memory.
func (d *Decoder) finish() (m Message, done bool) {
	d.inFrame = false
	if d.frame.IsControl() {
		return d.finishControl(), true
	}
	if !d.fin {
		return Message{}, false
	}
	m = Message{Op: d.op, RSV1: d.rsv1, Payload: d.buf[:len(d.buf):len(d.buf)]}
	d.buf, d.op = nil, OpContinuation
	return m, true
}

// finishControl hands out the control frame behind the open message, and takes it off there.
func (d *Decoder) finishControl() Message {
	start := len(d.buf) - int(d.control)
	m := Message{Op: d.frame, Payload: d.buf[start:len(d.buf):len(d.buf)]}
	d.buf = d.buf[:start]
	if d.op == OpContinuation {
		d.buf = nil
	}
	return m
}

func (d *Decoder) fail(err *Error, n int) (Message, int, error) {
	d.err = err
	d.buf = nil
	return Message{}, n, err
}

// Held is the memory in bytes held for an incomplete message.
func (d *Decoder) Held() int { return cap(d.buf) }

// Partial reports whether the input stands inside a frame or a fragmented message: the state that a deadline must end.
func (d *Decoder) Partial() bool {
	return d.headLen > 0 || d.inFrame || d.op != OpContinuation
}

// Release drops the held memory when the connection is closed.
func (d *Decoder) Release() { *d = Decoder{opts: d.opts, rules: d.rules} }

// extend appends part to buf. Capacity doubles as bytes arrive, so that any cutting costs linear time, but does not pass room, the
// most that can be needed: never more is held than twice what came.
func extend(buf, part []byte, room uint64) []byte {
	need := len(buf) + len(part)
	if need > cap(buf) {
		size := max(uint64(need), min(uint64(max(2*cap(buf), 64)), room))
		grown := make([]byte, len(buf), size)
		copy(grown, buf)
		buf = grown
	}
	return append(buf, part...)
}
