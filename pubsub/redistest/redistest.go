// Package redistest starts a real redis-server for a test, on a free port of
// loopback, with nothing persistent, and ends it with the test. It is imported
// by tests only.
//
//	s := redistest.Start(t, "--maxmemory", "1mb")
//	broker, err := pubsub.Open(pubsub.Options{URL: s.URL})
//	s.Kill(); s.Restart()      // the same address, an empty server
//	s.Pause(); s.Resume()      // SIGSTOP, SIGCONT
//
// A missing redis-server fails the test: it is a dependency, not an option.
package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startTimeout bounds the wait for the first PING; generous, because CI
// machines are busy.
const startTimeout = 20 * time.Second

// Server is one redis-server process. Its methods are for the test's
// goroutine.
type Server struct {
	Addr string // 127.0.0.1:port
	URL  string // redis://127.0.0.1:port

	t    testing.TB
	dir  string
	args []string

	process *os.Process   // nil: not running
	gone    chan struct{} // closed when the process has been waited for
}

// Start starts a redis-server with args added to its command line, waits until
// it answers PING (or wants a password), and kills it when the test ends.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := Reserve(t, args...)
	s.Restart()
	return s
}

// Reserve is Start without starting: the address is chosen, nothing listens.
// Restart starts it.
func Reserve(t testing.TB, args ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is not installed: run make deps")
	}
	s := &Server{t: t, dir: t.TempDir(), args: args}
	s.choosePort()
	t.Cleanup(s.Kill)
	return s
}

// choosePort takes a port that was free a moment ago. Another process may take
// it before redis-server does: start notices.
func (s *Server) choosePort() {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatalf("redistest: finding a free port: %v", err)
	}
	s.Addr = l.Addr().String()
	s.URL = "redis://" + s.Addr
	l.Close() // nothing was accepted; the port is what was wanted
}

// Restart starts the server, ending it first if it runs. The address stays
// the same. Only before the first start, if the port was lost to another
// process, another one is chosen.
func (s *Server) Restart() {
	s.t.Helper()
	first := s.gone == nil
	s.Kill()
	var err error
	for range 5 {
		if err = s.start(); err == nil {
			return
		}
		s.Kill()
		if first {
			s.choosePort()
		}
	}
	s.t.Fatalf("redistest: redis-server on %s does not start: %v\n%s", s.Addr, err, s.Log())
}

func (s *Server) start() error {
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	args := append([]string{
		"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--logfile", s.logfile(),
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--enable-debug-command", "yes",
	}, s.args...)
	cmd := exec.Command("redis-server", args...)
	// The kernel kills the server when the thread that started it dies: so it
	// does not outlive a test process that panicked.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	gone := make(chan struct{})
	go func() { // ends when the process does; Kill waits for it
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(gone)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed servers exit with an error; that is the point
		}
	}()
	s.gone = gone
	if err := <-started; err != nil {
		return err
	}
	s.process = cmd.Process
	return s.awaitPing()
}

// awaitPing waits until the server answers, and makes sure that it is ours.
func (s *Server) awaitPing() error {
	err := fmt.Errorf("not tried")
	for end := time.Now().Add(startTimeout); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		select {
		case <-s.gone:
			return fmt.Errorf("it exited; last error: %w", err)
		default:
		}
		var info string
		switch info, err = s.info(); {
		case err == nil && !strings.Contains(info, fmt.Sprintf("process_id:%d\r\n", s.process.Pid)):
			return fmt.Errorf("another redis-server answers")
		case err == nil, strings.HasPrefix(err.Error(), "NOAUTH"):
			return nil
		}
	}
	return fmt.Errorf("no answer within %v: %w", startTimeout, err)
}

// info asks who answers. A refused connection is found out without go-redis,
// whose pool would wait a second before it tries again.
func (s *Server) info() (string, error) {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return "", err
	}
	conn.Close() // only whether somebody listens
	c := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1, PoolSize: 1})
	defer c.Close()
	return c.Info(context.Background(), "server").Result()
}

// Kill ends the server with SIGKILL (kill -9) and waits until it is gone. It
// does nothing if none runs.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server with SIGTERM, as a service manager does, and waits.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

func (s *Server) end(sig syscall.Signal) {
	if s.process == nil {
		return
	}
	_ = s.process.Signal(sig) // it may be gone already
	select {
	case <-s.gone:
	case <-time.After(10 * time.Second):
		_ = s.process.Kill() // as above
		<-s.gone
	}
	s.process = nil
}

// Pause stops the server with SIGSTOP: its sockets stay open and nothing
// answers.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause with SIGCONT.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.process == nil {
		s.t.Fatalf("redistest: %v: redis-server is not running", sig)
	}
	if err := s.process.Signal(sig); err != nil {
		s.t.Fatalf("redistest: %v: %v", sig, err)
	}
}

// Do runs one command as redis-cli would, on a connection of its own, and
// returns the answer. An error answer fails the test.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, PoolSize: 1})
	defer c.Close()
	v, err := c.Do(context.Background(), args...).Result()
	if err != nil && err != redis.Nil {
		s.t.Fatalf("redistest: %v: %v", args, err)
	}
	return v
}

// Log is what the server has logged.
func (s *Server) Log() string {
	b, err := os.ReadFile(s.logfile())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (s *Server) logfile() string { return filepath.Join(s.dir, "redis.log") }
