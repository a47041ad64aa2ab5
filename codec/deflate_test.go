package codec

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

func TestAppendDeflated(t *testing.T) {
	var d Deflater
	for _, tt := range []struct {
		name    string
		op      Opcode
		payload string
		ok      bool
	}{
		{"RFC 7692 §7.2.3.6: empty is shorter plain", OpText, "", false},
		{"too short to try", OpText, strings.Repeat("a", minDeflate-1), false},
		{"the shortest tried", OpText, strings.Repeat("a", minDeflate), true},
		{"noise", OpBinary, string(noise(1000)), false},
		{"long noise", OpBinary, string(noise(100000)), false},
		{"noise but for less than a tenth", OpBinary, string(noise(1000)) + strings.Repeat("a", 60), false},
		{"noise but for more than a tenth", OpBinary, string(noise(1000)) + strings.Repeat("a", 300), true},
		{"JSON", OpText, string(updates(200)), true},
		{"JSON of 16-bit length", OpText, string(updates(5000)), true},
		{"JSON of 64-bit length", OpText, string(updates(1 << 20)), true},
		{"64-bit length to 16-bit", OpBinary, strings.Repeat("a", 1<<17), true},
		{"16-bit length to 7-bit", OpBinary, strings.Repeat("a", 1<<10), true},
		{"RFC 7692 §6.1: control frame", OpPing, strings.Repeat("a", 125), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dst := append(make([]byte, 0, 64), "before"...)
			frame, ok := d.AppendFrame(dst, tt.op, []byte(tt.payload))
			if ok != tt.ok || !bytes.HasPrefix(frame, dst) {
				t.Fatalf("ok %v, want %v; %.20q", ok, tt.ok, frame)
			}
			if !ok {
				if len(frame) != len(dst) {
					t.Errorf("%d bytes appended", len(frame)-len(dst))
				}
				return
			}
			checkDeflated(t, frame[len(dst):], tt.op, []byte(tt.payload))
		})
	}
}

// checkDeflated holds a server's frame against what it should say.
func checkDeflated(t fataler, frame []byte, op Opcode, payload []byte) {
	t.Helper()
	h, n, err := ParseHeader(frame)
	if err != nil || h.Op != op || !h.Fin || !h.RSV1 || h.Masked || h.Length != uint64(len(frame)-n) {
		t.Fatalf("header %+v of %d bytes before %d, error %v", h, n, len(frame)-n, err)
	}
	if plain := FrameSize(len(payload)); len(frame) > plain-plain/10 {
		t.Fatalf("%d bytes instead of %d are not worth it", len(frame), plain)
	}
	if out, ok := inflateSlowly(frame[n:], len(payload)); !ok || !bytes.Equal(out, payload) {
		t.Fatalf("%d bytes come back as %d, whole blocks: %v", len(payload), len(out), ok)
	}
}

func TestAppendMaskedDeflated(t *testing.T) {
	var d Deflater
	var dec Decoder
	dec.Init(&DecoderOptions{MaxMessage: 2 << 20, MaxFragments: 1})
	dec.AllowDeflate()
	var i Inflater
	for _, payload := range [][]byte{nil, []byte("a"), []byte("Hello"), updates(125), noise(125), noise(70), updates(1 << 20), noise(1 << 20), noise(65535)} {
		frame := d.AppendMaskedFrame([]byte("before"), OpBinary, payload, testKey)
		m, n, err := dec.Next(frame[6:])
		if err != nil || n != len(frame)-6 || m.Op != OpBinary || !m.RSV1 || len(payload) == 0 && string(m.Payload) != "\x00" {
			t.Fatalf("%d bytes: message %v, RSV1 %v, n %d of %d, error %v", len(payload), m.Op, m.RSV1, n, len(frame)-6, err)
		}
		if out, err := i.Inflate(m.Payload, len(payload)); err != nil || !bytes.Equal(out, payload) {
			t.Errorf("%d bytes come back as %d, error %v", len(payload), len(out), err)
		}
	}
}

