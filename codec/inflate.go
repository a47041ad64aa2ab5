package codec

import (
	"bufio"
	"io"
	"math"

	"github.com/klauspost/compress/flate"
)

const (
	// keepInflated is the largest buffer, in bytes, that an Inflater keeps from one message to the next: one for 1 MiB, see grow.
	keepInflated = 1<<20 + 1
	// A message is taken for an attack once more than bombBytes have come out of it, at more than bombRatio to 1. The format's own limit is
	// 1032:1, which only runs of one byte come near.
	bombBytes = 1 << 20
	bombRatio = 1000
	// maxFinalBlocks bounds the blocks with BFINAL set in a message. Each costs a copy of the window to go on behind it, and no known client sends
	// more than one.
	maxFinalBlocks = 16
	// window is how far back DEFLATE can refer, in bytes (RFC 1951 §2).
	window = 32 << 10
	// deflateHead precedes every message: a dynamic block and an empty stored one. flate reads a block that has no distance codes with those
	// of the block before it, instead of refusing it, and that could be another client's. After these there is one code, always
	// the same, for the longest distances, which are further back than most messages begin.
	deflateHead = "\x04\xdd\x81\x00\x00\x00\x00\x00\x90\xff\x6b\x25\x00" + "\x00\x00\xff\xff"
	// deflateTail follows every message: the empty stored block that the sender took off (RFC 7692 §7.2.2), and a final one, whose end is
	// proof that the message ended where a block does.
	deflateTail = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff"
)

// Inflater inflates messages (RFC 7692 §7.2.2), one at a time, each by itself: the handshake took context takeover from the client, so
// one Inflater serves all connections of a goroutine. The zero value is ready. It takes about 42 KiB from its first use on, besides a buffer
// of up to 1 MiB for what it returns (more only until the next call), and must not be copied.
type Inflater struct {
	src   messageReader
	in    *bufio.Reader // over src
	flate io.Reader     // over in; also a flate.Resetter
	out   []byte
}

// Inflate returns src, the payload of a message with RSV1, inflated. out is the Inflater's own and valid until its next call; src is not
// kept. It is not checked to be UTF-8: see ValidText. The error is always an *Error:
//
//   - ErrMessageTooBig when out would take more than limit bytes, found as it grows: no memory is taken for what is only declared, and what is
//     held is at most twice what came out;
//   - ErrInflateRatio when it exceeds 1 MiB and a thousand times what was read of src;
//   - ErrDeflate when src is not whole DEFLATE blocks, so far as this can be told. RFC 7692 names no code; 1007 is what most servers send.
//
// The same src and limit give the same result, whatever was inflated before.
func (i *Inflater) Inflate(src []byte, limit int) (out []byte, err error) {
	limit = min(max(limit, 0), math.MaxInt-1)
	i.begin(src)
	defer i.src.reset(nil)
	total := i.src.left()
	for range maxFinalBlocks {
		if err := i.untilFinal(total, limit); err != nil {
			return nil, err
		}
		// A sender may set BFINAL (§7.2.3.4). It must go on with another block then, at least with the empty one; that some do
		// not harms nobody.
		if rest := i.unread(); rest == 0 || rest == len(deflateTail) {
			return i.out[:len(i.out):len(i.out)], nil
		}
		i.restart(i.out[max(0, len(i.out)-window):])
	}
	return nil, ErrDeflate
}

// Release drops the last message's memory.
func (i *Inflater) Release() { i.out = nil }

func (i *Inflater) begin(src []byte) {
	i.src.reset(src)
	if cap(i.out) > keepInflated {
		i.out = nil
	}
	i.out = i.out[:0]
	if i.in == nil {
		i.in = bufio.NewReader(&i.src)
		i.flate = flate.NewReader(i.in)
		return
	}
	i.in.Reset(&i.src)
	i.restart(nil)
}

// restart makes ready for the block at the front of in, which may refer to dict.
func (i *Inflater) restart(dict []byte) {
	_ = i.flate.(flate.Resetter).Reset(i.in, dict) // fails never: nothing is read
}

// unread is the number of bytes that no block has used yet, the tail's among them.
func (i *Inflater) unread() int { return i.in.Buffered() + i.src.left() }

// untilFinal inflates up to the end of the next block that has BFINAL set. total is the number of bytes that there were to read.
func (i *Inflater) untilFinal(total, limit int) error {
	for {
		if len(i.out) == cap(i.out) {
			i.grow(limit)
		}
		n, err := i.flate.Read(i.out[len(i.out):min(cap(i.out), limit+1)])
		i.out = i.out[:len(i.out)+n]
		switch {
		case len(i.out) > limit:
			return ErrMessageTooBig
		case len(i.out) > bombBytes && len(i.out)/bombRatio >= total-i.unread():
			return ErrInflateRatio
		case err == io.EOF:
			return nil
		case err != nil:
			return ErrDeflate
		}
	}
}

// grow doubles out, or makes it all that can be needed: limit and the one byte that tells more from enough.
func (i *Inflater) grow(limit int) {
	size := max(2*cap(i.out), 4<<10)
	if size >= limit {
		size = limit + 1
	}
	grown := make([]byte, len(i.out), size)
	copy(grown, i.out)
	i.out = grown
}

// messageReader reads a message between what belongs before and behind it.
type messageReader struct {
	head    string
	message []byte
	tail    string
}

func (r *messageReader) reset(message []byte) { *r = messageReader{deflateHead, message, deflateTail} }

func (r *messageReader) left() int { return len(r.head) + len(r.message) + len(r.tail) }

func (r *messageReader) Read(p []byte) (n int, err error) {
	k := copy(p, r.head)
	r.head = r.head[k:]
	n = k
	k = copy(p[n:], r.message)
	r.message = r.message[k:]
	n += k
	k = copy(p[n:], r.tail)
	r.tail = r.tail[k:]
	n += k
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
