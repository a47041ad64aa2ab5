package codec

import (
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/flate"
)

// minDeflate is the shortest payload in bytes worth trying: below it DEFLATE has nothing to refer back to.
const minDeflate = 64

// syncTail ends what a deflater has flushed: an empty stored block, of which a message keeps the header's bits only (RFC 7692 §7.2.1).
const syncTail = "\x00\x00\xff\xff"

// Deflater deflates messages without context (RFC 7692 §7.1.1). Between messages it holds nothing, and belongs to one goroutine.
// The zero value is ready. Its speed is level 1's of other deflaters, see BenchmarkDeflateLevels.
type Deflater struct{ out boundedWriter }

// AppendFrame appends a server's whole frame with RSV1 set: payload deflated, FIN set, unmasked. The same bytes serve every connection
// that negotiated deflate, see NegotiateDeflate. ok is false, and dst as it was, when the frame would not be at least a tenth smaller than
// AppendFrame's: send that one, it costs the client less.
func (d *Deflater) AppendFrame(dst []byte, op Opcode, payload []byte) (frame []byte, ok bool) {
	if len(payload) < minDeflate || op.IsControl() {
		return dst, false
	}
	plain := FrameSize(len(payload))
	body, ok := d.deflate(dst, payload, plain-plain/10)
	if !ok || FrameSize(body.size()) > plain-plain/10 {
		return dst, false
	}
	head := AppendHeader(dst, op, body.size())
	head[len(dst)] |= bitRSV1
	return body.behind(head), true
}

// AppendMaskedFrame is what a client sends: always deflated, even where that is longer, and masked with key.
func (d *Deflater) AppendMaskedFrame(dst []byte, op Opcode, payload []byte, key uint32) []byte {
	body, ok := d.deflate(dst, payload, len(payload)+len(payload)/8+64)
	if !ok {
		return AppendMaskedFrame(dst, op, payload, key)
	}
	head := appendHeader(dst, bitFIN|bitRSV1|byte(op), bitMask, body.size())
	head = binary.LittleEndian.AppendUint32(head, key)
	frame := body.behind(head)
	mask(frame[len(head):], key)
	return frame
}

// deflated is a deflated payload that stands in b with room for any header before it.
type deflated struct {
	b     []byte
	start int
}

func (p deflated) size() int { return len(p.b) - p.start }

// behind moves the payload to the end of head, which lies in the same memory.
func (p deflated) behind(head []byte) []byte {
	b := append(p.b[:0], head...)
	return append(b, p.b[p.start:]...)
}

// deflate puts payload deflated behind dst and room for a header; ok is false when that takes more than limit bytes.
func (d *Deflater) deflate(dst, payload []byte, limit int) (p deflated, ok bool) {
	var room [maxHeader]byte
	b := append(dst, room[:]...)
	start := len(b)
	d.out = boundedWriter{b: b, max: start + limit + len(syncTail)}
	err := flate.StatelessDeflate(&d.out, payload, false, nil)
	b = d.out.b
	d.out.b = nil
	end := len(b) - len(syncTail)
	if err != nil || end < start || string(b[end:]) != syncTail {
		return deflated{}, false
	}
	return deflated{b[:end], start}, true
}

// boundedWriter takes bytes up to a length.
type boundedWriter struct {
	b   []byte
	max int
}

var errTooLong = errors.New("deflated is longer than plain")

func (w *boundedWriter) Write(p []byte) (int, error) {
	if len(p) > w.max-len(w.b) {
		return 0, errTooLong
	}
	w.b = append(w.b, p...)
	return len(p), nil
}
