package loop

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Listen opens the public port. The options set on the listener are inherited
// by every accepted socket, at no system call per connection.
func (e *Engine) Listen(ctx context.Context, address string) (net.Listener, error) {
	lc := net.ListenConfig{
		KeepAlive: -1, // the ping does that, and TCP_USER_TIMEOUT
		Control: func(_, _ string, raw syscall.RawConn) error {
			var err error
			if cerr := raw.Control(func(fd uintptr) { err = e.setSocketOptions(int(fd)) }); cerr != nil {
				return cerr
			}
			return err
		},
	}
	lc.SetMultipathTCP(false) // Go would ask for it; its sockets do not know all these options
	ln, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	return ln, nil
}

func (e *Engine) setSocketOptions(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, e.opts.MaxUnsent); err != nil {
		return fmt.Errorf("TCP_NOTSENT_LOWAT: %w", err)
	}
	silence := e.opts.PingInterval + e.opts.PingTimeout
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds())); err != nil {
		return fmt.Errorf("TCP_USER_TIMEOUT: %w", err)
	}
	return nil
}

// Serve accepts connections from ln until Shutdown, Close, or a listener that
// is closed. It returns nil in the first two cases. Accepting is not left to
// gnet, whose listener ends the whole engine at the first failed accept.
func (e *Engine) Serve(ln net.Listener) error {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("loop: cannot serve a %T: it must be TCP", ln)
	}
	if !e.adopt(ln) {
		return ln.Close()
	}
	defer e.accepting.Done()
	var wait time.Duration
	pace := pacer{every: e.acceptInterval()}
	for {
		if pause := pace.next(e.now()); pause > 0 {
			e.paced.Add(1)
			if !e.sleep(pause) {
				return nil
			}
		}
		conn, err := tcp.AcceptTCP()
		switch {
		case err == nil:
			wait = 0
			e.admit(conn)
		case e.draining.Load():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("loop: the listener on %s was closed: %w", ln.Addr(), err)
		default: // EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED …: all of them pass
			e.acceptErrors.Add(1)
			wait = min(max(2*wait, minAcceptWait), maxAcceptWait)
			e.log.Warn("cannot accept connections for the moment, trying on",
				zap.Error(err), zap.Stringer("listener", ln.Addr()), zap.Int64("connections", e.total.Load()))
			select {
			case <-time.After(wait):
			case <-e.quit:
			}
		}
	}
}

const (
	minAcceptWait = 5 * time.Millisecond
	maxAcceptWait = 500 * time.Millisecond
)

// adopt takes charge of a listener unless the engine is closing already.
func (e *Engine) adopt(ln net.Listener) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining.Load() {
		return false
	}
	e.accepting.Add(1)
	e.listeners = append(e.listeners, ln)
	return true
}

// admit hands a socket to the reactor with the fewest, or drops it where even
// those who are to be told 503 are too many.
func (e *Engine) admit(conn *net.TCPConn) {
	e.accepted.Add(1)
	now := e.now()
	if e.total.Add(1) > int64(e.limit+e.reserve) {
		e.left()
		e.dropped.Add(1)
		_ = conn.SetLinger(0) // the peer is told by RST; it fails only where the peer is gone
		_ = conn.Close()
		e.log.Warn("connections dropped: this node has as many as it may", zap.Int("limit", e.limit))
		return
	}
	for {
		select {
		case e.choose() <- arrived{conn, now}:
			return
		default: // all queues are full
		}
		select {
		case <-e.space:
		case <-e.quit:
			e.left()
			_ = conn.Close() // nobody to tell
			return
		}
	}
}

// arrived is a socket on its way to a reactor.
type arrived struct {
	conn *net.TCPConn
	at   time.Duration // of the engine's clock
}

// choose is the queue of the reactor with the fewest connections, of those that
// keep up with enrolling them; nil if none does.
func (e *Engine) choose() (queue chan<- arrived) {
	least := int64(math.MaxInt64)
	for i, q := range e.enrolments {
		if n := e.load(i); n < least && len(q) < cap(q) {
			queue, least = q, n
		}
	}
	return queue
}

// load is how many connections reactor i has and is about to have.
func (e *Engine) load(i int) int64 {
	return e.reactors[i].count.connections.Load() + int64(len(e.enrolments[i]))
}

// enrol registers sockets with one reactor, until the queue is closed. It waits
// for the reactor each time, so a busy one is given connections no faster than
// it can take them.
func (e *Engine) enrol(r *Reactor, queue <-chan arrived) {
	var spare spareFile
	spare.hold()
	defer spare.release()
	for a := range queue {
		select {
		case e.space <- struct{}{}:
		default: // said already
		}
		c := &Conn{r: r, state: e.begins()}
		c.accepted(a.at)
		if addr, ok := a.conn.RemoteAddr().(*net.TCPAddr); ok {
			copy(c.peer[:], addr.IP.To16())
			c.port = uint16(addr.Port)
			if e.opts.Proxied != nil && e.opts.Proxied(c.Remote().Addr()) {
				c.state = greeting
			}
		}
		if e.served.Add(1) > int64(e.limit) {
			e.served.Add(-1)
			c.marks |= markRefused
		}
		before := r.count.opened.Load()
		spare.release()
		_, err := r.client.EnrollContext(a.conn, c) // closes a.conn, having dup'ed its fd
		spare.hold()
		if err == nil && r.count.opened.Load() == before {
			err = errors.New("the event loop could not watch the socket") // gnet reports success then
		}
		if err != nil {
			e.leave(c)
			e.acceptErrors.Add(1)
			e.log.Warn("cannot hand a connection to its reactor: it is dropped", zap.Error(err), zap.Int("reactor", r.index))
		}
	}
}

// stopAccepting closes the listeners, at its first call. admitted is closed
// when no connection is on its way to a reactor any more.
func (e *Engine) stopAccepting() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining.Swap(true) {
		return
	}
	close(e.quit)
	for _, ln := range e.listeners {
		_ = ln.Close() // it is closed by now in any case
	}
	e.listeners = nil
	e.helpers.Go(func() {
		e.accepting.Wait()
		for _, queue := range e.enrolments {
			close(queue)
		}
		e.enrolling.Wait()
		close(e.admitted)
	})
}

// acceptInterval is the time between two accepts at the rate that is allowed, 0
// where any is.
func (e *Engine) acceptInterval() time.Duration {
	if e.opts.AcceptRate == 0 {
		return 0
	}
	return time.Second / time.Duration(e.opts.AcceptRate)
}

// sleep reports false where the engine begins to end before d is over.
func (e *Engine) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.quit:
		return false
	}
}

// pacer spaces events, letting a tenth of a second's worth of them come at once.
type pacer struct {
	every time.Duration // 0: no limit
	due   time.Duration // when the next one would be, if they came evenly
}

// next is how long to wait before the next event.
func (p *pacer) next(now time.Duration) time.Duration {
	const burst = 100 * time.Millisecond
	if p.every == 0 {
		return 0
	}
	p.due = max(p.due, now-burst) + p.every
	return p.due - now
}

// spareFile keeps a file descriptor for the moment in which an enrolment needs two
// for one connection: who was accepted with the last one would be lost otherwise.
type spareFile struct {
	fd   int
	held bool
}

func (s *spareFile) hold() {
	if !s.held {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		s.fd, s.held = fd, err == nil // where there is none now, there may be one after the next enrolment
	}
}

func (s *spareFile) release() {
	if s.held {
		_ = unix.Close(s.fd) // nothing was written
		s.held = false
	}
}
