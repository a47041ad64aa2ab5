package loop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"sluice/codec"
)

func TestConnectionCap(t *testing.T) {
	core, lines := observer.New(zapcore.WarnLevel)
	n := start(t, Options{MaxConnections: 3, HandshakeTimeout: time.Minute, Log: zap.New(core)}, &script{})
	if n.Limit() != 3 {
		t.Errorf("limit %d", n.Limit())
	}
	var served []*raw
	for range 3 {
		served = append(served, dialOpen(t, n.addr, 0))
	}
	one := dialRaw(t, n.addr, 0)
	one.send(request)
	if got := one.transcript(); !strings.HasPrefix(got, "503 "+errFull.Reason) || !strings.HasSuffix(got, ", FIN") {
		t.Errorf("one too many: %s", got)
	}
	one.Close()
	until(t, "the refused one to be gone", func() bool { return n.total.Load() == 3 })

	var reserve []*raw // they are told 503 if they ask
	for i := range n.reserve {
		reserve = append(reserve, dialRaw(t, n.addr, 0))
		until(t, "it to be taken in", func() bool { return n.Stats().Connections == int64(3+i+1) })
	}
	for range 20 {
		conn, err := net.Dial("tcp", n.addr)
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		if !errors.Is(err, unix.ECONNRESET) { // it may come before Dial is done
			t.Errorf("beyond the reserve: %v", err)
		}
	}
	if s := n.Stats(); s.Refused != 1 || s.Dropped != 20 {
		t.Errorf("%d refused and %d dropped, want 1 and 20", s.Refused, s.Dropped)
	}
	told := lines.FilterMessage("connections dropped: this node has as many as it may").All()
	if len(told) == 0 {
		t.Fatal("nothing was logged")
	}
	seconds := 1 + int(told[len(told)-1].Time.Sub(told[0].Time)/time.Second) // begun, of those in which the sampler counts
	if len(told) > 5*seconds {
		t.Errorf("%d lines of log for 20 refusals in %d s", len(told), seconds)
	}
	for _, c := range append(reserve, served[0]) {
		c.Close()
	}
	until(t, "places", func() bool { return n.Stats().Connections == 2 })
	served[1].send(text("still here"))
	if got := served[1].frame(); got != `text "still here"` {
		t.Error(got)
	}
	dialOpen(t, n.addr, 0)
}

