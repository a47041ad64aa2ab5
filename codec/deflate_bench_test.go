package codec

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/flate"
)

// updates is JSON as a backend pushes it: a few names again and again, values that change. It is size bytes long.
func updates(size int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(size)))
	var b []byte
	for len(b) < size {
		b = fmt.Appendf(b, `{"type":"trade","symbol":"%s","price":%d.%02d,"amount":%d,"side":"%s","id":"%08x"},`,
			[]string{"BTCEUR", "ETHEUR", "SOLUSD", "ADAUSD"}[r.IntN(4)], r.IntN(90000), r.IntN(100), r.IntN(1000), []string{"buy", "sell"}[r.IntN(2)], r.Uint32())
	}
	return b[:size]
}

var deflateSizes = []struct {
	name string
	size int
}{{"128B", 128}, {"1KiB", 1 << 10}, {"16KiB", 16 << 10}, {"64KiB", 64 << 10}, {"1MiB", 1 << 20}}

// BenchmarkDeflate is what a broadcast costs once per message and node.
func BenchmarkDeflate(b *testing.B) {
	for _, bb := range deflateSizes {
		b.Run(bb.name, func(b *testing.B) {
			payload := updates(bb.size)
			var d Deflater
			var frame []byte
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				frame, _ = d.AppendFrame(frame[:0], OpText, payload)
			}
			b.ReportMetric(float64(len(frame))/float64(len(payload)), "out/in")
		})
	}
}

// BenchmarkDeflateLevels is what a writer of its own would give a Deflater instead: about a tenth more of speed and of compression, for the 0.5 to
// 0.9 MB that it holds (B/op of "new").
func BenchmarkDeflateLevels(b *testing.B) {
	for level := 1; level <= 3; level++ {
		b.Run(fmt.Sprintf("level%d/new", level), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := flate.NewWriter(io.Discard, level); err != nil {
					b.Fatal(err)
				}
			}
		})
		for _, bb := range deflateSizes {
			b.Run(fmt.Sprintf("level%d/%s", level, bb.name), func(b *testing.B) {
				payload := updates(bb.size)
				out := boundedWriter{max: 1 << 30}
				w, err := flate.NewWriter(&out, level)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				b.SetBytes(int64(len(payload)))
				for b.Loop() {
					out.b = out.b[:0]
					w.Reset(&out)
					if _, err := w.Write(payload); err != nil {
						b.Fatal(err)
					}
					if err := w.Flush(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(out.b))/float64(len(payload)), "out/in")
			})
		}
	}
}

// dynamicBlocks are four blocks in hex that each have their own codes and nothing else, in 90 bits.
const dynamicBlocks = "04c081000000000090ff6b100007020000000040feaf41001c080000000000f9bf060170200000000000e4ff1a"

// BenchmarkInflate is what a client's message costs. The last are 64 KiB of the blocks that make the most work of few bytes: their MB/s
// count what comes in.
func BenchmarkInflate(b *testing.B) {
	var d Deflater
	for _, bb := range deflateSizes {
		payload := updates(bb.size)
		body, _ := d.deflate(nil, payload, 2*len(payload))
		inflate(b, bb.name, body.b[body.start:], len(payload))
	}
	zeros, _ := d.deflate(nil, make([]byte, 64<<10), 64<<10)
	inflate(b, "zeros", zeros.b[zeros.start:], 64<<10)
	inflate(b, "stored", append(bytes.Repeat(wire(b, "00 00 00 ff ff"), 13107), 0), 0)
	inflate(b, "dynamic", append(bytes.Repeat(wire(b, dynamicBlocks), 1456), 0), 0)
}

func inflate(b *testing.B, name string, src []byte, size int) {
	b.Run(name, func(b *testing.B) {
		var i Inflater
		b.ReportAllocs()
		b.SetBytes(int64(max(size, len(src))))
		for b.Loop() {
			out, err := i.Inflate(src, size)
			if err != nil || len(out) != size {
				b.Fatal(len(out), err)
			}
		}
	})
}
