package pubsub

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	respserver "github.com/alicebob/miniredis/v2/server"
)

// Embedded is a Redis-protocol server inside this process (miniredis), for a
// laptop with no Redis: one node, nothing persistent, some 26,000 publishes a
// second. Brokers reach it over TCP like any Redis, so the code path is the
// production one; so does redis-cli.
//
// miniredis is a test double: it trusts its clients. Embedded stands between:
// requests are checked before miniredis sees them (request.go), a client that
// does not read is cut off instead of stopping everybody, and a command that
// panics is answered with an error.
type Embedded struct {
	mini     *miniredis.Miniredis
	listener net.Listener
	stop     chan struct{}
	owned    sync.WaitGroup // accept and tick
	inside   sync.Map       // *respserver.Peer whose command is being guarded
}

// ttlTick is how exact expiry is.
const ttlTick = 100 * time.Millisecond

// StartEmbedded starts one on addr: host:port, where host is a loopback
// address or localhost, and port 0 picks a free port.
func StartEmbedded(addr string) (*Embedded, error) {
	if err := CheckEmbedded(addr); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("pubsub: starting the embedded broker: %w", err)
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() { // localhost may be anything in /etc/hosts
		l.Close() // nothing was accepted
		return nil, notLoopback(l.Addr().String())
	}
	e := &Embedded{mini: miniredis.NewMiniRedis(), listener: l, stop: make(chan struct{})}
	pipe, err := e.mini.Dial() // starts miniredis without a listener of its own
	if err != nil {
		l.Close() // as above
		return nil, fmt.Errorf("pubsub: starting the embedded broker: %w", err)
	}
	pipe.Close() // in memory, never used
	e.mini.Server().SetPreHook(e.guard)
	e.owned.Go(e.accept)
	e.owned.Go(e.tick)
	return e, nil
}

// CheckEmbedded says what is wrong with an address for StartEmbedded, as far as that
// can be said without opening it.
func CheckEmbedded(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("pubsub: the embedded broker's address %q is not host:port: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return notLoopback(addr)
	}
	return nil
}

func notLoopback(addr string) error {
	return errors.New("pubsub: the embedded broker knows no passwords and listens on loopback only, not on " +
		addr + "; use 127.0.0.1, or run a real Redis")
}

// Addr is host:port.
func (e *Embedded) Addr() string { return e.listener.Addr().String() }

// URL is for Options.URL.
func (e *Embedded) URL() string { return "redis://" + e.Addr() }

// Close ends it, closes its clients' connections, and waits until nothing of
// it runs. Call it once.
func (e *Embedded) Close() {
	close(e.stop)
	e.listener.Close() // ends accept; there is nothing else to do about an error
	e.owned.Wait()
	e.mini.Close()
}

func (e *Embedded) accept() {
	for {
		conn, err := e.listener.Accept()
		if err == nil {
			e.mini.Server().ServeConn(newRequestConn(conn))
			continue
		}
		select {
		case <-e.stop:
			return
		case <-time.After(50 * time.Millisecond): // out of file descriptors: they come back
		}
	}
}

// tick lets keys expire: miniredis has no clock of its own.
func (e *Embedded) tick() {
	t := time.NewTicker(ttlTick)
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-e.stop:
			return
		case now := <-t.C:
			e.mini.FastForward(now.Sub(last))
			last = now
		}
	}
}

// guard is miniredis' hook before every command: it runs the command itself,
// and survives its panic. A malformed XADD, for instance, indexes past the end
// of its arguments.
func (e *Embedded) guard(c *respserver.Peer, cmd string, args ...string) (done bool) {
	if _, inside := e.inside.LoadOrStore(c, true); inside {
		return false // called by the Dispatch below: let miniredis do it
	}
	defer e.inside.Delete(c)
	defer func() {
		if p := recover(); p != nil {
			e.survive(c, cmd, p)
			done = true
		}
	}()
	e.mini.Server().Dispatch(c, asScript(append([]string{cmd}, args...)))
	return true
}

// asScript makes a call of one of our functions, which miniredis does not have, a
// run of the script that they are, too.
func asScript(command []string) []string {
	if word := strings.ToUpper(command[0]); word != "FCALL" && word != "FCALL_RO" || len(command) < 3 || !strings.HasPrefix(command[1], "sluice_") {
		return command
	}
	keys, err := strconv.Atoi(command[2])
	if err != nil || keys < 0 || keys > len(command)-3 {
		return command
	}
	return slices.Concat([]string{"EVAL", functionSource}, command[2:3+keys], command[1:2], command[3+keys:])
}

// survive answers a command that panicked, and releases miniredis' lock if the
// command held it.
func (e *Embedded) survive(c *respserver.Peer, cmd string, p any) {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	locked := false
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if strings.Contains(f.Function, "gopher-lua") {
			panic(p) // a command inside a script: the interpreter turns it into an error of the script
		}
		// withTx locks without defer; the blocking commands use defer.
		locked = locked || strings.HasSuffix(f.Function, "miniredis/v2.withTx")
	}
	if locked {
		e.mini.Unlock()
	}
	c.WriteError(fmt.Sprintf("ERR the embedded broker cannot do this %s: %v", cmd, p))
}
