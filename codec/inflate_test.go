package codec

import (
	"bytes"
	stdflate "compress/flate"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestInflate(t *testing.T) {
	tests := []struct {
		name string
		src  []byte
		want string
	}{
		{"RFC 7692 §7.2.3.1: fixed codes", wire(t, "f2 48 cd c9 c9 07 00"), "Hello"},
		{"RFC 7692 §7.2.3.2: the second message, when no context is kept", wire(t, "f2 48 cd c9 c9 07 00"), "Hello"},
		{"RFC 7692 §7.2.3.3: block without compression", wire(t, `00 05 00 fa ff "Hello" 00`), "Hello"},
		{"RFC 7692 §7.2.3.4: BFINAL set", wire(t, "f3 48 cd c9 c9 07 00 00"), "Hello"},
		{"RFC 7692 §7.2.3.5: two blocks", wire(t, "f2 48 05 00 00 00 ff ff ca c9 c9 07 00"), "Hello"},
		{"RFC 7692 §7.2.3.6: empty message", wire(t, "00"), ""},
		{"RFC 7692 §7.2.3.6: empty message, in a fixed block", wire(t, "02 00"), ""},
		{"RFC 7692 §7.2.1: blocks after one with BFINAL", wire(t, "f3 48 cd c9 c9 07 00 f2 48 cd c9 c9 07 00"), "HelloHello"},
		{"RFC 7692 §7.2.1: BFINAL on every block", wire(t, "f3 48 cd c9 c9 07 00 f3 48 cd c9 c9 07 00 00"), "HelloHello"},
		{"RFC 7692 §7.2.1: reference back across BFINAL", wire(t, "f3 48 cd c9 c9 07 00 02 13 00 00"), "HelloHello"},
		{"RFC 7692 §7.2.1: BFINAL on the empty block at the end", wire(t, "f2 48 cd c9 c9 07 00 00 00 ff ff 01"), "Hello"},
		{"RFC 7692 §7.2.1: BFINAL without a block behind it", wire(t, "f3 48 cd c9 c9 07 00"), "Hello"},
		{"RFC 7692 §7.2.1: 15 final blocks and another", append(bytes.Repeat(wire(t, "03 00"), 15), wire(t, "f2 48 cd c9 c9 07 00")...), "Hello"},
	}
	var shared Inflater
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := string(tt.src)
			for name, i := range map[string]*Inflater{"new": {}, "used": &shared} {
				out, err := i.Inflate(tt.src, len(tt.want))
				if err != nil || string(out) != tt.want || out == nil || cap(out) != len(out) {
					t.Errorf("%s: %q, error %v, want %q", name, out, err, tt.want)
				}
			}
			if string(tt.src) != before {
				t.Error("src was written to")
			}
		})
	}
}

