package codec

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

func TestNextRefuses(t *testing.T) {
	o := &DecoderOptions{MaxMessage: 1 << 16, MaxFragments: 8}
	tests := []struct {
		name   string
		stream []byte
		want   *Error
	}{
		{"RFC 6455 §5.2: RSV1 without an extension", wire(t, "C1"), ErrReservedBits},
		{"RFC 6455 §5.2: RSV1 on binary", wire(t, "C2"), ErrReservedBits},
		{"RFC 6455 §5.2: RSV2", wire(t, "A2"), ErrReservedBits},
		{"RFC 6455 §5.2: RSV3", wire(t, "92"), ErrReservedBits},
		{"RFC 6455 §5.2: opcode 3", wire(t, "83"), ErrOpcode},
		{"RFC 6455 §5.2: opcode 7", wire(t, "87"), ErrOpcode},
		{"RFC 6455 §5.2: opcode B", wire(t, "8B"), ErrOpcode},
		{"RFC 6455 §5.2: opcode F", wire(t, "8F"), ErrOpcode},
		{"RFC 6455 §5.1: unmasked client frame", wire(t, `82 05`), ErrUnmasked},
		{"RFC 6455 §5.1: unmasked empty ping", wire(t, `89 00`), ErrUnmasked},
		{"RFC 6455 §5.2: 16-bit length below 126", wire(t, "82 FE 007D"), ErrLengthNotMinimal},
		{"RFC 6455 §5.2: 64-bit length below 65536", wire(t, "82 FF 000000000000FFFF"), ErrLengthNotMinimal},
		{"RFC 6455 §5.2: 64-bit length 2^63", wire(t, "82 FF 8000000000000000"), ErrLengthSign},
		{"RFC 6455 §5.2: 64-bit length 2^63+1 (CVE-2026-27889)", wire(t, "82 FF 8000000000000001 00000000 00"), ErrLengthSign},
		{"RFC 6455 §5.2: 64-bit length FFFFFFFFFFFFFFFF", wire(t, "82 FF FFFFFFFFFFFFFFFF"), ErrLengthSign},
		{"RFC 6455 §5.2: 64-bit length FFFFFFFF00000000", wire(t, "82 FF FFFFFFFF00000000"), ErrLengthSign},
		{"RFC 6455 §7.4.1: 64-bit length 2^63-1", wire(t, "82 FF 7FFFFFFFFFFFFFFF 00000000"), ErrMessageTooBig},
		{"RFC 6455 §7.4.1: one byte over the limit", wire(t, "82 FF 0000000000010001 00000000"), ErrMessageTooBig},
		{"RFC 6455 §7.4.1: 2^63-1 continues limit-1 (CVE-2020-27813)",
			join(fragment(OpBinary, strings.Repeat("x", 1<<16-1)), wire(t, "80 FF 7FFFFFFFFFFFFFFF 00000000")), ErrMessageTooBig},
		{"RFC 6455 §7.4.1: 2^63-1 in a new frame after limit-1 (CVE-2020-27813)",
			join(fragment(OpBinary, strings.Repeat("x", 1<<16-1)), wire(t, "82 FF 7FFFFFFFFFFFFFFF 00000000")), ErrMessageTooBig},
		{"RFC 6455 §7.4.1: two bytes continue limit-1",
			join(fragment(OpBinary, strings.Repeat("x", 1<<16-1)), final(OpContinuation, "xx")), ErrMessageTooBig},
		{"RFC 6455 §5.5: ping of 126 bytes", wire(t, "89 FE"), ErrControlTooLong},
		{"RFC 6455 §5.5: close of 64-bit length", wire(t, "88 FF"), ErrControlTooLong},
		{"RFC 6455 §5.5: fragmented ping", wire(t, "09"), ErrControlFragmented},
		{"RFC 6455 §5.5: fragmented close", wire(t, "08"), ErrControlFragmented},
		{"RFC 6455 §5.4: continuation with nothing open", final(OpContinuation, "x"), ErrContinuation},
		{"RFC 6455 §5.4: continuation after a whole message", join(final(OpText, "x"), fragment(OpContinuation, "")), ErrContinuation},
		{"RFC 6455 §5.4: text inside a fragmented text", join(fragment(OpText, "x"), final(OpText, "y")), ErrInterleaved},
		{"RFC 6455 §5.4: binary inside a fragmented text", join(fragment(OpText, ""), fragment(OpBinary, "y")), ErrInterleaved},
		{"RFC 6455 §7.4.1: nine fragments of eight allowed", join(fragment(OpBinary, "x"), bytes.Repeat(fragment(OpContinuation, "x"), 8)), ErrTooManyFragments},
		{"RFC 6455 §7.4.1: endless empty fragments (CVE-2014-0193)", join(fragment(OpText, ""), bytes.Repeat(wire(t, "00 80 11223344"), 100)), ErrTooManyFragments},
		{"RFC 6455 §7.4.1: one-byte fragments (CVE-2026-48779)", join(fragment(OpText, ""), bytes.Repeat(wire(t, "00 81 11223344 70"), 100000)), ErrTooManyFragments},

		{"RFC 6455 §8.1: invalid byte", final(OpText, "ab\xffcd"), ErrInvalidText},
		{"RFC 6455 §8.1: truncated at FIN", final(OpText, "\xe2\x82"), ErrInvalidText},
		{"RFC 6455 §8.1: truncated at the FIN of an empty last fragment", join(fragment(OpText, "\xe2\x82"), final(OpContinuation, "")), ErrInvalidText},
		{"RFC 6455 §8.1: code point broken off by the next fragment", join(fragment(OpText, "\xe2\x82"), fragment(OpContinuation, "a")), ErrInvalidText},
		{"RFC 3629 §4: overlong slash", fragment(OpText, "\xc0"), ErrInvalidText},
		{"RFC 3629 §4: overlong in three bytes", fragment(OpText, "\xe0\x80"), ErrInvalidText},
		{"RFC 3629 §4: overlong in four bytes", fragment(OpText, "\xf0\x8f"), ErrInvalidText},
		{"RFC 3629 §4: surrogate, at its second byte", fragment(OpText, "\xed\xa0"), ErrInvalidText},
		{"RFC 3629 §4: above U+10FFFF, at its second byte", fragment(OpText, "\xf4\x90"), ErrInvalidText},
		{"RFC 3629 §4: five-byte form", fragment(OpText, "\xf8"), ErrInvalidText},
		{"RFC 6455 §8.1: invalid at byte 1 of a message that has only begun", final(OpText, "\xff"+strings.Repeat("a", 60000))[:9], ErrInvalidText},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1 << 20, 1, 2, 3, 7} {
				if got := feed(t, o, tt.stream, pieces(size)); got.err != tt.want {
					t.Errorf("in pieces of %d: error %v, want %v", size, got.err, tt.want)
				}
			}
		})
	}
}

