package loop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sluice/codec"
)

// identity is the certificate of a node under test, and what makes its clients trust it.
var identity = sync.OnceValues(func() (*tls.Config, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS12, NextProtos: []string{"http/1.1"}, DynamicRecordSizingDisabled: true,
	}, pool
})

// overTLS is o with TLS.
func overTLS(o Options) Options {
	o.TLS, _ = identity()
	return o
}

// trusting is a client's side, for one version of TLS; 0: any.
func trusting(version uint16) *tls.Config {
	_, pool := identity()
	return &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: version, MaxVersion: version}
}

// dialTLS opens a WebSocket over TLS with a client that is not ours.
func dialTLS(t *testing.T, addr string, version uint16) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{TLSClientConfig: trusting(version), HandshakeTimeout: patience}
	ws, _, err := d.Dial("wss://"+addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	patient(t, ws)
	return ws
}

// slit makes everything that is written to it many small segments.
type slit struct{ net.Conn }

func (s slit) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := s.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// A client over TLS is served like any other, whatever the size of what it says.
func TestTLSEcho(t *testing.T) {
	for _, version := range versions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			var e ends
			n := start(t, overTLS(Options{Decoder: codec.DecoderOptions{MaxMessage: 8 << 20, MaxFragments: 8192}, MaxQueue: 32 << 20}), &script{closed: e.add})
			ws := dialTLS(t, n.addr, version)
			roundTrip(t, ws)
			for _, size := range []int{0, 1, 125, 126, 16<<10 - 4, 16 << 10, 16<<10 + 1, 100_000, 5_000_000} {
				want := numbered(size, size)
				var writer sync.WaitGroup
				writer.Go(func() { _ = ws.WriteMessage(websocket.BinaryMessage, want) }) // the read says whether it came
				patientFor(t, ws, size)
				if _, got, err := ws.ReadMessage(); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes: %d came back, %v", len(want), len(got), err)
				}
				writer.Wait()
			}
			if err := ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "done")); err != nil {
				t.Fatal(err)
			}
			if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, 1000) {
				t.Error(err)
			}
			e.want(t, "1000 by peer: done")
			if s := n.TLSStats(); s.Full[version-tls.VersionTLS12] != 1 || s.Faults != [TLSFaults]int64{} {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A client whose every byte comes alone is served, too, with and without a PROXY header.
func TestTLSByteByByte(t *testing.T) {
	for _, proxied := range []bool{false, true} {
		var remote netip.AddrPort
		o := overTLS(Options{})
		if proxied {
			o.Proxied = func(netip.Addr) bool { return true }
		}
		n := start(t, o, &script{request: func(c *Conn, r *codec.Request) {
			remote = c.Remote()
			accept(c, r)
		}})
		c := dialRaw(t, n.addr, 0)
		if proxied {
			c.send(string(codec.AppendProxyV2(nil, netip.MustParseAddrPort("203.0.113.7:4711"), netip.MustParseAddrPort("192.0.2.1:443"))))
		}
		conn := tls.Client(slit{c.TCPConn}, trusting(0))
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		over := &raw{c.TCPConn, t, bufio.NewReader(conn)}
		if got := over.response(); got != "101" {
			t.Fatal(got)
		}
		if _, err := io.WriteString(conn, text("hello")); err != nil {
			t.Fatal(err)
		}
		if got := over.frame(); got != `text "hello"` {
			t.Error(got)
		}
		n.on(func(*Reactor) {
			if proxied && remote.String() != "203.0.113.7:4711" {
				t.Errorf("the client is at %s", remote)
			}
		})
	}
}

// What is sent goes out in order and whole to a client that reads slowly, and the
// goodbye of both protocols behind it.
func TestTLSSlowReader(t *testing.T) {
	for _, version := range versions {
		const count, size = 3000, 4000
		n := start(t, overTLS(Options{MaxQueue: 32 << 20}), &script{})
		c := dialRaw(t, n.addr, 4096)
		conn := tls.Client(c.TCPConn, trusting(version))
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		over := &raw{c.TCPConn, t, bufio.NewReader(conn)}
		if got := over.response(); got != "101" {
			t.Fatal(got)
		}
		server := n.only()
		n.on(func(*Reactor) {
			for i := range count {
				if !server.Send(codec.AppendFrame(nil, codec.OpBinary, numbered(i, size))) {
					t.Error("refused")
				}
			}
			server.Close(codec.StatusGoingAway, "that is all")
		})
		until(t, "a full socket", func() bool { return n.Stats().Backlog > 0 })
		n.on(func(*Reactor) {
			if s := server.secure(); len(s.rest) == 0 || len(s.rest) > maxRecord+256 {
				t.Errorf("%d sealed bytes wait", len(s.rest))
			}
		})
		for i := range count {
			h, payload, err := over.read()
			if err != nil || h.Op != codec.OpBinary || !bytes.Equal(payload, numbered(i, size)) {
				t.Fatalf("message %d: %v, %d bytes, %v", i, h, len(payload), err)
			}
		}
		if got := over.frame(); got != `close 1001 "that is all"` {
			t.Error(got)
		}
		if _, err := io.WriteString(conn, bye(codec.StatusGoingAway, "")); err != nil {
			t.Error(err)
		}
		if got := over.frame(); got != "FIN" { // crypto/tls says so only where close_notify came
			t.Error(got)
		}
		until(t, "an empty backlog", func() bool { return n.Stats().Backlog == 0 })
	}
}

// A client that reads too slowly is told so, behind the frame that it has a part of.
func TestTLSOverflow(t *testing.T) {
	var e ends
	n := start(t, overTLS(Options{MaxQueue: 64 << 10, CloseTimeout: patience}), &script{closed: e.add})
	c := dialRaw(t, n.addr, 4096)
	conn := tls.Client(c.TCPConn, trusting(0))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	over := &raw{c.TCPConn, t, bufio.NewReader(conn)}
	if got := over.response(); got != "101" {
		t.Fatal(got)
	}
	server := n.only()
	sent := 0
	until(t, "refusal", func() (refused bool) {
		n.on(func(*Reactor) {
			if refused = !server.Send(codec.AppendFrame(nil, codec.OpBinary, numbered(sent, 50_000))); !refused {
				sent++
			}
		})
		return refused
	})
	for i := 0; ; i++ {
		h, payload, err := over.read()
		if err != nil {
			t.Fatal(err)
		}
		if h.Op == codec.OpClose {
			if got := string(payload[2:]); got != errSlow.Reason || i == 0 || i > sent {
				t.Errorf("%q after %d of %d", got, i, sent)
			}
			break
		}
		if !bytes.Equal(payload, numbered(i, 50_000)) {
			t.Fatalf("message %d", i)
		}
	}
	if _, err := io.WriteString(conn, bye(codec.StatusTryAgainLater, "")); err != nil {
		t.Error(err)
	}
	if got := over.frame(); got != "FIN" {
		t.Error(got)
	}
	e.want(t, fmt.Sprintf("1013 by us: %s", errSlow.Reason))
}

// A client that was here comes back with a ticket.
func TestTLSResumption(t *testing.T) {
	for _, version := range versions {
		n := start(t, overTLS(Options{}), &script{})
		config := trusting(version)
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for range 3 {
			d := websocket.Dialer{TLSClientConfig: config}
			ws, _, err := d.Dial("wss://"+n.addr+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, ws)
			ws.Close()
		}
		if s, i := n.TLSStats(), version-tls.VersionTLS12; s.Full[i] != 1 || s.Resumed[i] != 2 {
			t.Errorf("%s: %d full and %d resumed handshakes", tls.VersionName(version), s.Full[i], s.Resumed[i])
		}
	}
}

// Whoever does not get through the handshake is told why where there is a way to, and
// counted under the reason.
func TestTLSFaults(t *testing.T) {
	hello := "\x16\x03\x01\x00\x04\x01\x00\x00\x00" // a ClientHello of no bytes
	plain := func(s string) func(*raw) string {
		return func(c *raw) string {
			c.send(s)
			b, err := io.ReadAll(c)
			if err != nil {
				return ending(err)
			}
			line, _, _ := strings.Cut(string(b), "\r\n")
			return line
		}
	}
	with := func(change func(*tls.Config)) func(*raw) string {
		return func(c *raw) string {
			config := trusting(0)
			change(config)
			err := tls.Client(c, config).Handshake()
			if err == nil {
				return "no error"
			}
			return err.Error()
		}
	}
	for _, row := range []struct {
		name  string
		talk  func(*raw) string
		want  string // in what the client sees
		fault TLSFault
	}{
		{"plain HTTP", plain(request), "HTTP/1.1 400 Bad Request", faultPlain},
		{"an HTTP/2 preface", plain("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "HTTP/1.1 400 Bad Request", faultPlain},
		{"garbage", plain("\x00\x01\x02\x03\x04\x05"), "", faultGarbage},
		{"SSH", plain("\x7f\x7f"), "", faultGarbage},
		{"SSL 2", plain("\x80\x2e\x01\x00\x02"), "", faultGarbage},
		{"a record that is too long", plain("\x16\x03\x01\xff\xff"), "", faultGarbage},
		{"a hello without bytes", plain(hello), "\x15\x03\x01\x00\x02\x02\x32", faultMalformed},
		{"a message that is too long", plain("\x16\x03\x01\x00\x04\x01\xff\xff\xff"), "\x15\x03\x01\x00\x02\x02\x50", faultMalformed},
		{"no hello", plain("\x16\x03\x01\x00\x04\x02\x00\x00\x00"), "\x15\x03\x01\x00\x02\x02", faultMalformed},
		{"TLS 1.1", with(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), "protocol version", faultVersion},
		{"only HTTP/2", with(func(c *tls.Config) { c.NextProtos = []string{"h2"} }), "no application protocol", faultProtocol},
		{"gone in the middle", func(c *raw) string { c.send("\x16\x03\x01"); _ = c.CloseWrite(); return c.response() }, "FIN", faultLeft},
		{"no suite", with(func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
		}), "handshake failure", faultParameter},
		{"no trust", with(func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }), "unknown authority", faultRefused},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := start(t, overTLS(Options{}), &script{})
			if got := row.talk(dialRaw(t, n.addr, 0)); !strings.Contains(got, row.want) {
				t.Errorf("the client sees %q, want %q", got, row.want)
			}
			until(t, "a fault that is counted", func() bool { return n.TLSStats().Faults != [TLSFaults]int64{} })
			if f := n.TLSStats().Faults; f[row.fault] != 1 {
				t.Errorf("%v", f)
			}
			roundTrip(t, dialTLS(t, n.addr, 0))
			until(t, "the end of the connection", func() bool { return n.Stats().Connections == 1 })
		})
	}
}

