package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sluice/gateway/auth"
)

// dialBy connects with a dialer of the test's own, to the plain path /ws?channel=a
// where none is given.
func (n *testNode) dialBy(d websocket.Dialer, path string, header http.Header) (*client, *http.Response, error) {
	n.t.Helper()
	d.HandshakeTimeout = patience
	ws, response, err := d.Dial("ws://"+n.Public().String()+path, header)
	if err != nil {
		return nil, response, err
	}
	n.t.Cleanup(func() { _ = ws.Close() }) // the test may have closed it
	return &client{Conn: ws, t: n.t, response: response}, response, nil
}

// behind is a dialer that says something before the request, as a load balancer does.
func behind(words string) websocket.Dialer {
	return websocket.Dialer{NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if _, err := c.Write([]byte(words)); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return c, nil
	}}
}

func proxyV1(source string) string {
	a := netip.MustParseAddr(source)
	if a.Is4() {
		return "PROXY TCP4 " + source + " 192.0.2.99 1000 80\r\n"
	}
	return "PROXY TCP6 " + source + " 2001:db8:99::1 1000 80\r\n"
}

func proxyV2(source string) string {
	a := netip.MustParseAddr(source)
	block := []byte("\r\n\r\n\x00\r\nQUIT\n\x21")
	ports := []byte{0x03, 0xe8, 0x00, 0x50}
	if a.Is4() {
		block = binary.BigEndian.AppendUint16(append(block, 0x11), 12)
		block = append(append(block, a.AsSlice()...), 192, 0, 2, 99)
	} else {
		block = binary.BigEndian.AppendUint16(append(block, 0x21), 36)
		destination := netip.MustParseAddr("2001:db8:99::1")
		block = append(append(block, a.AsSlice()...), destination.AsSlice()...)
	}
	return string(append(block, ports...))
}

