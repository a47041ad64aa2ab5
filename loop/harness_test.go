package loop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"sluice/codec"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// script is a Handler made of functions. Without any it upgrades every request,
// echoes every message and calls every event that is a func().
type script struct {
	request func(*Conn, *codec.Request)
	message func(*Conn, codec.Opcode, []byte)
	events  func([]any)
	closed  func(*Conn, End)
	drained func(*Conn)
	refused func(*Conn, *codec.HTTPError)
}

func (s *script) OnRequest(c *Conn, r *codec.Request) {
	if s.request != nil {
		s.request(c, r)
		return
	}
	accept(c, r)
}

func (s *script) OnMessage(c *Conn, op codec.Opcode, p []byte) {
	if s.message != nil {
		s.message(c, op, p)
		return
	}
	c.Write(op, p)
}

func (s *script) OnEvents(events []any) {
	if s.events != nil {
		s.events(events)
		return
	}
	for _, e := range events {
		e.(func())()
	}
}

func (s *script) OnRefuse(c *Conn, err *codec.HTTPError) {
	if s.refused != nil {
		s.refused(c, err)
	}
}

func (s *script) OnTick() {}

func (s *script) OnDrained(c *Conn) {
	if s.drained != nil {
		s.drained(c)
	}
}

func (s *script) OnClose(c *Conn, end End) {
	if s.closed != nil {
		s.closed(c, end)
	}
}

// accept answers a request with 101, or with why not.
func accept(c *Conn, r *codec.Request) {
	u, err := r.Upgrade()
	if err != nil {
		c.Refuse(asRefusal(err))
		return
	}
	c.Upgrade(u, "", "")
}

// node is an engine under test, whose reactors all have the same script.
type node struct {
	*Engine
	t    *testing.T
	addr string
}

// start serves s until the test ends, and checks then that nothing is left.
// Options that are zero get figures fit for tests: one reactor, no pings, and no
// hurry: what a test does not make short is as long as it waits itself.
func start(t *testing.T, o Options, s *script) *node {
	t.Helper()
	return startEach(t, o, func(*Reactor) Handler { return s })
}

func startEach(t *testing.T, o Options, newHandler func(*Reactor) Handler) *node {
	t.Helper()
	orElse(&o.Reactors, 1)
	orElse(&o.PingInterval, time.Hour)
	orElse(&o.HandshakeTimeout, patience)
	orElse(&o.CloseTimeout, patience)
	orElse(&o.Log, zap.NewNop())
	e, err := New(o, newHandler)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- e.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		e.Shutdown(ctx, codec.StatusGoingAway, "test over")
		e.opts.CloseTimeout = patience // it bounds Close, too, whatever the test is about
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if n := e.total.Load(); n != 0 {
			t.Errorf("%d connections counted after the end", n)
		}
		if n := e.Stats().Connections; n != 0 {
			t.Errorf("%d connections in the figures after the end", n)
		}
	})
	return &node{Engine: e, t: t, addr: ln.Addr().String()}
}

// on runs f on the first reactor and waits for it.
func (n *node) on(f func(r *Reactor)) {
	n.t.Helper()
	r := n.Reactors()[0]
	done := make(chan struct{})
	r.Post(func() {
		defer close(done)
		f(r)
	})
	select {
	case <-done:
	case <-time.After(patience):
		n.t.Fatal("the reactor takes no turn")
	}
}

// until polls ok until it holds.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: waited for %s", what)
		}
	}
}

// ends collects how connections ended.
type ends struct {
	mu   sync.Mutex
	list []string
}

func (e *ends) add(_ *Conn, end End) {
	who := "peer"
	if end.Local {
		who = "us"
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf("%d by %s: %s", end.Code, who, end.Reason))
}

func (e *ends) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.list...)
}

func (e *ends) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = nil
}

// want waits for the end of one connection.
func (e *ends) want(t *testing.T, want string) {
	t.Helper()
	until(t, "the end of a connection", func() bool { return len(e.all()) > 0 })
	if got := e.all(); len(got) != 1 || got[0] != want {
		t.Errorf("ends %q, want %q", got, want)
	}
}

// ---- clients

// dial opens a WebSocket with a client that is not ours.
func dial(t *testing.T, addr string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	patient(t, ws)
	return ws
}

// patient gives what is read from a connection next all the time that a test waits.
func patient(t *testing.T, conn interface{ SetReadDeadline(time.Time) error }) {
	t.Helper()
	patientFor(t, conn, 0)
}

// patientFor is patient where so many bytes are to go there and come back.
func patientFor(t *testing.T, conn interface{ SetReadDeadline(time.Time) error }, size int) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience * time.Duration(1+size>>20))); err != nil {
		t.Fatal(err)
	}
}

// roundTrip proves that ws is served.
func roundTrip(t *testing.T, ws *websocket.Conn) {
	t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte("canary")); err != nil {
		t.Fatal(err)
	}
	patient(t, ws)
	if _, got, err := ws.ReadMessage(); err != nil || string(got) != "canary" {
		t.Fatalf("canary: %q, %v", got, err)
	}
}

