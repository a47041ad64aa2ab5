package codec

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is offered, what is sent afterwards can be inflated by a client that has no more than the window of the answer (RFC 7692 §7.1.2.1), and
// nothing from before the message (§7.1.1.1).
func TestAnswersHoldForWhatIsSent(t *testing.T) {
	accepted := slices.DeleteFunc(slices.Clone(offers), func(o struct{ name, offer, answer string }) bool { return o.answer == "" })
	var d Deflater
	farthest := 0
	rapid.Check(t, func(t *rapid.T) {
		offer := rapid.SampledFrom(accepted).Draw(t, "offer").offer
		answer, ok := NegotiateDeflate([]string{offer})
		if !ok {
			t.Fatalf("%q is declined", offer)
		}
		bits := 15
		if text, limited := parametersOf(answer)[serverMaxWindowBits]; limited {
			var err error
			if bits, err = strconv.Atoi(text); err != nil {
				t.Fatalf("%q: %v", answer, err)
			}
		}
		payload := drawFarApart(t)
		frame, ok := d.AppendFrame(nil, OpBinary, payload)
		if !ok {
			return
		}
		_, n, err := ParseHeader(frame)
		if err != nil {
			t.Fatal(err)
		}
		out, far, err := inflateInWindow(frame[n:], 1<<bits)
		if err != nil || !bytes.Equal(out, payload) {
			t.Fatalf("%q, answered %q: %d bytes come back as %d, %v", offer, answer, len(payload), len(out), err)
		}
		farthest = max(farthest, far)
	})
	if farthest <= 1<<14 {
		t.Errorf("the farthest reference was %d bytes back: these payloads show nothing", farthest)
	}
}

// A window below the one answered is one that some frame does not fit: that is why such offers are declined.
func TestSharedFramesNeedTheLargestWindow(t *testing.T) {
	var d Deflater
	frame, ok := d.AppendFrame(nil, OpText, bytes.Repeat(updates(20<<10), 2))
	if !ok {
		t.Fatal("not deflated")
	}
	_, n, err := ParseHeader(frame)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := inflateInWindow(frame[n:], 1<<14); err == nil {
		t.Error("a window of 14 bits is enough: offers of it could be accepted")
	}
	if _, _, err := inflateInWindow(frame[n:], 1<<15); err != nil {
		t.Error(err)
	}
}

// drawFarApart draws blocks of noise that come again at all distances, beyond the largest window too.
func drawFarApart(t *rapid.T) []byte {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	blocks := [][]byte{noise(300), updates(2000), noise(9000), bytes.Repeat([]byte("ab"), 700), noise(20000)}
	var payload []byte
	for range rapid.IntRange(1, 12).Draw(t, "blocks") {
		block := blocks[r.IntN(len(blocks))]
		payload = append(payload, block[r.IntN(len(block)/2):]...)
	}
	return payload
}

var errWindow = errors.New("a reference beyond the window, or the message")

// inflateInWindow is DEFLATE (RFC 1951 §3.2) as one reads it in the document, for a message without its tail. far is how far back it was
// referred to at most.
func inflateInWindow(message []byte, window int) (out []byte, far int, err error) {
	b := bitReader{b: append(bytes.Clone(message), "\x00\x00\xff\xff"...)}
	defer func() {
		if fault, ok := recover().(error); ok {
			err = fault
		}
	}()
	for b.at < 8*len(b.b) {
		final := b.bits(1)
		switch b.bits(2) {
		case 0:
			b.at = (b.at + 7) / 8 * 8
			length := b.bits(16)
			if b.bits(16) != length^0xFFFF {
				return out, far, errors.New("stored block: the lengths differ")
			}
			for range length {
				out = append(out, byte(b.bits(8)))
			}
		case 1:
			literals := slices.Concat(slices.Repeat([]int{8}, 144), slices.Repeat([]int{9}, 112), slices.Repeat([]int{7}, 24), slices.Repeat([]int{8}, 8))
			out, far = b.block(out, far, window, newCode(literals), newCode(slices.Repeat([]int{5}, 30)))
		case 2:
			literals, distances := b.codes()
			out, far = b.block(out, far, window, literals, distances)
		default:
			return out, far, errors.New("block type 3")
		}
		if final == 1 {
			break
		}
	}
	return out, far, nil
}

type bitReader struct {
	b  []byte
	at int // in bits
}

func (r *bitReader) bits(n int) (v int) {
	for i := range n {
		if r.at >= 8*len(r.b) {
			panic(errors.New("it ends too early"))
		}
		v |= int(r.b[r.at/8]>>(r.at%8)&1) << i
		r.at++
	}
	return v
}

// code maps codes, as their length and bits, to symbols.
type code map[[2]int]int

// newCode is §3.2.2.
func newCode(lengths []int) code {
	c, next := code{}, 0
	for length := 1; length <= 15; length++ {
		for symbol, l := range lengths {
			if l == length {
				c[[2]int{length, next}] = symbol
				next++
			}
		}
		next <<= 1
	}
	return c
}

func (r *bitReader) symbol(c code) int {
	bits := 0
	for length := 1; length <= 15; length++ {
		bits = bits<<1 | r.bits(1)
		if symbol, ok := c[[2]int{length, bits}]; ok {
			return symbol
		}
	}
	panic(errors.New("no such code"))
}

// codes is §3.2.7.
func (r *bitReader) codes() (literals, distances code) {
	nl, nd, nc := r.bits(5)+257, r.bits(5)+1, r.bits(4)+4
	order := []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	lengths := make([]int, 19)
	for _, symbol := range order[:nc] {
		lengths[symbol] = r.bits(3)
	}
	meta := newCode(lengths)
	var all []int
	for len(all) < nl+nd {
		switch symbol := r.symbol(meta); symbol {
		case 16:
			for range 3 + r.bits(2) {
				all = append(all, all[len(all)-1])
			}
		case 17:
			all = append(all, make([]int, 3+r.bits(3))...)
		case 18:
			all = append(all, make([]int, 11+r.bits(7))...)
		default:
			all = append(all, symbol)
		}
	}
	return newCode(all[:nl]), newCode(all[nl:])
}

// block is §3.2.5.
func (r *bitReader) block(out []byte, far, window int, literals, distances code) ([]byte, int) {
	for {
		symbol := r.symbol(literals)
		switch {
		case symbol < 256:
			out = append(out, byte(symbol))
			continue
		case symbol == 256:
			return out, far
		}
		length := 258
		if symbol < 285 {
			length = symbol - 257 + 3
			if extra := (symbol - 261) / 4; extra > 0 {
				length = 3 + (4+(symbol-257)%4)<<extra
				length += r.bits(extra)
			}
		}
		d := r.symbol(distances)
		distance := d + 1
		if extra := d/2 - 1; extra > 0 {
			distance = 1 + (2+d%2)<<extra
			distance += r.bits(extra)
		}
		if distance > window || distance > len(out) {
			panic(fmt.Errorf("%w: %d bytes back, window %d, %d bytes so far", errWindow, distance, window, len(out)))
		}
		far = max(far, distance)
		for range length {
			out = append(out, out[len(out)-distance])
		}
	}
}
