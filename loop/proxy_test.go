package loop

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/codec"
)

// What a load balancer says of a client in a PROXY header is what the handler
// sees; who has to say it and does not gets no answer.
func TestProxyHeader(t *testing.T) {
	source, destination := netip.MustParseAddrPort("203.0.113.7:4711"), netip.MustParseAddrPort("192.0.2.1:443")
	v1 := string(codec.AppendProxyV1(nil, source, destination))
	v2 := string(codec.AppendProxyV2(nil, source, destination))
	six := string(codec.AppendProxyV2(nil, netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:2")))
	loopback := func(a netip.Addr) bool { return a.IsLoopback() }
	for _, row := range []struct {
		name    string
		proxied func(netip.Addr) bool
		version ProxyVersion
		send    string
		want    string // the answer, or "" for none
		remote  string
	}{
		{"version 1", loopback, ProxyAny, v1 + request, "101", "203.0.113.7:4711"},
		{"version 2", loopback, ProxyAny, v2 + request, "101", "203.0.113.7:4711"},
		{"IPv6", loopback, ProxyV2, six + request, "101", "[2001:db8::1]:1"},
		{"a health check of the balancer's own", loopback, ProxyAny, "PROXY UNKNOWN\r\n" + request, "101", "127.0.0.1:"},
		{"version 1 where 2 is wanted", loopback, ProxyV2, v1 + request, "", ""},
		{"version 2 where 1 is wanted", loopback, ProxyV1, v2 + request, "", ""},
		{"none", loopback, ProxyAny, request, "", ""},
		{"garbage", loopback, ProxyAny, "PROXY TCP4 999.0.0.1 1 2\r\n" + request, "", ""},
		{"from somebody else", func(netip.Addr) bool { return false }, ProxyAny, v1 + request, "400", ""},
		{"where nobody is to send one", nil, ProxyAny, v1 + request, "400", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var remote string
			n := start(t, Options{Proxied: row.proxied, ProxyVersion: row.version}, &script{request: func(c *Conn, r *codec.Request) {
				remote = c.Remote().String()
				accept(c, r)
			}})
			for cut := range []int{0, 1} { // whole, and byte by byte
				c := dialRaw(t, n.addr, 0)
				if cut == 0 {
					c.send(row.send)
				} else {
					c.send(strings.Split(row.send, "")...)
				}
				got := c.response()
				if row.want == "" && !strings.HasPrefix(got, "no response") || !strings.HasPrefix(got, row.want) {
					t.Fatalf("answered %s, want %q", got, row.want)
				}
				n.on(func(*Reactor) {
					if row.remote != "" && !strings.HasPrefix(remote, row.remote) {
						t.Errorf("the client is at %s, want %s", remote, row.remote)
					}
				})
			}
		})
	}
}

// A balancer that says nothing is given up at the handshake's deadline.
func TestProxyHeaderInTime(t *testing.T) {
	n := start(t, Options{Proxied: func(netip.Addr) bool { return true }, HandshakeTimeout: 100 * time.Millisecond}, &script{})
	c := dialRaw(t, n.addr, 0)
	c.send("PROXY TCP4 ")
	if got := c.response(); !strings.HasPrefix(got, "no response") {
		t.Error(got)
	}
	if n.Stats().Timeouts != 1 {
		t.Error("no timeout was counted")
	}
}

func TestPacer(t *testing.T) {
	p := pacer{every: 10 * time.Millisecond}
	now := time.Second
	for i := range 10 {
		if pause := p.next(now); pause > 0 {
			t.Fatalf("event %d of a small burst waits %s", i, pause)
		}
	}
	for range 1000 {
		now += max(0, p.next(now))
	}
	if took := now - time.Second; took < 9900*time.Millisecond || took > 10*time.Second {
		t.Errorf("1,000 events at 100 a second took %s", took)
	}
	if (&pacer{}).next(now) != 0 {
		t.Error("no limit, and it waits")
	}
}
