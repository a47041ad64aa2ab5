package fleet

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/sys/unix"

	"sluice/codec"
)

// Target is where connections go and what they ask for.
type Target struct {
	url     string // with {channel} where a connection's channel belongs, and {since} for its position
	headers []string
	host    string // with its port, where the URL has one
	name    string // without
	addr    netip.AddrPort
	key     string      // Sec-WebSocket-Key, one for all: what is measured does not depend on it
	stream  bool        // http:// or https://: an event stream is asked for, not a WebSocket
	secure  bool        // wss:// or https://
	config  *tls.Config // nil: not secure
	accept  string      // the only right answer to key (RFC 6455 §4.2.2)
}

// NewTarget takes a ws:// or wss:// URL, or an http:// or https:// URL of an event stream, in which {channel} and {since} are replaced per connection, and further header lines ("Name: value").
// The host is resolved once.
func NewTarget(rawURL string, headers []string) (*Target, error) {
	u, err := url.Parse(strings.NewReplacer("{channel}", "channel", "{since}", "0").Replace(rawURL))
	if err != nil {
		return nil, fmt.Errorf("URL %q: %w", rawURL, err)
	}
	plain, known := map[string]bool{"ws": true, "http": true, "wss": false, "https": false}[u.Scheme]
	if !known || u.Host == "" {
		return nil, fmt.Errorf("URL %q: want ws://host:port/path or wss://, or http:// or https:// of an event stream", rawURL)
	}
	port := u.Port()
	if port == "" {
		port = map[bool]string{true: "80", false: "443"}[plain]
	}
	tcp, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("URL %q: %w", rawURL, err)
	}
	for _, h := range headers {
		if name, _, ok := strings.Cut(h, ":"); !ok || name == "" || strings.ContainsAny(h, "\r\n") {
			return nil, fmt.Errorf("header %q: want 'Name: value' on one line", h)
		}
	}
	nonce := make([]byte, 16)
	rand.Read(nonce) // never fails (crypto/rand)
	t := &Target{url: rawURL, headers: headers, host: u.Host, name: u.Hostname(), stream: u.Scheme[0] == 'h', secure: !plain, key: base64.StdEncoding.EncodeToString(nonce)}
	addr := tcp.AddrPort()
	t.addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	t.accept = string(codec.AppendAccept(nil, t.key))
	return t, nil
}

// secureWith says how TLS is to be spoken, nil: as is usual.
func (t *Target) secureWith(config *tls.Config) {
	if !t.secure {
		return
	}
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.config = config.Clone()
	if t.config.ServerName == "" {
		t.config.ServerName = t.name
	}
}

// Addr is the resolved address.
func (t *Target) Addr() netip.AddrPort { return t.addr }

// request is the upgrade request, or that for an event stream, of a connection on channel, which has been at since.
func (t *Target) request(channel, since string) []byte {
	raw := strings.NewReplacer("{channel}", url.QueryEscape(channel), "{since}", since).Replace(t.url)
	path := raw[strings.Index(raw, "://")+3:]
	if i := strings.IndexAny(path, "/?"); i < 0 {
		path = "/"
	} else if path = path[i:]; path[0] == '?' {
		path = "/" + path
	}
	var b strings.Builder
	b.WriteString("GET " + path + " HTTP/1.1\r\nHost: " + t.host)
	if t.stream {
		b.WriteString("\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n")
	} else {
		b.WriteString("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + t.key + "\r\n")
	}
	for _, h := range t.headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// Sources are the local addresses that n connections to dest are bound to, per of them to each: one address has at most 64k
// ports, 28k in the default range. nil means that binding is not needed. Without first they are taken from 127.0.0.1 on,
// which works for a destination on IPv4 loopback only.
func Sources(dest netip.Addr, n, per int, first netip.Addr) ([]netip.Addr, error) {
	count := (n + per - 1) / per
	if !first.IsValid() {
		if count <= 1 {
			return nil, nil
		}
		if !dest.Is4() || !dest.IsLoopback() {
			return nil, fmt.Errorf("%d connections to %v need %d local addresses (%d ports each): name the first of them with --source",
				n, dest, count, per)
		}
		first = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if first.Is4() != dest.Is4() {
		return nil, fmt.Errorf("source %v and destination %v are not of one IP version", first, dest)
	}
	var list []netip.Addr
	for a := first; len(list) < max(count, 1); a = a.Next() {
		if !a.IsValid() {
			return nil, fmt.Errorf("no %d addresses from %v on", count, first)
		}
		list = append(list, a)
	}
	return list, nil
}

// sockaddr is ap in the form of the system calls.
func sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
}
