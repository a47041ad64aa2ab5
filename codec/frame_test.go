package codec

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestParseHeader(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want Header
		n    int
	}{
		{"§5.2: nothing", nil, Header{}, 0},
		{"§5.2: one byte", wire(t, "81"), Header{}, 0},
		{"§5.2: unmasked", wire(t, "81 05"), Header{Length: 5, Op: OpText, Fin: true}, 2},
		{"§5.2: masked, key to come", wire(t, "81 85 01 02 03"), Header{}, 0},
		{"§5.2: masked", wire(t, "01 85 01 02 03 04 FF"), Header{Length: 5, Op: OpText, Masked: true, Key: 0x04030201}, 6},
		{"§5.2: 16-bit length to come", wire(t, "82 7E 01"), Header{}, 0},
		{"§5.2: 16-bit length", wire(t, "82 7E 007E"), Header{Length: 126, Op: OpBinary, Fin: true}, 4},
		{"§5.2: 64-bit length to come", wire(t, "82 7F 00000000000100"), Header{}, 0},
		{"§5.2: 64-bit length", wire(t, "82 7F 0000000000010000"), Header{Length: 65536, Op: OpBinary, Fin: true}, 10},
		{"§5.2: longest length", wire(t, "82 FF 7FFFFFFFFFFFFFFF 00000000"), Header{Length: math.MaxInt64, Op: OpBinary, Fin: true, Masked: true}, 14},
		{"RFC 7692 §6: RSV1", wire(t, "C1 00"), Header{Op: OpText, Fin: true, RSV1: true}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, n, err := ParseHeader(tt.in)
			if err != nil || n != tt.n || n > 0 && h != tt.want {
				t.Errorf("got %+v, n %d, error %v; want %+v, n %d", h, n, err, tt.want, tt.n)
			}
		})
	}
	if _, n, err := ParseHeader(wire(t, "89 7E")); err != ErrControlTooLong || n != 0 {
		t.Errorf("§5.5: long ping: n %d, error %v", n, err)
	}
}

func TestAppendFrame(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 100000} {
		payload := []byte(strings.Repeat("p", size))
		frame := AppendFrame([]byte("before"), OpBinary, payload)[6:]
		if len(frame) != FrameSize(size) {
			t.Errorf("%d bytes: frame of %d, FrameSize %d", size, len(frame), FrameSize(size))
		}
		h, n, err := ParseHeader(frame)
		if want := (Header{Length: uint64(size), Op: OpBinary, Fin: true}); err != nil || h != want || !bytes.Equal(frame[n:], payload) {
			t.Errorf("%d bytes: header %+v, error %v", size, h, err)
		}

		masked := AppendMaskedFrame(nil, OpBinary, payload, testKey)
		if want := final(OpBinary, string(payload)); !bytes.Equal(masked, want) {
			t.Errorf("%d bytes masked: %.20x, want %.20x", size, masked, want)
		}
		if len(payload) > 0 && payload[0] != 'p' {
			t.Errorf("%d bytes: the payload was masked in place", size)
		}
	}
}

func TestOpcodes(t *testing.T) {
	control := map[Opcode]string{OpClose: "close", OpPing: "ping", OpPong: "pong"}
	data := map[Opcode]string{OpContinuation: "continuation", OpText: "text", OpBinary: "binary"}
	for op, name := range control {
		if !op.IsControl() || op.String() != name {
			t.Errorf("%v: control %v, named %q", uint8(op), op.IsControl(), op)
		}
	}
	for op, name := range data {
		if op.IsControl() || op.String() != name {
			t.Errorf("%v: control %v, named %q", uint8(op), op.IsControl(), op)
		}
	}
	if Opcode(7).String() != "reserved" {
		t.Errorf("7 is named %q", Opcode(7))
	}
}
