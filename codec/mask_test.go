package codec

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// The fast loop against the naive one, at any length, alignment and phase, in one run or several.
func TestMaskAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.Uint32().Draw(t, "key")
		plain := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")
		offset := rapid.IntRange(0, 9).Draw(t, "offset")
		want := append([]byte(nil), plain...)
		maskSlowly(want, key)

		room := make([]byte, offset+len(plain)+9)
		got := room[offset : offset+len(plain)]
		copy(got, plain)
		phase := key
		for rest := got; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "run")
			phase = mask(rest[:n], phase)
			rest = rest[n:]
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("key %08x: got %x, want %x", key, got, want)
		}
		if !bytes.Equal(room[:offset], make([]byte, offset)) || !bytes.Equal(room[offset+len(plain):], make([]byte, 9)) {
			t.Fatal("bytes around the payload were touched")
		}
	})
}

func TestMaskIsItsOwnInverse(t *testing.T) {
	p := []byte("RFC 6455 §5.3: the same algorithm masks and unmasks, in blocks of 64 and of 8 bytes and one by one")
	want := append([]byte(nil), p...)
	mask(p, testKey)
	mask(p, testKey)
	if !bytes.Equal(p, want) {
		t.Errorf("got %q", p)
	}
}