func TestNextDelivers(t *testing.T) {
	long := strings.Repeat("0123456789abcde\n", 1<<12) // 65,536 bytes
	tests := []struct {
		name   string
		o      *DecoderOptions
		stream []byte
		want   []event
	}{
		{"RFC 6455 §5.7: single-frame masked text", nil, wire(t, "81 85 37fa213d 7f9f4d5158"), []event{{OpText, false, "Hello"}}},
		{"RFC 6455 §5.7: fragmented text", nil, join(fragment(OpText, "Hel"), final(OpContinuation, "lo")), []event{{OpText, false, "Hello"}}},
		{"RFC 6455 §5.7: ping", nil, wire(t, "89 85 37fa213d 7f9f4d5158"), []event{{OpPing, false, "Hello"}}},
		{"RFC 6455 §5.7: 256 bytes binary", nil, final(OpBinary, long[:256]), []event{{OpBinary, false, long[:256]}}},
		{"RFC 6455 §5.7: 64 KiB binary", nil, final(OpBinary, long), []event{{OpBinary, false, long}}},
		{"RFC 6455 §5.2: lengths at the borders of the encodings", nil,
			join(final(OpBinary, long[:125]), final(OpBinary, long[:126]), final(OpBinary, long[:65535])),
			[]event{{OpBinary, false, long[:125]}, {OpBinary, false, long[:126]}, {OpBinary, false, long[:65535]}}},
		{"RFC 6455 §5.3: masking key 0", nil, rawFrame(0x81, "zero", 0), []event{{OpText, false, "zero"}}},
		{"RFC 6455 §5.1: unmasked from a server", &DecoderOptions{FromServer: true, MaxMessage: 5, MaxFragments: 1}, wire(t, `81 05 "Hello"`), []event{{OpText, false, "Hello"}}},
		{"RFC 6455 §5.6: empty messages", nil, join(final(OpText, ""), final(OpBinary, "")), []event{{OpText, false, ""}, {OpBinary, false, ""}}},
		{"RFC 6455 §5.4: empty fragments", nil, join(fragment(OpText, ""), fragment(OpContinuation, ""), final(OpContinuation, "")), []event{{OpText, false, ""}}},
		{"RFC 6455 §5.4: control frames between fragments", nil,
			join(fragment(OpText, "one "), final(OpPing, "p"), final(OpPong, ""), fragment(OpContinuation, "two "), final(OpClose, "\x03\xe8"), final(OpContinuation, "three")),
			[]event{{OpPing, false, "p"}, {OpPong, false, ""}, {OpClose, false, "\x03\xe8"}, {OpText, false, "one two three"}}},
		{"RFC 6455 §5.5: control frame of 125 bytes inside an open code point", nil,
			join(fragment(OpText, "\xf0\x9f"), final(OpPing, long[:125]), final(OpContinuation, "\x98\x80")),
			[]event{{OpPing, false, long[:125]}, {OpText, false, "😀"}}},
		{"RFC 6455 §5.5.3: unsolicited pongs", nil, bytes.Repeat(final(OpPong, "x"), 3), []event{{OpPong, false, "x"}, {OpPong, false, "x"}, {OpPong, false, "x"}}},
		{"RFC 6455 §8.1: U+10FFFF byte by byte", nil,
			join(fragment(OpText, "\xf4"), fragment(OpContinuation, "\x8f"), fragment(OpContinuation, "\xbf"), final(OpContinuation, "\xbf")),
			[]event{{OpText, false, "\U0010FFFF"}}},
		{"RFC 6455 §5.6: binary is not checked", nil, final(OpBinary, "\xff\xfe"), []event{{OpBinary, false, "\xff\xfe"}}},
		{"RFC 6455 §7.4.1: eight fragments of eight allowed", nil, join(fragment(OpText, "1"), bytes.Repeat(fragment(OpContinuation, "x"), 6), final(OpContinuation, "8")),
			[]event{{OpText, false, "1xxxxxx8"}}},
		{"RFC 7692 §6: RSV1 on the first frame only", &DecoderOptions{Deflate: true, MaxMessage: 9, MaxFragments: 2},
			join(rawFrame(0x41, "\xff", testKey), final(OpContinuation, "\xfe"), final(OpText, "plain"), rawFrame(0xC2, "\xf0", testKey)),
			[]event{{OpText, true, "\xff\xfe"}, {OpText, false, "plain"}, {OpBinary, true, "\xf0"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.o == nil {
				tt.o = small()
			}
			want := outcome{events: tt.want}
			for _, size := range []int{1 << 20, 1, 2, 3, 5, 8, 1000} {
				if got := feed(t, tt.o, tt.stream, pieces(size)); !reflect.DeepEqual(got, want) {
					t.Errorf("in pieces of %d:\n got %.300v\nwant %.300v", size, got, want)
				}
			}
		})
	}
}

func TestDeflateRefuses(t *testing.T) {
	o := &DecoderOptions{Deflate: true, MaxMessage: 9, MaxFragments: 2}
	for _, tt := range []struct {
		name   string
		stream []byte
		want   *Error
	}{
		{"RFC 7692 §6.1: RSV1 on a continuation", join(rawFrame(0x41, "x", 1), rawFrame(0xC0, "x", 1)), ErrReservedBits},
		{"RFC 7692 §6.1: RSV1 on a continuation only", join(rawFrame(0x01, "x", 1), rawFrame(0xC0, "x", 1)), ErrReservedBits},
		{"RFC 7692 §6.1: RSV1 on a continuation that is not the last", join(rawFrame(0x42, "x", 1), rawFrame(0x40, "x", 1)), ErrReservedBits},
		{"RFC 7692 §6.1: RSV1 on a ping", rawFrame(0xC9, "", 1), ErrReservedBits},
		{"RFC 7692 §6.1: RSV1 on a pong", rawFrame(0xCA, "", 1), ErrReservedBits},
		{"RFC 7692 §6.1: RSV1 on a close", rawFrame(0xC8, "", 1), ErrReservedBits},
		{"RFC 7692 §6.1: RSV1 on a ping inside a deflated message", join(rawFrame(0x41, "x", 1), rawFrame(0xC9, "", 1)), ErrReservedBits},
		{"RFC 7692 §6: RSV1 and RSV2", rawFrame(0xE1, "x", 1), ErrReservedBits},
		{"RFC 7692 §6: RSV1 and RSV3", rawFrame(0xD1, "x", 1), ErrReservedBits},
		{"RFC 7692 §6: RSV1 on opcode 3", rawFrame(0xC3, "x", 1), ErrReservedBits},
		{"RFC 6455 §7.4.1: deflated bytes over the limit", rawFrame(0xC1, strings.Repeat("x", 100), 1), ErrMessageTooBig},
		{"RFC 6455 §7.4.1: deflated fragments over the limit", join(rawFrame(0x41, strings.Repeat("x", 50), 1), rawFrame(0x80, strings.Repeat("x", 50), 1)), ErrMessageTooBig},
		{"RFC 6455 §7.4.1: three deflated fragments of two allowed", join(rawFrame(0x41, "", 1), rawFrame(0x00, "", 1), rawFrame(0x80, "", 1)), ErrTooManyFragments},
		{"RFC 6455 §8.1: text that is not deflated is checked", rawFrame(0x81, "\xff", 1), ErrInvalidText},
		{"RFC 6455 §8.1: also behind a deflated message", join(rawFrame(0xC1, "\xff", 1), rawFrame(0x81, "\xff", 1)), ErrInvalidText},
		{"RFC 6455 §5.5.1: a control frame inside a deflated message is whole", join(rawFrame(0x41, "x", 1), rawFrame(0x08, "", 1)), ErrControlFragmented},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1 << 20, 1, 3} {
				if got := feed(t, o, tt.stream, pieces(size)); got.err != tt.want {
					t.Errorf("in pieces of %d: error %v, want %v", size, got.err, tt.want)
				}
			}
		})
	}
}

