package codec

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	fastutf8 "github.com/segmentio/asm/utf8"
)

const hanzi = "世界您好，这是一段用来测量速度的文字。"

func cjk(size int) string {
	s := strings.Repeat(hanzi, size/len(hanzi)+1)[:size]
	return s[:size-incompleteTail([]byte(s))]
}

// BenchmarkNext decodes whole frames in place: header, unmasking and, for text, the UTF-8 check. Each round begins with a copy of the
// payload, as a read from a socket would, because the last round unmasked it.
func BenchmarkNext(b *testing.B) {
	ascii := strings.Repeat("The quick brown fox. ", 1<<16/21+1)
	for _, bb := range []struct {
		name    string
		op      Opcode
		payload string
	}{
		{"text/16B", OpText, ascii[:16]},
		{"text/128B", OpText, ascii[:128]},
		{"text/1KiB", OpText, ascii[:1<<10]},
		{"text/64KiB", OpText, ascii[:1<<16]},
		{"cjk/128B", OpText, cjk(128)},
		{"cjk/64KiB", OpText, cjk(1 << 16)},
		{"binary/16B", OpBinary, ascii[:16]},
		{"binary/128B", OpBinary, ascii[:128]},
		{"binary/64KiB", OpBinary, ascii[:1<<16]},
	} {
		b.Run(bb.name, func(b *testing.B) {
			frame := final(bb.op, bb.payload)
			start := len(frame) - len(bb.payload)
			masked := append([]byte(nil), frame...)
			var d Decoder
			d.Init(&DecoderOptions{MaxMessage: 1 << 20, MaxFragments: 1})
			b.ReportAllocs()
			b.SetBytes(int64(len(bb.payload)))
			for b.Loop() {
				copy(frame[start:], masked[start:])
				if _, _, err := d.Next(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNextBatch decodes 100 small frames from one read, as a busy connection sends them.
func BenchmarkNextBatch(b *testing.B) {
	for _, size := range []int{16, 128} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			const frames = 100
			masked := []byte(strings.Repeat(string(final(OpText, strings.Repeat("x", size))), frames))
			batch := make([]byte, len(masked))
			var d Decoder
			d.Init(&DecoderOptions{MaxMessage: 1 << 20, MaxFragments: 1})
			b.ReportAllocs()
			for b.Loop() {
				copy(batch, masked)
				for rest := batch; len(rest) > 0; {
					_, n, err := d.Next(rest)
					if err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/frames, "ns/frame")
		})
	}
}

// BenchmarkNextCut decodes a 64 KiB text that comes in segments, so that it is copied once, and copied again as its buffer grows.
func BenchmarkNextCut(b *testing.B) {
	for _, size := range []int{1, 1460, 16384} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			frame := rawFrame(0x81, strings.Repeat("x", 1<<16), testKey)
			var d Decoder
			d.Init(&DecoderOptions{MaxMessage: 1 << 20, MaxFragments: 1})
			b.ReportAllocs()
			b.SetBytes(1 << 16)
			for b.Loop() {
				for rest := frame; len(rest) > 0; {
					_, n, err := d.Next(rest[:min(size, len(rest))])
					if err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
			}
		})
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	for _, size := range []int{16, 128, 65536} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			payload := make([]byte, size)
			dst := make([]byte, 0, FrameSize(size))
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				dst = AppendFrame(dst[:0], OpText, payload)
			}
		})
	}
}

func BenchmarkUnmask(b *testing.B) {
	for _, size := range []int{7, 16, 128, 1024, 65536} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			p := make([]byte, size)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				mask(p, testKey)
			}
		})
	}
}

// BenchmarkUTF8 is where fastText comes from.
func BenchmarkUTF8(b *testing.B) {
	for _, size := range []int{16, 32, 48, 64, 96, 128, 1024, 65536} {
		for _, text := range []struct {
			name string
			p    []byte
		}{{"ascii", []byte(strings.Repeat("a", size))}, {"cjk", []byte(cjk(size))}} {
			for _, check := range []struct {
				name  string
				valid func([]byte) bool
			}{{"std", utf8.Valid}, {"asm", fastutf8.Valid}, {"ours", validText}} {
				b.Run(fmt.Sprintf("%s/%dB/%s", text.name, size, check.name), func(b *testing.B) {
					b.SetBytes(int64(len(text.p)))
					for b.Loop() {
						check.valid(text.p)
					}
				})
			}
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	head := []byte(browserRequest)
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(head)))
		for b.Loop() {
			var r RequestReader
			req, _, err := r.Next(head, nil)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := req.Upgrade(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("byte by byte", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(head)))
		for b.Loop() {
			var r RequestReader
			for i := range head {
				if _, _, err := r.Next(head[i:i+1], nil); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func BenchmarkAppendSwitch(b *testing.B) {
	dst := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendSwitch(dst[:0], "dGhlIHNhbXBsZSBub25jZQ==", "chat", "")
	}
}

// BenchmarkChecks is what each check costs: frames as they come with all checks, and without one. A check is switched off by what makes it
// needless: the other type of message, no mask, limits that nothing reaches.
func BenchmarkChecks(b *testing.B) {
	all := DecoderOptions{MaxMessage: 1 << 20, MaxFragments: 1024}
	for _, size := range []int{16, 128, 64 << 10} {
		ascii, chinese := strings.Repeat("x", size), cjk(size)
		for _, bb := range []struct {
			name    string
			options DecoderOptions
			frame   []byte
		}{
			{"all", all, final(OpText, ascii)},
			{"all, beyond ASCII", all, final(OpText, chinese)},
			{"no UTF-8", all, final(OpBinary, ascii)},
			{"no mask", DecoderOptions{FromServer: true, MaxMessage: 1 << 20, MaxFragments: 1024}, AppendFrame(nil, OpText, []byte(ascii))},
			{"no limits", DecoderOptions{MaxMessage: math.MaxInt64, MaxFragments: math.MaxInt32}, final(OpText, ascii)},
			{"none of them", DecoderOptions{FromServer: true, MaxMessage: math.MaxInt64, MaxFragments: math.MaxInt32}, AppendFrame(nil, OpBinary, []byte(ascii))},
		} {
			b.Run(fmt.Sprintf("%dB/%s", size, bb.name), func(b *testing.B) {
				frames := max(1, 2048/len(bb.frame))
				wire := bytes.Repeat(bb.frame, frames)
				read := make([]byte, len(wire))
				var d Decoder
				d.Init(&bb.options)
				b.ReportAllocs()
				b.SetBytes(int64(frames * size))
				for b.Loop() {
					copy(read, wire) // as from a socket: the last round unmasked it
					for rest := read; len(rest) > 0; {
						_, n, err := d.Next(rest)
						if err != nil {
							b.Fatal(err)
						}
						rest = rest[n:]
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*frames), "ns/frame")
			})
		}
	}
}
