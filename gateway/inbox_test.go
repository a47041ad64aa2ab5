package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/config"
	"sluice/gateway/hostile"
	"sluice/pubsub"
	"sluice/pubsub/redistest"
)

// dialNode connects to a node that is a process of its own.
func dialNode(t *testing.T, n *hostile.Node, path string) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{HandshakeTimeout: patience}
	ws, _, err := d.Dial("ws://"+n.Public+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() }) // its node may have died
	return ws
}

// lives is what the inbox says of each connection: the types of its entries, in
// order, connect and disconnect alone.
func (n *testNode) lives() map[string][]string {
	n.t.Helper()
	messages, err := n.redis.XRange(n.t.Context(), "sluice:inbox", "-", "+").Result()
	if err != nil {
		n.t.Fatal(err)
	}
	found := map[string][]string{}
	for _, m := range messages {
		conn, kind := m.Values["conn"].(string), m.Values["type"].(string)
		if kind == "connect" || kind == "disconnect" {
			found[conn] = append(found[conn], kind)
		}
	}
	return found
}

func (n *testNode) wantLives(what string, want map[string]int) {
	n.t.Helper()
	soon(n.t, what, func() error {
		got := map[string]int{}
		for _, says := range n.lives() {
			got[strings.Join(says, " ")]++
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("connections by what is said of them: %v, want %v", got, want)
		}
		return nil
	})
}

// Whoever dies, each of its connections has one disconnect entry in the end, though
// two nodes are there to write it.
func TestInboxOfADeadNode(t *testing.T) {
	t.Parallel()
	const clients = 60
	server := redistest.Start(t)
	a, b := startNodeWithID(t, "a", server.URL).ready(), startNodeWithID(t, "b", server.URL).ready()
	dead := startProcess(t, "dead", server.URL)
	a.knows("a", "b", "dead")
	stays := a.dial("/ws?channel=news")
	for i := range clients {
		ws := dialNode(t, dead, "/ws?channel=news&channel=chat:"+strconv.Itoa(i))
		if i < 10 {
			_ = ws.Close() // abruptly: that is an end, too
		}
	}
	a.wantLives("some have ended before", map[string]int{"connect": clients - 10 + 1, "connect disconnect": 10})
	if err := dead.Kill(); err != nil {
		t.Fatal(err)
	}
	a.wantLives("the dead node's are completed", map[string]int{"connect": 1, "connect disconnect": clients})
	a.knows("a", "b")
	a.renews(b)
	a.wantLives("nothing is said twice", map[string]int{"connect": 1, "connect disconnect": clients})
	completed := 0
	for _, e := range a.entries("disconnect") {
		if e["data"] != "1006 the node has died" {
			continue
		}
		completed++
		if e["node"] != "dead" || e["reply"] != "sluice:{node:dead}" || !strings.HasPrefix(e["channel"].(string), "news chat:") {
			t.Errorf("%v", e)
		}
	}
	if completed != clients-10 {
		t.Errorf("%d entries were completed, want %d", completed, clients-10)
	}
	soon(t, "they are counted", func() error {
		if got := a.inbox.Stats().Buried + b.inbox.Stats().Buried; got != int64(completed) {
			return fmt.Errorf("%d are", got)
		}
		return nil
	})
	_ = stays.Close()
	a.wantLives("the living end as always", map[string]int{"connect disconnect": clients + 1})
}

