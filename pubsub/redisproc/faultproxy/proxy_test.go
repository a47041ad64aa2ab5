package faultproxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/pubsub/redisproc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that says what it hears, and how its connections ended.
type echo struct {
	net.Listener
	all  sync.WaitGroup
	ends chan error
}

func startEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: l, ends: make(chan error, 100)}
	e.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.all.Go(func() {
				defer c.Close()
				_, err := io.Copy(c, c)
				e.ends <- err
			})
		}
	})
	t.Cleanup(func() { l.Close(); e.all.Wait() })
	return e
}

func start(t *testing.T, target string) *Proxy {
	t.Helper()
	p, err := Start(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

type client struct {
	*net.TCPConn
	t *testing.T
}

func dial(t *testing.T, p *Proxy) client {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return client{c.(*net.TCPConn), t}
}

func (c client) say(what string) {
	c.t.Helper()
	if _, err := io.WriteString(c, what); err != nil {
		c.t.Fatal(err)
	}
}

func (c client) hear(want string) {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		c.t.Fatalf("heard %q, %v; want %q", b, err, want)
	}
}

// silent gives what must not come a little time to come.
func (c client) silent() {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		c.t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("heard %d bytes, %v; want silence", n, err)
	}
}

func TestPasses(t *testing.T) {
	p := start(t, startEcho(t).Addr().String())
	a, b := dial(t, p), dial(t, p)
	big := string(bytes.Repeat([]byte("0123456789abcdef"), 1<<16))
	var writer sync.WaitGroup
	writer.Go(func() { a.say(big) })
	a.hear(big)
	writer.Wait()
	b.say("hello")
	b.hear("hello")
	want := int64(len(big) + len("hello"))
	if s := p.Stats(); s.Accepted != 2 || s.Open != 2 || s.Up != want || s.Down != want {
		t.Errorf("%+v, want %d bytes each way", s, want)
	}
}

func TestClosesArePassedOn(t *testing.T) {
	e := startEcho(t)
	p := start(t, e.Addr().String())
	c := dial(t, p)
	c.say("last words")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); string(b) != "last words" || err != nil {
		t.Errorf("heard %q, %v", b, err)
	}
	if err := <-e.ends; err != nil {
		t.Errorf("the server's side ended with %v", err)
	}
}

func TestHolds(t *testing.T) {
	for _, test := range []struct {
		name  string
		rules Rules
		up    int64 // bytes that reach the server meanwhile
	}{
		{"both ways", Both(Rule{Hold: true}), 0},
		{"up", Rules{Up: Rule{Hold: true}}, 0},
		{"down", Rules{Down: Rule{Hold: true}}, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, startEcho(t).Addr().String())
			c := dial(t, p)
			c.say("one")
			c.hear("one")
			was := p.Stats()
			p.Set(test.rules)
			c.say("two..")
			fresh := dial(t, p) // half open
			fresh.say("three")
			c.silent()
			fresh.silent()
			if s := p.Stats(); s.Down != was.Down || test.up == 0 && s.Up != was.Up {
				t.Errorf("while it holds: %+v, before: %+v", s, was)
			}
			p.Set(Rules{})
			c.hear("two..")
			fresh.hear("three")
		})
	}
}

func TestNobodyHearsOfACloseWhileHeld(t *testing.T) {
	e := startEcho(t)
	p := start(t, e.Addr().String())
	c := dial(t, p)
	c.say("x")
	c.hear("x")
	p.Set(Both(Rule{Hold: true}))
	c.Close()
	select {
	case err := <-e.ends:
		t.Errorf("the server's side ended with %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	p.Set(Rules{})
	if err := <-e.ends; err != nil {
		t.Errorf("the server's side ended with %v", err)
	}
}

func TestDelays(t *testing.T) {
	p := start(t, startEcho(t).Addr().String())
	c := dial(t, p)
	p.Set(Rules{Down: Rule{Delay: 60 * time.Millisecond}})
	began := time.Now()
	c.say("x")
	c.hear("x")
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	p.Set(Rules{Up: Rule{Delay: time.Hour}})
	c.say("y")
	c.silent()
	p.Set(Rules{}) // also for what waits already
	c.hear("y")
}

func TestCorrupts(t *testing.T) {
	p := start(t, startEcho(t).Addr().String())
	c := dial(t, p)
	p.Set(Rules{Up: Rule{Corrupt: 100}})
	sent := bytes.Repeat([]byte{'a'}, 1000)
	c.say(string(sent))
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	turned := 0
	for i := range got {
		turned += bits.OnesCount8(got[i] ^ sent[i])
	}
	if s := p.Stats(); turned != 10 || s.Corrupted != 10 {
		t.Errorf("%d bits are turned, %d bytes counted; want 10", turned, s.Corrupted)
	}
}

func TestCuts(t *testing.T) {
	for _, test := range []struct {
		name string
		how  How
		want error
	}{{"FIN", Finish, io.EOF}, {"RST", Reset, syscall.ECONNRESET}} {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, startEcho(t).Addr().String())
			c := dial(t, p)
			c.say("x")
			c.hear("x")
			p.Set(Both(Rule{Hold: true})) // whether it holds or not
			if n := p.Cut(test.how); n != 1 {
				t.Errorf("%d connections were cut", n)
			}
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, test.want) {
				t.Errorf("the client's side ended with %v", err)
			}
			p.Set(Rules{})
			again := dial(t, p)
			again.say("y")
			again.hear("y")
			if s := p.Stats(); s.Cut != 1 || s.Accepted != 2 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestServerIsNotThere(t *testing.T) {
	port, err := redisproc.FreePort() // nobody else gets it, which one that was closed may happen to
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, fmt.Sprint("127.0.0.1:", port))
	c, err := net.Dial("tcp", p.Addr)
	if err == nil { // the reset may also come while it dials
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client's side ended with %v", err)
	}
	if s := p.Stats(); s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

// A reader that is held back is felt by the writer soon.
func TestHeldBytesAreFew(t *testing.T) {
	p := start(t, startEcho(t).Addr().String())
	c := dial(t, p)
	p.Set(Rules{Up: Rule{Hold: true}})
	if err := c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := c.Write(make([]byte, 64<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n > 16<<20 {
		t.Errorf("%d bytes were taken, %v", n, err)
	}
}
