package loop

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/codec"
)

// streamed is a script that answers every request with an event stream.
func streamed(s script) *script {
	s.request = func(c *Conn, _ *codec.Request) { c.Stream([]string{"Vary: Origin"}) }
	return &s
}

const streamRequest = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// streamHead is what a stream begins with.
var streamHead = regexp.MustCompile("^HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\nCache-Control: no-store, no-transform\r\n" +
	"X-Accel-Buffering: no\r\nVary: Origin\r\n\r\nretry: [123]\\d\\d\\d\n\n")

// rest reads to the end, and says how it ended.
func (c *raw) rest() string {
	c.patient()
	b, err := io.ReadAll(c.in)
	if err == nil {
		return string(b) + "FIN"
	}
	return string(b) + ending(err)
}

// opened reads the head of a stream.
func (c *raw) opened() {
	c.t.Helper()
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\n\n") || !strings.Contains(head.String(), "retry: ") {
		b, err := c.in.ReadByte()
		if err != nil {
			c.t.Fatalf("%q: %v", head.String(), err)
		}
		head.WriteByte(b)
	}
	if !streamHead.MatchString(head.String()) {
		c.t.Fatalf("the stream begins with %q", head.String())
	}
}

func openStream(n *node, receive int) *raw {
	c := dialRaw(n.t, n.addr, receive)
	c.send(streamRequest)
	c.opened()
	return c
}

// farewell is the end of a stream.
func farewell(words string) string {
	return `retry: [123]\d\d\d\n\nevent: close\ndata: ` + words + `\n\nFIN$`
}

func wantEnd(t *testing.T, got, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("%.200q, want %s", got, pattern)
	}
}

func TestStream(t *testing.T) {
	t.Run("events, then the end", func(t *testing.T) {
		var told ends
		n := start(t, Options{}, streamed(script{closed: told.add}))
		client := openStream(n, 0)
		c := n.only()
		n.on(func(*Reactor) {
			c.Send([]byte("data: one\n\n"))
			c.Send([]byte("data: two\n\n"))
			if c.Write(codec.OpText, []byte("a frame")) {
				t.Error("a frame was sent in a stream")
			}
			c.Close(codec.StatusServiceRestart, "come back")
			if c.Open() || c.Send([]byte("data: late\n\n")) {
				t.Error("it is open behind its end")
			}
		})
		wantEnd(t, client.rest(), `^data: one\n\ndata: two\n\n`+farewell("1012 come back"))
		client.Close()
		told.want(t, "1012 by us: come back")
		if got := n.Stats(); got.Streamed != 1 || got.Upgraded != 0 {
			t.Errorf("%d streams, %d upgrades", got.Streamed, got.Upgraded)
		}
	})
	t.Run("HTTP/1.0", func(t *testing.T) {
		n := start(t, Options{}, streamed(script{}))
		client := dialRaw(t, n.addr, 0)
		client.send("GET / HTTP/1.0\r\n\r\n")
		client.opened()
	})
	t.Run("the request in pieces, its client already sending more", func(t *testing.T) {
		var told ends
		n := start(t, Options{}, streamed(script{closed: told.add}))
		client := dialRaw(t, n.addr, 0)
		for _, b := range []byte(streamRequest) {
			client.send(string(b))
		}
		client.send(streamRequest + "\x81\x85\x00\x00\x00\x00hello")
		client.opened()
		c := n.only()
		until(t, "the bytes to be thrown away", func() (ok bool) {
			n.on(func(*Reactor) { ok = c.rare != nil && c.rare.discarded == len(streamRequest)+11 })
			return ok
		})
		n.on(func(*Reactor) { c.Send([]byte("data: one\n\n")) }) // nor does sending make it forget
		n.on(func(*Reactor) {
			if c.rare == nil || c.rare.discarded == 0 {
				t.Error("what was thrown away is forgotten")
			}
			c.Close(codec.StatusNormal, "")
		})
		wantEnd(t, client.rest(), `^data: one\n\n`+farewell("1000 "))
		client.Close()
		told.want(t, "1000 by us: ")
	})
	t.Run("the client leaves", func(t *testing.T) {
		var told ends
		n := start(t, Options{}, streamed(script{closed: told.add}))
		openStream(n, 0).Close()
		told.want(t, "1001 by peer: the client left")
	})
	t.Run("answered too late", func(t *testing.T) {
		var told ends
		var late *Conn
		n := start(t, Options{HandshakeTimeout: 200 * time.Millisecond}, &script{closed: told.add, request: func(c *Conn, _ *codec.Request) { late = c }})
		client := dialRaw(t, n.addr, 0)
		client.send(streamRequest)
		if got := client.response(); got != "503 "+errNotReady.Reason {
			t.Error(got)
		}
		n.on(func(*Reactor) {
			if late.Stream(nil) {
				t.Error("a refused request was answered once more")
			}
		})
	})
}

