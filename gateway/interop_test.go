package main

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/gobwas/ws/wsutil"
	"github.com/gorilla/websocket"
	"github.com/lxzan/gws"
)

// foreignClient is a WebSocket client that others wrote. Kinds are 1 for text and
// 2 for binary in all of them.
type foreignClient interface {
	send(kind int, payload []byte) error
	receive() (kind int, payload []byte, err error)
	ping(payload string) error                      // and waits for the pong
	close(code int, reason string) (int, error)     // and returns what the node answered
	sendFragments(kind int, payload [][]byte) error // errors.ErrUnsupported where it cannot
	drop()
}

// foreignClients are how they connect, each with permessage-deflate if it has it.
var foreignClients = map[string]func(ctx context.Context, url string, deflate bool) (foreignClient, error){
	"gorilla": dialGorilla,
	"coder":   dialCoder,
	"gobwas":  dialGobwas,
	"gws":     dialGws,
}

const interopMax = 16 << 20

// startInterop starts a node that limits nothing that these tests do.
func startInterop(t *testing.T, flags ...string) *testNode {
	return startNode(t, append([]string{"--dev", "--message-max", "16MiB", "--message-fragments", "65537", "--message-rate", "0",
		"--message-bytes-rate", "0", "--message-bytes-burst", "64MiB", "--queue-max", "32MiB", "--deflate-enabled"}, flags...)...).ready()
}

func TestInterop(t *testing.T) {
	t.Parallel()
	n := startInterop(t)
	for name, dial := range foreignClients {
		for _, deflate := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, deflate %v", name, deflate), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
				defer cancel()
				c, err := dial(ctx, "ws://"+n.Public().String()+"/echo", deflate)
				if err != nil {
					t.Fatal(err)
				}
				defer c.drop()
				exerciseEcho(t, c)

				s, err := dial(ctx, "ws://"+n.Public().String()+"/ws?channel=news", deflate)
				if err != nil {
					t.Fatal(err)
				}
				defer s.drop()
				exerciseChannel(t, n, s)
			})
		}
	}
}

func exerciseEcho(t *testing.T, c foreignClient) {
	for _, m := range []struct {
		kind    int
		payload []byte
	}{
		{1, nil},
		{2, nil},
		{1, []byte("grüß Gott, 😀")},
		{2, []byte{0, 1, 0xFE, 0xFF}},
		{1, bytes.Repeat([]byte("compressible "), 10_000)},
		{2, longest()},
	} {
		if err := c.send(m.kind, m.payload); err != nil {
			t.Fatal(err)
		}
		wantMessage(t, c, m.kind, m.payload)
	}
	err := c.sendFragments(1, [][]byte{[]byte("in "), []byte("three "), []byte("parts")})
	if err == nil {
		wantMessage(t, c, 1, []byte("in three parts"))
	} else if !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if err := c.ping("are you there?"); err != nil {
		t.Errorf("ping: %v", err)
	}
	if code, err := c.close(4321, "until tomorrow"); err != nil || code != 4321 {
		t.Errorf("the close frame was answered with %d, %v", code, err)
	}
}

// longest is as long as a message may be. Half of it can be compressed.
var longest = sync.OnceValue(func() []byte {
	b := bytes.Repeat([]byte("0123456789abcdef"), interopMax/16)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b[:interopMax/2]) // it never fails
	return b
})

func exerciseChannel(t *testing.T, n *testNode, c foreignClient) {
	long := strings.Repeat(`{"compressible":true}`, 1000)
	n.publish("news", "to all")
	n.publish("news", long)
	wantMessage(t, c, 1, []byte("to all"))
	wantMessage(t, c, 1, []byte(long))
	if code, err := c.close(1000, ""); err != nil || code != 1000 {
		t.Errorf("the close frame was answered with %d, %v", code, err)
	}
}

func wantMessage(t *testing.T, c foreignClient, kind int, payload []byte) {
	t.Helper()
	gotKind, got, err := c.receive()
	if err != nil || gotKind != kind || !bytes.Equal(got, payload) {
		t.Fatalf("got type %d %q, %v; want type %d %q", gotKind, shorten(string(got)), err, kind, shorten(string(payload)))
	}
}

