package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sluice/pubsub/redistest"
)

func TestRedisIsNotThereAtStart(t *testing.T) {
	server := redistest.Reserve(t)
	n := startNode(t, "--dev", "--redis", server.URL, "--handshake-timeout", "4s")
	if body := n.get(n.Public(), "/readyz", 503); body == "" {
		t.Error("not ready without a reason")
	}
	n.get(n.Admin(), "/readyz", 503)
	n.get(n.Public(), "/healthz", 200) // the process is well: restarting it would help nobody
	_, response, err := n.tryDial("/ws?channel=news", nil)
	if response == nil || response.StatusCode != 503 {
		t.Fatalf("a client that cannot be subscribed got %v, %v; want 503", response, err)
	}
	server.Restart()
	n.ready()
	c := n.dial("/ws?channel=news")
	n.publish("news", "at last")
	c.wantText("at last")
}

func TestRedisComesBack(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, "--dev", "--redis", server.URL).ready()
	c := n.dial("/ws?channel=news")
	n.publish("news", "before")
	c.wantText("before")

	server.Kill()
	eventually(t, "the node notices", func() error {
		if n.Ready() == nil {
			return errors.New("still ready")
		}
		return nil
	})
	n.get(n.Public(), "/readyz", 503)

	// What a client sends now cannot be stored, and it is told.
	sender := c
	sender.send(websocket.TextMessage, "to nobody")
	if reason := sender.wantClose(websocket.CloseTryAgainLater); !strings.Contains(reason, "not stored") {
		t.Errorf("the reason is %q", reason)
	}
	if got := n.metric("sluice_inbox_failed_total"); got == "0" {
		t.Error("no inbox failure was counted")
	}

	server.Restart()
	n.ready()
	again := n.dial("/ws?channel=news")
	n.publish("news", "after")
	again.wantText("after")
	eventually(t, "the inbox works again", func() error {
		probe := n.dial("/ws?channel=probe")
		probe.send(websocket.TextMessage, "again")
		if len(n.entries("message")) == 0 {
			return errors.New("no message entry")
		}
		return nil
	})
}

// TestClientsStayWhileRedisRestarts: connections outlive a Redis that blinks, and
// get what is published once it is back.
func TestClientsStayWhileRedisRestarts(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, "--dev", "--redis", server.URL).ready()
	var clients []*client
	for i := range 20 {
		clients = append(clients, n.dial(fmt.Sprintf("/ws?channel=news&channel=c%d", i)))
	}
	server.Kill()
	server.Restart()
	eventually(t, "every channel is subscribed again", func() error {
		numbers, err := n.redis.PubSubNumSub(t.Context(), "sluice:news", "sluice:c0", "sluice:c19").Result()
		if err != nil {
			return err
		}
		for channel, count := range numbers {
			if count != 1 {
				return fmt.Errorf("%s has %d subscriptions", channel, count)
			}
		}
		return n.Ready()
	})
	n.publish("news", "still here")
	for _, c := range clients {
		c.wantText("still here")
	}
	if got := n.metric("sluice_redis_interruptions_total"); got != "1" {
		t.Errorf("%s interruptions were counted, want 1", got)
	}
}

func TestInboxThatRedisRefuses(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "1mb", "--maxmemory-policy", "noeviction") // less than it needs itself
	n := startNode(t, "--dev", "--redis", server.URL)
	c := n.dial("/ws?channel=news")
	c.send(websocket.TextMessage, "hello?")
	c.wantClose(websocket.CloseTryAgainLater)
}