// A node that was taken for dead and comes back says of its connections that they are
// there, after what was said of them meanwhile.
func TestInboxOfANodeThatComesBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := startNodeWithID(t, "a", server.URL).ready()
	frozen := startProcess(t, "frozen", server.URL)
	a.knows("a", "frozen")
	var clients []*websocket.Conn
	for range 5 {
		clients = append(clients, dialNode(t, frozen, "/ws?channel=news"))
	}
	a.wantLives("all are there", map[string]int{"connect": 5})
	if err := frozen.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	a.wantLives("they are taken for gone", map[string]int{"connect disconnect": 5})
	if err := frozen.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	a.wantLives("they are there after all", map[string]int{"connect disconnect connect": 5})
	for _, e := range a.entries("connect") {
		if e["channel"] != "news" {
			t.Errorf("%v", e)
		}
	}
	ids := map[string]bool{}
	for _, kind := range []string{"connect", "disconnect"} {
		for _, e := range a.entries(kind) {
			if id := e["id"].(string); ids[id] {
				t.Errorf("the id %s stands there twice", id)
			} else {
				ids[id] = true
			}
		}
	}
	_ = clients[0].Close()
	a.wantLives("one ends", map[string]int{"connect disconnect connect": 4, "connect disconnect connect disconnect": 1})
	if err := frozen.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.wantLives("the node ends", map[string]int{"connect disconnect connect disconnect": 5})
	a.knows("a")
	if s := a.lease.Stats(); s.Deaths != 1 {
		t.Errorf("%+v", s)
	}
}

// Where Redis has lost everything, what is open is said again, by itself.
func TestInboxIsStatedAgain(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	n := startNodeWithID(t, "a", server.URL).ready()
	for range 3 {
		n.dial("/ws?channel=news")
	}
	n.wantLives("all are there", map[string]int{"connect": 3})
	server.Do("FLUSHALL")
	n.dial("/ws?channel=news") // by which it is noticed
	n.wantLives("all are there again", map[string]int{"connect": 4})
	if got := n.metric("sluice_inbox_record_losses_total"); got == "0" {
		t.Error("no loss is counted")
	}
}

// A node that ends while Redis takes nothing leaves its connections to the others.
func TestInboxOfANodeThatEndsInTrouble(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a, b := startNodeWithID(t, "a", server.URL).ready(), startNodeWithID(t, "b", server.URL).ready()
	a.knows("a", "b")
	for range 3 {
		b.dial("/ws?channel=news")
	}
	a.wantLives("all are there", map[string]int{"connect": 3})
	server.Do("CONFIG", "SET", "maxmemory", "1") // entries are refused; leases are renewed by what may be there already
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	server.Do("CONFIG", "SET", "maxmemory", "0")
	a.wantLives("they have ended", map[string]int{"connect disconnect": 3})
}

func TestInboxOfNamespaces(t *testing.T) {
	n := startNode(t, "--dev", "--inbox-streams", "2", configFile(t, `
namespaces:
  - {name: order, inbox: orders}
  - {name: offer, inbox: orders}
  - {name: chat, inbox: talk}
`)).ready()
	for _, row := range []struct {
		path string
		want []string // stream, channels
	}{
		{"/ws?channel=news", []string{"inbox: news"}},
		{"/ws?channel=order:1", []string{"orders: order:1"}},
		{"/ws?channel=order:1&channel=offer:2", []string{"orders: order:1 offer:2"}},
		{"/ws?channel=chat:a&channel=news&channel=order:1&channel=chat:b", []string{"inbox: news", "orders: order:1", "talk: chat:a chat:b"}},
	} {
		c := n.dial(row.path)
		text := "from " + row.path
		c.send(websocket.TextMessage, text)
		var got []string
		eventually(t, row.path, func() error {
			got = nil
			for _, stream := range []string{"inbox", "orders", "talk"} {
				for part := range 2 {
					entries, err := n.redis.XRange(t.Context(), fmt.Sprintf("sluice:%s.%d", stream, part), "-", "+").Result()
					if err != nil {
						return err
					}
					for _, e := range entries {
						if e.Values["data"] == text {
							got = append(got, fmt.Sprint(stream, ": ", e.Values["channel"]))
						}
						if stream != "inbox" && e.Values["type"] != "message" {
							t.Fatalf("%s has %v", stream, e.Values)
						}
					}
				}
			}
			if !slices.Equal(got, row.want) {
				return fmt.Errorf("got %q, want %q", got, row.want)
			}
			return nil
		})
	}
	eventually(t, "/api/inbox shows all", func() error {
		if page := n.get(n.Admin(), "/api/inbox?count=100", 200); strings.Count(page, `"type":"message"`) != 6 || strings.Count(page, `"type":"connect"`) != 4 {
			return errors.New(page)
		}
		return nil
	})
}