// What a stream's client sends is thrown away, up to a bound and at a bounded rate.
func TestStreamInput(t *testing.T) {
	t.Run("too much", func(t *testing.T) {
		var told ends
		n := start(t, Options{}, streamed(script{closed: told.add}))
		client := openStream(n, 0)
		client.send(strings.Repeat("x", maxDiscard+1))
		told.want(t, "1008 by us: too many bytes")
		if got := client.rest(); got != "RST" {
			t.Error(got)
		}
	})
	t.Run("too fast", func(t *testing.T) {
		var told ends
		n := start(t, Options{ByteRate: 100, ByteBurst: 100}, streamed(script{closed: told.add}))
		client := openStream(n, 0)
		client.send(strings.Repeat("x", 101))
		wantEnd(t, client.rest(), "^"+farewell("1008 too many bytes"))
		client.Close()
		told.want(t, "1008 by us: too many bytes")
	})
}

// A client that never reads costs a bounded queue. Where it reads again it gets
// whole events, and why they end.
func TestStreamOverflow(t *testing.T) {
	n := start(t, Options{MaxQueue: 64 << 10}, streamed(script{}))
	client := openStream(n, 4096)
	c := n.only()
	event := func(i int) []byte { return codec.AppendEvent(nil, fmt.Sprint(i), "", numbered(i, i*7%5000)) }
	sent := 0
	for ok := true; ok; sent++ {
		n.on(func(*Reactor) { ok = c.Send(event(sent)) })
		if sent > 5000 {
			t.Fatal("25 MB were taken for a client that does not read")
		}
	}
	got := []byte(client.rest())
	i := 0
	for ; bytes.HasPrefix(got, event(i)); i++ {
		got = got[len(event(i)):]
	}
	if i == 0 || i >= sent {
		t.Errorf("%d of %d events arrived", i, sent)
	}
	wantEnd(t, string(got), "^"+farewell("1013 "+regexp.QuoteMeta(errSlow.Reason)))
}

// Heartbeats keep the way open. Nobody answers them, and a client that is silent is
// not taken for dead.
func TestStreamHeartbeat(t *testing.T) {
	n := start(t, Options{PingInterval: 200 * time.Millisecond, PingTimeout: 100 * time.Millisecond}, streamed(script{}))
	client := openStream(n, 0)
	for range 4 {
		b := make([]byte, len(codec.Comment))
		if _, err := io.ReadFull(client.in, b); err != nil || string(b) != codec.Comment {
			t.Fatalf("%q, %v", b, err)
		}
	}
	if got := n.Stats().Unanswered; got != 0 {
		t.Errorf("%d heartbeats unanswered", got)
	}
}

// A client that takes nothing of what waits for it is ended by the kernel, in the time
// that a WebSocket has to answer a ping.
func TestStreamStalls(t *testing.T) {
	var told ends
	n := start(t, Options{PingInterval: 400 * time.Millisecond, PingTimeout: 200 * time.Millisecond}, streamed(script{closed: told.add}))
	client := openStream(n, 4096)
	c := n.only()
	n.on(func(*Reactor) { c.Send(codec.AppendEvent(nil, "", "", bytes.Repeat([]byte("x"), 300<<10))) })
	told.want(t, "1006 by us: "+errSilent.Reason)
	if got := n.Stats().Unanswered; got != 1 {
		t.Errorf("%d found to be gone", got)
	}
	client.Close()
}

func TestStreamShutdown(t *testing.T) {
	n := start(t, Options{}, streamed(script{}))
	var clients []*raw
	for range 5 {
		clients = append(clients, openStream(n, 0))
	}
	done := make(chan int64)
	go func() { done <- n.Shutdown(t.Context(), codec.StatusServiceRestart, "going away") }()
	for _, c := range clients {
		wantEnd(t, c.rest(), "^"+farewell("1012 going away"))
		c.Close()
	}
	if cut := <-done; cut != 0 {
		t.Errorf("%d were cut", cut)
	}
}

func TestRefusalHeaders(t *testing.T) {
	n := start(t, Options{}, &script{request: func(c *Conn, _ *codec.Request) {
		c.Refuse(&codec.HTTPError{Status: 429, Reason: "too many"}, "Vary: Origin")
	}})
	for method, body := range map[string]string{"GET": "too many\n", "HEAD": ""} {
		client := dialRaw(t, n.addr, 0)
		client.send(method + " / HTTP/1.1\r\nHost: x\r\n\r\n")
		want := "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Length: 9\r\n" +
			"Content-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\nVary: Origin\r\n\r\n" + body + "FIN"
		if got := client.rest(); got != want {
			t.Errorf("%s: %q, want %q", method, got, want)
		}
	}
}