func TestNoClientBelowTheCap(t *testing.T) {
	n := startNode(t, "--dev", "--connections-max", "2").ready()
	first, second := n.dial("/ws?channel=a"), n.dial("/ws?channel=a")
	n.get(n.Public(), "/healthz", 200) // full is healthy
	_, response, err := n.tryDial("/ws?channel=a", nil)
	if response == nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("the third of two connections got %v, %v; want 503", response, err)
	}
	_ = first.Close()
	eventually(t, "there is room again", func() error {
		c, _, err := n.tryDial("/ws?channel=a", nil)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	n.publish("a", "x")
	second.wantText("x")
}

// A client that was refused is not reported as connected, also where Redis comes
// back while it reads the refusal.
func TestRefusedClientsAreNotReported(t *testing.T) {
	t.Parallel()
	server := redistest.Reserve(t)
	n := startNode(t, "--dev", "--redis", server.URL, "--handshake-timeout", "2s")
	// A refused client has two seconds to read why, which a busy Redis may need to come back.
	for late := time.Now().Add(2 * patience); !n.refusedInTime(server); {
		if time.Now().After(late) {
			t.Fatal("Redis never came back while a client that was refused was still there")
		}
		server.Kill()
	}
	var witness *client
	eventually(t, "a witness comes in", func() (err error) {
		witness, _, err = n.tryDial("/ws?channel=other", nil)
		return err
	})
	witness.send(websocket.TextMessage, "what came before this is in the inbox")
	n.entry("message")
	if connects, disconnects := len(n.entries("connect")), len(n.entries("disconnect")); connects != 1 || disconnects != 0 {
		t.Errorf("%d connect and %d disconnect entries, want the witness alone", connects, disconnects)
	}
}

// refusedInTime has a client refused, because Redis is away, and starts Redis. It reports
// whether the client's channel was subscribed while the client was still there.
func (n *testNode) refusedInTime(server *redistest.Server) (subscribed bool) {
	n.t.Helper()
	raw := n.say("GET /ws?channel=late HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if line, err := bufio.NewReader(raw).ReadString('\n'); err != nil || !strings.Contains(line, "503") {
		n.t.Fatalf("%q, %v", line, err)
	}
	server.Restart()
	n.ready()
	eventually(n.t, "its channel is subscribed, or it is gone", func() error {
		numbers, err := n.redis.PubSubNumSub(n.t.Context(), "sluice:late").Result()
		if err != nil {
			return err
		}
		if subscribed = numbers["sluice:late"] == 1; !subscribed && n.hub.Stats().Subscriptions != 0 {
			return fmt.Errorf("subscriptions are %v", numbers)
		}
		return nil
	})
	_ = raw.Close()
	eventually(n.t, "it is gone", func() error {
		if s := n.hub.Stats(); s.Subscriptions != 0 {
			return fmt.Errorf("%d subscriptions", s.Subscriptions)
		}
		return nil
	})
	return subscribed
}

// TestSlowClientHurtsNobody: one client stops reading while much is published. It
// is closed, the other gets everything.
func TestSlowClientHurtsNobody(t *testing.T) {
	n := startNode(t, "--dev", "--queue-max", "64KiB", "--message-max", "64KiB", "--close-timeout", "200ms").ready()
	n.dial("/ws?channel=news") // never reads
	reader := n.dial("/ws?channel=news")
	payload := strings.Repeat("x", 32<<10)
	for i := range 300 { // 9.6 MB, more than sockets hold
		n.publish("news", fmt.Sprintf("%d %s", i, payload))
		reader.wantText(fmt.Sprintf("%d %s", i, payload))
	}
	eventually(t, "the slow client is closed and counted", func() error {
		if got := n.metric("sluice_slow_consumers_total"); got != "1" {
			return errors.New("slow consumers: " + got)
		}
		if got := n.engine.Stats().Connections; got > 2 { // the reader, and the scrape
			return fmt.Errorf("%d connections", got)
		}
		return nil
	})
}

// TestManyComeAndGo leaves nothing behind.
func TestManyComeAndGo(t *testing.T) {
	n := startNode(t, "--dev").ready()
	for range 5 {
		var clients []*client
		for i := range 60 {
			clients = append(clients, n.dial(fmt.Sprintf("/ws?channel=all&channel=c%d", i%10)))
		}
		n.publish("all", "x")
		for i, c := range clients {
			c.wantText("x")
			if i%2 == 0 {
				_ = c.UnderlyingConn().Close() // without a word
			} else {
				_ = c.WriteControl(websocket.CloseMessage, nil, time.Now().Add(time.Second))
				_ = c.Close()
			}
		}
	}
	eventually(t, "nothing is left", func() error {
		h, l, b := n.hub.Stats(), n.engine.Stats(), n.broker.Stats()
		if h.Channels != 0 || h.Subscriptions != 0 || l.Connections != 0 || b.Wished != 2 { // the channels of this node and of all nodes
			return fmt.Errorf("%d channels, %d subscriptions, %d connections, %d wishes", h.Channels, h.Subscriptions, l.Connections, b.Wished)
		}
		return nil
	})
	soon(t, "every connection was reported gone once", func() error { // Redis is in this process: asked all the time it does nothing else
		if c, d := len(n.entries("connect")), len(n.entries("disconnect")); c != 300 || d != 300 {
			return fmt.Errorf("%d connect and %d disconnect entries", c, d)
		}
		return nil
	})
}
