package loop

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// helloOf is what crypto/tls's client says first.
func helloOf(config *tls.Config) []byte {
	var hello []byte
	ours, theirs := net.Pipe()
	go func() { _ = tls.Client(theirs, config).Handshake() }() // it ends when ours is closed
	buf := make([]byte, 4096)
	n, err := ours.Read(buf)
	if err == nil {
		hello = buf[:n]
	}
	_ = ours.Close()
	return hello
}

// FuzzTLS has a connection begin with whatever there is, cut in two anywhere: it ends, and
// takes neither the node nor another client with it, nor leaves a handshake behind.
func FuzzTLS(f *testing.F) {
	hello := helloOf(&tls.Config{ServerName: "localhost"})
	f.Add(hello, uint16(0))
	f.Add(hello, uint16(7))
	f.Add(hello[:len(hello)/2], uint16(3))
	f.Add(append(hello[:len(hello):len(hello)], hello...), uint16(len(hello)))
	f.Add(append(hello[:len(hello):len(hello)], make([]byte, 40_000)...), uint16(9))
	f.Add([]byte("\x16\x03\x01\x00\x01\x01\x16\x03\x01\x00\x01\x00\x16\x03\x01\x40\x00"), uint16(6))
	f.Add([]byte("\x16\x03\x01\x00\x04\x01\xff\xff\xff"), uint16(5))
	f.Add([]byte("\x15\x03\x01\x00\x02\x02\x28"), uint16(2))
	f.Add([]byte(request), uint16(20))
	f.Add([]byte("\x80\x2e\x01\x00\x02"), uint16(1))
	e, err := New(overTLS(Options{Reactors: 1, HandshakeTimeout: 5 * time.Second, PingInterval: time.Hour}), func(*Reactor) Handler { return &script{} })
	if err != nil {
		f.Fatal(err)
	}
	ln, err := e.Listen(f.Context(), "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- e.Serve(ln) }()
	f.Cleanup(func() {
		if err := e.Close(); err != nil {
			f.Error(err)
		}
		if err := <-served; err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		c := dialRaw(t, ln.Addr().String(), 0)
		at := min(int(cut), len(b))
		c.send(string(b[:at]), string(b[at:]))
		_ = c.CloseWrite() // fails only where the node has closed already
		answer, err := io.ReadAll(c)
		if err != nil && ending(err) != "RST" {
			t.Fatal(err)
		}
		if bytes.HasPrefix(answer, []byte("HTTP/1.1 2")) || bytes.HasPrefix(answer, []byte("HTTP/1.1 1")) {
			t.Errorf("answered in plain text: %q", answer)
		}
		until(t, "the end of the connection and of its handshake", func() bool {
			s := e.TLSStats()
			return e.total.Load() == 0 && s.Handshaking == 0 && s.Waiting == 0
		})
		if n := e.Stats().Panics; n != 0 {
			t.Fatalf("%d panics", n)
		}
		if s := e.Stats(); s.Incomplete != 0 || s.Backlog != 0 {
			t.Fatalf("%d incomplete bytes and %d of backlog are left", s.Incomplete, s.Backlog)
		}
	})
}

// FuzzCutter: however a stream of records is cut, it is passed on whole, and no call goes
// beyond the end of a record or of its header.
func FuzzCutter(f *testing.F) {
	f.Add([]byte("\x16\x03\x01\x00\x02ab\x17\x03\x03\x00\x00\x17\x03\x03\x00\x01c\x17\x03"), uint8(3))
	f.Add([]byte("\x17\x03\x03\xff\xff"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		var k cutter
		var got []byte
		p := make([]byte, int(step)+1)
		for in := b; len(in) > 0; {
			had, size := k.have, k.size
			n, whole := k.pass(p, in)
			if n == 0 || n > len(p) || size == 0 && had+n > recordHeader || size > 0 && had+n > size {
				t.Fatalf("%d bytes of a record of %d, of which there were %d", n, size, had)
			}
			if whole != (k.have == 0) {
				t.Fatalf("whole: %v, and %d bytes of the next", whole, k.have)
			}
			got, in = append(got, p[:n]...), in[n:]
		}
		if !bytes.Equal(got, b) {
			t.Errorf("%q came out of %q", got, b)
		}
	})
}
