package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestClientInChromium uses the page as a developer does, against this package's
// handler and a small stand-in for the public listener. It needs node, playwright-core
// and Chromium.
func TestClientInChromium(t *testing.T) {
	t.Parallel()
	if why := browserMissing(); why != "" {
		t.Fatal(why + " (make deps installs what the tests need)")
	}
	node := newFakeNode(t)
	adminURL := node.serveAdmin(t)

	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "testdata/client.mjs")
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "ADMIN_URL="+adminURL, "EXPECT_CLOSE=1012", "EXPECT_REASON=back in a minute", "ASK_BINARY=binary, please",
		"EXPECT_NODES=3", "EXPECT_GAPS=and 6 times before", "OUT_DIR="+os.Getenv("SCREENSHOTS"))
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		t.Log(lines.Text())
		if lines.Text() == "waiting for close" {
			node.closeAll(websocket.CloseServiceRestart, "back in a minute")
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("client.mjs: %v\n%s", err, complaints.String())
	}
}

// browserMissing says what has to be installed for the browser test, or "".
func browserMissing() string {
	if _, err := exec.LookPath("node"); err != nil {
		return "node is not installed"
	}
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		chromium = "/usr/bin/chromium"
	}
	if _, err := os.Stat(chromium); err != nil {
		return chromium + " is missing; install Chromium, or say where it is in CHROMIUM"
	}
	// Resolved from the script's own folder, as the script itself does.
	find := exec.Command("node", "-e", "require.resolve('playwright-core')")
	find.Dir = "testdata"
	if err := find.Run(); err != nil {
		return "playwright-core is not installed; run npm ci at the root of the repository"
	}
	return ""
}

// fakeNode stands in for the public listener, the hub and the inbox.
type fakeNode struct {
	public  *http.Server
	listen  string
	started time.Time

	mu    sync.Mutex
	conns map[*websocket.Conn][]string // channels; guarded by mu, writes to the conns too
	inbox []InboxEntry                 // oldest first; guarded by mu
}

func newFakeNode(t *testing.T) *fakeNode {
	t.Helper()
	n := &fakeNode{conns: map[*websocket.Conn][]string{}, started: time.Now().Add(-3*time.Hour - 12*time.Minute)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.listen = ln.Addr().String()
	var handlers sync.WaitGroup
	n.public = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Done()
		n.serveSocket(w, r)
	})}
	ended := make(chan error, 1)
	go func() { ended <- n.public.Serve(ln) }()
	t.Cleanup(func() {
		if err := n.public.Close(); err != nil {
			t.Error(err)
		}
		n.closeAll(websocket.CloseGoingAway, "")
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		handlers.Wait()
	})
	return n
}

// serveAdmin runs the admin listener until the test ends, and returns its URL.
func (n *fakeNode) serveAdmin(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, ln, New(Options{Info: n.info, API: n.api(), Open: n.api(), Inbox: n.latest, Gaps: n.gaps, CheckChannel: shortName}), nil)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

func shortName(channel string) error {
	if len(channel) > 255 {
		return fmt.Errorf("the name has %d bytes, the limit is 255", len(channel))
	}
	return nil
}

func (n *fakeNode) serveSocket(w http.ResponseWriter, r *http.Request) {
	channels := r.URL.Query()["channel"]
	for _, c := range channels {
		if err := shortName(c); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
	}
	c, err := n.open(w, r, channels)
	if err != nil {
		return // Upgrade has answered
	}
	name := c.RemoteAddr().String()
	n.note(InboxEntry{Type: "connect", Conn: name})
	for {
		_, data, err := c.ReadMessage()
		if err != nil {
			break
		}
		n.note(InboxEntry{Type: "message", Conn: name, Channel: strings.Join(channels, ","), Data: data})
		n.answer(c, r.URL.Path, string(data))
	}
	n.note(InboxEntry{Type: "disconnect", Conn: name})
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
	_ = c.Close() // the peer is gone already
}

// open answers a handshake. Whoever has the answer is subscribed.
func (n *fakeNode) open(w http.ResponseWriter, r *http.Request, channels []string) (*websocket.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	c, err := up.Upgrade(w, r, nil)
	if err == nil {
		n.conns[c] = channels
	}
	return c, err
}

func (n *fakeNode) answer(c *websocket.Conn, path, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case path == "/echo":
		_ = c.WriteMessage(websocket.TextMessage, []byte(text)) // a failure ends the reading, too
	case text == "binary, please":
		_ = c.WriteMessage(websocket.BinaryMessage, []byte("\x00\x01\xfe\xff and so on, beyond one line")) // likewise
	}
}

func (n *fakeNode) note(e InboxEntry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e.Time = time.Now()
	e.Stream = fmt.Sprintf("%d-%d", e.Time.UnixMilli(), len(n.inbox))
	e.Node = "node-a"
	n.inbox = append(n.inbox, e)
}

