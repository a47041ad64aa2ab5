package codec

import (
	"encoding/hex"
	"strings"
	"testing"
)

// What the tests share: readable bytes, and a run of a Decoder over a stream cut in any way.

// wire reads hex with spaces; words in quotes stand for themselves: `81 85 "mask" …`, '·' between is free.
func wire(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for i, part := range strings.Split(s, `"`) {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(part), ""))
		if err != nil {
			t.Fatalf("wire %q: %v", s, err)
		}
		out = append(out, b...)
	}
	return out
}

// rawFrame is a client's frame with any first byte and key, however wrong, and its length minimally encoded.
func rawFrame(first byte, payload string, key uint32) []byte {
	b := appendHeader(nil, first, bitMask, len(payload))
	b = append(b, byte(key), byte(key>>8), byte(key>>16), byte(key>>24))
	start := len(b)
	b = append(b, payload...)
	maskSlowly(b[start:], key)
	return b
}

const testKey = 0xA1B2C3D4

func fragment(op Opcode, payload string) []byte { return rawFrame(byte(op), payload, testKey) }
func final(op Opcode, payload string) []byte    { return rawFrame(bitFIN|byte(op), payload, testKey) }

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func maskSlowly(b []byte, key uint32) {
	for i := range b {
		b[i] ^= byte(key >> (8 * (i % 4)))
	}
}

// fataler is what *testing.T, *testing.F and *rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// event is a message whose payload outlives the decoder's.
type event struct {
	op      Opcode
	rsv1    bool
	payload string
}

// outcome is everything that a stream of bytes led to.
type outcome struct {
	events  []event
	err     error
	partial bool
}

func small() *DecoderOptions { return &DecoderOptions{MaxMessage: 1 << 16, MaxFragments: 8} }

// feed runs a new decoder over stream in pieces; cut says how long the next piece is (at least 1 is taken).
func feed(t fataler, o *DecoderOptions, stream []byte, cut func() int) outcome {
	t.Helper()
	var d Decoder
	d.Init(o)
	var got outcome
	seen := 0
	for rest := append([]byte(nil), stream...); len(rest) > 0; {
		size := min(max(cut(), 1), len(rest))
		piece := append([]byte(nil), rest[:size]...)
		rest = rest[size:]
		for len(piece) > 0 {
			m, n, err := d.Next(piece)
			if n < 0 || n > len(piece) {
				t.Fatalf("Next took %d of %d bytes", n, len(piece))
			}
			seen += n
			if held := d.Held(); held > 2*seen+64 || uint64(held) > o.MaxMessage+maxControl {
				t.Fatalf("%d bytes held after %d bytes of input", held, seen)
			}
			if err != nil {
				checkFailed(t, &d, err)
				got.err = err
				return got
			}
			if m.Op == OpContinuation {
				if n != len(piece) {
					t.Fatalf("no message, but %d of %d bytes taken", n, len(piece))
				}
				break
			}
			got.events = append(got.events, event{m.Op, m.RSV1, string(m.Payload)})
			if cap(m.Payload) != len(m.Payload) {
				t.Fatalf("payload of %d bytes has capacity for %d", len(m.Payload), cap(m.Payload))
			}
			piece = piece[n:]
		}
	}
	got.partial = d.Partial()
	if !got.partial && d.Held() != 0 {
		t.Fatalf("%d bytes held between messages", d.Held())
	}
	return got
}

func checkFailed(t fataler, d *Decoder, err error) {
	t.Helper()
	if _, ok := err.(*Error); !ok {
		t.Fatalf("error is a %T", err)
	}
	m, n, again := d.Next([]byte{0x81, 0x80, 0, 0, 0, 0})
	if again != err || n != 6 || m.Op != OpContinuation || d.Held() != 0 {
		t.Fatalf("after %v: message %v, n %d, error %v, %d bytes held", err, m, n, again, d.Held())
	}
}

// pieces cuts a stream into pieces of n bytes.
func pieces(n int) func() int { return func() int { return n } }

// byCuts takes the lengths of the pieces from fuzzed bytes, round and round.
func byCuts(cuts []byte) func() int {
	i := 0
	return func() int {
		if len(cuts) == 0 {
			return 1 << 20
		}
		i++
		return int(cuts[(i-1)%len(cuts)])
	}
}
