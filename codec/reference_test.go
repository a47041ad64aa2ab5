package codec

import (
	"math"
	"unicode/utf8"
)

// reference decodes a whole stream as one would on paper. It shares nothing with the Decoder but the names of the errors, and is
// what fuzzing compares it with.
type reference struct {
	o      *DecoderOptions
	stream []byte

	open   Opcode // of the fragmented message, 0: none
	rsv1   bool
	body   []byte
	frames int
	out    outcome
}

func decodeSlowly(o *DecoderOptions, stream []byte) outcome {
	r := &reference{o: o, stream: stream}
	for r.out.err == nil && len(r.stream) > 0 && r.oneFrame() {
	}
	if r.out.err == nil {
		r.out.partial = len(r.stream) > 0 || r.open != 0
	}
	return r.out
}

// oneFrame takes a frame; false: it is not all there, or it is wrong.
func (r *reference) oneFrame() bool {
	fin, op, rsv1, length, key, rest, err := slowHeader(r.o, r.stream)
	if err != nil || rest == nil {
		return r.fail(err)
	}
	control := op >= 8
	if !control {
		limit, deflated := r.o.MaxMessage, rsv1
		if r.open != 0 {
			deflated = r.rsv1
		}
		if deflated { // what cannot be compressed becomes a little longer
			limit += limit/512 + 64
		}
		if total := uint64(len(r.body)) + length; length > math.MaxUint32 || total > limit {
			return r.fail(ErrMessageTooBig)
		}
		switch {
		case op == 0 && r.open == 0:
			return r.fail(ErrContinuation)
		case op != 0 && r.open != 0:
			return r.fail(ErrInterleaved)
		}
		if op != 0 {
			r.open, r.rsv1, r.body, r.frames = op, rsv1, nil, 0
		}
		r.frames++
		if r.frames > max(1, r.o.MaxFragments) {
			return r.fail(ErrTooManyFragments)
		}
	}
	complete := uint64(len(rest)) >= length
	payload := append([]byte(nil), rest[:min(length, uint64(len(rest)))]...)
	maskSlowly(payload, key)

	if control {
		if !complete {
			return false
		}
		r.stream = rest[length:]
		r.out.events = append(r.out.events, event{op, false, string(payload)})
		return true
	}
	r.body = append(r.body, payload...)
	if r.open == OpText && !r.rsv1 {
		if complete && fin && !utf8.Valid(r.body) || !canBecomeText(r.body) {
			return r.fail(ErrInvalidText)
		}
	}
	if !complete {
		return false
	}
	r.stream = rest[length:]
	if fin {
		r.out.events = append(r.out.events, event{r.open, r.rsv1, string(r.body)})
		r.open, r.body = 0, nil
	}
	return true
}

func (r *reference) fail(err *Error) bool {
	if err != nil {
		r.out.err = err
	}
	return false
}

// slowHeader reads a header; rest is nil while it is not all there.
func slowHeader(o *DecoderOptions, b []byte) (fin bool, op Opcode, rsv1 bool, length uint64, key uint32, rest []byte, err *Error) {
	fin, rsv1, op = b[0]>>7 == 1, b[0]>>6&1 == 1, Opcode(b[0]%16)
	if b[0]>>4&3 != 0 || rsv1 && !(o.Deflate && (op == 1 || op == 2)) {
		err = ErrReservedBits
		return
	}
	if op > 2 && op < 8 || op > 10 {
		err = ErrOpcode
		return
	}
	if op >= 8 && !fin {
		err = ErrControlFragmented
		return
	}
	if len(b) < 2 {
		return
	}
	masked := b[1]>>7 == 1
	if masked && o.FromServer {
		err = ErrMasked
		return
	}
	if !masked && !o.FromServer {
		err = ErrUnmasked
		return
	}
	code := b[1] % 128
	if op >= 8 && code > 125 {
		err = ErrControlTooLong
		return
	}
	wide := map[byte]int{126: 2, 127: 8}[code]
	if len(b) < 2+wide {
		return
	}
	length = uint64(code)
	if wide > 0 {
		length = 0
		for _, c := range b[2 : 2+wide] {
			length = length<<8 | uint64(c)
		}
	}
	switch {
	case wide == 8 && b[2] >= 0x80:
		err = ErrLengthSign
		return
	case wide == 2 && length < 126, wide == 8 && length < 65536:
		err = ErrLengthNotMinimal
		return
	}
	b = b[2+wide:]
	if masked {
		if len(b) < 4 {
			return
		}
		for i := 3; i >= 0; i-- {
			key = key<<8 | uint32(b[i])
		}
		b = b[4:]
	}
	return fin, op, rsv1, length, key, b, nil
}

// canBecomeText tries whether any bytes can be added that make p valid.
func canBecomeText(p []byte) bool {
	tries := [][]byte{nil}
	for depth := 0; depth <= 3; depth++ {
		var next [][]byte
		for _, suffix := range tries {
			if utf8.Valid(append(append([]byte(nil), p...), suffix...)) {
				return true
			}
			for _, c := range []byte{0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF} {
				next = append(next, append(append([]byte(nil), suffix...), c))
			}
		}
		tries = next
	}
	return false
}
