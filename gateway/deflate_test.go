package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"
)

// meteredConn counts what comes in.
type meteredConn struct {
	net.Conn
	in *atomic.Int64
}

func (c meteredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(int64(n))
	return n, err
}

// metered is a client that knows how many bytes it was sent.
type metered struct {
	*client
	in *atomic.Int64
}

// dialDeflate connects a client that offers permessage-deflate, or does not.
func (n *testNode) dialDeflate(path string, offer bool) metered {
	n.t.Helper()
	in := new(atomic.Int64)
	c, response, err := n.dialBy(websocket.Dialer{
		EnableCompression: offer,
		NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			return meteredConn{c, in}, err
		},
	}, path, nil)
	if err != nil {
		n.t.Fatalf("dialing %s: %v, %v", path, err, response)
	}
	return metered{c, in}
}

func (c metered) agreed() bool {
	return strings.HasPrefix(c.response.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
}

// kindOf is the type of the message that a payload becomes.
func kindOf(payload string) int {
	if utf8.ValidString(payload) {
		return websocket.TextMessage
	}
	return websocket.BinaryMessage
}

// noise is n bytes that do not compress, the same in every run.
func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // it never fails
	return string(b)
}

func TestDeflateBesidePlain(t *testing.T) {
	n := startNode(t, "--dev", "--deflate-enabled", "--deflate-min", "256B", "--queue-max", "8MiB",
		configFile(t, "namespaces: [{name: raw, deflate: false}]\n")).ready()
	const path = "/ws?channel=news&channel=raw:1"
	members := []metered{n.dialDeflate(path, true), n.dialDeflate(path, false), n.dialDeflate(path, true), n.dialDeflate(path, false)}
	for i, c := range members {
		if c.agreed() != (i%2 == 0) {
			t.Errorf("member %d: deflate was agreed on: %v", i, c.agreed())
		}
	}
	long := strings.Repeat("long and repetitive ☕ ", 1000)
	for _, row := range []struct {
		name, channel, payload string
		deflated               bool
	}{
		{"empty", "news", "", false},
		{"short", "news", "x", false},
		{"one byte below deflate.min", "news", strings.Repeat("x", 255), false},
		{"of deflate.min", "news", strings.Repeat("x", 256), true},
		{"long", "news", long, true},
		{"binary", "news", "\xff" + long, true},
		{"nothing to gain", "news", noise(10_000), false},
		{"1 MiB", "news", strings.Repeat("0123456789abcdef", 1<<16), true},
		{"1 MiB of binary", "news", "\xff" + strings.Repeat("\x00", 1<<20-1), true},
		{"1 MiB with little to gain", "news", base64.StdEncoding.EncodeToString([]byte(noise(3 << 18))), false},
		{"a namespace without", "raw:1", long, false},
		{"and the other again", "news", long + "!", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			var before [4]int64
			for i, c := range members {
				before[i] = c.in.Load()
			}
			n.publish(row.channel, row.payload)
			for i, c := range members {
				c.want(kindOf(row.payload), row.payload)
				sent, whole := c.in.Load()-before[i], int64(len(row.payload))
				switch deflated := row.deflated && i%2 == 0; {
				case deflated && sent > max(100, whole/10):
					t.Errorf("member %d was sent %d bytes for %d: not deflated", i, sent, whole)
				case !deflated && row.name != "1 MiB with little to gain" && (sent < whole || sent > whole+10):
					t.Errorf("member %d was sent %d bytes for %d: want the payload as it is, in one frame", i, sent, whole)
				}
			}
		})
	}
}

// What clients deflate arrives inflated, and what is for one client need not be
// deflated.
func TestDeflateUpwards(t *testing.T) {
	n := startNode(t, "--dev", "--deflate-enabled", "--message-max", "100KiB").ready()
	c := n.dialDeflate("/ws?channel=news", true)
	payload := strings.Repeat("from the client ☕ ", 5000)
	c.EnableWriteCompression(true)
	c.send(websocket.TextMessage, payload)
	asked := n.entry("message")
	if asked["data"] != payload {
		t.Errorf("the inbox has %q", shorten(fmt.Sprint(asked["data"])))
	}
	n.publish(strings.TrimPrefix(asked["reply"].(string), "sluice:"), asked["conn"].(string)+" "+payload)
	c.wantText(payload)
	c.send(websocket.TextMessage, strings.Repeat("x", 100<<10+1)) // a few hundred bytes on the wire
	c.wantClose(websocket.CloseMessageTooBig)
}

func TestDeflateIsASwitch(t *testing.T) {
	if n := startNode(t, "--dev").ready(); n.dialDeflate("/ws?channel=a", true).agreed() {
		t.Error("deflate was agreed on and is not enabled")
	}
}