// Connections of the same options differ in what their handshakes agreed on.
func TestAllowDeflateIsOfOneConnection(t *testing.T) {
	o := small()
	frame := func() []byte { return rawFrame(0xC1, "\xff", testKey) }
	var with, without Decoder
	with.Init(o)
	without.Init(o)
	with.AllowDeflate()
	if m, _, err := with.Next(frame()); err != nil || m.Op != OpText || !m.RSV1 || string(m.Payload) != "\xff" {
		t.Errorf("RFC 7692 §6: agreed on, but message %v, RSV1 %v, error %v", m.Op, m.RSV1, err)
	}
	if _, _, err := without.Next(frame()); err != ErrReservedBits {
		t.Errorf("RFC 7692 §6: not agreed on, but error %v, want %v", err, ErrReservedBits)
	}
	with.Init(o)
	if _, _, err := with.Next(frame()); err != ErrReservedBits {
		t.Errorf("the next connection: error %v, want %v", err, ErrReservedBits)
	}
}

func TestMaskedServerFrameIsRefused(t *testing.T) {
	o := &DecoderOptions{FromServer: true, MaxMessage: 99, MaxFragments: 2}
	if got := feed(t, o, final(OpText, "x"), pieces(1)); got.err != ErrMasked {
		t.Errorf("RFC 6455 §5.1: error %v, want %v", got.err, ErrMasked)
	}
}