func TestInflateRefuses(t *testing.T) {
	hello := wire(t, "f2 48 cd c9 c9 07 00")
	long := deflateSlowly(t, []byte(strings.Repeat("Hello", 100)), stdflate.BestSpeed)
	tests := []struct {
		name  string
		src   []byte
		limit int
		want  *Error
	}{
		{"RFC 7692 §7.2.2: nothing at all", nil, 99, ErrDeflate},
		{"RFC 7692 §7.2.2: cut inside a fixed block", hello[:5], 99, ErrDeflate},
		{"RFC 7692 §7.2.2: the last byte missing", hello[:6], 99, ErrDeflate},
		{"RFC 7692 §7.2.2: tail not taken off, and no block begun behind it", append(bytes.Clone(hello), syncTail...), 99, ErrDeflate},
		{"RFC 7692 §7.2.2: garbage behind the last block", append(bytes.Clone(hello), wire(t, "00 00 ff ff aa")...), 99, ErrDeflate},
		{"RFC 7692 §7.2.2: garbage behind BFINAL", wire(t, "f3 48 cd c9 c9 07 00 ff"), 99, ErrDeflate},
		{"RFC 7692 §7.1.1.2: refers back to an earlier message (§7.2.3.2)", wire(t, "f2 00 11 00 00"), 99, ErrDeflate},
		{"RFC 1951 §3.2.3: block type 3", wire(t, "06"), 99, ErrDeflate},
		{"RFC 1951 §3.2.4: stored length against its complement", wire(t, `00 05 00 fb ff "Hello" 00`), 99, ErrDeflate},
		{"RFC 1951 §3.2.4: stored block cut off", wire(t, `00 05 00 fa ff "Hel"`), 99, ErrDeflate},
		{"RFC 1951 §3.2.4: stored block cut off where the tail and more fill it", wire(t, `00 06 00 f9 ff "H"`), 99, ErrDeflate},
		{"RFC 1951 §3.2.4: stored header cut off", wire(t, "00 05 00"), 99, ErrDeflate},
		{"RFC 1951 §3.2.6: distance further back than the beginning", wire(t, "02 13 00 00"), 99, ErrDeflate},
		{"RFC 1951 §3.2.7: incomplete code lengths", wire(t, "04 00 00 00 00 00"), 99, ErrDeflate},
		{"RFC 1951 §3.2.7: dynamic header cut off", wire(t, "05 c0 81"), 99, ErrDeflate},
		{"text that was never deflated", []byte("Hello, world"), 99, ErrDeflate},
		{"RFC 6455 §7.4.1: one byte over the limit", hello, 4, ErrMessageTooBig},
		{"RFC 6455 §7.4.1: nothing allowed", hello, 0, ErrMessageTooBig},
		{"RFC 6455 §7.4.1: limit below 0 is 0", hello, -1, ErrMessageTooBig},
		{"RFC 6455 §7.4.1: a long run", long, 499, ErrMessageTooBig},
		{"RFC 6455 §7.4.1: over the limit before it is found broken", append(bytes.Clone(long), syncTail+"\xff"...), 499, ErrMessageTooBig},
		{"RFC 7692 §8: more blocks with BFINAL than anybody sends", bytes.Repeat(wire(t, "03 00"), maxFinalBlocks+1), 99, ErrDeflate},
		{"RFC 7692 §8: 32,000 of them", bytes.Repeat(wire(t, "03 00"), 32000), 99, ErrDeflate},
	}
	var shared Inflater
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, i := range map[string]*Inflater{"new": {}, "used": &shared} {
				if out, err := i.Inflate(tt.src, tt.limit); err != tt.want || out != nil {
					t.Errorf("%s: %.99q, error %v, want %v", name, out, err, tt.want)
				}
			}
			// What was refused leaves nothing behind.
			if out, err := shared.Inflate(hello, 5); err != nil || string(out) != "Hello" {
				t.Errorf("the next message: %q, error %v", out, err)
			}
		})
	}
}

// A message must not be read with the codes of the one before it, which another client may have sent: this block has lengths to
// copy, and no codes for how far back.
func TestInflateForgetsTheLastMessage(t *testing.T) {
	broken := wire(t, "0cc0010900000080a0adfe3f51000c0000000000000002")
	var i Inflater
	for _, other := range [][]byte{
		wire(t, "00"),
		append(wire(t, dynamicBlocks), 0), // its one distance is 1
		deflateSlowly(t, updates(5000), stdflate.BestCompression),
		deflateSlowly(t, bytes.Repeat([]byte("ab"), 4000), stdflate.BestCompression),
	} {
		if _, err := i.Inflate(other, 9999); err != nil {
			t.Fatal(err)
		}
		if out, err := i.Inflate(broken, 9999); err != ErrDeflate {
			t.Errorf("%q, error %v", out, err)
		}
	}
}

// A message cut off anywhere is refused. There are two exceptions: one is a whole message, and the other, four bytes before the end of a stored
// block, takes the tail for these four (RFC 7692 §7.2.2 leaves no way to tell).
func TestInflateRefusesEveryPrefix(t *testing.T) {
	for _, tt := range []struct {
		name     string
		payload  []byte
		level    int
		accepted []int // prefixes, in bytes
	}{
		{"fixed", []byte("Hello, Hello, Hello"), stdflate.BestCompression, nil},
		{"dynamic", updates(3000), stdflate.BestSpeed, nil},
		{"stored", noise(300), stdflate.NoCompression, []int{1, 301}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := deflateSlowly(t, tt.payload, tt.level)
			var i Inflater
			var accepted []int
			for n := range src {
				_, err := i.Inflate(src[:n], len(tt.payload)+100)
				if err == nil {
					accepted = append(accepted, n)
				} else if err != ErrDeflate {
					t.Errorf("%d of %d bytes: error %v", n, len(src), err)
				}
			}
			if !slices.Equal(accepted, tt.accepted) {
				t.Errorf("of %d bytes %v are accepted, want %v", len(src), accepted, tt.accepted)
			}
			if out, err := i.Inflate(src, len(tt.payload)); err != nil || !bytes.Equal(out, tt.payload) {
				t.Errorf("the whole: error %v", err)
			}
		})
	}
}