// TestInteropPings: the node's pings are answered by all clients' libraries, or
// the connections would not last.
func TestInteropPings(t *testing.T) {
	t.Parallel()
	n := startInterop(t, "--ping-interval", "4s", "--ping-timeout", "3900ms") // on a busy machine an answer may take a while
	var reading sync.WaitGroup
	for name, dial := range foreignClients {
		c, err := dial(t.Context(), "ws://"+n.Public().String()+"/ws?channel=news", false)
		if err != nil {
			t.Fatal(err)
		}
		reading.Go(func() { // libraries answer pings while they read
			defer c.drop()
			if _, got, err := c.receive(); err != nil || string(got) != "still there" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		})
	}
	time.Sleep(10 * time.Second) // two pings and the end of their patience
	n.publish("news", "still there")
	reading.Wait()
}

type gorillaClient struct{ *websocket.Conn }

func dialGorilla(ctx context.Context, url string, deflate bool) (foreignClient, error) {
	d := websocket.Dialer{EnableCompression: deflate}
	c, _, err := d.DialContext(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	return gorillaClient{c}, nil
}

func (c gorillaClient) send(kind int, payload []byte) error { return c.WriteMessage(kind, payload) }

// receive has a deadline of its own each time: the longest message alone takes seconds
// to inflate under the race detector.
func (c gorillaClient) receive() (int, []byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(3 * patience)); err != nil {
		return 0, nil, err
	}
	return c.ReadMessage()
}

// ping uses that gorilla handles pongs while it reads.
func (c gorillaClient) ping(payload string) error {
	ponged := ""
	c.SetPongHandler(func(data string) error { ponged = data; return nil })
	if err := c.WriteMessage(websocket.PingMessage, []byte(payload)); err != nil {
		return err
	}
	if err := c.send(1, []byte("after the ping")); err != nil {
		return err
	}
	if _, _, err := c.receive(); err != nil {
		return err
	}
	if ponged != payload {
		return fmt.Errorf("the pong was %q", ponged)
	}
	return nil
}

func (c gorillaClient) close(code int, reason string) (int, error) {
	if err := c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason)); err != nil {
		return 0, err
	}
	_, _, err := c.receive()
	if closed := (*websocket.CloseError)(nil); errors.As(err, &closed) {
		return closed.Code, nil
	}
	return 0, err
}

func (c gorillaClient) sendFragments(kind int, parts [][]byte) error {
	w, err := c.NextWriter(kind)
	if err != nil {
		return err
	}
	for _, p := range parts { // its writer begins a frame when its buffer is full
		if _, err := w.Write(bytes.Clone(p)); err != nil {
			return err
		}
	}
	return w.Close()
}

func (c gorillaClient) drop() { _ = c.Close() }

type coderClient struct {
	*coder.Conn
	ctx context.Context
}

func dialCoder(ctx context.Context, url string, deflate bool) (foreignClient, error) {
	o := &coder.DialOptions{CompressionMode: coder.CompressionDisabled}
	if deflate {
		o.CompressionMode = coder.CompressionContextTakeover // the node agrees to none
	}
	c, _, err := coder.Dial(ctx, url, o)
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(2 * interopMax)
	return coderClient{c, ctx}, nil
}

func (c coderClient) send(kind int, payload []byte) error {
	return c.Write(c.ctx, coder.MessageType(kind), payload)
}

func (c coderClient) receive() (int, []byte, error) {
	kind, payload, err := c.Read(c.ctx)
	return int(kind), payload, err
}

func (c coderClient) ping(string) error {
	go func() { _, _, _ = c.Read(c.ctx) }() // somebody has to read the pong, and then the message that ends this
	if err := c.Ping(c.ctx); err != nil {
		return err
	}
	return c.send(1, []byte("for the reader"))
}

func (c coderClient) close(code int, reason string) (int, error) {
	if err := c.Close(coder.StatusCode(code), reason); err != nil {
		return 0, err
	}
	return code, nil // Close fails unless the answer has the code
}

func (c coderClient) sendFragments(kind int, parts [][]byte) error {
	w, err := c.Writer(c.ctx, coder.MessageType(kind))
	if err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return w.Close()
}

func (c coderClient) drop() { _ = c.CloseNow() }

type gobwasClient struct {
	net.Conn
	deflate bool
}

func dialGobwas(ctx context.Context, url string, deflate bool) (foreignClient, error) {
	d := ws.Dialer{}
	if deflate {
		d.Extensions = append(d.Extensions, wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}.Option())
	}
	c, early, h, err := d.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	if early != nil {
		return nil, errors.New("the node sent something before it was asked")
	}
	if deflate != (len(h.Extensions) == 1) {
		return nil, fmt.Errorf("agreed on %v", h.Extensions)
	}
	return gobwasClient{c, deflate}, c.SetDeadline(time.Now().Add(6 * patience))
}