const (
	proxyUnknown = "PROXY UNKNOWN\r\n"
	proxyLocal   = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

// visit is a client that says where it is from, and the status of the answer, 0 for
// a connection that is dropped.
type visit struct {
	name   string
	words  string // before the request
	header http.Header
	status int
}

// visits makes them in turn; who gets in stays, so that one connection for each
// address tells which address was counted.
func (n *testNode) visits(t *testing.T, visits []visit) (inside map[string]*client) {
	t.Helper()
	inside = map[string]*client{}
	for _, v := range visits {
		c, response, err := n.dialBy(behind(v.words), "/ws?channel=a", v.header)
		got := 0
		if response != nil {
			got = response.StatusCode
		}
		if got != v.status {
			t.Errorf("%s: answered %d (%v), want %d", v.name, got, err, v.status)
		}
		if c != nil {
			inside[v.name] = c
		}
	}
	return inside
}

func TestProxyProtocol(t *testing.T) {
	n := startNode(t, "--dev", "--proxy-protocol", "any", "--proxy-from", "127.0.0.0/8", "--connections-per-address", "1").ready()
	inside := n.visits(t, []visit{
		{"version 1", proxyV1("203.0.113.1"), nil, 101},
		{"the same client by version 2", proxyV2("203.0.113.1"), nil, 429},
		{"the same client by version 1", proxyV1("203.0.113.1"), nil, 429},
		{"another", proxyV2("203.0.113.2"), nil, 101},
		{"the other by version 1", proxyV1("203.0.113.2"), nil, 429},
		{"IPv6", proxyV1("2001:db8::1"), nil, 101},
		{"the same IPv6 network", proxyV2("2001:db8::2"), nil, 429},
		{"another IPv6 network", proxyV2("2001:db8:0:1::2"), nil, 101},
		{"the balancer itself", proxyUnknown, nil, 101},
		{"the balancer itself, version 2", proxyLocal, nil, 429},
		{"no header", "", nil, 0},
		{"half a header", "PROXY TCP4 203.0.113.9\r\n", nil, 0},
		{"a header too many", proxyV1("203.0.113.3") + proxyV1("203.0.113.4"), nil, 400},
		{"a header of a client that nobody trusts", proxyV1("203.0.113.5"), with("X-Forwarded-For", "203.0.113.1"), 101},
	})
	if got := n.metric("sluice_misproxied_total"); got != "2" {
		t.Errorf("%s connections were counted as dropped, want 2", got)
	}
	_ = inside["version 1"].Close()
	eventually(t, "the address is free again", func() error {
		_, _, err := n.dialBy(behind(proxyV2("203.0.113.1")), "/ws?channel=a", nil)
		return err
	})
}

func TestProxyProtocolVersions(t *testing.T) {
	for _, row := range []struct {
		version string
		from    string
		status  [3]int // by version 1, by version 2, without
	}{
		{"v1", "127.0.0.1", [3]int{101, 0, 0}},
		{"v2", "127.0.0.1", [3]int{0, 101, 0}},
		{"any", "192.0.2.0/24", [3]int{400, 400, 101}}, // headers of others are no headers
	} {
		t.Run(row.version+" from "+row.from, func(t *testing.T) {
			n := startNode(t, "--dev", "--proxy-protocol", row.version, "--proxy-from", row.from).ready()
			n.visits(t, []visit{
				{"version 1", proxyV1("203.0.113.1"), nil, row.status[0]},
				{"version 2", proxyV2("203.0.113.1"), nil, row.status[1]},
				{"without", "", nil, row.status[2]},
			})
		})
	}
}

func TestForwardedHeaders(t *testing.T) {
	xff := func(values ...string) http.Header { return http.Header{"X-Forwarded-For": values} }
	for _, row := range []struct {
		name   string
		args   []string
		visits []visit
	}{
		{"X-Forwarded-For", []string{"--proxy-trust", "127.0.0.1,10.0.0.0/8"}, []visit{
			{"a client", "", xff("203.0.113.1"), 101},
			{"who claims to be another", "", xff("198.51.100.1, 203.0.113.1"), 429},
			{"in two lines", "", xff("198.51.100.1", "203.0.113.1"), 429},
			{"past two proxies", "", xff("203.0.113.1, 10.1.2.3"), 429},
			{"another", "", xff("203.0.113.1, 203.0.113.2"), 101},
			{"IPv6", "", xff("[2001:db8::1]:4711"), 101},
			{"the same network", "", xff("2001:db8::9"), 429},
			{"none: the proxy itself", "", nil, 101},
			{"the other header is not looked at", "", with("Forwarded", "for=203.0.113.7"), 429},
			{"nonsense: the proxy itself", "", xff("unknown"), 429},
		}},
		{"Forwarded", []string{"--proxy-trust", "127.0.0.1", "--proxy-header", "forwarded"}, []visit{
			{"a client", "", with("Forwarded", `for=203.0.113.1;proto=https`), 101},
			{"who claims to be another", "", with("Forwarded", `for=198.51.100.1, For="203.0.113.1:80"`), 429},
			{"IPv6", "", with("Forwarded", `for="[2001:db8::1]"`), 101},
			{"the other header is not looked at", "", xff("203.0.113.7"), 101},
			{"and the proxy has one by now", "", xff("203.0.113.8"), 429},
		}},
		{"nobody is trusted", nil, []visit{
			{"a client", "", xff("203.0.113.1"), 101},
			{"who claims to be another", "", xff("203.0.113.2"), 429},
		}},
		{"a proxy behind a balancer", []string{"--proxy-protocol", "v1", "--proxy-from", "127.0.0.1", "--proxy-trust", "203.0.113.10"}, []visit{
			{"a client of the proxy", proxyV1("203.0.113.10"), xff("198.51.100.7"), 101},
			{"who claims to be another", proxyV1("203.0.113.10"), xff("198.51.100.8, 198.51.100.7"), 429},
			{"around the proxy", proxyV1("203.0.113.11"), xff("198.51.100.7"), 101},
			{"twice", proxyV1("203.0.113.11"), xff("198.51.100.9"), 429},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := startNode(t, append(row.args, "--dev", "--connections-per-address", "1")...).ready()
			n.visits(t, row.visits)
			want := 0
			for _, v := range row.visits {
				if v.status == 429 {
					want++
				}
			}
			if got := refusals(n, 429); got != fmt.Sprint(want) {
				t.Errorf("429 was counted %s times, want %d", got, want)
			}
		})
	}
}

// TestCrowdsAreCountedExactly: neither those who leave nor those who are refused, for
// whatever reason, stay counted.
func TestCrowdsAreCountedExactly(t *testing.T) {
	n := startNode(t, "--auth-hmac-secret", testSecret, "--anonymous", "--echo", "--connections-per-address", "3", "--connections-per-user", "2",
		"--origins", "https://app.example").ready()
	ada, bob := "&token="+sign(t, testKey, auth.Claims{User: "ada"}), "&token="+sign(t, testKey, auth.Claims{User: "bob"})
	full := func() {
		t.Helper()
		var inside []*client
		enter := func(path string) {
			t.Helper()
			eventually(t, "there is room", func() error {
				c, _, err := n.tryDial(path, nil)
				if c != nil {
					inside = append(inside, c)
				}
				return err
			})
		}
		enter("/ws?channel=a" + ada)
		enter("/echo?" + ada[1:])
		n.try(t, attempt{path: "/ws?channel=b" + ada, status: 429, reason: "of this user"})
		n.try(t, attempt{path: "/echo?" + ada[1:], status: 429, reason: "of this user"})
		enter("/ws?channel=a" + bob)
		n.try(t, attempt{path: "/ws?channel=a" + bob, status: 429, reason: "from this address"})
		n.try(t, attempt{path: "/ws?channel=a", status: 429, reason: "from this address"})
		for _, c := range inside {
			_ = c.Close()
		}
	}
	full()
	for range 5 {
		for _, a := range []attempt{
			{path: "/ws?" + ada[1:], status: 400},
			{path: "/ws?channel=a%20b" + ada, status: 400},
			{path: "/ws?channel=%23bob" + ada, status: 403},
			{path: "/ws?channel=a" + ada + "x", status: 401},
			{path: "/ws?channel=a" + ada, header: with("Origin", "https://evil.example"), status: 403},
			{path: "/nothing?" + ada[1:], status: 404},
		} {
			eventually(t, "there is room", func() error { // those of full may still be leaving
				_, response, err := n.tryDial(a.path, a.header)
				if response == nil || response.StatusCode != a.status {
					return fmt.Errorf("answered %v, %w, want %d", response, err, a.status)
				}
				return nil
			})
		}
		c, err := net.Dial("tcp", n.Public().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Write([]byte("GET /ws?channel=gone" + ada + " HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
		if err := errors.Join(err, c.(*net.TCPConn).SetLinger(0), c.Close()); err != nil { // gone before it was answered
			t.Fatal(err)
		}
	}
	n.get(n.Public(), "/healthz", 200) // accepted after all the others
	eventually(t, "everybody has left", func() error {
		if got := n.metric("sluice_connections"); got != "0" {
			return errors.New(got + " are there")
		}
		return nil
	})
	full()
}

func TestAcceptRate(t *testing.T) {
	const rate, count = 50, 15
	n := startNode(t, "--dev", "--connections-accept-rate", fmt.Sprint(rate)).ready()
	began := time.Now()
	for range count {
		_ = n.dial("/ws?channel=a").Close()
	}
	// A tenth of a second's worth may come at once, and one may have been on its way.
	if least := time.Second * (count - rate/10 - 2) / rate; time.Since(began) < least {
		t.Errorf("%d connections were accepted within %v; at %d a second they take %v at least", count, time.Since(began), rate, least)
	}
}

func TestClientsThatSendTooMuch(t *testing.T) {
	t.Parallel()
	text := func(payload string, times int) func(*client) {
		return func(c *client) {
			for range times {
				if c.WriteMessage(websocket.TextMessage, []byte(payload)) != nil {
					return // the node has closed
				}
			}
		}
	}
	control := func(kind int) func(*client) {
		return func(c *client) {
			for range 50 {
				if c.WriteControl(kind, []byte("x"), time.Now().Add(patience)) != nil {
					return
				}
			}
		}
	}
	for _, row := range []struct {
		name   string
		args   []string
		send   func(*client)
		reason string // "": it is no excess
	}{
		{"messages", []string{"--message-rate", "1", "--message-burst", "3"}, text("x", 50), "too many messages"},
		{"as many as one may at once", []string{"--message-rate", "1", "--message-burst", "50"}, text("x", 50), ""},
		{"bytes", []string{"--message-bytes-rate", "100B", "--message-bytes-burst", "2KiB", "--message-max", "1KiB"}, text(strings.Repeat("x", 1000), 10), "too many bytes"},
		{"bytes in frames of next to none", []string{"--message-bytes-rate", "100B", "--message-bytes-burst", "1KiB", "--message-max", "1KiB", "--message-rate", "0"}, text("", 400), "too many bytes"},
		{"as many bytes as one may at once", []string{"--message-bytes-rate", "100B", "--message-bytes-burst", "11KiB", "--message-max", "1KiB"}, text(strings.Repeat("x", 1000), 10), ""},
		{"pings", []string{"--message-control-rate", "1"}, control(websocket.PingMessage), "too many pings or pongs"},
		{"pongs", []string{"--message-control-rate", "1"}, control(websocket.PongMessage), "too many pings or pongs"},
		{"as many pings as one may at once", []string{"--message-control-rate", "30"}, control(websocket.PingMessage), ""},
		{"no limits", []string{"--message-rate", "0", "--message-bytes-rate", "0B", "--message-control-rate", "0"}, func(c *client) {
			text(strings.Repeat("x", 1000), 400)(c)
			control(websocket.PingMessage)(c)
		}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := startNode(t, append(row.args, "--dev")...).ready()
			bystander := n.dial("/ws?channel=a")
			for range 2 {
				c := n.dial("/ws?channel=a")
				if row.send(c); row.reason == "" {
					if err := c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "")); err != nil {
						t.Fatal(err)
					}
					c.wantClose(4001) // all that was sent before it has been looked at
					continue
				}
				if reason := c.wantClose(websocket.ClosePolicyViolation); reason != row.reason {
					t.Errorf("the reason is %q, want %q", reason, row.reason)
				}
			}
			n.publish("a", "others go on")
			bystander.wantText("others go on")
			want := "2"
			if row.reason == "" {
				want = "0"
			}
			if got := n.metric("sluice_excesses_total"); got != want {
				t.Errorf("%s excesses were counted, want %s", got, want)
			}
		})
	}
}

// TestIncompleteMessagesAreBounded: the client that makes them too many goes, the one
// that holds most of them already may finish.
func TestIncompleteMessagesAreBounded(t *testing.T) {
	n := startNode(t, "--dev", "--message-max", "64KiB", "--message-incomplete", "64KiB").ready()
	const half = 40 << 10
	payload := strings.Repeat("x", half)
	begin := func() (*client, func() error) {
		c := n.dial("/echo")
		w, err := c.NextWriter(websocket.TextMessage)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(payload)); err != nil { // in frames of the writer's size, none of them the last
			t.Fatal(err)
		}
		return c, w.Close
	}
	first, finish := begin()
	eventually(t, "most of the message is there", func() error {
		var held int
		if _, err := fmt.Sscan(n.metric("sluice_incomplete_bytes"), &held); err != nil || held < half*3/4 {
			return fmt.Errorf("%d bytes are held, %w", held, err)
		}
		return nil
	})
	second, _ := begin()
	if reason := second.wantClose(websocket.CloseTryAgainLater); !strings.Contains(reason, "incomplete") {
		t.Errorf("the reason is %q", reason)
	}
	if err := finish(); err != nil {
		t.Fatal(err)
	}
	first.wantText(payload)
	eventually(t, "nothing is held any more", func() error {
		if got := n.metric("sluice_incomplete_bytes"); got != "0" {
			return errors.New("held are " + got)
		}
		return nil
	})
	if got := n.metric("sluice_excesses_total"); got != "1" {
		t.Errorf("%s excesses were counted, want 1", got)
	}
}

