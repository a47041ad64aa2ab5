package codec

import (
	"reflect"
	"strings"
	"testing"
)

// FuzzNext decodes a stream whole, byte by byte and in fuzzed pieces, or, where no cuts are given, in two at every byte; and on paper (reference):
// all must agree. feed checks on the way that the Decoder keeps no more than it may.
func FuzzNext(f *testing.F) {
	long := strings.Repeat("é", 100)
	for _, stream := range [][]byte{
		wire(f, "81 85 37fa213d 7f9f4d5158"),
		join(fragment(OpText, "\xf0\x9f"), final(OpPing, "ping"), final(OpContinuation, "\x98\x80")),
		join(final(OpBinary, long), rawFrame(0xC1, "deflated", 0), final(OpClose, "\x03\xe8bye")),
		join(rawFrame(0x01, long, 0), rawFrame(0x80, "x", 7)),
		wire(f, `81 05 "Hello" 01 03 "Hel" 89 00 80 02 "lo"`),
		wire(f, "82 FF 7FFFFFFFFFFFFFFF 00000000"),
		wire(f, "82 FF 8000000000000001 00000000 00"),
		wire(f, "82 7F 0000000000010000 00"),
	} {
		for _, flags := range []byte{0, 1, 3, 8, 13} {
			f.Add(stream, []byte{1, 5, 2}, flags)
			f.Add(stream, []byte{}, flags)
		}
	}
	f.Fuzz(func(t *testing.T, stream, cuts []byte, flags byte) {
		o := &DecoderOptions{
			FromServer:   flags&1 != 0,
			Deflate:      flags&2 != 0,
			MaxMessage:   []uint64{1 << 16, 300, 10, 0}[flags>>2&3],
			MaxFragments: int(flags >> 4),
		}
		want := decodeSlowly(o, stream)
		for name, cut := range map[string]func() int{"whole": pieces(1 << 20), "byte by byte": pieces(1), "cut": byCuts(cuts)} {
			if got := feed(t, o, stream, cut); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %x\n got %v\nwant %v", name, stream, got, want)
			}
		}
		if len(cuts) > 0 {
			return
		}
		for split := 1; split < min(len(stream), 512); split++ {
			sizes := []int{split, 1 << 20}
			cut := func() int {
				size := sizes[0]
				sizes = sizes[1:]
				return size
			}
			if got := feed(t, o, stream, cut); !reflect.DeepEqual(got, want) {
				t.Fatalf("split at %d: %x\n got %v\nwant %v", split, stream, got, want)
			}
		}
	})
}