// Every kind of frame, its stream cut in two at every byte: a header has up to 14 borders, payloads have theirs.
func TestNextAtEverySplit(t *testing.T) {
	text := strings.Repeat("aé€😀", 30)
	mixed := join(
		final(OpText, text), final(OpPing, "ping"), fragment(OpBinary, text), final(OpPong, ""), fragment(OpContinuation, text[:7]),
		final(OpClose, "\x0f\xa0"), final(OpContinuation, strings.Repeat("z", 300)), final(OpText, ""), rawFrame(0x01, text[:5], 0),
		final(OpContinuation, text[5:]))
	big := final(OpBinary, strings.Repeat("y", 65536))
	for _, tt := range []struct {
		name     string
		stream   []byte
		splits   int
		messages int
	}{
		{"mixed", mixed, len(mixed) - 1, 7},
		{"64-bit length", big, maxHeader + 2, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &DecoderOptions{MaxMessage: 1 << 17, MaxFragments: 4}
			want := feed(t, o, tt.stream, pieces(1<<20))
			if want.err != nil || len(want.events) != tt.messages {
				t.Fatalf("whole stream: %d messages, error %v", len(want.events), want.err)
			}
			for i := 1; i <= tt.splits; i++ {
				sizes := []int{i, 1 << 20}
				cut := func() int {
					size := sizes[0]
					sizes = sizes[1:]
					return size
				}
				if got := feed(t, o, tt.stream, cut); !reflect.DeepEqual(got, want) {
					t.Fatalf("cut at byte %d: %d messages, error %v", i, len(got.events), got.err)
				}
			}
		})
	}
}

