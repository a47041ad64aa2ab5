package deploy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sluice/gateway/hostile"
	"sluice/pubsub/redistest"
)

// startNode starts a node that is stopped when the test ends, and must then have ended well.
func startNode(t *testing.T, flags ...string) *hostile.Node {
	t.Helper()
	base := []string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--anonymous", "--reactors", "1", "--drain-window", "0s"}
	n, err := hostile.StartCommand(t.Context(), exec.Command(program, append(base, flags...)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n.Alive() != nil { // the test has ended it
			return
		}
		if err := n.Stop(context.Background()); err != nil {
			t.Errorf("the node ended with %v\n%s", err, n.LogText())
		}
	})
	return n
}

// rig is two nodes on one Redis behind a balancer.
type rig struct {
	t     *testing.T
	redis *redistest.Server
	nodes [2]*hostile.Node
	front *balancer
}

func newRig(t *testing.T, k kind, p place, flags ...string) *rig {
	t.Helper()
	server := redistest.Start(t)
	flags = slices.Concat([]string{"--redis", server.URL}, k.nodes, flags)
	return newRigOf(t, k, p, server, [2][]string{flags, flags})
}

// newRigOf is newRig for nodes that differ; flags are all that they need.
func newRigOf(t *testing.T, k kind, p place, server *redistest.Server, flags [2][]string) *rig {
	t.Helper()
	r := &rig{t: t, redis: server}
	for i := range r.nodes {
		r.nodes[i] = startNode(t, flags[i]...)
		p.nodes[i] = r.nodes[i].Public
	}
	r.front = k.begin(t, p)
	r.awaitNodes(2)
	return r
}

// awaitNodes waits until the balancer takes n nodes for well, where it is HAProxy, which tells. The others do what they do.
func (r *rig) awaitNodes(n int) {
	r.t.Helper()
	if !strings.HasSuffix(r.front.cmd.Path, "haproxy") {
		return
	}
	eventually(r.t, fmt.Sprintf("%d nodes are up", n), func() error {
		body, err := fetch("http://" + r.front.stats + "/metrics")
		if err != nil {
			return err
		}
		up := regexp.MustCompile(`(?m)^haproxy_server_status\{proxy="nodes",server="node[12]",state="UP"\} 1$`).FindAllString(body, -1)
		if len(up) != n {
			return fmt.Errorf("%d are", len(up))
		}
		return nil
	})
}

// fetch is the body of a page that must be there.
func fetch(url string) (string, error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	response, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s: %s", url, response.Status, body)
	}
	return string(body), err
}

// client is a WebSocket client that came through the balancer.
type client struct {
	*websocket.Conn
	t *testing.T
}

// tryDial connects from an address of loopback to a path; header may be nil.
func (r *rig) tryDial(from, path string, header http.Header) (*client, *http.Response, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	d := websocket.Dialer{TLSClientConfig: r.front.cert.client, HandshakeTimeout: patience,
		NetDialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, r.front.address)
		}}
	ws, response, err := d.Dial("wss://localhost"+path, header)
	if err != nil {
		return nil, response, err
	}
	r.t.Cleanup(func() { _ = ws.Close() }) // the test may have closed it
	return &client{ws, r.t}, response, nil
}

// ReadMessage waits for the next message from now on, however long the client has been there.
func (c *client) ReadMessage() (kind int, payload []byte, err error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	return c.Conn.ReadMessage()
}

// dial connects a client to the channel news.
func (r *rig) dial() *client {
	r.t.Helper()
	c, response, err := r.tryDial("127.0.0.1", "/ws?channel=news", nil)
	if err != nil {
		r.t.Fatalf("%v, %v", err, response)
	}
	return c
}

func (r *rig) publish(payload string) {
	r.t.Helper()
	r.redis.Do("PUBLISH", "sluice:news", payload)
}

func (c *client) want(payload string) {
	c.t.Helper()
	_, got, err := c.ReadMessage()
	if err != nil || string(got) != payload {
		c.t.Fatalf("got %.80q, %v; want %.80q", got, err, payload)
	}
}

// figure is one metric of a node.
func figure(t *testing.T, n *hostile.Node, name string) float64 {
	t.Helper()
	f, err := n.Figures()
	if err != nil {
		t.Fatal(err)
	}
	v, ok := f[name]
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	return v
}

// eventually waits until check is nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	within(t, patience, what, check)
}

// within is eventually for checks of which each takes its time.
func within(t *testing.T, patience time.Duration, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}