// Connections that come and go while Redis comes and goes: each one's entries take
// turns, and those that have ended have as many of one kind as of the other.
func TestInboxWhileRedisBlinks(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	n := startNodeWithID(t, "a", server.URL).ready()
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if c, _, err := n.tryDial("/ws?channel=news", nil); err == nil {
					_ = c.Close() // abruptly
				}
			}
		})
	}
	for i := range 4 {
		before := n.inbox.Stats().Written
		eventually(t, "entries are written", func() error {
			if n.inbox.Stats().Written < before+50 {
				return errors.New("not yet")
			}
			return nil
		})
		if i%2 == 0 {
			server.Kill()
			server.Restart()
			continue
		}
		var last *client
		eventually(t, "a client comes in", func() (err error) {
			last, _, err = n.tryDial("/ws?channel=news", nil)
			return err
		})
		server.Pause()
		_ = last.Close() // so that there is something to write: who comes now waits for its channel, and has no entry yet
		soon(t, "the inbox is down", func() error {
			if !n.inbox.Stats().Down {
				return errors.New("not yet")
			}
			return nil
		})
		server.Resume()
	}
	close(stop)
	clients.Wait()
	soon(t, "all have ended", func() error {
		ended := 0
		for conn, says := range n.lives() {
			for i, kind := range says {
				if want := []string{"connect", "disconnect"}[i%2]; kind != want {
					t.Fatalf("of %s is said %q", conn, says)
				}
			}
			if len(says) != 2 {
				return fmt.Errorf("of %s is said %q", conn, says)
			}
			ended++
		}
		if ended < 50 { // two entries each, fifty in each of four rounds, of which the last ones may be of the same
			t.Fatalf("%d connections", ended)
		}
		return nil
	})
	if s := n.inbox.Stats(); s.Forgotten != 0 || s.Repeated == 0 {
		t.Errorf("%+v", s)
	}
}

// A group that falls behind is in the metrics and, where entries are lost to it, in
// the log.
func TestInboxLagIsShown(t *testing.T) {
	core, lines := observer.New(zap.WarnLevel)
	c := config.Default()
	o := inboxOptions(&c, "n.x", zap.New(core))
	o.Trimmed(pubsub.StreamLag{Stream: "s", Length: 1000, MaxLen: 1000}, pubsub.GroupLag{Name: "g", Lag: 950})
	o.Trimmed(pubsub.StreamLag{Stream: "s", Length: 1000, MaxLen: 1000}, pubsub.GroupLag{Name: "g", Lag: 1500})
	if all := lines.All(); len(all) != 2 || all[0].Level != zap.WarnLevel || all[1].Level != zap.ErrorLevel || all[1].ContextMap()["lost"] != int64(500) {
		t.Errorf("%v", all)
	}

	server := redistest.Start(t)
	server.Do("XGROUP", "CREATE", "sluice:inbox", "workers", "0", "MKSTREAM")
	for range 3 {
		server.Do("XADD", "sluice:inbox", "*", "type", "message")
	}
	server.Do("XREADGROUP", "GROUP", "workers", "w1", "COUNT", "2", "STREAMS", "sluice:inbox", ">")
	n := startNode(t, "--dev", "--redis", server.URL).ready() // it looks when it starts
	for metric, want := range map[string]string{
		`sluice_inbox_length{stream="sluice:inbox"}`:                         "3",
		`sluice_inbox_groups_omitted{stream="sluice:inbox"}`:                 "0",
		`sluice_inbox_unread{group="workers",stream="sluice:inbox"}`:         "1",
		`sluice_inbox_unread_trimmed{group="workers",stream="sluice:inbox"}`: "0",
		`sluice_inbox_pending{group="workers",stream="sluice:inbox"}`:        "2",
	} {
		eventually(t, metric, func() error {
			if body := n.get(n.Admin(), "/metrics", 200); !strings.Contains(body, "\n"+metric+" "+want+"\n") {
				return fmt.Errorf("it is not %s in\n%s", want, body)
			}
			return nil
		})
	}
}
