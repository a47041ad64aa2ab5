package deploy

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"sluice/gateway/hostile"
	"sluice/loadtest/prometheus"
	"sluice/pubsub/redistest"
)

const apiKey = "0123456789abcdef"

// watched is two nodes on one Redis, and a Prometheus that asks both every second. The second node speaks TLS.
type watched struct {
	t       *testing.T
	redis   *redistest.Server
	service *redis.Client
	nodes   [2]*hostile.Node
	tls     [2]*tls.Config
	graph   *prometheus.Server

	position [2]uint64 // of what a follower heard last on a durable channel, by node
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	config := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(config, []byte("namespaces: [{name: d, durable: true, presence: true, see_presence: anyone, join_leave: true}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, redis: redistest.Start(t)}
	w.redis.Do("XGROUP", "CREATE", "sluice:inbox", "workers", "0", "MKSTREAM")
	w.service = w.redis.Client()
	t.Cleanup(func() { _ = w.service.Close() })
	cert := newCertificate(t)
	w.tls[1] = cert.client
	flags := []string{"--redis", w.redis.URL, "--config", config, "--echo", "--queue-max", "64KiB", "--message-max", "64KiB", "--api-key", apiKey}
	w.nodes[0] = startNode(t, append(flags[:len(flags):len(flags)], "--drain-delay", "10m")...)
	w.nodes[1] = startNode(t, append(flags, "--tls-cert", cert.cert, "--tls-key", cert.key)...)
	file, err := prometheus.Config("prometheus", t.TempDir(), time.Second, prometheus.Node{Admin: w.nodes[0].Admin}, prometheus.Node{Admin: w.nodes[1].Admin})
	if err != nil {
		t.Fatal(err)
	}
	if w.graph, err = prometheus.Start(file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.graph.Close)
	return w
}

// url is an address on a node.
func (w *watched) url(node int, scheme, path string) string {
	if w.tls[node] != nil {
		scheme += "s"
	}
	return scheme + "://" + w.nodes[node].Public + path
}

// dial opens a WebSocket that ends with the test at the latest.
func (w *watched) dial(node int, path string, protocols ...string) *client {
	w.t.Helper()
	d := websocket.Dialer{TLSClientConfig: w.tls[node], HandshakeTimeout: patience, Subprotocols: protocols}
	ws, _, err := d.DialContext(w.t.Context(), w.url(node, "ws", path), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = ws.Close() })
	if err := ws.SetReadDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	return &client{ws, w.t}
}

func (c *client) say(text string) {
	c.t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// hears reads until a message has this in it.
func (c *client) hears(part string) []byte {
	c.t.Helper()
	for {
		_, got, err := c.ReadMessage()
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", part, err)
		}
		if strings.Contains(string(got), part) {
			return got
		}
	}
}

// traffic is a little of everything that clients and services do, on both nodes.
func (w *watched) traffic() {
	w.t.Helper()
	for node := range w.nodes {
		w.plain(node)
		w.durable(node)
		w.centrifuge(node)
		w.events(node)
		w.slow(node)
		w.refused(node)
		if _, err := w.nodes[node].Collect(); err != nil { // or its collector may not run for two minutes
			w.t.Fatal(err)
		}
	}
}

func (w *watched) plain(node int) {
	c := w.dial(node, "/ws?channel=news")
	defer c.Close()
	c.say("up")
	w.redis.Do("PUBLISH", "sluice:news", "down")
	c.hears("down")
	e := w.dial(node, "/echo")
	defer e.Close()
	e.say("there and back")
	e.hears("there and back")
}

// durable is a follower that goes on where it was.
func (w *watched) durable(node int) {
	path := "/ws?channel=d:1"
	w.redis.Do("FCALL", "sluice_publish", 1, "sluice:d:1", `"missed"`)
	if w.position[node] != 0 {
		path += fmt.Sprint("&since=", w.position[node])
	}
	c := w.dial(node, path, "sluice.v1")
	defer c.Close()
	c.hears(`"subscribed":true`)
	w.redis.Do("FCALL", "sluice_publish", 1, "sluice:d:1", `"live"`)
	var message struct{ Position uint64 }
	if err := json.Unmarshal(c.hears(`"live"`), &message); err != nil {
		w.t.Fatal(err)
	}
	w.position[node] = message.Position
}

// centrifuge is a client of Centrifugo's protocol that calls a service, which answers.
func (w *watched) centrifuge(node int) {
	c := w.dial(node, "/connection/websocket")
	defer c.Close()
	c.say(`{"id":1,"connect":{}}`)
	c.hears(`"connect"`)
	c.say(`{"id":2,"subscribe":{"channel":"d:2"}}`)
	c.hears(`"id":2`)
	c.say(`{"id":3,"presence":{"channel":"d:2"}}`)
	c.hears(`"id":3`)
	c.say(`{"id":4,"rpc":{"method":"count","data":1}}`)
	eventually(w.t, "a service gets the call", func() error {
		return w.work()
	})
	c.hears(`"id":4`)
}

// work reads the inbox as a worker does, and answers the call in it; without one it is an error.
func (w *watched) work() error {
	answered := errors.New("there is no call")
	streams, err := w.service.XReadGroup(w.t.Context(), &redis.XReadGroupArgs{Group: "workers", Consumer: "me", Streams: []string{"sluice:inbox", ">"}, Count: 1000, Block: -1}).Result()
	if err != nil {
		return err
	}
	for _, entry := range streams[0].Messages {
		if e := entry.Values; e["type"] == "rpc" {
			w.redis.Do("PUBLISH", e["reply"], fmt.Sprintf("%s:%s 2", e["conn"], e["call"]))
			answered = nil
		}
		w.redis.Do("XACK", "sluice:inbox", "workers", entry.ID)
	}
	return answered
}

func (w *watched) events(node int) {
	transport := &http.Transport{TLSClientConfig: w.tls[node]}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Get(w.url(node, "http", "/sse?channel=news"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	w.redis.Do("PUBLISH", "sluice:news", "an event")
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if lines.Text() == "data: an event" {
			return
		}
	}
	w.t.Fatal("the event did not come")
}

// slow is a client that does not read, until it is cut.
func (w *watched) slow(node int) {
	const metric = "sluice_slow_consumers_total"
	before := figure(w.t, w.nodes[node], metric)
	w.dial(node, "/ws?channel=much")
	payload := strings.Repeat("x", 256<<10)
	eventually(w.t, "the slow client is cut", func() error {
		w.redis.Do("PUBLISH", "sluice:much", payload)
		if n := figure(w.t, w.nodes[node], metric); n == before {
			return fmt.Errorf("%v were", n)
		}
		return nil
	})
}

// refused is one that comes for what is not there, one that does not speak TLS where it should, and a stranger at the API.
func (w *watched) refused(node int) {
	if _, err := fetch("http://" + w.nodes[node].Public + "/nowhere"); err == nil {
		w.t.Fatal("there is something nowhere")
	}
	d := websocket.Dialer{TLSClientConfig: w.tls[node], HandshakeTimeout: patience}
	if _, response, err := d.DialContext(w.t.Context(), w.url(node, "ws", "/nowhere"), nil); err == nil || response == nil || response.StatusCode != http.StatusNotFound {
		w.t.Fatalf("answered %v, %v", response, err)
	}
	for _, key := range []string{apiKey, "another"} {
		request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+w.nodes[node].Admin+"/api/publish", strings.NewReader(`{"channel":"news","data":1}`))
		if err != nil {
			w.t.Fatal(err)
		}
		request.Close = true
		request.Header.Set("X-API-Key", key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			w.t.Fatal(err)
		}
		response.Body.Close()
	}
}
