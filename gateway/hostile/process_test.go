package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFilesRunOut: a node that can open no more files says so, serves whom it
// has, and goes on when there are files again.
func TestFilesRunOut(t *testing.T) {
	t.Parallel()
	n := start(t, steady...)
	o, err := Watch(t.Context(), n, reactors)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var was unix.Rlimit
	if err := unix.Prlimit(n.PID(), unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: uint64(o.descriptors) + 20, Max: was.Max}
	if err := unix.Prlimit(n.PID(), unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Fatal(err)
	}
	var crowd []*Peer
	for range 200 {
		p, err := Dial(t.Context(), n.Public)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		crowd = append(crowd, p)
	}
	err = Eventually(t.Context(), func() error {
		if !slices.ContainsFunc(n.Log(), func(l LogLine) bool { return l.Message == "cannot accept connections for the moment, trying on" }) {
			return errors.New("the log does not tell")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := o.Beat(t.Context()); err != nil {
		t.Error(err)
	}
	for _, p := range crowd { // their files are enough for others; it tries again every half second at least
		p.Close()
	}
	if c, err := NewCanary(t.Context(), n); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	if err := unix.Prlimit(n.PID(), unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
	if now, err := n.Figures(); err != nil || now["sluice_accept_errors_total"] == 0 {
		t.Errorf("failed accepts were counted %v times, %v", now["sluice_accept_errors_total"], err)
	}
	if err := o.Leftovers(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestFewFiles: a node that was started with few files answers 503 to whom it
// has no room for.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	n, err := StartCommand(t.Context(), exec.Command("bash", "-c", `ulimit -n 256; exec "$0" "$@"`, program,
		"--dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--redis", "embedded://127.0.0.1:0", "--handshake-timeout", "30s", "--reactors", fmt.Sprint(reactors)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Errorf("%v\n%s", err, n.LogText())
		}
	}()
	o, err := Watch(t.Context(), n, reactors)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var full, served, dropped atomic.Int64
	var all sync.WaitGroup
	leave := make(chan struct{})
	for range 600 {
		all.Go(func() {
			p, err := Dial(t.Context(), n.Public)
			if isGone(err) {
				dropped.Add(1)
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close()
			_, _ = io.WriteString(p, Request("/echo")) // it may have been dropped
			switch status, _, err := p.ReadResponse(); {
			case status == 101:
				served.Add(1)
				<-leave
			case status == 503:
				full.Add(1)
			case isGone(err):
				dropped.Add(1)
			default:
				t.Errorf("answered %d, %v", status, err)
			}
		})
	}
	err = Eventually(t.Context(), func() error {
		if got := full.Load() + served.Load() + dropped.Load(); got != 600 {
			return fmt.Errorf("%d of 600 have been answered", got)
		}
		return nil
	})
	close(leave)
	all.Wait()
	if err != nil {
		t.Error(err)
	}
	if served.Load() == 0 || full.Load() == 0 {
		t.Errorf("%d served, %d answered 503, %d dropped", served.Load(), full.Load(), dropped.Load())
	}
	if _, err := o.Beat(t.Context()); err != nil {
		t.Error(err)
	}
	if err := o.Leftovers(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSecondSignal: the first SIGTERM waits for clients that do not answer their
// close frame, the second does not.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	n, err := Start(t.Context(), program, "--shutdown-timeout", "1m", "--close-timeout", "1m")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(t.Context(), n, "/ws?channel=news")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := n.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if op, payload, err := p.ReadFrame(); err != nil || describe(op, payload) != "close 1012" {
		t.Errorf("got %s, %v", describe(op, payload), err)
	}
	if err := n.Alive(); err != nil {
		t.Errorf("it did not wait: %v", err)
	}
	if err := n.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := n.Wait(t.Context()); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v, want SIGTERM", err)
	}
}

// TestCutIsSaid: a node that has waited long enough for clients that do not answer cuts them, and says how many and why.
func TestCutIsSaid(t *testing.T) {
	t.Parallel()
	n, err := Start(t.Context(), program, "--drain-window", "0s", "--shutdown-timeout", "200ms", "--close-timeout", "1m")
	if err != nil {
		t.Fatal(err)
	}
	const silent = 3
	for range silent {
		p, err := Open(t.Context(), n, "/ws?channel=news")
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
	}
	if err := n.Stop(t.Context()); err != nil {
		t.Errorf("it ended with %v", err)
	}
	for _, line := range n.Log() {
		if line.Message == "connections were cut that did not end in time" {
			if !strings.Contains(n.LogText(), `"connections":3,"shutdown.timeout":`) {
				t.Errorf("it does not say how many:\n%s", n.LogText())
			}
			return
		}
	}
	t.Errorf("it does not say so:\n%s", n.LogText())
}

// TestStopped: a node that stood still for a while goes on where it was.
func TestStopped(t *testing.T) {
	t.Parallel()
	n := start(t, steady...)
	o, err := Watch(t.Context(), n, reactors)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := n.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var crowd []*Peer
	for range 50 { // the kernel takes their connections meanwhile
		p, err := Dial(t.Context(), n.Public)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if _, err := io.WriteString(p, Request("/echo")); err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, p)
	}
	if err := n.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for _, p := range crowd {
		if status, body, err := p.ReadResponse(); status != 101 {
			t.Errorf("answered %d %q, %v", status, body, err)
		}
	}
	if _, err := o.Beat(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestThunderingHerd: clients that all leave one node and come to another at once
// are all subscribed there.
func TestThunderingHerd(t *testing.T) {
	t.Parallel()
	const herd = 500
	first := start(t, steady...)
	come := func(n *Node) {
		var all sync.WaitGroup
		var subscribed sync.WaitGroup
		subscribed.Add(herd)
		for range herd {
			all.Go(func() {
				p, err := Open(t.Context(), n, "/ws?channel=news")
				subscribed.Done()
				if err != nil {
					t.Error(err)
					return
				}
				defer p.Close()
				if op, payload, err := p.ReadFrame(); describe(op, payload) != "text hello" {
					t.Errorf("got %s, %v", describe(op, payload), err)
				}
			})
		}
		subscribed.Wait()
		if err := n.Publish(t.Context(), "news", "hello"); err != nil {
			t.Error(err)
		}
		all.Wait()
	}
	come(first)
	second := start(t, steady...)
	come(second)
}

// misproxied begins connections that are dropped, and logged, for want of a PROXY
// header.
func misproxied(t *testing.T, n *Node, count int) {
	t.Helper()
	inCrowds(t, 16, count, func(int) error {
		p, err := Dial(t.Context(), n.Public)
		if err != nil {
			return err
		}
		defer p.vanish()
		send(p, Request("/echo"), Whole)
		if status, _, err := p.ReadResponse(); !isGone(err) {
			return fmt.Errorf("answered %d, %w", status, err)
		}
		return nil
	})
}

// TestLogIsNotRead: a log that nobody reads, and then one that nobody can read any
// more, is no concern of the clients'.
func TestLogIsNotRead(t *testing.T) {
	t.Parallel()
	n, err := Start(t.Context(), program, "--reactors", fmt.Sprint(reactors), "--proxy-protocol", "v1", "--proxy-from", "127.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	n.Preamble = "PROXY UNKNOWN\r\n"
	o := watch(t, n)
	n.deaf.Lock()
	if err := fillLog(n); err != nil {
		t.Fatal(err)
	}
	misproxied(t, n, 100)
	o.undisturbed(t)
	if err := n.log.Close(); err != nil {
		t.Error(err)
	}
	n.deaf.Unlock()
	err = Eventually(t.Context(), func() error { // the line that could not be written cannot be written now
		if figures(t, n)["sluice_log_lines_lost_total"] == 0 {
			return errors.New("no line was lost")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	misproxied(t, n, 100)
	o.undisturbed(t)
	o.Close()
	if err := n.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// fillLog writes into a node's log, which is a pipe, until it takes no more.
func fillLog(n *Node) error {
	pipe, err := unix.Open(fmt.Sprintf("/proc/%d/fd/2", n.PID()), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(pipe) }() // what was written is of no use to anybody
	for {
		if _, err := unix.Write(pipe, []byte("{}\n")); err != nil {
			if errors.Is(err, unix.EAGAIN) {
				return nil
			}
			return err
		}
	}
}

// TestDiskIsFull: a log that cannot be written is no concern of the clients'.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	// Where it listens is told for it, and is its own among loopback's many addresses.
	host := fmt.Sprintf("127.%d.%d.%d", 100+rand.IntN(100), rand.IntN(256), 1+rand.IntN(250))
	public, admin, broker := host+":8000", host+":8001", host+":6379"
	n, err := StartCommand(t.Context(), exec.Command("bash", "-c", `echo "$1" >&2; echo "$2" >&2; exec "$0" "${@:3}" 2>/dev/full`, program,
		fmt.Sprintf(`{"msg":"serving","listen":%q,"admin":%q}`, public, admin), fmt.Sprintf(`{"msg":"connected to Redis","redis":%q}`, broker),
		"--dev", "--listen", public, "--admin", admin, "--redis", "embedded://"+broker, "--reactors", fmt.Sprint(reactors)))
	if err != nil {
		t.Fatal(err)
	}
	o := watch(t, n)
	err = Eventually(t.Context(), func() error { // they are written behind the node's back
		if figures(t, n)["sluice_log_lines_lost_total"] == 0 {
			return errors.New("no lines were lost: the disk was not full")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	rows := Frames()
	for i := range rows[:10] {
		if err := o.Judge(t.Context(), &rows[i], Whole); err != nil {
			t.Error(rows[i].Name, err)
		}
	}
	o.undisturbed(t)
	o.Close()
	if err := n.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestStarved: a node that has a fifth of a processor is slow, and right.
func TestStarved(t *testing.T) {
	t.Parallel()
	n := start(t, steady...)
	o := watch(t, n)
	ctx, stop := context.WithCancel(t.Context())
	var pulse sync.WaitGroup
	pulse.Go(func() {
		for running := false; ctx.Err() == nil; running = !running {
			signal, length := syscall.SIGSTOP, 40*time.Millisecond
			if running {
				signal, length = syscall.SIGCONT, 10*time.Millisecond
			}
			if err := n.Signal(signal); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(length):
			}
		}
	})
	rows := slices.Concat(Handshakes(), Frames())
	inCrowds(t, 8, len(rows), func(i int) error {
		if err := rows[i].Run(t.Context(), n, Whole); err != nil {
			return fmt.Errorf("%s: %w", rows[i].Name, err)
		}
		return nil
	})
	stop()
	pulse.Wait()
	if err := n.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	o.undisturbed(t)
}
