package loop

import (
	"container/list"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync"

	"go.uber.org/zap"
)

// handshake is a TLS handshake that is not over. crypto/tls does one in one go and waits
// where it has to, so that it needs a goroutine from the client's first record to its
// last. The socket stays with the reactor, which hands bytes over in both directions.
type handshake struct {
	s     *secure
	id    ConnID
	peer  netip.Addr
	turns chan struct{} // the shaker's
	wake  chan struct{} // there is something new in the fields below

	hello []byte        // the client's first record, until that is complete; the reactor's
	begun bool          // known to the shaker; the reactor's
	place *list.Element // in the shaker's line, and guarded by its mu; nil: in none

	mu     sync.Mutex
	in     []byte    // of the socket, not yet read; guarded by mu, as all that follow
	out    []byte    // to be sent
	alert  byte      // the last one sent before anything was encrypted; 0: none
	said   bool      // there was something to be sent
	closed bool      // the connection has ended
	conn   *tls.Conn // when it is over
	err    error     // why it failed
}

// maxShake bounds, in bytes, what a client may send of its handshake ahead of us: its
// first record is the longest.
const maxShake = recordHeader + maxRecord + 2<<10

var (
	errGone       = errors.New("the connection has ended")
	errShakePanic = errors.New("panic")
)

// give hands over bytes of the socket. It reports false where they are too many.
func (h *handshake) give(b []byte) (held int, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.in)+len(b) > maxShake {
		return len(h.in), false
	}
	h.in = append(h.in, b...)
	h.nudge()
	return len(h.in), true
}

// close ends the handshake: its connection has ended.
func (h *handshake) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end()
}

// dismiss is close where the client has not been answered. Else it reports false, and the
// handshake goes on.
func (h *handshake) dismiss() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.said {
		return false
	}
	h.end()
	return true
}

// end has the handshake find that its connection has ended. mu is held.
func (h *handshake) end() {
	h.closed, h.in = true, nil
	h.nudge()
}

func (h *handshake) nudge() {
	select {
	case h.wake <- struct{}{}:
	default: // it is awake
	}
}

// read waits for bytes of the socket. Others may compute meanwhile.
func (h *handshake) read(p []byte, cut *cutter) (int, error) {
	for {
		n, err := h.next(p, cut)
		if n > 0 || err != nil {
			return n, err
		}
		<-h.turns
		<-h.wake
		h.turns <- struct{}{}
	}
}

func (h *handshake) next(p []byte, cut *cutter) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, errGone
	}
	n, _ := cut.pass(p, h.in)
	h.in = h.in[n:]
	return n, nil
}

// write has the reactor send b.
func (h *handshake) write(b []byte) (int, error) {
	h.mu.Lock()
	h.out, h.said = append(h.out, b...), true
	if n := len(b) - alertSize; n >= 0 && b[n] == recordAlert {
		h.alert = b[len(b)-1]
	}
	h.mu.Unlock()
	h.tell()
	return len(b), nil
}

// tell asks the reactor for one call of Conn.shaken.
func (h *handshake) tell() {
	r := h.s.c.r
	r.shaken.put(h.id)
	r.bell.ring()
}

// run does the handshake.
func (h *handshake) run(config *tls.Config, log *zap.Logger) {
	h.turns <- struct{}{}
	conn := tls.Server(h.s, config)
	err := shake(conn, log)
	<-h.turns
	h.mu.Lock()
	h.conn, h.err = conn, err
	h.mu.Unlock()
	h.tell()
}

// shake is the recover boundary of a handshake.
func shake(conn *tls.Conn, log *zap.Logger) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("panic survived: the connection it happened on is closed, please report this",
				zap.String("in", "TLS handshake"), zap.String("panic", fmt.Sprint(p)), zap.ByteString("stack", debug.Stack()))
			err = errShakePanic
		}
	}()
	return conn.Handshake()
}

// shaker does the handshakes of all reactors: so many at once, the others wait in line,
// and half of the processors compute for them at most, so that a rush of clients leaves
// the reactors time for those who are there. It has no goroutine while there is nothing
// to do.
type shaker struct {
	config *tls.Config
	log    *zap.Logger
	most   int           // at once
	each   int           // for one address, waiting ones included; 0: no limit
	turns  chan struct{} // one token for each that computes
	work   sync.WaitGroup

	mu      sync.Mutex
	ended   bool                    // guarded by mu, as all that follow
	running map[*handshake]struct{} // that have a goroutine
	waiting list.List               // of *handshake, in order
	from    map[netip.Addr]int      // how many there are
}

func newShaker(o *Options, log *zap.Logger) *shaker {
	if o.TLS == nil {
		return nil
	}
	return &shaker{
		config:  o.TLS,
		log:     log,
		most:    o.Handshakes,
		each:    o.HandshakesPerAddress,
		turns:   make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		running: map[*handshake]struct{}{},
		from:    map[netip.Addr]int{},
	}
}

// begin does h, or will. It reports false where h's address has too many.
func (s *shaker) begin(h *handshake) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.each > 0 && s.from[h.peer] >= s.each {
		return false
	}
	s.from[h.peer]++
	if len(s.running) >= s.most {
		h.place = s.waiting.PushBack(h)
		return true
	}
	s.running[h] = struct{}{}
	s.work.Go(func() {
		for h := h; h != nil; h = s.next(h) {
			h.run(s.config, s.log)
		}
	})
	return true
}

// next is what to do when h is done, nil for nothing.
func (s *shaker) next(h *handshake) *handshake {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, h)
	s.discount(h)
	first := s.waiting.Front()
	if first == nil {
		return nil
	}
	next := s.waiting.Remove(first).(*handshake)
	next.place = nil
	s.running[next] = struct{}{}
	return next
}

// discount takes h from those of its address. mu is held.
func (s *shaker) discount(h *handshake) {
	if s.from[h.peer]--; s.from[h.peer] == 0 {
		delete(s.from, h.peer)
	}
}

// forget ends h, of whose connection no more is to be expected. If it is in line it leaves
// that: clients that come and go must not make it longer than there are connections.
func (s *shaker) forget(h *handshake) {
	h.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.place != nil {
		s.waiting.Remove(h.place)
		h.place = nil
		s.discount(h)
	}
}

// busy is how many handshakes there are, and how many wait.
func (s *shaker) busy() (running, waiting int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.running)), int64(s.waiting.Len())
}

// close ends all handshakes, and waits for that.
func (s *shaker) close() {
	s.mu.Lock()
	s.ended = true
	for h := range s.running {
		h.close()
	}
	for e := s.waiting.Front(); e != nil; e = e.Next() {
		e.Value.(*handshake).close()
	}
	s.mu.Unlock()
	s.work.Wait()
}
