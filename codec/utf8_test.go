package codec

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestIncompleteTail(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		tail       int
	}{
		{"nothing", "", 0},
		{"ASCII", "abc", 0},
		{"whole code points", "aé€😀", 0},
		{"1 of 2", "a\xc3", 1},
		{"1 of 3", "\xe2", 1},
		{"2 of 3", "a\xe2\x82", 2},
		{"1 of 4", "\xf0", 1},
		{"2 of 4", "\xf0\x9f", 2},
		{"3 of 4", "aaaa\xf0\x9f\x98", 3},
		{"continuation bytes without a start", "\x80\x80\x80", 0},
		{"overlong", "\xe0\x80", 0},
		{"surrogate", "\xed\xa0", 0},
		{"above U+10FFFF", "\xf4\x90", 0},
		{"never a start", "\xff", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := incompleteTail([]byte(tt.text)); got != tt.tail {
				t.Errorf("tail of %d bytes, want %d", got, tt.tail)
			}
		})
	}
}

// Every code point, and every pair of bytes at the borders of the vectors, as the standard library judges them.
func TestValidTextExhaustively(t *testing.T) {
	for r := rune(0); r <= utf8.MaxRune+1; r++ {
		s := []byte(strings.Repeat("a", 33) + string(r))
		if !validText(s) {
			t.Fatalf("%U is refused", r)
		}
	}
	p := []byte(strings.Repeat("世", 24))
	for _, at := range []int{0, 15, 30, 31, 32, 63, len(p) - 2} {
		for pair := range 1 << 16 {
			a, b := p[at], p[at+1]
			p[at], p[at+1] = byte(pair>>8), byte(pair)
			if got, want := validText(p), utf8.Valid(p); got != want {
				t.Fatalf("%x: valid %v, want %v", p, got, want)
			}
			p[at], p[at+1] = a, b
		}
	}
}

// A text checked in pieces is judged as it is whole, and refused in the very piece that spoils it.
func checkPieces(t fataler, text []byte, cut func() int) {
	t.Helper()
	tail := 0
	for end := 0; end < len(text); {
		start := end - tail
		end = min(len(text), end+max(1, cut()))
		var ok bool
		tail, ok = validTextPrefix(text[start:end])
		if want := canBecomeText(text[:end]); ok != want {
			t.Fatalf("%x: after %d bytes ok is %v, want %v", text, end, ok, want)
		}
		if !ok {
			return
		}
		if whole := utf8.Valid(text[:end]); whole != (tail == 0) {
			t.Fatalf("%x: after %d bytes the tail is %d, but valid is %v", text, end, tail, whole)
		}
	}
}

func TestValidTextInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text []byte
		for range rapid.IntRange(0, 20).Draw(t, "parts") {
			text = append(text, rapid.SampledFrom([]string{"a", "é", "€", "😀", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf",
				"\x80", "\xc0", "\xe2\x82", "\xed\xa0", "\xf0\x8f", "\xf4\x90", "long enough for a vector of bytes "}).Draw(t, "part")...)
		}
		checkPieces(t, text, byCuts(rapid.SliceOfN(rapid.Byte(), 1, 6).Draw(t, "cuts")))
	})
}

func FuzzUTF8(f *testing.F) {
	f.Add([]byte("héllo wörld €😀, and more than a vector of it"), []byte{1, 2, 3})
	f.Add([]byte("\xed\xa0\x80"), []byte{1})
	f.Add([]byte("\xf4\x8f\xbf\xbf\xf4\x90\x80\x80"), []byte{5})
	f.Fuzz(func(t *testing.T, text, cuts []byte) {
		if got, want := validText(text), utf8.Valid(text); got != want {
			t.Fatalf("%x: valid %v, want %v", text, got, want)
		}
		checkPieces(t, text[:min(len(text), 256)], byCuts(cuts))
	})
}
