package loop

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/codec"
)

func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

func TestShutdown(t *testing.T) {
	var told ends
	n := start(t, Options{CloseTimeout: time.Minute}, &script{closed: told.add, request: func(c *Conn, r *codec.Request) {
		if r.Path != "/pending" {
			accept(c, r)
		}
	}})
	polite := dialOpen(t, n.addr, 0)
	stuck := dialOpen(t, n.addr, 4096)
	silent := dialRaw(t, n.addr, 0)
	pending := dialRaw(t, n.addr, 0)
	pending.send(strings.Replace(request, "/", "/pending", 1))
	until(t, "everyone", func() bool { return n.Stats().Connections == 4 && n.Stats().BytesIn >= int64(3*len(request)) })

	ctx, cancel := context.WithCancel(context.Background())
	cut := make(chan int64)
	go func() { cut <- n.Shutdown(ctx, 1012, "restart") }()
	if got := polite.frame(); got != `close 1012 "restart"` {
		t.Error(got)
	}
	polite.send(text("one more thing") + bye(1012, ""))
	if got := polite.all(); got != "FIN" {
		t.Error(got)
	}
	for _, c := range []*raw{silent, pending} {
		if got := c.transcript(); !strings.HasPrefix(got, "503 ") || !strings.HasSuffix(got, ", FIN") {
			t.Error(got)
		}
		c.Close()
	}
	// What Shutdown waits for: a connection is counted out there when the handler has been told.
	until(t, "all but the stuck one", func() bool { return n.total.Load() == 1 })
	cancel()
	if got := <-cut; got != 1 {
		t.Errorf("%d were cut, want the stuck one", got)
	}
	if got := stuck.all(); got != `close 1012 "restart", RST` {
		t.Error(got)
	}
	until(t, "the handler to be told of the stuck one", func() bool { return n.total.Load() == 0 })
	if got := len(told.all()); got != 3 {
		t.Errorf("told of %q", told.all())
	}
	if got := n.Shutdown(context.Background(), 1012, "again"); got != 0 {
		t.Errorf("the second time %d were cut", got)
	}
}

// Close may come twice, from several goroutines, while others post.
func TestCloseTwice(t *testing.T) {
	n := start(t, Options{Reactors: 2}, &script{})
	roundTrip(t, dial(t, n.addr))
	var all sync.WaitGroup
	stop := make(chan struct{})
	for _, r := range n.Reactors() {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					r.Post(func() {})
					r.Offer(func() {}, 1)
				}
			}
		})
	}
	var closing sync.WaitGroup
	for range 3 {
		closing.Go(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
		closing.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			n.Shutdown(ctx, 1001, "")
		})
	}
	closing.Wait()
	close(stop)
	all.Wait()
	for _, r := range n.Reactors() {
		r.Post(func() {})
		if r.Offer(func() {}, 1) || r.box.depth() != 0 {
			t.Error("a reactor that has ended takes events")
		}
	}
	ln, err := n.Listen(context.Background(), n.addr)
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	_ = ln.Close()
}

