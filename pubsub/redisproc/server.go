package redisproc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Patience bounds the wait for what a Redis should do soon. It is generous:
// machines that run tests are busy.
const Patience = 30 * time.Second

// answerTime is what one command may take, half of it: what is asked again and again
// is asked twice at least.
const answerTime = Patience / 2

// Server is one redis-server process. Its methods may be called from any
// goroutine.
type Server struct {
	Addr string // 127.0.0.1:port
	URL  string // redis://127.0.0.1:port; rediss:// with TLS

	kind kind
	args []string
	dir  string
	bus  int         // the cluster bus' port
	tls  *tls.Config // of clients; nil: no TLS

	mu      sync.Mutex
	process *process // guarded by mu; nil: not running
	started bool     // guarded by mu
}

// kind is what a redis-server runs as.
type kind uint8

const (
	standalone kind = iota
	sentinel
	clusterNode
	withTLS
)

// Start starts a redis-server with args added to its command line and waits
// until it answers PING, or wants a password. Close must be called.
func Start(args ...string) (*Server, error) { return start(standalone, args...) }

// Reserve is Start without starting: the address is chosen, nothing listens.
// Restart starts it.
func Reserve(args ...string) (*Server, error) { return reserve(standalone, args...) }

func start(k kind, args ...string) (*Server, error) {
	s, err := reserve(k, args...)
	if err != nil {
		return nil, err
	}
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func reserve(k kind, args ...string) (*Server, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("redis-server is not installed: run make deps")
	}
	dir, err := os.MkdirTemp("", "redisproc")
	if err != nil {
		return nil, fmt.Errorf("making a directory for redis-server: %w", err)
	}
	s := &Server{kind: k, args: args, dir: dir}
	if err := s.choosePorts(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// choosePorts takes ports that were free a moment ago. A process that knows nothing of
// FreePort may take one before redis-server does: Restart notices.
func (s *Server) choosePorts() error {
	port, err := FreePort()
	if err != nil {
		return err
	}
	scheme := "redis"
	if s.kind == withTLS {
		scheme = "rediss"
	}
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.URL = scheme + "://" + s.Addr
	if s.kind == clusterNode {
		s.bus, err = FreePort()
	}
	return err
}

// Restart starts the server, killing it first if it runs. Address and directory
// stay the same: what it has made persistent is there again. Only at the very
// first start another address is chosen if the port was lost to another process.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.started
	s.started = true
	var err error
	for range 5 {
		s.end(syscall.SIGKILL)
		if err = s.start(); err == nil {
			return nil
		}
		if first {
			if err := s.choosePorts(); err != nil {
				return err
			}
		}
	}
	s.end(syscall.SIGKILL)
	return fmt.Errorf("redis-server on %s does not start: %w\n%s", s.Addr, err, s.Log())
}

// Reconfigure replaces the arguments that Start was given, from the next Restart
// on.
func (s *Server) Reconfigure(args ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.args = args
}

// start runs the process. mu is held.
func (s *Server) start() (err error) {
	if s.process, err = spawn(exec.Command("redis-server", s.commandLine()...)); err != nil {
		return err
	}
	return s.awaitPing()
}

func (s *Server) commandLine() []string {
	_, port, _ := net.SplitHostPort(s.Addr) // made by choosePorts
	var line []string
	if conf := s.path(confFile); exists(conf) {
		line = append(line, conf)
	}
	line = append(line, "--bind", "127.0.0.1", "--dir", s.dir, "--logfile", s.path("redis.log"), "--daemonize", "no")
	if s.kind == withTLS {
		line = append(line, "--port", "0", "--tls-port", port)
	} else {
		line = append(line, "--port", port)
	}
	if s.kind == sentinel {
		return append(line, "--sentinel")
	}
	line = append(line, "--save", "", "--appendonly", "no", "--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0")
	if s.kind == clusterNode {
		line = append(line, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port", strconv.Itoa(s.bus))
	}
	return append(line, s.args...)
}

// confFile is read at each start where it exists; Redis itself rewrites it.
const confFile = "redis.conf"

func (s *Server) configure(lines ...string) error {
	return os.WriteFile(s.path(confFile), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// awaitPing waits until the server answers, and makes sure that it is ours.
func (s *Server) awaitPing() error {
	err := errors.New("not tried")
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		select {
		case <-s.process.gone:
			return fmt.Errorf("it exited; last error: %w", err)
		default:
		}
		var info string
		switch info, err = s.info(); {
		case err == nil && !strings.Contains(info, fmt.Sprintf("process_id:%d\r\n", s.process.Pid)):
			return errors.New("another redis-server answers")
		case err == nil && strings.Contains(info, "loading:1\r\n"):
			err = errors.New("it loads its data")
		case err == nil, strings.HasPrefix(err.Error(), "NOAUTH"):
			return nil
		}
	}
	return fmt.Errorf("no answer within %v: %w", Patience, err)
}

// info asks who answers. A refused connection is found out without go-redis,
// whose pool would wait a second before it tries again.
func (s *Server) info() (string, error) {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return "", err
	}
	conn.Close() // only whether somebody listens
	c := s.Client()
	defer done(c)
	if s.kind == sentinel {
		return c.Info(context.Background()).Result() // it knows no second section
	}
	return c.Info(context.Background(), "server", "persistence").Result()
}

// Kill ends the server with SIGKILL (kill -9) and waits until it is gone. It
// does nothing if none runs.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(syscall.SIGKILL)
}

// Stop ends the server with SIGTERM, as a service manager does, and waits.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(syscall.SIGTERM)
}

