package loop

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"sluice/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) } // gnet's worker pool begins in an init function

// echo is a handler that sends back what it gets.
type echo struct{ r *Reactor }

func (h echo) OnRequest(c *Conn, r *codec.Request) {
	u, err := r.Upgrade()
	if err != nil {
		c.Refuse(asRefusal(err))
		return
	}
	c.Upgrade(u, "", "")
}
func (h echo) OnMessage(c *Conn, op codec.Opcode, p []byte) { c.Write(op, p) }
func (h echo) OnEvents([]any)                               {}
func (h echo) OnClose(*Conn, End)                           {}

// start serves a handler until the test ends.
func start(t *testing.T, o Options, newHandler func(*Reactor) Handler) (*Engine, string) {
	t.Helper()
	o.Log = zaptest.NewLogger(t)
	e, err := New(o, newHandler)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- e.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		e.Shutdown(ctx, codec.StatusGoingAway, "test over")
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if n := e.Stats().Connections; n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
	return e, ln.Addr().(*net.TCPAddr).String()
}

func dial(t *testing.T, addr string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	if err := ws.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return ws
}

func TestEcho(t *testing.T) {
	_, addr := start(t, Options{Decoder: codec.DecoderOptions{MaxMessage: 16 << 20, MaxFragments: 65537}}, func(r *Reactor) Handler { return echo{r} })
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20, 16 << 20} {
		ws := dial(t, addr)
		p := make([]byte, size)
		for i := range p {
			p[i] = byte(i)
		}
		go func() { _ = ws.WriteMessage(websocket.BinaryMessage, p) }() // read below tells
		_, got, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if string(got) != string(p) {
			t.Fatalf("%d bytes came back as %d", size, len(got))
		}
	}
}