// TestEveryLimitIsCounted: what a client reaches is counted under the name of the
// setting, and nothing else is.
func TestEveryLimitIsCounted(t *testing.T) {
	t.Parallel()
	const handshake = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	ada := "/ws?channel=a&token=" + sign(t, testKey, auth.Claims{User: "ada"})
	says := func(words string) func(*testNode) { return func(n *testNode) { n.say(words) } }
	message := func(times int, part ...string) func(*testNode) {
		return func(n *testNode) {
			c := n.say("GET /ws?channel=a HTTP/1.1\r\n" + handshake)
			if _, err := c.Read(make([]byte, 1)); err != nil {
				n.t.Fatal(err)
			}
			for range times {
				for _, p := range part {
					if _, err := c.Write([]byte(p)); err != nil {
						return // the node has closed
					}
				}
			}
		}
	}
	const (
		text  = "\x81\x81mask\x00"
		begun = "\x01\x81mask\x00"
		more  = "\x00\x81mask\x00"
		ping  = "\x89\x80mask"
	)
	for _, row := range []struct {
		setting string
		args    []string
		reach   func(n *testNode)
	}{
		{"handshake.line", []string{"--handshake-line", "128B"}, says("GET /" + strings.Repeat("a", 200))},
		{"handshake.head", []string{"--handshake-head", "256B", "--handshake-line", "128B"}, says("GET / HTTP/1.1\r\nA: " + strings.Repeat("a", 300))},
		{"handshake.headers", []string{"--handshake-headers", "8"}, says("GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 9))},
		{"handshake.timeout", []string{"--handshake-timeout", "100ms"}, says("GET / HT")},
		{"message.max", []string{"--message-max", "128B"}, message(1, "\x82\xfe\x00\x81mask")},
		{"message.fragments", []string{"--message-fragments", "3"}, message(1, begun, more, more, more)},
		{"message.timeout", []string{"--message-timeout", "100ms"}, message(1, begun)},
		{"message.incomplete", []string{"--message-incomplete", "64KiB"}, func(n *testNode) {
			message(1, "\x02\xfe\xff\xffmask"+strings.Repeat("x", 65535))(n)
			message(1, begun)(n)
		}},
		{"message.rate", []string{"--message-rate", "1", "--message-burst", "3"}, message(100, text)},
		{"message.bytes_rate", []string{"--message-bytes-rate", "1B", "--message-bytes-burst", "128B", "--message-max", "128B", "--message-rate", "0"}, message(100, text)},
		{"message.control_rate", []string{"--message-control-rate", "1"}, message(100, ping)},
		{"connections.max", []string{"--connections-max", "1"}, func(n *testNode) {
			n.dial("/ws?channel=a")
			n.say("GET /ws?channel=a HTTP/1.1\r\n" + handshake)
		}},
		{"connections.accept_rate", []string{"--connections-accept-rate", "10"}, func(n *testNode) {
			for range 20 { // more than one within a tenth of a second, however busy the machine is
				_ = n.say("").Close()
			}
		}},
		{"connections.per_address", []string{"--connections-per-address", "1"}, func(n *testNode) {
			n.dial("/ws?channel=a")
			n.try(n.t, attempt{path: "/ws?channel=a", status: 429})
		}},
		{"connections.per_user", []string{"--auth-hmac-secret", testSecret, "--connections-per-user", "1"}, func(n *testNode) {
			n.dial(ada)
			n.try(n.t, attempt{path: ada, status: 429})
		}},
		{"connections.channels", []string{"--connections-channels", "1"}, func(n *testNode) {
			n.try(n.t, attempt{path: "/ws?channel=a&channel=b", status: 400})
		}},
		{"queue.max", []string{"--queue-max", "16KiB", "--message-max", "16KiB", "--queue-mailbox-bytes", "64MiB"}, (*testNode).stall},
		{"queue.total", []string{"--queue-max", "1MiB", "--queue-total", "1MiB", "--queue-kernel", "4KiB"}, (*testNode).stall},
	} {
		t.Run(row.setting, func(t *testing.T) {
			n := startNode(t, append(row.args, "--dev")...).ready()
			row.reach(n)
			eventually(t, "the limit is counted", func() error {
				for line := range strings.Lines(n.get(n.Admin(), "/metrics", 200)) {
					count, ok := strings.CutPrefix(line, "sluice_limits_total{setting=\""+row.setting+"\"} ")
					if ok && strings.TrimSpace(count) != "0" {
						return nil
					}
				}
				return errors.New("it is not")
			})
			for line := range strings.Lines(n.get(n.Admin(), "/metrics", 200)) {
				if rest, ok := strings.CutPrefix(line, "sluice_limits_total{"); ok && !strings.HasSuffix(rest, " 0\n") && !strings.Contains(rest, row.setting) {
					t.Errorf("counted is also %s", rest)
				}
			}
		})
	}
}

// say connects and says words, without waiting for an answer.
func (n *testNode) say(words string) net.Conn {
	n.t.Helper()
	c, err := net.Dial("tcp", n.Public().String())
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Write([]byte(words)); err != nil {
		n.t.Fatal(err)
	}
	return c
}

// stall has a client that reads nothing, and publishes until it is closed.
func (n *testNode) stall() {
	n.t.Helper()
	n.dial("/ws?channel=flood")
	payload := strings.Repeat("x", 16<<10)
	eventually(n.t, "the stalled client is closed", func() error {
		for range 50 {
			n.publish("flood", payload)
		}
		if got := n.metric("sluice_slow_consumers_total"); got != "1" {
			return errors.New(got + " were closed")
		}
		return nil
	})
}