func TestHeldMemory(t *testing.T) {
	o := &DecoderOptions{MaxMessage: 1 << 20, MaxFragments: 4}
	var d Decoder
	d.Init(o)
	if d.Partial() || d.Held() != 0 {
		t.Fatalf("new: partial %v, %d bytes held", d.Partial(), d.Held())
	}
	stream := final(OpBinary, strings.Repeat("x", 1<<20)) // a declared MiB costs nothing
	step := func(n int) (m Message) {
		t.Helper()
		m, k, err := d.Next(stream[:n])
		if err != nil || k != n {
			t.Fatalf("n %d of %d, error %v", k, n, err)
		}
		stream = stream[n:]
		return m
	}
	step(13)
	if !d.Partial() || d.Held() != 0 {
		t.Fatalf("13 bytes of header: partial %v, %d bytes held", d.Partial(), d.Held())
	}
	step(2)
	if d.Held() > 64 {
		t.Fatalf("1 byte of payload: %d bytes held", d.Held())
	}
	step(10000)
	if d.Held() > 20002 {
		t.Fatalf("10,001 bytes of payload: %d bytes held", d.Held())
	}
	if m := step(len(stream)); m.Op != OpBinary || len(m.Payload) != 1<<20 || cap(m.Payload) != 1<<20 {
		t.Fatalf("message %v of %d bytes in %d", m.Op, len(m.Payload), cap(m.Payload))
	}
	if d.Partial() || d.Held() != 0 {
		t.Fatalf("between messages: partial %v, %d bytes held", d.Partial(), d.Held())
	}

	stream = fragment(OpText, "abc")
	step(len(stream))
	if !d.Partial() || d.Held() == 0 {
		t.Fatalf("open message: partial %v, %d bytes held", d.Partial(), d.Held())
	}
	d.Release()
	if d.Partial() || d.Held() != 0 {
		t.Fatalf("released: partial %v, %d bytes held", d.Partial(), d.Held())
	}
}