func (n *fakeNode) latest(_ context.Context, count int) ([]InboxEntry, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var newest []InboxEntry
	for i := len(n.inbox) - 1; i >= 0 && len(newest) < count; i-- {
		newest = append(newest, n.inbox[i])
	}
	return newest, nil
}

// api publishes as the HTTP API does.
func (n *fakeNode) api() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p struct {
			Channel string `json:"channel"`
			Payload []byte `json:"b64data"`
		}
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			refuse(w, http.StatusBadRequest, codeBadRequest, "%v", err)
			return
		}
		if err := shortName(p.Channel); err != nil {
			refuse(w, http.StatusOK, codeBadRequest, "channel: %v", err)
			return
		}
		n.publish(p.Channel, p.Payload)
		text(w, http.StatusOK, `{"result":{}}`)
	})
}

func (n *fakeNode) publish(channel string, payload []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c, channels := range n.conns {
		for _, name := range channels {
			if name == channel {
				_ = c.WriteMessage(websocket.TextMessage, payload) // a failure ends the reading, too
			}
		}
	}
}

// closeAll starts the close handshake on every connection; the readers end by it.
func (n *fakeNode) closeAll(code int, reason string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		frame := websocket.FormatCloseMessage(code, reason)
		if err := c.WriteControl(websocket.CloseMessage, frame, time.Now().Add(30*time.Second)); err != nil {
			_ = c.Close() // no handshake is possible: let its reader go
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second)) // a browser that is gone answers nothing
	}
}

// gaps are more than the page shows.
func (n *fakeNode) gaps() Gaps {
	g := Gaps{Node: "node-a", Forgotten: 2}
	for i := range 7 {
		from := n.started.Add(time.Duration(i) * time.Minute)
		to := from.Add(1700 * time.Millisecond)
		g.Gaps = append(g.Gaps, Gap{Link: "127.0.0.1:6379#0", Cause: "connection", From: from, To: &to, Channels: i})
	}
	g.Gaps[6].Channel, g.Gaps[6].Cause = "news", "oversize"
	return g
}

func (n *fakeNode) info() Info {
	n.mu.Lock()
	defer n.mu.Unlock()
	subscriptions, names := 0, map[string]bool{}
	for _, channels := range n.conns {
		subscriptions += len(channels)
		for _, c := range channels {
			names[c] = true
		}
	}
	return Info{
		Version: "v0.4.0", Node: "node-a", Started: n.started, Dev: true, Prefix: "sluice:", Listen: n.listen,
		Endpoints:   []Endpoint{{"/ws", "plain"}, {"/echo", "echo"}, {"/connection/websocket", "centrifuge"}},
		Redis:       Redis{URL: "embedded://127.0.0.1:6380", OK: true, State: "delivering"},
		Connections: int64(len(n.conns)), Subscriptions: int64(subscriptions), Channels: int64(len(names)),
		Nodes: []Node{
			{"node-a", "node-a.1", "0.0.0.0:8000", n.started, 0.4},
			{"node-b", "node-b.1", "[::]:8000", n.started.Add(time.Hour), 1.2},
			{"node-c", "node-c.1", "10.0.0.3:8000", n.started.Add(2 * time.Hour), 0.1},
		},
	}
}

func TestClientPage(t *testing.T) {
	for _, tag := range []string{"style", "script"} {
		if got := bytes.Count(clientHTML, []byte("<"+tag)); got != 1 {
			t.Errorf("client.html has %d <%s> elements; the policy names one by its hash", got, tag)
		}
	}
	for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", "onclick=", "src=", "http://127", "https://"} {
		if bytes.Contains(clientHTML, []byte(forbidden)) {
			t.Errorf("client.html contains %q", forbidden)
		}
	}
	if bytes.ContainsRune(clientHTML, '\r') {
		t.Error("client.html has carriage returns; browsers hash it without them")
	}
	w := get(New(Options{}), "/client")
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Errorf("GET /client: %d %s", w.Code, w.Header().Get("Content-Type"))
	}
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "connect-src 'self' ws: wss:", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q is loose", policy)
	}
	if body, err := io.ReadAll(w.Body); err != nil || !bytes.Equal(body, clientHTML) {
		t.Errorf("the page served is not the page embedded (%v)", err)
	}
}

func TestHashOf(t *testing.T) {
	for _, c := range []struct{ page, want string }{
		{`<script type="module">alert(1)</script>`, "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"},
		{`<p>none</p>`, "'none'"},
		{`<script>open`, "'none'"},
	} {
		if got := hashOf([]byte(c.page), "script"); got != c.want {
			t.Errorf("hashOf(%s) = %s, want %s", c.page, got, c.want)
		}
	}
}