// TestDeflateWithWS holds the node against the most used client outside of browsers.
func TestDeflateWithWS(t *testing.T) {
	n := startNode(t, "--dev", "--deflate-enabled", "--message-max", "2MiB", "--queue-max", "8MiB").ready()
	argv := append(interpreter("node")(t, "testdata/deflate.mjs"), "ws://"+n.Public().String()+"/ws?channel=news")
	cmd := exec.Command(argv[0], argv[1:]...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killAtEnd(t, cmd)
	lines := bufio.NewScanner(out)
	line := func() string {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("deflate.mjs has ended (%v): %s", lines.Err(), complaints.String())
		}
		return lines.Text()
	}
	if got := line(); got != "open permessage-deflate" {
		t.Fatalf("it says %q", got)
	}
	payloads := []string{"", "short", strings.Repeat("long ☕ ", 10_000), "\xff" + strings.Repeat("\x00", 1<<20), noise(100_000), "again"}
	for _, p := range payloads {
		n.publish("news", p)
		kind := map[int]string{websocket.TextMessage: "text", websocket.BinaryMessage: "binary"}[kindOf(p)]
		if got, want := line(), fmt.Sprintf("%s %d %x", kind, len(p), sha256.Sum256([]byte(p))); got != want {
			t.Errorf("ws got %s, want %s", got, want)
		}
	}
	eventually(t, "all of it came back", func() error {
		entries := n.entries("message")
		if len(entries) != len(payloads) {
			return fmt.Errorf("%d messages did", len(entries))
		}
		for i, e := range entries {
			if e["data"] != payloads[i] {
				t.Fatalf("message %d is %q, want %q", i, shorten(fmt.Sprint(e["data"])), shorten(payloads[i]))
			}
		}
		return nil
	})
	n.publish("news", "bye")
	_ = line()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, complaints.String())
	}
}

// dialSlow connects a client whose socket holds next to nothing for it.
func (n *testNode) dialSlow(path string) *client {
	n.t.Helper()
	c, response, err := n.dialBy(websocket.Dialer{NetDialContext: (&net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10) }), err)
	}}).DialContext}, path, nil)
	if err != nil {
		n.t.Fatalf("dialing %s: %v, %v", path, err, response)
	}
	return c
}

// numbered is the i-th message of a channel, of 4 KiB.
func numbered(channel string, i int) string {
	return fmt.Sprintf("%s %05d %s", channel, i, strings.Repeat("x", 4<<10))
}

// number reads a message that numbered made.
func (c *client) number() (channel string, i int) {
	c.t.Helper()
	_, payload, err := c.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(payload), "%s %d", &channel, &i); err != nil || string(payload) != numbered(channel, i) {
		c.t.Fatalf("got %q: %v", shorten(string(payload)), err)
	}
	return channel, i
}

// count reads a metric.
func (n *testNode) count(name string) (i int) {
	n.t.Helper()
	if _, err := fmt.Sscan(n.metric(name), &i); err != nil {
		n.t.Fatal(err)
	}
	return i
}

// TestSlowClientsMissMessages: where the policy is drop, who stops reading misses what
// does not fit into the queue, stays, and goes on where there is room again.
func TestSlowClientsMissMessages(t *testing.T) {
	n := startNode(t, "--dev", "--reactors", "1", "--message-max", "16KiB", "--queue-max", "64KiB", "--queue-policy", "drop").ready()
	slow, fast := n.dialSlow("/ws?channel=a"), n.dial("/ws?channel=a")
	const total, burst = 300, 4
	for i := 0; i < total; i += burst {
		for j := range burst {
			n.publish("a", numbered("a", i+j))
		}
		for j := range burst {
			fast.wantText(numbered("a", i+j))
		}
	}
	dropped := n.count("sluice_dropped_total")
	if dropped == 0 || dropped >= total {
		t.Fatalf("%d of %d messages were dropped", dropped, total)
	}
	last := -1
	for range total - dropped {
		_, i := slow.number()
		if i <= last {
			t.Fatalf("message %d came after %d", i, last)
		}
		last = i
	}
	n.publish("a", numbered("a", total))
	fast.wantText(numbered("a", total))
	if _, i := slow.number(); i != total {
		t.Errorf("message %d came after the end of the queue, want %d: more was delivered than the metric says", i, total)
	}
	if got := [2]int{n.count("sluice_dropped_total"), n.count("sluice_slow_consumers_total")}; got != [2]int{dropped, 0} {
		t.Errorf("dropped messages and clients are %v, want %d and none", got, dropped)
	}
}

// TestSlowClientsGetTheLatest: where the policy is latest, who stops reading gets the
// newest message of each channel once he reads again.
func TestSlowClientsGetTheLatest(t *testing.T) {
	n := startNode(t, "--dev", "--reactors", "1", "--message-max", "16KiB", "--queue-max", "64KiB",
		configFile(t, "namespaces: [{name: price, policy: latest}]\n")).ready()
	const path = "/ws?channel=price:a&channel=price:b"
	slow, fast := n.dialSlow(path), n.dial(path)
	const rounds = 150
	channels := []string{"price:a", "price:b"}
	publish := func(i int) {
		for _, channel := range channels {
			n.publish(channel, numbered(channel, i))
		}
		for _, channel := range channels {
			fast.wantText(numbered(channel, i))
		}
	}
	for i := range rounds {
		publish(i)
	}
	conflated := n.count("sluice_conflated_total")
	if conflated == 0 {
		t.Fatal("nothing was conflated: the client was not slow")
	}
	newest := map[string]int{"price:a": -1, "price:b": -1}
	for range rounds*len(channels) - conflated {
		channel, i := slow.number()
		if i <= newest[channel] {
			t.Fatalf("message %d of %s came after %d", i, channel, newest[channel])
		}
		newest[channel] = i
	}
	for channel, i := range newest {
		if i != rounds-1 {
			t.Errorf("the last message of %s was %d, want the newest, %d", channel, i, rounds-1)
		}
	}
	publish(rounds)
	for range channels {
		if channel, i := slow.number(); i != rounds {
			t.Errorf("message %d of %s came after the newest", i, channel)
		}
	}
	if got := [2]int{n.count("sluice_conflated_total"), n.count("sluice_slow_consumers_total")}; got != [2]int{conflated, 0} {
		t.Errorf("conflated messages and closed clients are %v, want %d and none", got, conflated)
	}
}
