package codec

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// FuzzInflate inflates any bytes, with an Inflater that other inputs used before, with a new one, and as the standard library does it. The first two must
// agree to the byte; the library must, wherever it takes the input.
func FuzzInflate(f *testing.F) {
	for _, src := range [][]byte{
		wire(f, "f2 48 cd c9 c9 07 00"),
		wire(f, `00 05 00 fa ff "Hello" 00`),
		wire(f, "f3 48 cd c9 c9 07 00 00"),
		wire(f, "f2 48 05 00 00 00 ff ff ca c9 c9 07 00"),
		wire(f, "f3 48 cd c9 c9 07 00 02 13 00 00"),
		wire(f, "00"),
		wire(f, "f2 48 cd c9 c9 07 00 00 00 ff ff 01"),
		append(wire(f, dynamicBlocks), 0),
		deflateSlowly(f, updates(500), 9),
		deflateSlowly(f, updates(500), 1),
		deflateSlowly(f, bytes.Repeat([]byte("Hello "), 500), 5),
		deflateSlowly(f, noise(100), 5),
		bytes.Repeat(wire(f, "03 00"), maxFinalBlocks+1),
	} {
		f.Add(src, uint16(1000))
		f.Add(src, uint16(5))
		f.Add(src[:len(src)*2/3], uint16(5000))
	}
	var i Inflater
	f.Fuzz(func(t *testing.T, src []byte, max uint16) {
		limit := int(max)
		before := string(src)
		out, err := i.Inflate(src, limit)
		var fresh Inflater
		if again, errAgain := fresh.Inflate(src, limit); err != errAgain || !bytes.Equal(out, again) {
			t.Fatalf("%d bytes, error %v; a new Inflater: %d bytes, error %v", len(out), err, len(again), errAgain)
		}
		want, whole := inflateSlowly(src, limit)
		switch {
		case string(src) != before:
			t.Fatal("src was written to")
		case len(out) > limit, err != nil && (out != nil || err != ErrMessageTooBig && err != ErrDeflate):
			t.Fatalf("error %v with %d bytes of %d allowed", err, len(out), limit)
		case !whole:
		case len(want) > limit && err != ErrMessageTooBig:
			t.Fatalf("more than %d bytes, but error %v", limit, err)
		case len(want) <= limit && (err != nil || !bytes.Equal(out, want)):
			t.Fatalf("%d bytes and error %v, want %d bytes of %d allowed", len(out), err, len(want), limit)
		}
	})
}

// FuzzDeflate deflates payloads as server and client, and takes the frames apart with the standard library. The payload is data
// again and again, with noise between, so that all kinds of blocks come about.
func FuzzDeflate(f *testing.F) {
	f.Add([]byte("Hello"), uint16(20), byte(0))
	f.Add([]byte(nil), uint16(0), byte(0))
	f.Add(updates(300), uint16(1), byte(0))
	f.Add(updates(100), uint16(700), byte(3))
	f.Add(noise(100), uint16(1), byte(0))
	f.Add([]byte{0, 0, 0xff, 0xff}, uint16(40), byte(1))
	f.Add([]byte{0}, uint16(65535), byte(0))
	var d Deflater
	f.Fuzz(func(t *testing.T, data []byte, times uint16, between byte) {
		r := rand.New(rand.NewPCG(uint64(times), uint64(between)))
		var payload []byte
		for range times {
			if payload = append(payload, data...); len(payload) > 1<<16 {
				break
			}
			for range int(between) % 16 {
				payload = append(payload, byte(r.Uint32()))
			}
		}
		before := string(payload)
		if frame, ok := d.AppendFrame([]byte("before"), OpText, payload); ok {
			checkDeflated(t, frame[6:], OpText, payload)
		} else if string(frame) != "before" {
			t.Fatalf("%d bytes appended", len(frame)-6)
		}

		frame := d.AppendMaskedFrame(nil, OpBinary, payload, testKey)
		h, n, err := ParseHeader(frame)
		if err != nil || !h.RSV1 || !h.Fin || h.Op != OpBinary || h.Length != uint64(len(frame)-n) {
			t.Fatalf("header %+v of %d bytes before %d, error %v", h, n, len(frame)-n, err)
		}
		maskSlowly(frame[n:], h.Key)
		if out, ok := inflateSlowly(frame[n:], len(payload)); !ok || !bytes.Equal(out, payload) {
			t.Fatalf("%d bytes come back as %d, whole blocks: %v", len(payload), len(out), ok)
		}
		if string(payload) != before {
			t.Fatal("payload was written to")
		}
	})
}

// FuzzNegotiate answers lists of offers, as elements of a header and as they come, and holds the answers against the checker.
func FuzzNegotiate(f *testing.F) {
	for _, o := range offers {
		f.Add(o.offer)
	}
	f.Add("permessage-deflate; server_max_window_bits=10, permessage-deflate; client_max_window_bits")
	f.Add(`foo; bar=", permessage-deflate", permessage-deflate`)
	f.Fuzz(func(t *testing.T, header string) {
		var list []string
		elements(header, func(e string) bool { list = append(list, e); return true })
		negotiate(t, list)
		negotiate(t, strings.Split(header, ","))
	})
}
