package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sluice/pubsub/redistest"
)

func asError[T error](err error, target *T) bool { return errors.As(err, target) }

// fetch gets a page without leaving a connection behind.
func fetch(url string) (*http.Response, string, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, "", err
	}
	request.Close = true
	c := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := c.Do(request)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(response.Body)
	return response, string(body), errors.Join(err, response.Body.Close())
}

// brokers are what a node can run on. Everything a client sees is the same.
var brokers = []struct {
	name string
	args func(t *testing.T) []string
}{
	{"embedded", func(*testing.T) []string { return nil }},
	{"redis", func(t *testing.T) []string { return []string{"--redis", redistest.Start(t).URL} }},
}

func TestPublishReachesTheBrowser(t *testing.T) {
	for _, b := range brokers {
		t.Run(b.name, func(t *testing.T) {
			n := startNode(t, append(b.args(t), "--dev")...).ready()
			news := n.dial("/ws?channel=news")
			both := n.dial("/ws?channel=news&channel=caf%C3%A9&channel=news")
			n.publish("news", `{"hello":"browser"}`)
			n.publish("café", "☕")
			n.publish("other", "for nobody")
			n.publish("news", "")
			n.publish("news", "not \xff UTF-8 \x00\r\n")
			n.publish("news", strings.Repeat("x", 1<<20))
			for _, c := range []*client{news, both} {
				c.wantText(`{"hello":"browser"}`)
				if c == both {
					c.wantText("☕")
				}
				c.wantText("")
				c.want(websocket.BinaryMessage, "not \xff UTF-8 \x00\r\n")
				c.wantText(strings.Repeat("x", 1<<20))
			}
		})
	}
}

// TestOpenMeansSubscribed holds what the plain dialect promises: what is
// published after the handshake was answered arrives.
func TestOpenMeansSubscribed(t *testing.T) {
	for _, b := range brokers {
		t.Run(b.name, func(t *testing.T) {
			n := startNode(t, append(b.args(t), "--dev")...)
			for i := range 100 {
				channel := fmt.Sprintf("c%d", i%7)
				c := n.dial("/ws?channel=" + channel)
				payload := fmt.Sprintf("message %d", i)
				n.publish(channel, payload)
				c.wantText(payload)
				if i%3 == 0 {
					_ = c.Close() // so that channels come and go
				}
			}
		})
	}
}

func TestTwoNodesShareARedis(t *testing.T) {
	server := redistest.Start(t)
	a := startNode(t, "--dev", "--redis", server.URL).ready()
	b := startNode(t, "--dev", "--redis", server.URL).ready()
	onA, onB := a.dial("/ws?channel=shared&channel=onlyA"), b.dial("/ws?channel=shared&channel=onlyB")
	a.publish("shared", "to both")
	onA.wantText("to both")
	onB.wantText("to both")

	subscribed := func(pattern string) []string {
		names, err := a.redis.PubSubChannels(t.Context(), pattern).Result()
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		return names
	}
	if got, want := subscribed("sluice:[os]*"), []string{"sluice:onlyA", "sluice:onlyB", "sluice:shared"}; !slices.Equal(got, want) {
		t.Errorf("Redis has subscriptions of %q, want %q", got, want)
	}
	count := func(channel string) int64 {
		numbers, err := a.redis.PubSubNumSub(t.Context(), "sluice:"+channel).Result()
		if err != nil {
			t.Fatal(err)
		}
		return numbers["sluice:"+channel]
	}
	if got := [3]int64{count("shared"), count("onlyA"), count("onlyB")}; got != [3]int64{2, 1, 1} {
		t.Errorf("subscriptions of shared, onlyA, onlyB are %v, want one for each node with clients there", got)
	}
	_ = onA.Close()
	eventually(t, "a node without clients of a channel is not subscribed to it", func() error {
		if got := [3]int64{count("shared"), count("onlyA"), count("onlyB")}; got != [3]int64{1, 0, 1} {
			return fmt.Errorf("subscriptions are %v", got)
		}
		return nil
	})
	a.publish("shared", "to one")
	onB.wantText("to one")
}

