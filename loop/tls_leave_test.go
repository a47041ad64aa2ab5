package loop

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"sluice/codec"
)

// valve lets a ClientHello through, and what is behind it once it is open.
type valve struct {
	net.Conn
	said bool
	open chan struct{}
}

func (v *valve) Write(b []byte) (int, error) {
	if v.said {
		<-v.open
	}
	v.said = true
	return v.Conn.Write(b)
}

// A node that goes away ends handshakes as cleanly as can be: before the answer to the
// hello at once, behind it when the client can be told.
func TestTLSLeaving(t *testing.T) {
	for _, version := range versions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			n := start(t, overTLS(Options{Handshakes: 1, HandshakeTimeout: time.Hour}), &script{})
			answered := &valve{Conn: dialRaw(t, n.addr, 0).TCPConn, open: make(chan struct{})}
			conn := tls.Client(answered, trusting(version))
			shaken := make(chan error, 1)
			go func() { shaken <- conn.Handshake() }()
			until(t, "an answer to the hello", func() bool { return n.Stats().BytesOut > 0 })

			silent, halfway, inLine := dialRaw(t, n.addr, 0), dialRaw(t, n.addr, 0), dialRaw(t, n.addr, 0)
			before := n.Stats().BytesIn
			const half = "\x16\x03\x01\x02\x00\x01"
			halfway.send(half)
			until(t, "half a hello", func() bool { return n.Stats().BytesIn == before+int64(len(half)) })
			waits := make(chan error, 1)
			go func() { waits <- tls.Client(inLine.TCPConn, trusting(version)).Handshake() }()
			until(t, "a line", func() bool { return n.TLSStats().Waiting == 1 && n.Stats().Connections == 4 })

			cut := make(chan int64)
			go func() { cut <- n.Shutdown(t.Context(), codec.StatusServiceRestart, "restart") }()
			if b, err := io.ReadAll(silent); len(b) > 0 || err != nil {
				t.Errorf("who said nothing hears % x, %v", b, err)
			}
			if b, err := io.ReadAll(halfway); string(b) != string(closeNotify) || err != nil {
				t.Errorf("who said half a hello hears % x, %v", b, err)
			}
			if err := <-waits; !errors.Is(err, io.EOF) { // which crypto/tls makes of close_notify
				t.Errorf("who is in line hears %v", err)
			}
			for _, c := range []*raw{silent, halfway, inLine} {
				c.Close()
			}
			until(t, "all but one to be gone", func() bool { return n.Stats().Connections == 1 })
			if s := n.TLSStats(); s.Waiting != 0 || s.Faults[faultLeaving] != 3 {
				t.Errorf("%+v", s)
			}

			close(answered.open)
			if err := <-shaken; err != nil {
				t.Fatalf("who was answered hears %v", err)
			}
			over := &raw{answered.Conn.(*net.TCPConn), t, bufio.NewReader(conn)}
			if got := over.transcript(); got != "503 this node is going away, FIN" { // FIN behind close_notify
				t.Errorf("behind the handshake comes %s", got)
			}
			conn.Close()
			if got := <-cut; got != 0 {
				t.Errorf("%d were cut", got)
			}
			if f := n.TLSStats().Faults; f[faultLeaving] != 3 || f[faultLeft] != 0 {
				t.Errorf("%v", f)
			}
		})
	}
}

// What is left of handshakes when the time is over ends with FIN, and is counted.
func TestTLSCutShort(t *testing.T) {
	n := start(t, overTLS(Options{HandshakeTimeout: time.Hour}), &script{})
	c := dialRaw(t, n.addr, 0)
	var client sync.WaitGroup
	client.Go(func() {
		conn := tls.Client(&mute{Conn: c.TCPConn}, trusting(0))
		if err := conn.Handshake(); err != nil { // it takes what it says last for said
			t.Error(err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("it hears %v", err)
		}
	})
	until(t, "an answer to the hello", func() bool { return n.Stats().BytesOut > 0 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if cut := n.Shutdown(ctx, codec.StatusServiceRestart, "restart"); cut != 1 {
		t.Errorf("%d were cut", cut)
	}
	if f := n.TLSStats().Faults; f[faultLeaving] != 1 || f[faultLeft] != 0 {
		t.Errorf("%v", f)
	}
	client.Wait()
}

// Who leaves the line makes room in it at once, for others of its address, too.
func TestTLSLeavesTheLine(t *testing.T) {
	n := start(t, overTLS(Options{Handshakes: 1, HandshakesPerAddress: 2, HandshakeTimeout: time.Hour}), &script{})
	var clients sync.WaitGroup
	defer clients.Wait()
	shake := func() *raw {
		c := dialRaw(t, n.addr, 0)
		clients.Go(func() { _ = tls.Client(&mute{Conn: c.TCPConn}, trusting(0)).Handshake() }) // it fails
		return c
	}
	first := shake()
	defer first.Close()
	until(t, "the first handshake", func() bool { return n.TLSStats().Handshaking == 1 })
	for range 5 {
		c := shake()
		until(t, "a line", func() bool { return n.TLSStats().Waiting == 1 })
		c.Close()
		until(t, "no line", func() bool { return n.TLSStats().Waiting == 0 })
	}
	if s := n.TLSStats(); s.Faults[faultCrowded] != 0 || s.Faults[faultLeft] != 5 || n.Stats().Incomplete != 0 {
		t.Errorf("%+v", s)
	}
}
