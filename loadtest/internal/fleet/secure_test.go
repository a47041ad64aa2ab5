package fleet

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice/codec"
)

// identity is a certificate for 127.0.0.1, and who trusts it.
func identity(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil) // has one
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12}, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// connectSecurely starts a fleet with a worker and opens n connections, one at a time.
func connectSecurely(t *testing.T, addr string, n int, o Options) (*Fleet, *keeper) {
	t.Helper()
	target, err := NewTarget("wss://"+addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Target, o.Concurrency, o.Channel = target, 1, func(int) string { return "" }
	return launch(t, n, o)
}

// listenSecurely is listen over TLS.
func listenSecurely(t *testing.T, config *tls.Config, serve func(c net.Conn, in *bufio.Reader, key string)) *talk {
	return listen(t, serve, func(l net.Listener) net.Listener { return tls.NewListener(l, config) })
}

// What a server says over TLS comes whole, whatever its size, and so does what it is told; tickets are used where they are wanted.
func TestSecure(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, tickets := range []bool{false, true} {
			server, client := identity(t)
			client.MinVersion, client.MaxVersion = version, version
			if tickets {
				client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			var wire []byte
			for _, size := range []int{0, 1, 125, 126, 16 << 10, 100_000, 300_000} {
				wire = codec.AppendFrame(wire, codec.OpBinary, make([]byte, size))
			}
			wire = codec.AppendFrame(wire, codec.OpPing, []byte("are you there"))
			pongs := make(chan string, 8)
			s := listenSecurely(t, server, func(c net.Conn, in *bufio.Reader, key string) {
				_, _ = c.Write([]byte(switching(key) + string(wire))) // the test sees what came
				b := make([]byte, 6+len("are you there"))
				if _, err := io.ReadFull(in, b); err != nil {
					return
				}
				for i := range b[6:] {
					b[6+i] ^= b[2+i%4]
				}
				pongs <- string(b[6:])
				_, _ = c.Write([]byte("\x88\x02\x03\xe8"))
			})
			f, k := connectSecurely(t, s.Addr().String(), 3, Options{TLS: client})
			for range 3 {
				if got := <-pongs; got != "are you there" {
					t.Errorf("the pong says %q", got)
				}
			}
			eventually(t, "all to be over", func() bool { _, closed := k.list(); return len(closed) == 3 })
			heard, _ := k.list()
			if len(heard) != 3*7 {
				t.Errorf("%d messages came", len(heard))
			}
			want := int64(0)
			if tickets {
				want = 2
			}
			if got := f.Stats(); got.Resumed != want || got.Opened != 3 || got.Failed != 0 {
				t.Errorf("%s, tickets %v: %+v", tls.VersionName(version), tickets, got)
			}
		}
	}
}

// blunt refuses whoever comes, in the clear.
type blunt struct{ net.Listener }

func (b blunt) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err == nil {
		_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) // the test sees what came
	}
	return c, err
}

// Whatever keeps a handshake from its end is counted in words; and a fleet can be stopped in the middle of one.
func TestSecureFails(t *testing.T) {
	server, client := identity(t)
	deaf, err := net.Listen("tcp", "127.0.0.1:0") // accepts nobody, though the kernel does
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { deaf.Close() })
	hello := func(c net.Conn, _ *bufio.Reader, key string) { _, _ = c.Write([]byte(switching(key))) }
	for _, row := range []struct {
		name, addr string
		o          Options
		want       string
	}{
		{"nobody trusts it", listenSecurely(t, server, hello).Addr().String(), Options{}, "handshake: TLS: tls: failed to verify certificate"},
		{"plain HTTP", listen(t, hello, func(l net.Listener) net.Listener { return blunt{l} }).Addr().String(), Options{TLS: client}, "does not look like a TLS handshake"},
		{"no answer", deaf.Addr().String(), Options{TLS: client, Timeout: 1}, "no answer in time"},
		{"a record that was tampered with", listenSecurely(t, server, func(c net.Conn, _ *bufio.Reader, key string) {
			_, _ = c.(*tls.Conn).NetConn().Write([]byte("\x17\x03\x03\x00\x20" + strings.Repeat("x", 32)))
		}).Addr().String(), Options{TLS: client}, "TLS: local error: tls: bad record MAC"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f, _ := connectSecurely(t, row.addr, 1, row.o)
			eventually(t, "a failure", func() bool { return f.Stats().Failed == 1 })
			for kind, n := range f.Faults() {
				if !strings.Contains(kind, row.want) || n != 1 {
					t.Errorf("%d times %q, want %q", n, kind, row.want)
				}
			}
		})
	}
	f, _ := connectSecurely(t, deaf.Addr().String(), 1, Options{TLS: client})
	eventually(t, "a handshake", func() bool { return f.Stats().Alive == 1 })
}