// Who says nothing, or stops halfway, is given up at the deadline of the handshake, and
// has no goroutine unless its hello was complete.
func TestTLSTimeout(t *testing.T) {
	for _, said := range []string{"", "\x16", "\x16\x03\x01\x02\x00\x01"} {
		n := start(t, overTLS(Options{HandshakeTimeout: 200 * time.Millisecond}), &script{})
		c := dialRaw(t, n.addr, 0)
		c.send(said)
		if got := c.response(); !strings.HasPrefix(got, "no response") {
			t.Error(got)
		}
		if f := n.TLSStats().Faults; f[faultTimeout] != 1 || n.Stats().Timeouts != 1 {
			t.Errorf("%v", f)
		}
		if len(n.shaker.running) != 0 {
			t.Error("a handshake is running")
		}
	}
}

// mute lets a ClientHello through, and nothing behind it.
type mute struct {
	net.Conn
	said bool
}

func (m *mute) Write(b []byte) (int, error) {
	if m.said {
		return len(b), nil
	}
	m.said = true
	return m.Conn.Write(b)
}

// Handshakes that stop halfway take no more than their share: the others wait in line,
// and come through when the deadline has ended those.
func TestTLSHandshakesAreBounded(t *testing.T) {
	n := start(t, overTLS(Options{Handshakes: 2, HandshakeTimeout: 5 * time.Second}), &script{})
	var clients sync.WaitGroup
	for range 6 {
		c := dialRaw(t, n.addr, 0)
		clients.Go(func() { _ = tls.Client(&mute{Conn: c.TCPConn}, trusting(0)).Handshake() }) // it fails
	}
	until(t, "a line", func() bool { s := n.TLSStats(); return s.Handshaking == 2 && s.Waiting == 4 })
	until(t, "the end of all", func() bool { s := n.TLSStats(); return s.Handshaking == 0 && s.Waiting == 0 })
	clients.Wait()
	roundTrip(t, dialTLS(t, n.addr, 0))
	if f := n.TLSStats().Faults; f[faultTimeout] != 6 {
		t.Errorf("%v", f)
	}
}