// request is an upgrade request that is accepted.
const request = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// masked is a client's frame.
func masked(op codec.Opcode, payload string) string {
	return string(codec.AppendMaskedFrame(nil, op, []byte(payload), 0x21436587))
}

func text(s string) string    { return masked(codec.OpText, s) }
func ping(s string) string    { return masked(codec.OpPing, s) }
func unasked(s string) string { return masked(codec.OpPong, s) }
func bye(code codec.StatusCode, reason string) string {
	return masked(codec.OpClose, string([]byte{byte(code >> 8), byte(code)})+reason)
}

// raw is a client that does as it is told.
type raw struct {
	*net.TCPConn
	t  *testing.T
	in *bufio.Reader
}

// patient gives what comes next all the time that a test waits, however much came
// before. It fails only where the connection is gone, and what comes next says so.
func (c *raw) patient() { _ = c.SetDeadline(time.Now().Add(patience)) }

// dialRaw connects; receive bounds the receive buffer in bytes, 0 as usual.
func dialRaw(t *testing.T, addr string, receive int) *raw {
	t.Helper()
	d := net.Dialer{Timeout: patience, Control: func(_, _ string, c syscall.RawConn) error {
		if receive == 0 {
			return nil
		}
		var err error
		if cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receive) }); cerr != nil {
			return cerr
		}
		return err
	}}
	conn, err := d.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &raw{conn.(*net.TCPConn), t, bufio.NewReader(conn)}
	c.patient()
	return c
}

// dialOpen is dialRaw with the handshake done.
func dialOpen(t *testing.T, addr string, receive int) *raw {
	t.Helper()
	c := dialRaw(t, addr, receive)
	c.send(request)
	if got := c.response(); got != "101" {
		t.Fatalf("handshake: %s", got)
	}
	return c
}

// send writes pieces, each in a segment of its own where the kernel lets it.
// An error is the server's right: what it said is read afterwards.
func (c *raw) send(pieces ...string) {
	c.patient()
	for _, p := range pieces {
		if _, err := io.WriteString(c, p); err != nil {
			return
		}
	}
}

// response reads an HTTP response: "101", or status and body.
func (c *raw) response() string {
	c.patient()
	var status string
	length := 0
	for first := true; ; first = false {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return "no response: " + ending(err)
		}
		line = strings.TrimSuffix(line, "\r\n")
		if first {
			_, status, _ = strings.Cut(line, " ")
			status, _, _ = strings.Cut(status, " ")
		}
		if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, _ = strconv.Atoi(v)
		}
		if line == "" {
			break
		}
	}
	if length == 0 {
		return status
	}
	body := make([]byte, length)
	n, _ := io.ReadFull(c.in, body) // what is missing shows
	return strings.TrimSpace(status + " " + string(body[:n]))
}

// frame reads one frame, readable: text "hi", close 1000 "bye", or how the
// connection ended.
func (c *raw) frame() string {
	h, payload, err := c.read()
	switch {
	case err != nil:
		return ending(err)
	case h.Op == codec.OpClose && len(payload) >= 2:
		return fmt.Sprintf("close %d %q", int(payload[0])<<8|int(payload[1]), payload[2:])
	case len(payload) > 64:
		return fmt.Sprintf("%s of %d", h.Op, len(payload))
	}
	return fmt.Sprintf("%s %q", h.Op, payload)
}

// read reads one frame.
func (c *raw) read() (codec.Header, []byte, error) {
	c.patient()
	for n := 2; ; n++ {
		head, err := c.in.Peek(n)
		if err != nil {
			if len(head) > 0 {
				err = errors.Join(err, errors.New("inside a frame"))
			}
			return codec.Header{}, nil, err
		}
		h, size, err := codec.ParseHeader(head)
		if err != nil || h.Masked {
			return h, nil, fmt.Errorf("bad frame from the server: %w", err)
		}
		if size == 0 {
			continue
		}
		if _, err := c.in.Discard(size); err != nil {
			return h, nil, err
		}
		payload := make([]byte, h.Length)
		_, err = io.ReadFull(c.in, payload)
		return h, payload, err
	}
}

// all reads to the end: the frames and how it ended.
func (c *raw) all() string {
	var got []string
	for {
		f := c.frame()
		got = append(got, f)
		if f == "FIN" || f == "RST" || strings.HasPrefix(f, "error: ") {
			return strings.Join(got, ", ")
		}
	}
}

// transcript reads the response and all that follows it.
func (c *raw) transcript() string {
	got := c.response()
	if strings.HasPrefix(got, "no response: ") {
		return strings.TrimPrefix(got, "no response: ")
	}
	return got + ", " + c.all()
}

func ending(err error) string {
	switch {
	case errors.Is(err, io.EOF):
		return "FIN"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "RST"
	}
	return "error: " + err.Error()
}

// numbered is a message that proves its place: its number, then filler.
func numbered(i, size int) []byte {
	return fmt.Appendf(nil, "%08d%s", i, bytes.Repeat([]byte{'.'}, size))
}