// end ends the process, if there is one. mu is held.
func (s *Server) end(sig syscall.Signal) {
	if s.process != nil {
		s.process.end(sig)
		s.process = nil
	}
}

// Close kills the server and removes its directory. A child of the server's, which
// was sending to a replica, may write there for a moment longer.
func (s *Server) Close() error {
	s.Kill()
	return eventually("removing "+s.dir, func() error { return os.RemoveAll(s.dir) })
}

// Running says whether the process has been started and not ended, by this
// program or by itself. A paused one runs.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return false
	}
	select {
	case <-s.process.gone:
		return false
	default:
		return true
	}
}

// Pause stops the server with SIGSTOP: its sockets stay open and nothing
// answers.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume ends a Pause with SIGCONT.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return fmt.Errorf("%v: redis-server on %s is not running", sig, s.Addr)
	}
	if err := s.process.Signal(sig); err != nil {
		return fmt.Errorf("%v for redis-server on %s: %w", sig, s.Addr, err)
	}
	return nil
}

// PID is the process', 0 if none runs.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.Pid
}

// Client makes a client of the default user that repeats nothing. It must be
// closed.
func (s *Server) Client() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: s.Addr, TLSConfig: s.tls, MaxRetries: -1, DialerRetries: 1, PoolSize: 1,
		DialTimeout: answerTime, ReadTimeout: answerTime, WriteTimeout: answerTime,
		// Switched on it leaves a goroutine behind when the client is closed.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// Do runs one command as redis-cli would, on a connection of its own, and
// returns the answer; a nil answer is no error.
func (s *Server) Do(args ...any) (any, error) {
	c := s.Client()
	defer done(c)
	v, err := c.Do(context.Background(), args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("%v on %s: %w", args, s.Addr, err)
	}
	return v, nil
}

// AddUser makes an ACL user with rules as ACL SETUSER takes them, and returns
// the URL that logs in as this user.
func (s *Server) AddUser(name, password string, rules ...string) (string, error) {
	args := []any{"ACL", "SETUSER", name, "on", ">" + password}
	for _, r := range rules {
		args = append(args, r)
	}
	if _, err := s.Do(args...); err != nil {
		return "", err
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", err
	}
	u.User = url.UserPassword(name, password)
	return u.String(), nil
}

// Log is what the server has logged.
func (s *Server) Log() string {
	b, err := os.ReadFile(s.path("redis.log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// done closes what has been answered and has nothing to lose.
func done(c io.Closer) { c.Close() }

// eventually calls check until it is nil, for as long as Patience lasts.
func eventually(what string, check func() error) error {
	for end := time.Now().Add(Patience); ; time.Sleep(10 * time.Millisecond) {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: not within %v: %w", what, Patience, err)
		}
	}
}