func (c gobwasClient) send(kind int, payload []byte) error {
	if !c.deflate {
		return wsutil.WriteClientMessage(c, ws.OpCode(kind), payload)
	}
	return c.sendFragments(kind, [][]byte{payload})
}

func (c gobwasClient) receive() (int, []byte, error) {
	if !c.deflate {
		payload, op, err := wsutil.ReadServerData(c)
		return int(op), payload, err
	}
	f, err := c.frame(2 * interopMax)
	if err != nil {
		return 0, nil, err
	}
	if f, err = wsflate.DecompressFrame(f); err != nil { // what is not deflated it leaves
		return 0, nil, err
	}
	return int(f.Header.OpCode), f.Payload, nil
}

func (c gobwasClient) ping(payload string) error {
	if err := wsutil.WriteClientMessage(c, ws.OpPing, []byte(payload)); err != nil {
		return err
	}
	f, err := c.frame(125)
	if err == nil && (f.Header.OpCode != ws.OpPong || string(f.Payload) != payload) {
		err = fmt.Errorf("the pong was %v %q", f.Header.OpCode, f.Payload)
	}
	return err
}

func (c gobwasClient) close(code int, reason string) (int, error) {
	if err := wsutil.WriteClientMessage(c, ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), reason)); err != nil {
		return 0, err
	}
	f, err := c.frame(125)
	if err != nil || f.Header.OpCode != ws.OpClose {
		return 0, fmt.Errorf("answered with opcode %v: %w", f.Header.OpCode, err)
	}
	got, _ := ws.ParseCloseFrameData(f.Payload)
	return int(got), nil
}

// frame reads a frame of at most so many bytes.
func (c gobwasClient) frame(most int64) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(c); err != nil {
		return f, err
	}
	if f.Header.Length > most {
		return f, fmt.Errorf("a frame of %d bytes", f.Header.Length)
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(c, f.Payload)
	return f, err
}

// quickly deflates like the library's own helper, which takes the best level and its time.
var quickly = wsflate.Helper{Compressor: func(w io.Writer) wsflate.Compressor {
	f, _ := flate.NewWriter(w, flate.BestSpeed) // the level exists
	return f
}}

// sendFragments deflates the message as a whole, and cuts what comes out.
func (c gobwasClient) sendFragments(kind int, parts [][]byte) error {
	if c.deflate {
		deflated, err := quickly.Compress(bytes.Join(parts, nil))
		if err != nil {
			return err
		}
		size := (len(deflated) + len(parts) - 1) / len(parts)
		parts = slices.Collect(slices.Chunk(deflated, max(1, size)))
	}
	for i, p := range parts {
		op := ws.OpContinuation
		if i == 0 {
			op = ws.OpCode(kind)
		}
		f := ws.NewFrame(op, i == len(parts)-1, bytes.Clone(p))
		f.Header.Rsv = ws.Rsv(c.deflate && i == 0, false, false)
		if err := ws.WriteFrame(c, ws.MaskFrame(f)); err != nil {
			return err
		}
	}
	return nil
}

func (c gobwasClient) drop() { _ = c.Close() }

// gwsClient turns the library's callbacks into a queue.
type gwsClient struct {
	gws.BuiltinEventHandler
	*gws.Conn
	events chan gwsEvent
	ended  chan struct{}
}

type gwsEvent struct {
	kind    int // 10 for a pong
	payload []byte
	err     error
}

func dialGws(ctx context.Context, url string, deflate bool) (foreignClient, error) {
	c := &gwsClient{events: make(chan gwsEvent, 16), ended: make(chan struct{})}
	conn, response, err := gws.NewClient(c, &gws.ClientOption{
		Addr: url, PermessageDeflate: gws.PermessageDeflate{Enabled: deflate, Threshold: 1}, RequestHeader: http.Header{},
		ReadMaxPayloadSize: 2 * interopMax, WriteMaxPayloadSize: 2 * interopMax,
	})
	if err != nil {
		return nil, fmt.Errorf("%v: %w", response, err)
	}
	c.Conn = conn
	go func() {
		defer close(c.ended)
		conn.ReadLoop()
	}()
	return c, nil
}

func (c *gwsClient) OnMessage(_ *gws.Conn, m *gws.Message) {
	c.events <- gwsEvent{kind: int(m.Opcode), payload: bytes.Clone(m.Bytes())}
	_ = m.Close() // gives a buffer back
}

func (c *gwsClient) OnPing(conn *gws.Conn, payload []byte) { _ = conn.WritePong(payload) } // a lost one shows as a lost connection