func TestWholeFrameStaysInPlace(t *testing.T) {
	var d Decoder
	d.Init(small())
	b := join(final(OpText, "in place"), final(OpPing, ""))
	m, n, err := d.Next(b)
	if err != nil || n != 14 || string(m.Payload) != "in place" || &m.Payload[0] != &b[6] || cap(m.Payload) != 8 {
		t.Fatalf("message %q, n %d, capacity %d, error %v", m.Payload, n, cap(m.Payload), err)
	}
}

func TestDecoderIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Decoder{}); size > 96 {
		t.Errorf("a Decoder takes %d bytes, more than 96", size)
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	for _, payload := range []string{"", "small", strings.Repeat("x", 1000), strings.Repeat("世界", 20000)} {
		frame := final(OpText, payload)
		var d Decoder
		d.Init(&DecoderOptions{MaxMessage: 1 << 20, MaxFragments: 1})
		allocs := testing.AllocsPerRun(20, func() {
			m, _, err := d.Next(frame)
			if err != nil || len(m.Payload) != len(payload) {
				panic(fmt.Sprint(len(m.Payload), err))
			}
			mask(m.Payload, testKey) // for the next round
		})
		if allocs != 0 {
			t.Errorf("%d bytes of text: %v allocations", len(payload), allocs)
		}
	}
}

// A frame of 64 KiB in 65,536 segments grows its buffer a few times, not 65,536 times: time is linear.
func TestManySegmentsAreLinear(t *testing.T) {
	frame := final(OpBinary, strings.Repeat("x", 1<<16))
	o := small()
	var d Decoder
	allocs := testing.AllocsPerRun(1, func() {
		d.Init(o)
		done := false
		for i := range frame {
			m, _, err := d.Next(frame[i : i+1])
			if err != nil {
				panic(err)
			}
			done = m.Op == OpBinary
		}
		if !done {
			panic("no message")
		}
	})
	if allocs > 12 {
		t.Errorf("%v allocations for 65,536 segments", allocs)
	}
}

// Streams of mostly legal frames, cut anywhere, against the reference.
func TestNextAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := &DecoderOptions{
			Deflate:      rapid.Bool().Draw(t, "deflate"),
			MaxMessage:   rapid.SampledFrom([]uint64{0, 10, 200, 1 << 17}).Draw(t, "max message"),
			MaxFragments: rapid.IntRange(0, 6).Draw(t, "max fragments"),
		}
		var stream []byte
		for range rapid.IntRange(1, 8).Draw(t, "frames") {
			stream = append(stream, drawFrame(t)...)
		}
		stream = stream[:len(stream)-min(len(stream), rapid.IntRange(0, 3).Draw(t, "missing"))]
		want := decodeSlowly(o, stream)
		cuts := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "cuts")
		for _, cut := range []func() int{pieces(1 << 20), pieces(1), byCuts(cuts)} {
			if got := feed(t, o, stream, cut); !reflect.DeepEqual(got, want) {
				t.Fatalf("stream %x\n got %v\nwant %v", stream, got, want)
			}
		}
	})
}

func drawFrame(t *rapid.T) []byte {
	first := rapid.SampledFrom([]byte{0x81, 0x82, 0x01, 0x02, 0x00, 0x00, 0x00, 0x80, 0x80, 0x89, 0x8A, 0x88, 0xC1, 0x42, 0xC0, 0x83}).Draw(t, "first")
	payload := rapid.SampledFrom([]string{"", "a", "é", "\xe2", "\xe2\x82", "\x82", "\xac", "😀", "\xf0", "\xff", "héllo wörld",
		strings.Repeat("long ", 30), strings.Repeat("lönger", 40), strings.Repeat("x", 66000)}).Draw(t, "payload")
	return rawFrame(first, payload, rapid.SampledFrom([]uint32{0, 1, testKey, 0xFFFFFFFF}).Draw(t, "key"))
}