func TestInboxHearsTheClient(t *testing.T) {
	for _, b := range brokers {
		t.Run(b.name, func(t *testing.T) {
			n := startNode(t, append(b.args(t), "--dev", "--node-id", "n1")...).ready()
			before := time.Now().Add(-time.Second)
			c := n.dial("/ws?channel=room&channel=news")
			c.send(websocket.TextMessage, "hi \x00\r\n☕")
			message := n.entry("message")
			for field, want := range map[string]any{"data": "hi \x00\r\n☕", "channel": "room news", "node": "n1", "reply": "sluice:{node:n1}"} {
				if message[field] != want {
					t.Errorf("field %s is %q, want %q", field, message[field], want)
				}
			}
			connect := n.entry("connect")
			if connect["conn"] != message["conn"] || connect["id"] == message["id"] {
				t.Errorf("connect %v and message %v: want the same conn and another id", connect, message)
			}
			var ms int64
			if _, err := fmt.Sscan(fmt.Sprint(message["time"]), &ms); err != nil || time.UnixMilli(ms).Before(before) || time.UnixMilli(ms).After(time.Now()) {
				t.Errorf("time is %v (%v), want milliseconds of now", message["time"], err)
			}
			for i := range 100 {
				c.send(websocket.BinaryMessage, fmt.Sprint(i))
			}
			eventually(t, "all messages are there", func() error {
				if got := len(n.entries("message")); got != 101 {
					return fmt.Errorf("%d are", got)
				}
				return nil
			})
			for i, m := range n.entries("message")[1:] {
				if m["data"] != fmt.Sprint(i) {
					t.Fatalf("message %d is %q: out of order", i, m["data"])
				}
			}
			if err := c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "bye")); err != nil {
				t.Fatal(err)
			}
			c.wantClose(4001)
			if got := n.entry("disconnect"); got["data"] != "4001 bye" || got["conn"] != message["conn"] {
				t.Errorf("disconnect is %v", got)
			}
		})
	}
}