// bomb is 64 KiB that inflate to 64 MiB and no further: blocks of a MiB of zeros, one after the other.
func bomb(t testing.TB) []byte {
	t.Helper()
	block := deflateSlowly(t, make([]byte, 1<<20), stdflate.BestCompression)
	return bytes.Repeat(append(block, syncTail...), 64)[:64*(len(block)+4)-4]
}

func TestBombsTakeBoundedMemory(t *testing.T) {
	src := bomb(t)
	if len(src) > 68<<10 {
		t.Fatalf("the bomb takes %d bytes", len(src))
	}
	for _, tt := range []struct {
		name   string
		limit  int
		memory uint64 // bytes allocated in all
		want   *Error
	}{
		{"limit 0", 0, 256 << 10, ErrMessageTooBig},
		{"limit 64 KiB", 64 << 10, 512 << 10, ErrMessageTooBig},
		{"limit 1 MiB", 1 << 20, 3 << 20, ErrMessageTooBig},
		{"limit 64 MiB", 64 << 20, 5 << 20, ErrInflateRatio},
		{"no limit", math.MaxInt, 5 << 20, ErrInflateRatio},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var i Inflater
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			out, err := i.Inflate(src, tt.limit)
			runtime.ReadMemStats(&after)
			if err != tt.want || out != nil {
				t.Errorf("%d bytes, error %v, want %v", len(out), err, tt.want)
			}
			if taken := after.TotalAlloc - before.TotalAlloc; taken > tt.memory {
				t.Errorf("%d bytes allocated, more than %d", taken, tt.memory)
			}
		})
	}
}

// Just below the ratio, a big message is welcome: half of it zeros, half noise.
func TestRatioSparesBigMessages(t *testing.T) {
	payload := append(make([]byte, 512<<10), noise(1<<20)...)
	var i Inflater
	if out, err := i.Inflate(deflateSlowly(t, payload, stdflate.BestSpeed), len(payload)); err != nil || !bytes.Equal(out, payload) {
		t.Errorf("%d bytes, error %v", len(out), err)
	}
}

func TestInflaterLetsGoOfBigBuffers(t *testing.T) {
	var i Inflater
	big := deflateSlowly(t, noise(1<<20+1), stdflate.BestSpeed)
	if _, err := i.Inflate(big, 4<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Inflate([]byte{0}, 4<<20); err != nil || cap(i.out) > keepInflated {
		t.Errorf("after a small message %d bytes are kept, error %v", cap(i.out), err)
	}
	if _, err := i.Inflate(big, 4<<20); err != nil {
		t.Fatal(err)
	}
	i.Release()
	if i.out != nil {
		t.Error("Release keeps the last message")
	}
	if i.src.message != nil {
		t.Error("the source of the last message is kept")
	}
}

func TestInflateDoesNotAllocate(t *testing.T) {
	var i Inflater
	for _, size := range []int{0, 5, 1 << 10, 64 << 10, 1 << 20} {
		src := deflateSlowly(t, updates(size), stdflate.BestSpeed)
		allocs := testing.AllocsPerRun(10, func() {
			if out, err := i.Inflate(src, 1<<20); err != nil || len(out) != size {
				panic(err)
			}
		})
		if allocs != 0 {
			t.Errorf("%d bytes: %v allocations", size, allocs)
		}
	}
}

func TestValidText(t *testing.T) {
	if !ValidText([]byte("aé€😀")) || ValidText([]byte("\xff")) || !ValidText(nil) {
		t.Error("RFC 6455 §8.1: ValidText is wrong")
	}
}

// noise is what cannot be compressed.
func noise(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{'n'}).Read(b) // documented never to fail
	return b
}

// deflateSlowly makes a message's payload with the standard library.
func deflateSlowly(t testing.TB, payload []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := stdflate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(payload); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte(syncTail))
}

// inflateSlowly reads a payload with the standard library as RFC 7692 §7.2.2 tells, but no more than limit+1 bytes of it. ok is
// false when src is not whole blocks, as far as it was read.
func inflateSlowly(src []byte, limit int) (out []byte, ok bool) {
	r := bytes.NewReader(append(bytes.Clone(src), "\x00\x00\xff\xff\x01\x00\x00\xff\xff"...))
	for range 16 {
		part, err := io.ReadAll(io.LimitReader(stdflate.NewReaderDict(r, out), int64(limit+1-len(out))))
		if out = append(out, part...); len(out) > limit {
			return out, true
		}
		if err != nil {
			return out, false
		}
		if r.Len() == 0 || r.Len() == 9 {
			return out, true
		}
	}
	return out, false
}