func TestTLSHandshakesPerAddress(t *testing.T) {
	n := start(t, overTLS(Options{HandshakesPerAddress: 1}), &script{})
	first := dialRaw(t, n.addr, 0)
	var clients sync.WaitGroup
	clients.Go(func() { _ = tls.Client(&mute{Conn: first.TCPConn}, trusting(0)).Handshake() }) // it fails
	until(t, "the first handshake", func() bool { return n.TLSStats().Handshaking == 1 })
	if err := tls.Client(dialRaw(t, n.addr, 0), trusting(0)).Handshake(); err == nil {
		t.Error("the second handshake of one address came through")
	}
	if f := n.TLSStats().Faults; f[faultCrowded] != 1 {
		t.Errorf("%v", f)
	}
	first.Close()
	clients.Wait()
	until(t, "the end of the first", func() bool { return n.TLSStats().Handshaking == 0 })
	roundTrip(t, dialTLS(t, n.addr, 0))
}

// A record that was tampered with ends its connection with an alert, and nobody else's.
func TestTLSBadRecord(t *testing.T) {
	var e ends
	n := start(t, overTLS(Options{}), &script{closed: e.add})
	other := dialTLS(t, n.addr, 0)
	c := dialRaw(t, n.addr, 0)
	conn := tls.Client(c.TCPConn, trusting(0))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if got := (&raw{c.TCPConn, t, bufio.NewReader(conn)}).response(); got != "101" {
		t.Fatal(got)
	}
	c.send("\x17\x03\x03\x00\x20" + strings.Repeat("x", 32))
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "bad record MAC") {
		t.Error(err)
	}
	e.want(t, "1006 by peer: connection lost")
	if f := n.TLSStats().Faults; f[faultRecord] != 1 {
		t.Errorf("%v", f)
	}
	roundTrip(t, other)
}