func (c *gwsClient) OnPong(_ *gws.Conn, payload []byte) {
	c.events <- gwsEvent{kind: 10, payload: bytes.Clone(payload)}
}

func (c *gwsClient) OnClose(_ *gws.Conn, err error) { c.events <- gwsEvent{err: err} }

func (c *gwsClient) next() gwsEvent {
	select {
	case e := <-c.events:
		return e
	case <-time.After(3 * patience):
		return gwsEvent{err: errors.New("nothing came")}
	}
}

func (c *gwsClient) send(kind int, payload []byte) error {
	return c.WriteMessage(gws.Opcode(kind), payload)
}

func (c *gwsClient) receive() (int, []byte, error) {
	e := c.next()
	return e.kind, e.payload, e.err
}

func (c *gwsClient) ping(payload string) error {
	if err := c.WritePing([]byte(payload)); err != nil {
		return err
	}
	e := c.next()
	if e.kind != 10 || string(e.payload) != payload {
		return fmt.Errorf("the pong was %d %q, %w", e.kind, e.payload, e.err)
	}
	return nil
}

// close sees no answer: the library shuts the socket as soon as it has written.
func (c *gwsClient) close(code int, reason string) (int, error) {
	return code, c.WriteClose(uint16(code), []byte(reason))
}

func (c *gwsClient) sendFragments(int, [][]byte) error { return errors.ErrUnsupported }

func (c *gwsClient) drop() {
	_ = c.NetConn().Close() // it may be closed
	<-c.ended
}

// TestInteropNode has npm's ws, Node's own WebSocket and Chromium's do the same.
func TestInteropNode(t *testing.T) {
	t.Parallel()
	for _, script := range []struct {
		name string
		argv []string
	}{
		{"ws", []string{"node", "testdata/interop/ws.mjs"}},
		{"Node's own", []string{"node", "--experimental-websocket", "testdata/interop/native.mjs"}},
		{"Chromium", []string{"node", "testdata/interop/chromium.mjs"}},
	} {
		t.Run(script.name, func(t *testing.T) {
			t.Parallel()
			n := startInterop(t)
			ctx, cancel := context.WithTimeout(t.Context(), 4*patience) // browsers start slowly on a busy machine
			defer cancel()
			cmd := exec.CommandContext(ctx, script.argv[0], script.argv[1:]...)
			cmd.WaitDelay = time.Second
			// An answer to what it sends makes the publish come when it has subscribed.
			cmd.Env = append(os.Environ(), "PUBLIC="+n.Public().String(), "ADMIN=http://"+n.Admin().String())
			var out safeBuffer
			cmd.Stdout, cmd.Stderr = &out, &out
			publishing := make(chan struct{})
			go func() {
				defer close(publishing)
				for ctx.Err() == nil && !strings.Contains(out.String(), "subscribed") {
					time.Sleep(5 * time.Millisecond)
				}
				n.redis.Publish(ctx, "sluice:news", "to all")
			}()
			err := cmd.Run()
			cancel()
			<-publishing
			if err != nil {
				t.Fatalf("%v (without node, Chromium or the npm packages: run make deps)\n%s", err, out.String())
			}
		})
	}
}

// TestInteropCurl: curl sees a proper HTTP upgrade, and plain pages.
func TestInteropCurl(t *testing.T) {
	n := startInterop(t, "--close-timeout", "200ms") // curl answers no close frame
	curl := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "curl", append([]string{"--silent", "--include", "--max-time", "60", "--noproxy", "*"}, args...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if got := curl("http://" + n.Public().String() + "/healthz"); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\nok\n") {
		t.Errorf("/healthz: %q", got)
	}
	if got := curl("--head", "http://"+n.Public().String()+"/healthz"); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("HEAD /healthz: %q", got)
	}
	cmd := exec.CommandContext(t.Context(), "curl", "--silent", "--include", "--no-buffer", "--max-time", "60", "--noproxy", "*", "--http1.1",
		"-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "http://"+n.Public().String()+"/echo")
	var out safeBuffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is upgraded", func() error {
		if n.engine.Stats().Upgraded == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	if err := n.stop(); err != nil { // curl waits for the end, and says then what it got
		t.Error(err)
	}
	_ = cmd.Wait() // to curl it is an end too soon
	got := out.String()
	if !strings.HasPrefix(got, "HTTP/1.1 101 Switching Protocols\r\n") || !strings.Contains(got, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") {
		t.Errorf("upgrade: %q", got)
	}
}
