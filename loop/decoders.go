package loop

import "sluice/codec"

// decoders lends the decoders of frames. Few connections have an incomplete message at
// any time, and for the length of a frame: so only they have a decoder of their own, and
// all others read with one that they share. Owned by its reactor.
type decoders struct {
	shared *codec.Decoder   // nothing is open in it between two reads; nil: it has been lent
	idle   []*codec.Decoder // that nobody has
}

// maxDecoders is how many are kept idle: 80 KiB.
const maxDecoders = 1 << 10

// fresh is the shared one, with nothing open in it.
func (s *decoders) fresh(o *codec.DecoderOptions, deflate bool) *codec.Decoder {
	if n := len(s.idle) - 1; s.shared == nil && n >= 0 {
		s.shared, s.idle[n], s.idle = s.idle[n], nil, s.idle[:n]
	}
	if s.shared == nil {
		s.shared = new(codec.Decoder)
	}
	s.shared.Init(o)
	if deflate {
		s.shared.AllowDeflate()
	}
	return s.shared
}

// lend makes the shared one a connection's own.
func (s *decoders) lend() *codec.Decoder {
	d := s.shared
	s.shared = nil
	return d
}

// give takes one back, and lets what it holds go.
func (s *decoders) give(d *codec.Decoder) {
	if len(s.idle) < maxDecoders {
		*d = codec.Decoder{}
		s.idle = append(s.idle, d)
	}
}

// readFrames reads messages and acts on them, until b is used up or nothing more is to
// be read as frames.
func (c *Conn) readFrames(b []byte) (rest []byte) {
	d := c.dec
	if d == nil {
		d = c.r.decoders.fresh(&c.r.opts.Decoder, c.marks.has(markDeflate))
	}
	for len(b) > 0 && c.frames() {
		b = c.readFrame(d, b)
	}
	switch partial := c.frames() && d.Partial(); {
	case partial && c.dec == nil:
		c.dec = c.r.decoders.lend()
	case !partial:
		c.dropMessage()
	}
	return b
}

// frames reports whether the input is frames that mean something.
func (c *Conn) frames() bool { return c.state == open || c.state == closing }

// dropMessage forgets the message that is not complete, if there is one.
func (c *Conn) dropMessage() {
	if c.dec != nil {
		c.r.decoders.give(c.dec)
		c.dec = nil
	}
}
