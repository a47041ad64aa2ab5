package loop

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sluice/codec"
)

// deflating accepts permessage-deflate and echoes.
func deflating() *script {
	return &script{
		request: func(c *Conn, r *codec.Request) {
			u, err := r.Upgrade()
			if err != nil {
				c.Refuse(asRefusal(err))
				return
			}
			answer, _ := codec.NegotiateDeflate(u.Extensions)
			c.Upgrade(u, "", answer)
		},
		message: func(c *Conn, op codec.Opcode, p []byte) { c.Write(op, p) },
	}
}

func TestDeflate(t *testing.T) {
	n := start(t, Options{MinDeflate: 100, Decoder: codec.DecoderOptions{MaxMessage: 1 << 20, MaxFragments: 1024}}, deflating())
	d := websocket.Dialer{EnableCompression: true, HandshakeTimeout: patience}
	ws, response, err := d.Dial("ws://"+n.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if got := response.Header.Get("Sec-WebSocket-Extensions"); !strings.HasPrefix(got, "permessage-deflate") {
		t.Fatalf("agreed on %q", got)
	}
	for _, compress := range []bool{true, false} {
		ws.EnableWriteCompression(compress)
		for _, payload := range []string{"", "x", "short ☕", strings.Repeat("long and repetitive ☕ ", 10_000)} {
			if err := ws.WriteMessage(websocket.TextMessage, []byte(payload)); err != nil {
				t.Fatal(err)
			}
			before := n.Stats().BytesOut
			patient(t, ws)
			kind, got, err := ws.ReadMessage()
			if err != nil || kind != websocket.TextMessage || string(got) != payload {
				t.Fatalf("%d bytes came back as type %d, %d bytes, %v", len(payload), kind, len(got), err)
			}
			if sent := n.Stats().BytesOut - before; len(payload) > 1000 && sent > int64(len(payload)/10) {
				t.Errorf("%d bytes came back in %d: not deflated", len(payload), sent)
			}
		}
	}
}

// What is wrong in a deflated message is found when it is inflated.
func TestDeflateRefusals(t *testing.T) {
	var d codec.Deflater
	deflated := func(op codec.Opcode, payload string) string {
		return string(d.AppendMaskedFrame(nil, op, []byte(payload), 0x21436587))
	}
	rsv1 := func(frame string) string {
		b := []byte(frame)
		b[0] |= 0x40
		return string(b)
	}
	for _, row := range []struct {
		name, send, want string
	}{
		{"a bomb", deflated(codec.OpBinary, strings.Repeat("\x00", 200_000)), `close 1009`},
		{"text that is not UTF-8", deflated(codec.OpText, strings.Repeat("not \xff UTF-8 ", 20)), `close 1007`},
		{"no DEFLATE", rsv1(masked(codec.OpText, "\xff\xff\xff\xff")), `close 1007`},
		{"a compressed ping", rsv1(ping("x")), `close 1002`},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := start(t, Options{}, deflating())
			c := dialRaw(t, n.addr, 0)
			c.send(strings.Replace(request, "\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n", 1))
			c.response()
			c.send(row.send)
			if got := c.all(); !strings.HasPrefix(got, row.want) {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
	t.Run("without agreement", func(t *testing.T) {
		n := start(t, Options{}, deflating())
		c := dialOpen(t, n.addr, 0)
		c.send(deflated(codec.OpText, "x"))
		if got := c.all(); !strings.HasPrefix(got, "close 1002") {
			t.Errorf("got %s", got)
		}
	})
}

// A frame that the connection can do without is refused where Send would close
// it; and when the socket has taken all, the handler is told, once.
func TestOfferAndDrained(t *testing.T) {
	told := make(chan struct{}, 10)
	n := start(t, Options{MaxQueue: 64 << 10}, &script{drained: func(*Conn) { told <- struct{}{} }})
	c := dialOpen(t, n.addr, 4096)
	frame := codec.AppendFrame(nil, codec.OpBinary, make([]byte, 16<<10))
	accepted, conn := 0, n.only()
	until(t, "a full queue", func() (full bool) {
		n.on(func(*Reactor) {
			if conn.Offer(frame) {
				accepted++
				conn.flush()
				return
			}
			full = true
			if !conn.Backed() || !conn.Open() {
				t.Error("the connection is not open and backed up")
			}
			conn.TellDrained()
		})
		return full
	})
	for range accepted {
		if _, got, err := c.read(); err != nil || len(got) != 16<<10 {
			t.Fatalf("a message of %d bytes, %v", len(got), err)
		}
	}
	<-told
	n.on(func(*Reactor) {
		if conn.Backed() || !conn.Offer(frame) {
			t.Error("the connection is still backed up")
		}
	})
	if _, got, err := c.read(); err != nil || len(got) != 16<<10 {
		t.Errorf("a message of %d bytes, %v", len(got), err)
	}
	select {
	case <-told:
		t.Error("told twice")
	default:
	}
	if n.Stats().Overflows != 0 {
		t.Error("an overflow was counted")
	}
}

// A message of the greatest length may be sent deflated also where that makes it
// longer.
func TestDeflateOfWhatCannotBeCompressed(t *testing.T) {
	const most = 1 << 20
	n := start(t, Options{MaxQueue: 4 << 20, Decoder: codec.DecoderOptions{MaxMessage: most, MaxFragments: 1024}}, deflating())
	d := websocket.Dialer{EnableCompression: true, HandshakeTimeout: patience}
	ws, _, err := d.Dial("ws://"+n.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	payload := make([]byte, most)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(payload) // it never fails
	if err := ws.WriteMessage(websocket.BinaryMessage, payload); err != nil {
		t.Fatal(err)
	}
	patientFor(t, ws, most)
	if _, got, err := ws.ReadMessage(); err != nil || !bytes.Equal(got, payload) {
		t.Fatalf("%d bytes came back, %v", len(got), err)
	}
}

// A connection that agreed on permessage-deflate holds no more than one that did
// not, also after it has been sent to and heard from.
func TestIdleDeflateCostsNothing(t *testing.T) {
	n := start(t, Options{MinDeflate: 100}, deflating())
	payload := bytes.Repeat([]byte("long and repetitive "), 500)
	for _, compression := range []bool{false, true} {
		d := websocket.Dialer{EnableCompression: compression, HandshakeTimeout: patience}
		ws, _, err := d.Dial("ws://"+n.addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := ws.WriteMessage(websocket.TextMessage, payload); err != nil {
				t.Fatal(err)
			}
			if _, _, err := ws.ReadMessage(); err != nil {
				t.Fatal(err)
			}
		}
		c := n.only()
		n.on(func(*Reactor) {
			if c.Deflates() != compression {
				t.Errorf("deflates: %v, want %v", c.Deflates(), compression)
			}
			if c.rare != nil || c.first != nil || c.more != nil || c.dec != nil || c.held != 0 {
				t.Errorf("deflates: %v: it holds something: %+v, %+v", compression, c.rare, c.dec)
			}
		})
		ws.Close()
		until(t, "the end", func() bool { return n.Stats().Connections == 0 })
	}
}
