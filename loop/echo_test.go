package loop

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sluice/codec"
)

func TestEcho(t *testing.T) {
	n := start(t, Options{Reactors: 2, MessageTimeout: 10 * patience, Decoder: codec.DecoderOptions{MaxMessage: 16 << 20, MaxFragments: 65537}}, &script{})
	ws := dial(t, n.addr)
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, corkFrame - 4, corkFrame, 1 << 20, 16 << 20, 3} {
		p := make([]byte, size)
		for i := range p {
			p[i] = byte(i >> 3)
		}
		sent := make(chan error, 1)
		go func() { sent <- ws.WriteMessage(websocket.BinaryMessage, p) }()
		patientFor(t, ws, size)
		_, got, err := ws.ReadMessage()
		if err := errors.Join(err, <-sent); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if !bytes.Equal(got, p) {
			t.Fatalf("%d bytes came back as %d others", size, len(got))
		}
	}
	if got := n.Stats().Overflows; got != 0 {
		t.Errorf("%d overflows: one message may always wait, however big", got)
	}
}

// A client may send frames right behind its request, and cut everything
// anywhere.
func TestSegments(t *testing.T) {
	stream := request + text("one") + text("") + ping("p") + text("two") + bye(1000, "bye")
	const want = `101, text "one", text "", pong "p", text "two", close 1000 "", FIN`
	n := start(t, Options{}, &script{})
	for cut := 0; cut <= len(stream); cut += 7 {
		c := dialRaw(t, n.addr, 0)
		c.send(stream[:cut], stream[cut:])
		if got := c.transcript(); got != want {
			t.Fatalf("cut at %d: %s\nwant %s", cut, got, want)
		}
	}
	c := dialRaw(t, n.addr, 0)
	c.send(strings.Split(stream, "")...)
	if got := c.transcript(); got != want {
		t.Fatalf("byte by byte: %s", got)
	}
}

func TestPipelinedEchoIsOneSend(t *testing.T) {
	n := start(t, Options{}, &script{})
	c := dialOpen(t, n.addr, 0)
	before := n.Stats()
	c.send(strings.Repeat(text("x"), 1000))
	for range 1000 {
		if got := c.frame(); got != `text "x"` {
			t.Fatal(got)
		}
	}
	after := n.Stats()
	if got := after.MessagesIn - before.MessagesIn; got != 1000 {
		t.Errorf("%d messages in", got)
	}
	if got := after.FramesOut - before.FramesOut; got != 1000 {
		t.Errorf("%d frames out", got)
	}
	if got := after.BytesIn - before.BytesIn; got != int64(1000*len(text("x"))) {
		t.Errorf("%d bytes in", got)
	}
	if got := after.Sends - before.Sends; got > 20 {
		t.Errorf("%d sends for one write of the client", got)
	}
}