// Goroutines are no more with many connections than with none, and the reactors
// share them out.
func TestManyConnections(t *testing.T) {
	const many = 2000
	n := start(t, Options{Reactors: 2}, &script{})
	before := goroutines()
	clients := make([]*raw, many)
	for i := range clients {
		clients[i] = dialOpen(t, n.addr, 0)
	}
	until(t, "no more goroutines than before", func() bool { return goroutines() <= before })
	if s := n.Stats(); s.Connections != many || s.Upgraded != many || s.Accepted != many {
		t.Errorf("%+v", s)
	}
	for _, r := range n.Reactors() {
		if got := r.count.connections.Load(); got < many/2-100 || got > many/2+100 {
			t.Errorf("reactor %d has %d of %d connections", r.Index(), got, many)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := make(chan int64)
	go func() { done <- n.Shutdown(ctx, 1012, "restart") }()
	for i, c := range clients {
		if got := c.frame(); got != `close 1012 "restart"` {
			t.Fatalf("client %d: %s", i, got)
		}
		c.send(bye(1012, ""))
	}
	if cut := <-done; cut != 0 {
		t.Errorf("%d were cut", cut)
	}
	for _, c := range clients {
		c.Close()
	}
}

func goroutines() (n int) {
	for _, line := range strings.Split(stacks(), "\n") {
		if strings.HasPrefix(line, "goroutine ") {
			n++
		}
	}
	return n
}

// starvedEnv makes the test binary the server that runs out of files.
const starvedEnv = "LOOP_TEST_STARVED"

// Running out of file descriptors costs nobody who is served, and those who
// wait are served when there are some again.
func TestOutOfFiles(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), starvedEnv+"=1")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill() }()
	lines := bufio.NewScanner(out)
	say := func() string {
		if !lines.Scan() {
			t.Fatalf("the server said nothing: %v", lines.Err())
		}
		return lines.Text()
	}
	tell := func(word string) {
		if _, err := io.WriteString(in, word+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	addr := say()
	canary := dial(t, addr)
	tell("starve")
	if got := say(); got != "starved" {
		t.Fatal(got)
	}
	waiting := make([]*raw, 60)
	for i := range waiting {
		waiting[i] = dialRaw(t, addr, 0)
		waiting[i].send(request)
	}
	tell("wait for errors")
	if got := say(); got != "errors" {
		t.Fatal(got)
	}
	roundTrip(t, canary)
	tell("feed")
	for i, c := range waiting {
		if got := c.response(); got != "101" {
			t.Fatalf("client %d: %s", i, got)
		}
		c.Close()
	}
	roundTrip(t, canary)
	tell("end")
	if got := say(); got != "ended" {
		t.Fatal(got)
	}
	if err := child.Wait(); err != nil {
		t.Error(err)
	}
}

// serveStarved is TestOutOfFiles' server. It takes orders from its standard
// input, line by line.
func serveStarved() {
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	check(unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 256, Max: 256}))
	e, err := New(Options{Reactors: 1, HandshakeTimeout: patience, CloseTimeout: patience}, func(*Reactor) Handler { return &script{} })
	check(err)
	ln, err := e.Listen(context.Background(), "127.0.0.1:0")
	check(err)
	served := make(chan error, 1)
	go func() { served <- e.Serve(ln) }()
	fmt.Println(ln.Addr())
	var food []*os.File
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		switch orders.Text() {
		case "starve":
			for {
				f, err := os.Open("/dev/null")
				if errors.Is(err, unix.EMFILE) {
					break
				}
				check(err)
				food = append(food, f)
			}
			fmt.Println("starved")
		case "wait for errors":
			for e.Stats().AcceptErrors < 3 {
				time.Sleep(time.Millisecond)
			}
			fmt.Println("errors")
		case "feed":
			for _, f := range food {
				check(f.Close())
			}
		case "end":
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			e.Shutdown(ctx, codec.StatusGoingAway, "")
			cancel()
			check(e.Close())
			check(<-served)
			fmt.Println("ended")
			return
		}
	}
}

func TestServe(t *testing.T) {
	n := start(t, Options{}, &script{})
	t.Run("not TCP", func(t *testing.T) {
		ln, err := net.Listen("unix", t.TempDir()+"/s")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if err := n.Serve(ln); err == nil {
			t.Error("served")
		}
	})
	t.Run("address in use", func(t *testing.T) {
		if ln, err := n.Listen(t.Context(), n.addr); err == nil {
			t.Error("listening twice")
			_ = ln.Close()
		} else if !strings.Contains(err.Error(), n.addr) {
			t.Error(err)
		}
	})
	t.Run("closed by someone else", func(t *testing.T) {
		ln, err := n.Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = ln.Close()
		if err := n.Serve(ln); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	t.Run("several listeners", func(t *testing.T) {
		ln, err := n.Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- n.Serve(ln) }()
		roundTrip(t, dial(t, ln.Addr().String()))
		roundTrip(t, dial(t, n.addr))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		n.Shutdown(ctx, 1001, "")
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Run("after the end", func(t *testing.T) {
		ln, err := n.Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Serve(ln); err != nil {
			t.Error(err)
		}
		if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
			t.Error("the listener is still open")
		}
	})
}

// Each client's socket has the listener's bound of what the kernel may hold.
func TestKernelQueueIsBounded(t *testing.T) {
	for _, row := range []struct{ given, want int }{{0, 16 << 10}, {32 << 10, 32 << 10}} {
		n := start(t, Options{MaxUnsent: row.given}, &script{})
		dialOpen(t, n.addr, 0)
		c := n.only()
		n.on(func(*Reactor) {
			if got, err := unix.GetsockoptInt(int(c.fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT); err != nil || got != row.want {
				t.Errorf("TCP_NOTSENT_LOWAT is %d, %v, want %d", got, err, row.want)
			}
		})
	}
}
