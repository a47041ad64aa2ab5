package loop

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"sluice/codec"
)

func TestRefusals(t *testing.T) {
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	asked := make(chan string, 10)
	n := start(t, Options{CloseTimeout: 200 * time.Millisecond}, &script{request: func(c *Conn, r *codec.Request) {
		asked <- r.Path
		if r.Path == "/healthz" {
			c.Respond(200, []string{"X-Node: a"}, "text/plain", "fine")
			return
		}
		accept(c, r)
	}})
	for _, row := range []struct {
		name  string
		send  []string
		asked string // path that the handler was asked for
		want  string
	}{
		{"no WebSocket", []string{"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled}, "/a", "426"},
		{"version 12", []string{strings.Replace(request, "Version: 13", "Version: 12", 1), smuggled}, "/", "426"},
		{"HTTP/2 preface", []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, "", "400"},
		{"TLS", []string{"\x16\x03\x01\x02\x00\x01\x00"}, "", "400"},
		{"too many headers", []string{"GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 65) + "\r\n" + smuggled}, "", "431"},
		{"head too big", []string{"GET / HTTP/1.1\r\nA: " + strings.Repeat("b", 9000)}, "", "431"},
		{"target too long", []string{"GET /" + strings.Repeat("b", 9000)}, "", "414"},
		{"a page, and garbage behind it", []string{"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled}, "/healthz", "200 fine"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := dialRaw(t, n.addr, 0)
			c.send(row.send...)
			got := c.transcript()
			if !strings.HasPrefix(got, row.want) || !strings.HasSuffix(got, ", FIN") {
				t.Errorf("got %s, want %s …, FIN", got, row.want)
			}
			if row.asked != "" {
				if got := <-asked; got != row.asked {
					t.Errorf("handler asked for %s", got)
				}
			}
			select {
			case path := <-asked:
				t.Errorf("handler asked for %s", path)
			default:
			}
		})
	}
}

func TestHEADHasNoBody(t *testing.T) {
	n := start(t, Options{}, &script{request: func(c *Conn, r *codec.Request) {
		if r.Path == "/page" {
			c.Respond(200, nil, "text/plain", "a page")
			return
		}
		c.Refuse(&codec.HTTPError{Status: 405, Reason: "no"})
	}})
	for _, path := range []string{"/page", "/refused"} {
		c := dialRaw(t, n.addr, 0)
		c.send("HEAD " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		var answer strings.Builder
		if _, err := c.in.WriteTo(&answer); err != nil {
			t.Fatal(err)
		}
		if got := answer.String(); !strings.HasPrefix(got, "HTTP/1.1 ") || strings.Index(got, "\r\n\r\n") != len(got)-4 {
			t.Errorf("%s: answered %q", path, got)
		}
	}
}

func TestHandshakeDeadline(t *testing.T) {
	var told ends
	n := start(t, Options{HandshakeTimeout: 200 * time.Millisecond, CloseTimeout: 300 * time.Millisecond}, &script{
		request: func(*Conn, *codec.Request) {},
		closed:  told.add,
	})

	silent := dialRaw(t, n.addr, 0)
	if got := silent.transcript(); !strings.HasPrefix(got, "408 ") {
		t.Errorf("silent client: %s", got)
	}

	dribble := dialRaw(t, n.addr, 0)
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				dribble.send(string((request[:50] + strings.Repeat("x", 5000))[i%5000]))
			}
		}
	}()
	if got := dribble.response(); !strings.HasPrefix(got, "408 ") {
		t.Errorf("dribbling client: %s", got)
	}
	close(stop)
	<-stopped
	if got := told.all(); len(got) != 0 {
		t.Errorf("the handler, which saw no request, was told of ends: %q", got)
	}

	unanswered := dialRaw(t, n.addr, 0)
	unanswered.send(request)
	if got := unanswered.transcript(); !strings.HasPrefix(got, "503 ") {
		t.Errorf("client whose request is never answered: %s", got)
	}
	told.want(t, "1006 by us: "+errNotReady.Reason)
	if got := n.Stats().Timeouts; got != 3 {
		t.Errorf("%d timeouts counted", got)
	}
}

// A request may be answered later. What the client sends meanwhile waits, and
// stays in front of what it sends afterwards.
func TestLateUpgrade(t *testing.T) {
	type pending struct {
		c *Conn
		r *codec.Request
	}
	var waiting pending
	arrived := make(chan struct{}, 1)
	s := &script{request: func(c *Conn, r *codec.Request) {
		waiting = pending{c, r}
		arrived <- struct{}{}
	}}
	n := start(t, Options{}, s)

	t.Run("by an event", func(t *testing.T) {
		c := dialRaw(t, n.addr, 0)
		c.send(request+text("1"), text("2"))
		<-arrived
		c.send(text("3"))
		n.on(func(*Reactor) { accept(waiting.c, waiting.r) })
		c.send(text("4"), bye(1000, ""))
		if got, want := c.transcript(), `101, text "1", text "2", text "3", text "4", close 1000 "", FIN`; got != want {
			t.Errorf("got %s", got)
		}
	})

	t.Run("with more input before the held bytes had their turn", func(t *testing.T) {
		c := dialRaw(t, n.addr, 0)
		c.send(request)
		<-arrived
		stream := text("1") + text("2") + bye(1000, "")
		c.send(stream[:9]) // ends inside a frame
		until(t, "held bytes", func() (ok bool) {
			n.on(func(*Reactor) { ok = len(waiting.c.special().early) == 9 })
			return ok
		})
		n.on(func(r *Reactor) {
			accept(waiting.c, waiting.r)
			r.read(waiting.c, []byte(stream[9:])) // as if another client's callback had upgraded it
		})
		if got, want := c.transcript(), `101, text "1", text "2", close 1000 "", FIN`; got != want {
			t.Errorf("got %s", got)
		}
	})

	t.Run("too late", func(t *testing.T) {
		c := dialRaw(t, n.addr, 0)
		c.send(request)
		<-arrived
		c.Close()
		until(t, "the end", func() bool { return n.Stats().Connections == 0 })
		n.on(func(*Reactor) { accept(waiting.c, waiting.r) })
		n.on(func(*Reactor) {
			if waiting.c.Open() || waiting.c.Send([]byte("x")) {
				t.Error("a connection that has ended was opened")
			}
		})
	})

	t.Run("dead with held bytes", func(t *testing.T) {
		c := dialRaw(t, n.addr, 0)
		c.send(request)
		<-arrived
		c.send(text("1"))
		until(t, "held bytes", func() (ok bool) {
			n.on(func(*Reactor) { ok = len(waiting.c.special().early) > 0 })
			return ok
		})
		n.on(func(*Reactor) {
			accept(waiting.c, waiting.r)
			waiting.c.abort()
		})
		if got := c.transcript(); got != "RST" {
			t.Errorf("got %s", got)
		}
	})

	t.Run("closed at once, with held bytes", func(t *testing.T) {
		c := dialRaw(t, n.addr, 0)
		c.send(request)
		<-arrived
		c.send(text("1") + bye(1000, ""))
		until(t, "held bytes", func() (ok bool) {
			n.on(func(*Reactor) { ok = len(waiting.c.special().early) > 0 })
			return ok
		})
		n.on(func(*Reactor) {
			accept(waiting.c, waiting.r)
			waiting.c.Close(4000, "enough")
		})
		if got, want := c.transcript(), `101, close 4000 "enough", FIN`; got != want {
			t.Errorf("got %s", got)
		}
	})

	t.Run("too much meanwhile", func(t *testing.T) {
		c := dialRaw(t, n.addr, 0)
		c.send(request + text(strings.Repeat("x", maxEarly)))
		<-arrived
		if got := c.response(); !strings.HasPrefix(got, "400 ") {
			t.Errorf("got %s", got)
		}
		n.on(func(*Reactor) { accept(waiting.c, waiting.r) })
		if got := c.all(); got != "FIN" {
			t.Errorf("after the refusal: %s", got)
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{
		{Reactors: -1},
		{Reactors: maxReactors + 1},
		{MaxQueue: -1},
		{PingInterval: -time.Second},
		{MaxConnections: 1 << 30},
	} {
		if e, err := New(o, func(*Reactor) Handler { return &script{} }); err == nil {
			t.Errorf("%+v was accepted", o)
			_ = e.Close()
		} else if !strings.HasPrefix(err.Error(), "loop: ") {
			t.Error(err)
		}
	}
}

// What New began it ends when it fails half-way: at the second reactor's
// doorbell or event loop.
func TestNewFails(t *testing.T) {
	before, goroutines := openFiles(), goleak.IgnoreCurrent()
	for spare := range 6 {
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		e, err := New(Options{Reactors: 2}, func(r *Reactor) Handler {
			if r.Index() == 1 {
				low := unix.Rlimit{Cur: uint64(highestFile() + 1 + spare), Max: limit.Max}
				if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
					t.Error(err)
				}
			}
			return &script{}
		})
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			_ = e.Close()
			break
		}
		if !errors.Is(err, unix.EMFILE) {
			t.Error(err)
		}
		if after, ok := settled(before); !ok {
			t.Errorf("%v: %d files open, %d before", err, after, before)
		}
	}
	if err := leaked(goroutines); err != nil {
		t.Error(err)
	}
}

// highestFile is the highest open file descriptor.
func highestFile() (highest int) {
	for fd := range 1000 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			highest = fd
		}
	}
	return highest
}