// A client that says close_notify and nothing else has left.
func TestTLSCloseNotify(t *testing.T) {
	var e ends
	n := start(t, overTLS(Options{}), &script{closed: e.add})
	c := dialRaw(t, n.addr, 0)
	conn := tls.Client(c.TCPConn, trusting(0))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if got := (&raw{c.TCPConn, t, bufio.NewReader(conn)}).response(); got != "101" {
		t.Fatal(got)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	e.want(t, "1006 by peer: connection lost")
}

// Answers to HTTP requests end with close_notify, streams too, and shutting down leaves
// nobody in the middle of a handshake.
func TestTLSResponse(t *testing.T) {
	n := start(t, overTLS(Options{}), &script{request: func(c *Conn, r *codec.Request) {
		if r.Path == "/sse" {
			c.Stream(nil)
			c.Send(codec.AppendEvent(nil, "", "", []byte("news")))
			c.Close(codec.StatusGoingAway, "bye")
			return
		}
		c.Respond(200, nil, "text/plain", strings.Repeat("page ", 100_000))
	}})
	for path, want := range map[string]string{"/": "page page ", "/sse": "data: news"} {
		conn := tls.Client(dialRaw(t, n.addr, 0), trusting(0))
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(b), want) || path == "/" && !strings.HasSuffix(string(b), strings.Repeat("page ", 100_000)) {
			t.Errorf("%s: %d bytes, %v", path, len(b), err)
		}
	}
	c := dialRaw(t, n.addr, 0)
	go func() { _ = tls.Client(&mute{Conn: c.TCPConn}, trusting(0)).Handshake() }() // ends with the test's socket
	until(t, "a handshake", func() bool { return n.TLSStats().Handshaking == 1 })
}

// What is held goes out behind what it was held for, and a node that ends says goodbye in
// both protocols.
func TestTLSHoldAndShutdown(t *testing.T) {
	n := start(t, overTLS(Options{}), &script{})
	c := dialRaw(t, n.addr, 0)
	conn := tls.Client(c.TCPConn, trusting(0))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	over := &raw{c.TCPConn, t, bufio.NewReader(conn)}
	if got := over.response(); got != "101" {
		t.Fatal(got)
	}
	server := n.only()
	n.on(func(*Reactor) {
		if !server.Hold() {
			t.Error("it cannot be held")
		}
		for _, word := range []string{"second", "third"} {
			server.Send(codec.AppendFrame(nil, codec.OpText, []byte(word)))
		}
	})
	n.on(func(*Reactor) { server.Release(codec.OpText, []byte("first")) })
	for _, word := range []string{"first", "second", "third"} {
		if got := over.frame(); got != fmt.Sprintf("text %q", word) {
			t.Errorf("%s, want %s", got, word)
		}
	}
	var ending sync.WaitGroup
	ending.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if cut := n.Shutdown(ctx, codec.StatusServiceRestart, "come back"); cut != 0 {
			t.Errorf("%d were cut", cut)
		}
	})
	if got := over.frame(); got != `close 1012 "come back"` {
		t.Error(got)
	}
	if _, err := io.WriteString(conn, bye(codec.StatusServiceRestart, "")); err != nil {
		t.Error(err)
	}
	if got := over.frame(); got != "FIN" {
		t.Error(got)
	}
	ending.Wait()
}