// The names of connections and the ids of entries are not used again by a node of
// the same name: an answer that comes late must not reach a stranger.
func TestNamesAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	seen := map[any]bool{}
	for range 2 {
		n := startNode(t, "--dev", "--redis", server.URL, "--node-id", "web-0").ready()
		n.dial("/ws?channel=news").send(websocket.TextMessage, "x")
		eventually(t, "a message of this life", func() error {
			messages := n.entries("message")
			if len(messages) == 0 || seen[messages[len(messages)-1]["conn"]] {
				return errors.New("none yet")
			}
			last := messages[len(messages)-1]
			if seen[last["id"]] {
				t.Fatalf("the id %v was used twice", last["id"])
			}
			seen[last["conn"]], seen[last["id"]] = true, true
			return nil
		})
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPushToOneConnection(t *testing.T) {
	n := startNode(t, "--dev").ready()
	c, other := n.dial("/ws?channel=news"), n.dial("/ws?channel=news")
	c.send(websocket.TextMessage, "who am I?")
	asked := n.entry("message")
	reply := strings.TrimPrefix(asked["reply"].(string), "sluice:")
	n.publish(reply, fmt.Sprintf("%s you, and nobody else", asked["conn"]))
	c.wantText("you, and nobody else")
	n.publish(reply, fmt.Sprintf("%s:7 an answer to no call", asked["conn"]))
	n.publish(reply, fmt.Sprintf("%s ", asked["conn"]))
	c.wantText("")

	for _, address := range []string{"", "nonsense", "{}", fmt.Sprint(asked["conn"]) + "0", "other.1", n.node.Life + ".zzzzzzzzzzzzzzzz", n.node.Life + ".-1"} {
		n.publish(reply, address+" lost")
	}
	eventually(t, "what cannot be delivered is counted", func() error {
		if got := n.metric("sluice_direct_undeliverable_total"); got != "7" {
			return errors.New("it says " + got)
		}
		return nil
	})
	n.publish("news", "to all")
	c.wantText("to all")
	other.wantText("to all")
}

func TestSubprotocols(t *testing.T) {
	n := startNode(t, "--dev").ready()
	for _, row := range []struct {
		name    string
		offered []string
		want    string
	}{
		{"none offered, none answered", nil, ""},
		{"the page that asks for chat gets chat", []string{"chat"}, "chat"},
		{"the first of several", []string{"v2.chat", "v1.chat"}, "v2.chat"},
		{"a token is not repeated", []string{"bearer.abc", "chat"}, "chat"},
		{"a token alone", []string{"bearer.abc"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, path := range []string{"/ws?channel=news", "/echo"} {
				if got := n.dial(path, row.offered...).Subprotocol(); got != row.want {
					t.Errorf("%s: answered %q, want %q", path, got, row.want)
				}
			}
		})
	}
	strict := startNode(t, "--dev", "--protocols", "chat").ready()
	if got := strict.dial("/ws?channel=news", "other", "chat").Subprotocol(); got != "chat" {
		t.Errorf("with --protocols chat: answered %q", got)
	}
}

func TestRefusals(t *testing.T) {
	open := startNode(t, "--dev", "--connections-channels", "2").ready()
	closed := startNode(t).ready()
	echoing := startNode(t, "--echo").ready()
	listed := startNode(t, "--anonymous", "--origins", "https://app.example").ready()
	origin := func(o ...string) http.Header { return http.Header{"Origin": o} }
	for _, row := range []struct {
		name   string
		node   *testNode
		path   string
		header http.Header
		status int
	}{
		{"no channel", open, "/ws", nil, 400},
		{"empty channel", open, "/ws?channel=", nil, 400},
		{"channel with a space", open, "/ws?channel=a%20b", nil, 400},
		{"channel with a control character", open, "/ws?channel=a%0ab", nil, 400},
		{"channel with a hash tag", open, "/ws?channel=%7Bnode:x%7D", nil, 400},
		{"channel with a pattern", open, "/ws?channel=a*", nil, 400},
		{"channel of 256 bytes", open, "/ws?channel=" + strings.Repeat("x", 256), nil, 400},
		{"channel that is not UTF-8", open, "/ws?channel=%ff", nil, 400},
		{"malformed query", open, "/ws?channel=%zz", nil, 400},
		{"a user's channel", open, "/ws?channel=%2342", nil, 403},
		{"too many channels", open, "/ws?channel=a&channel=b&channel=c", nil, 400},
		{"repetitions do not count", open, "/ws?channel=a&channel=b&channel=a&channel=b", nil, 101},
		{"channel of 255 bytes", open, "/ws?channel=" + strings.Repeat("x", 255), nil, 101},
		{"unknown path", open, "/wsx?channel=a", nil, 404},
		{"anonymous clients are let in by a switch only", closed, "/ws?channel=a", nil, 401},
		{"echo is served by a switch only", closed, "/echo", nil, 404},
		{"and asks for a token like everything else", echoing, "/echo", nil, 401},
		{"a page of this machine, with --dev", open, "/ws?channel=a", origin("http://localhost:3000"), 101},
		{"a page of this machine, IPv6, with --dev", open, "/ws?channel=a", origin("http://[::1]:3000"), 101},
		{"a foreign page, with --dev", open, "/ws?channel=a", origin("https://evil.example"), 403},
		{"a foreign page that looks local", open, "/ws?channel=a", origin("http://localhost.evil.example"), 403},
		{"a page without origin, with --dev", open, "/ws?channel=a", origin("null"), 403},
		{"a listed page", listed, "/ws?channel=a", origin("https://app.example"), 101},
		{"the same over http", listed, "/ws?channel=a", origin("http://app.example"), 403},
		{"the same with a port", listed, "/ws?channel=a", origin("https://app.example:444"), 403},
		{"the same in a longer name", listed, "/ws?channel=a", origin("https://app.example.evil.example"), 403},
		{"two origins", listed, "/ws?channel=a", origin("https://app.example", "https://app.example"), 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, response, err := row.node.tryDial(row.path, row.header)
			if response == nil {
				t.Fatal(err)
			}
			if response.StatusCode != row.status {
				t.Errorf("answered %s, want %d", response.Status, row.status)
			}
		})
	}
	if got := open.metric(`sluice_refused_total{status="403"}`); got != "4" {
		t.Errorf("403 was counted %s times, want 4", got)
	}
	if got := open.metric(`sluice_refused_by_reason_total{reason="origin"}`); got != "3" {
		t.Errorf("the Origin was the reason %s times, want 3", got)
	}
	for path, status := range map[string]int{"/": 404, "/healthz": 200, "/readyz": 200, "/ws": 426, "/ws?channel=a": 426, "/echo": 426, "/%2e%2e/ws": 404} {
		eventually(t, "GET "+path+" without an upgrade", func() error { // a node that was held up is not ready for a moment
			if response, body, err := fetch("http://" + open.Public().String() + path); err != nil || response.StatusCode != status {
				return fmt.Errorf("%v %w %q, want %d", response, err, body, status)
			}
			return nil
		})
	}
}

func TestEchoKeepsTheType(t *testing.T) {
	c := startNode(t, "--dev").ready().dial("/echo")
	for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
		for _, payload := range []string{"", "x", strings.Repeat("long ", 10_000)} {
			c.send(kind, payload)
			c.want(kind, payload)
		}
	}
}

func TestLeavingTellsEveryClient(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, "--dev", "--redis", server.URL).ready()
	var clients []*client
	for range 50 {
		clients = append(clients, n.dial("/ws?channel=news"))
	}
	n.publish("news", "last words") // what was sent before the close arrives before it
	for _, c := range clients {
		c.wantText("last words")
	}
	ended := make(chan error, 1)
	go func() { ended <- n.stop() }()
	for _, c := range clients {
		if reason := c.wantClose(websocket.CloseServiceRestart); reason == "" {
			t.Error("closed without a reason")
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := len(n.entries("disconnect")); got != 50 {
		t.Errorf("%d disconnect entries, want 50", got)
	}
	if _, _, err := n.tryDial("/ws?channel=news", nil); err == nil {
		t.Error("a node that has ended still takes clients")
	}
}