func TestDeflateDoesNotAllocate(t *testing.T) {
	// The race detector makes sync.Pool lose what it holds, at random, and a bit writer is then made anew.
	allowed := 0.0
	if raceEnabled {
		allowed = 12
	}
	var d Deflater
	for _, payload := range [][]byte{updates(128), updates(16 << 10), updates(1 << 20), noise(1000)} {
		frame, _ := d.AppendFrame(make([]byte, 0, 2000), OpText, payload)
		allocs := testing.AllocsPerRun(10, func() { frame, _ = d.AppendFrame(frame[:0], OpText, payload) })
		if allocs > allowed {
			t.Errorf("%d bytes: %v allocations", len(payload), allocs)
		}
	}
}

// A client of another make shakes hands, reads what a Deflater wrote and writes what an Inflater reads, several messages each: neither
// side may keep a context.
func TestDeflateAgainstGorilla(t *testing.T) {
	server, client := net.Pipe()
	served := make(chan error, 1)
	go func() {
		defer server.Close()
		served <- echoDeflated(server)
	}()
	dialer := websocket.Dialer{EnableCompression: true, NetDial: func(string, string) (net.Conn, error) { return client, nil }}
	c, response, err := dialer.Dial("ws://gateway/", nil)
	if err != nil {
		client.Close()
		t.Fatal(err, <-served)
	}
	if got := response.Header.Get("Sec-WebSocket-Extensions"); got != plainAnswer {
		t.Errorf("extensions %q", got)
	}
	payloads := [][]byte{updates(100), updates(100), updates(70000), []byte("Hello"), {}, updates(100), bytes.Repeat([]byte("a"), 200000)}
	for _, payload := range payloads {
		if err := c.WriteMessage(websocket.TextMessage, payload); err != nil {
			t.Error(err)
			break
		}
		if _, got, err := c.ReadMessage(); err != nil || !bytes.Equal(got, payload) {
			t.Errorf("%d bytes come back as %d, error %v", len(payload), len(got), err)
			break
		}
	}
	c.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// echoDeflated is a server for one connection: it returns when the client is gone, with an error if anything else ended it.
func echoDeflated(conn net.Conn) error {
	var (
		head     RequestReader
		decoder  Decoder
		inflater Inflater
		deflater Deflater
		upgraded bool
		buf      [4096]byte
	)
	decoder.Init(&DecoderOptions{MaxMessage: 1 << 20, MaxFragments: 100})
	for {
		n, err := conn.Read(buf[:])
		if err != nil {
			return nil // the client is gone
		}
		b := buf[:n]
		if !upgraded {
			request, n, err := head.Next(b, &DefaultRequestLimits)
			if err != nil {
				return err
			}
			if b = b[n:]; request == nil {
				continue
			}
			up, err := request.Upgrade()
			if err != nil {
				return err
			}
			answer, ok := NegotiateDeflate(up.Extensions)
			if !ok {
				return fmt.Errorf("declined: %q", up.Extensions)
			}
			if _, err := conn.Write(AppendSwitch(nil, up.Key, "", answer)); err != nil {
				return err
			}
			decoder.AllowDeflate()
			upgraded = true
		}
		for len(b) > 0 {
			m, n, err := decoder.Next(b)
			if err != nil {
				return err
			}
			b = b[n:]
			if m.Op != OpText {
				continue
			}
			if !m.RSV1 {
				return fmt.Errorf("not deflated: %.99q", m.Payload)
			}
			text, err := inflater.Inflate(m.Payload, 1<<20)
			if err != nil || !ValidText(text) {
				return fmt.Errorf("%.99q: %w", text, err)
			}
			frame, ok := deflater.AppendFrame(nil, m.Op, text)
			if !ok {
				frame = AppendFrame(nil, m.Op, text)
			}
			if _, err := conn.Write(frame); err != nil {
				return err
			}
		}
	}
}