// A reactor that is stuck in its handler takes only its own clients along:
// others are accepted, and Shutdown keeps to its time.
func TestStuckReactor(t *testing.T) {
	n := start(t, Options{Reactors: 2}, &script{})
	busy, released := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	n.Reactors()[0].Post(func() { close(busy); <-released })
	<-busy
	const clients = 200
	for range clients {
		dialRaw(t, n.addr, 0).send(request)
	}
	healthy := n.Reactors()[1]
	const waiting = 64 + 1 // of the stuck one: its queue, and the one that is being enrolled
	until(t, "the other reactor to serve the rest", func() bool { return healthy.count.upgraded.Load() >= clients-waiting })

	n.Reactors()[0].count.lastTurn.Store(int64(-2 * maxTurn))
	if err := n.Alive(); err == nil || !strings.Contains(err.Error(), "reactor 0 ") {
		t.Errorf("alive: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got := n.Shutdown(ctx, 1001, ""); got == 0 {
		t.Error("nobody had to be cut")
	}
	release()
	until(t, "a turn", func() bool { return n.Alive() == nil })
}

func TestAliveKnowsTheWatcher(t *testing.T) {
	n := start(t, Options{}, &script{})
	if err := n.Alive(); err != nil {
		t.Error(err)
	}
	n.watcher.failed.Store(true)
	if err := n.Alive(); err == nil {
		t.Error("stalled clients are not watched, and it is called alive")
	}
}

// A panic costs the connection that it happened for and nobody else.
func TestPanics(t *testing.T) {
	broken := errors.New("on purpose")
	var told ends
	s := &script{
		request: func(c *Conn, r *codec.Request) {
			if r.Path == "/panic" {
				panic(broken)
			}
			if r.Path == "/opened" {
				accept(c, r)
				panic(broken)
			}
			accept(c, r)
		},
		closed: func(c *Conn, end End) {
			told.add(c, end)
			panic(broken)
		},
		refused: func(*Conn, *codec.HTTPError) { panic(broken) },
	}
	n := start(t, Options{CloseTimeout: 300 * time.Millisecond}, s)
	canary := dial(t, n.addr)
	for _, row := range []struct{ path, want, end string }{
		{"/panic", "500 internal error, FIN", "1006 by us: internal error"},
		{"/opened", `101, close 1011 "internal error", FIN`, "1011 by us: internal error"},
	} {
		told.reset()
		c := dialRaw(t, n.addr, 0)
		c.send(strings.Replace(request, "/", row.path, 1))
		if got := c.transcript(); got != row.want {
			t.Errorf("%s: %s", row.path, got)
		}
		c.Close()
		told.want(t, row.end)
		roundTrip(t, canary)
	}

	before := n.Stats().Panics
	n.on(func(r *Reactor) { // the rest of the same burst is lost, not later ones
		r.Post(func() { panic(broken) })
	})
	until(t, "the panic", func() bool { return n.Stats().Panics == before+1 })
	roundTrip(t, canary)

	var conn *Conn
	n.on(func(r *Reactor) {
		r.conns.each(func(c *Conn) { conn = c })
		func() { // as a handler does around one event
			defer r.Recover(conn, "delivery")
			panic(broken)
		}()
		if conn.Open() {
			t.Error("still open")
		}
	})
	if _, _, err := canary.ReadMessage(); err == nil || !strings.Contains(err.Error(), "1011") {
		t.Error(err)
	}
}

// Shutdown returns when the handler has been told of every end: what it does then
// must be done before the program goes on to end what the handler needs.
func TestShutdownWaitsForTheHandler(t *testing.T) {
	const clients = 3
	var told atomic.Int32
	n := start(t, Options{Reactors: 1}, &script{closed: func(*Conn, End) {
		time.Sleep(50 * time.Millisecond) // it takes its time
		told.Add(1)
	}})
	var all []*raw
	for range clients {
		all = append(all, dialOpen(t, n.addr, 0))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, c := range all {
		c.Close()
	}
	n.Shutdown(ctx, 1001, "")
	if got := told.Load(); got != clients {
		t.Errorf("Shutdown returned when the handler was told of %d of %d ends", got, clients)
	}
}

// A reactor that its handler blocks for good does not keep the process from
// ending: Close gives up and says why.
func TestCloseWithAStuckReactor(t *testing.T) {
	e, err := New(Options{Reactors: 1, CloseTimeout: 100 * time.Millisecond}, func(*Reactor) Handler { return &script{} })
	if err != nil {
		t.Fatal(err)
	}
	busy, released := make(chan struct{}), make(chan struct{})
	e.Reactors()[0].Post(func() { close(busy); <-released })
	<-busy
	if err := e.Close(); err == nil || !strings.Contains(err.Error(), "stands still") {
		t.Errorf("Close: %v", err)
	}
	close(released) // so that the test leaves nothing behind
}

// A request that is refused before the handler gets round to accepting it is not
// accepted any more.
func TestUpgradeComesTooLate(t *testing.T) {
	var asked *Conn
	var request1 *codec.Request
	n := start(t, Options{HandshakeTimeout: 100 * time.Millisecond}, &script{request: func(c *Conn, r *codec.Request) { asked, request1 = c, r }})
	c := dialRaw(t, n.addr, 0)
	c.send(request)
	if got := c.response(); !strings.HasPrefix(got, "503") {
		t.Fatal(got)
	}
	n.on(func(*Reactor) {
		u, err := request1.Upgrade()
		if err != nil {
			t.Error(err)
		}
		if asked.Upgrade(u, "", "") {
			t.Error("accepted after it was refused")
		}
	})
}

// Requests that are vital are answered by a full node, too.
func TestVitalRequests(t *testing.T) {
	n := start(t, Options{MaxConnections: 1, Vital: func(r *codec.Request) bool { return r.Path == "/health" }}, &script{
		request: func(c *Conn, r *codec.Request) {
			if r.Path == "/health" {
				c.Respond(200, nil, "text/plain", "ok")
				return
			}
			accept(c, r)
		},
	})
	dialOpen(t, n.addr, 0)
	for path, want := range map[string]string{"/": "503", "/health": "200"} {
		c := dialRaw(t, n.addr, 0)
		c.send(strings.Replace(request, "/", path, 1))
		if got := c.response(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// A drain closes connections over its window, not all at once.
func TestDrainPace(t *testing.T) {
	const clients, window = 20, 10 * time.Second
	n := start(t, Options{}, &script{})
	for range clients {
		dialOpen(t, n.addr, 0)
	}
	begin := n.now() + time.Hour // so that none of the reactor's own turns belongs to it
	n.on(func(r *Reactor) {
		r.drain = &drain{order: drainOrder{window, 1012, "restart"}, begin: begin, slots: len(r.conns.slots)}
	})
	for _, row := range []struct {
		passed time.Duration
		open   int
	}{{0, 20}, {window / 20, 19}, {window / 4, 15}, {window / 2, 10}, {window * 3 / 4, 5}, {window - 1, 1}, {window, 0}, {2 * window, 0}} {
		n.on(func(r *Reactor) {
			r.goOnDraining(begin + row.passed)
			open := 0
			r.conns.each(func(c *Conn) {
				if c.Open() {
					open++
				}
			})
			if open != row.open {
				t.Errorf("after %v of a window of %v %d are open, want %d", row.passed, window, open, row.open)
			}
		})
	}
}

// A drain closes all connections, and says why.
func TestDrain(t *testing.T) {
	const window = 2 * time.Second
	var closed atomic.Int64
	n := start(t, Options{Reactors: 2}, &script{closed: func(*Conn, End) { closed.Add(1) }})
	var clients []*raw
	for range 20 {
		clients = append(clients, dialOpen(t, n.addr, 0))
	}
	drained := make(chan struct{})
	go func() {
		n.Drain(t.Context(), window, 1012, "restart")
		close(drained)
	}()
	var reading sync.WaitGroup
	for _, c := range clients {
		reading.Go(func() {
			if got := c.frame(); got != `close 1012 "restart"` {
				t.Error(got)
			}
			c.send(bye(1012, ""))
			if got := c.all(); got != "FIN" {
				t.Error(got)
			}
		})
	}
	reading.Wait()
	<-drained
	until(t, "all have ended", func() bool { return closed.Load() == int64(len(clients)) })
	if cut := n.Shutdown(t.Context(), 1012, "restart"); cut != 0 {
		t.Errorf("%d were cut", cut)
	}
}
