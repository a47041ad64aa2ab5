package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"sluice/config"
)

// TestMain ends the run when a test left a goroutine behind. The pool that gnet
// brings along is started with the process and never ends; centrifuge-go's calls
// leave one behind until their timeout, also when they are answered.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/centrifugal/centrifuge-go.(*Client).sendAsync.func1"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
		goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*poolCommon).goTicktock.func1"))
}

const patience = 30 * time.Second // for anything that should happen, also on a machine that is busy with other tests

const noPings = "10m" // ping.interval: longer than any test

// testNode is a node that runs until its test ends.
type testNode struct {
	*App
	t     *testing.T
	redis *redis.Client // as a backend uses it
	stop  func() error
}

// startNode starts a node with the given flags, on free ports; without --redis on
// an embedded broker of its own. Clients that do not read answer no pings, a test may take
// long on a busy machine, and so may a handshake: where that is not what is tested, flags say
// otherwise.
func startNode(t *testing.T, args ...string) *testNode {
	t.Helper()
	base := []string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--redis", "embedded://127.0.0.1:0", "--shutdown-timeout", "5s",
		"--ping-interval", noPings, "--handshake-timeout", "1m"}
	c, err := config.Load(append(base, args...), nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), c, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	n := &testNode{App: a, t: t}
	n.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	url := c.Redis
	if a.embedded != nil {
		url = a.embedded.URL()
	}
	if scheme, _, _ := strings.Cut(url, "://"); !strings.Contains(scheme, "+") { // else the test knows the servers
		o, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = patience, patience, patience // what is late is not to be said again
		n.redis = redis.NewClient(o)
		t.Cleanup(func() { _ = n.redis.Close() }) // only the test's own client
	}
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Errorf("the node ended with: %v", err)
		}
	})
	return n
}

// testLog shows a node's log with its test, warnings and above.
func testLog(t *testing.T) *zap.Logger {
	return zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel), zaptest.WrapOptions(zap.AddStacktrace(zap.FatalLevel)))
}

func (n *testNode) ready() *testNode {
	n.t.Helper()
	eventually(n.t, "the node is ready", func() error { return n.Ready() })
	return n
}

// eventually waits until check is nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// client is a WebSocket client that remembers why it was refused.
type client struct {
	*websocket.Conn
	t        *testing.T
	response *http.Response
}

// tryDial connects to a path of the node.
func (n *testNode) tryDial(path string, header http.Header, protocols ...string) (*client, *http.Response, error) {
	d := websocket.Dialer{Subprotocols: protocols, HandshakeTimeout: patience}
	ws, response, err := d.Dial("ws://"+n.Public().String()+path, header)
	if err != nil {
		return nil, response, err
	}
	n.t.Cleanup(func() { _ = ws.Close() }) // the test may have closed it
	return &client{Conn: ws, t: n.t, response: response}, response, nil
}

// ReadMessage waits for the next message as long as patience lasts, however long the test
// has taken until then.
func (c *client) ReadMessage() (kind int, payload []byte, err error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	return c.Conn.ReadMessage()
}

func (n *testNode) dial(path string, protocols ...string) *client {
	n.t.Helper()
	c, response, err := n.tryDial(path, nil, protocols...)
	if err != nil {
		n.t.Fatalf("dialing %s: %v, %v", path, err, response)
	}
	return c
}

// want reads one message and compares.
func (c *client) want(kind int, payload string) {
	c.t.Helper()
	gotKind, got, err := c.ReadMessage()
	if err != nil {
		c.t.Fatalf("waiting for %q: %v", shorten(payload), err)
	}
	if gotKind != kind || string(got) != payload {
		c.t.Fatalf("got type %d %q, want type %d %q", gotKind, shorten(string(got)), kind, shorten(payload))
	}
}

func (c *client) wantText(payload string) { c.t.Helper(); c.want(websocket.TextMessage, payload) }

// wantClose reads until the server's close frame.
func (c *client) wantClose(code int) string {
	c.t.Helper()
	for {
		_, _, err := c.ReadMessage()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		if !asError(err, &closed) || closed.Code != code {
			c.t.Fatalf("ended with %v, want close code %d", err, code)
		}
		return closed.Text
	}
}

func (c *client) send(kind int, payload string) {
	c.t.Helper()
	if err := c.WriteMessage(kind, []byte(payload)); err != nil {
		c.t.Fatal(err)
	}
}

func shorten(s string) string {
	if len(s) > 80 {
		return s[:80] + fmt.Sprintf("… (%d bytes)", len(s))
	}
	return s
}

// publish publishes as a backend does.
func (n *testNode) publish(channel, payload string) {
	n.t.Helper()
	if err := n.redis.Publish(n.t.Context(), "sluice:"+channel, payload).Err(); err != nil {
		n.t.Fatal(err)
	}
}

// entries reads the whole inbox, of the given type.
func (n *testNode) entries(kind string) []map[string]any {
	n.t.Helper()
	messages, err := n.redis.XRange(n.t.Context(), "sluice:inbox", "-", "+").Result()
	if err != nil {
		n.t.Fatal(err)
	}
	var found []map[string]any
	for _, m := range messages {
		if m.Values["type"] == kind {
			found = append(found, m.Values)
		}
	}
	return found
}

// entry waits for the only inbox entry of a type.
func (n *testNode) entry(kind string) map[string]any {
	n.t.Helper()
	var found []map[string]any
	eventually(n.t, "one inbox entry of type "+kind, func() error {
		if found = n.entries(kind); len(found) != 1 {
			return fmt.Errorf("there are %d", len(found))
		}
		return nil
	})
	return found[0]
}

// metric reads one figure from /metrics.
func (n *testNode) metric(name string) string {
	n.t.Helper()
	body := n.get(n.Admin(), "/metrics", 200)
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	n.t.Fatalf("/metrics has no %s", name)
	return ""
}

// get fetches a page and checks its status.
func (n *testNode) get(addr net.Addr, path string, status int) string {
	n.t.Helper()
	response, body, err := fetch("http://" + addr.String() + path)
	if err != nil {
		n.t.Fatal(err)
	}
	if response.StatusCode != status {
		n.t.Fatalf("%s answered %d %q, want %d", path, response.StatusCode, body, status)
	}
	return body
}
