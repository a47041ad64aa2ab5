package fleet

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// Script is what one worker's connections do. All its methods run on that worker; none may block.
type Script interface {
	Opened(c *Conn)             // the handshake is complete
	Message(c *Conn, m Message) // a whole text or binary message; m.Payload is dead afterwards
	Closed(c *Conn, why string) // the connection was open and is gone; why is "" when we closed it
	Turn()                      // after each batch of events
}

// Worker owns a share of the connections. Its methods run on its own goroutine only (see Fleet.Each).
type Worker struct {
	index  int
	o      *Options
	script Script

	epoll, wake int
	conns       []*Conn // by slot; nil: free
	free        []int32
	gen         int32
	buf         []byte         // the shared receive buffer; holds nothing between events
	sealed      []byte         // the same for what TLS is to open; nil until there is any
	records     []byte         // sealed for the connection being handled; empty between events
	shaking     sync.WaitGroup // TLS handshakes
	scratch     []byte         // frames for the connection being handled; empty between events
	random      uint32
	dial        dialing
	again       comebacks
	upgradeBy   deadlines
	closeBy     deadlines
	holdUntil   deadlines

	count     Stats
	faults    map[string]int64
	handshake *hdrhistogram.Histogram // ns from connect(2) to the whole 101

	mu     sync.Mutex
	tasks  []func() // guarded by mu
	stop   bool     // guarded by mu
	public Stats    // guarded by mu: count as of the last turn
}

// The receive buffer takes a burst in one read, and is small enough to stay in the processor's cache.
const bufSize = 128 << 10

// maxKinds bounds the kinds of errors, some of which carry text from the server.
const maxKinds = 64

func newWorker(index int, o *Options) (*Worker, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1})
	}
	if err != nil {
		_ = unix.Close(ep) // nothing was ever in it
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	w := &Worker{
		index: index, o: o, epoll: ep, wake: wake,
		buf: make([]byte, bufSize), random: uint32(Now())*2 + 1,
		faults: map[string]int64{}, handshake: NewHistogram(),
	}
	w.upgradeBy.after, w.closeBy.after = int64(o.Timeout), int64(o.Timeout)
	return w, nil
}

// Index is the worker's number, 0.. .
func (w *Worker) Index() int { return w.index }

// Script is what newScript returned for this worker.
func (w *Worker) Script() Script { return w.script }

// Conns calls f for every open connection. What f sends to its connection leaves with one write.
func (w *Worker) Conns(f func(*Conn)) {
	for _, c := range w.conns {
		if c != nil && c.state == open {
			f(c)
			w.flush(c)
		}
	}
}

// loop runs until the fleet is stopped, then closes everything.
func (w *Worker) loop() {
	runtime.LockOSThread() // CPU time is read per thread (Fleet.WorkerCPU)
	defer runtime.UnlockOSThread()
	events := make([]unix.EpollEvent, 512)
	for w.runTasks() {
		now := Now()
		w.startDials(now)
		w.startComebacks(now)
		w.expire(now)
		n := w.wait(events, now)
		for i := range events[:n] {
			w.event(&events[i])
		}
		w.script.Turn()
		w.count.Alive = int64(w.dial.alive)
		w.mu.Lock()
		w.public = w.count
		w.mu.Unlock()
	}
	for _, c := range w.conns {
		if c != nil {
			if c.state == securing {
				c.secure.abandon()
			}
			_ = unix.Close(c.fd) // the run is over; nobody is left to hear of it
		}
	}
	w.shaking.Wait()
	_ = unix.Close(w.wake)
	_ = unix.Close(w.epoll)
}

// wait first asks without blocking: under load there is always something, and a blocking call makes the Go scheduler hand
// the processor to another thread and back.
func (w *Worker) wait(events []unix.EpollEvent, now int64) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(w.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno == 0 && n > 0 {
		return int(n)
	}
	ms := w.patience(now)
	if ms == 0 {
		return 0
	}
	blocked, err := unix.EpollWait(w.epoll, events, ms)
	if err != nil { // EINTR: a signal for the process; the loop comes round again
		return 0
	}
	return blocked
}

// patience is how long the worker may sleep, in ms.
func (w *Worker) patience(now int64) int {
	if ms := w.dial.patience(now); ms >= 0 {
		return ms
	}
	if w.holdUntil.pending() {
		return 1
	}
	return w.untilComeback(now, 100) // deadlines are checked this often
}

func (w *Worker) event(e *unix.EpollEvent) {
	if e.Fd < 0 {
		var drain [8]byte
		rawRead(w.wake, drain[:]) // the count is not needed: tasks are looked at every turn
		return
	}
	c := w.conns[e.Fd]
	if c == nil || c.gen != e.Pad {
		return // of a connection that ended earlier in this batch
	}
	if c.state == connecting {
		w.connected(c)
	} else {
		if e.Events&unix.EPOLLOUT != 0 && c.writing {
			w.flush(c)
		}
		if c.stalled {
			if e.Events&(unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLRDHUP) != 0 {
				c.cut()
			}
			return
		}
		if c.state != dead && e.Events&^unix.EPOLLOUT != 0 {
			c.readable()
		}
	}
	w.flush(c)
}

// flush writes what was sent to c since the last flush. What the socket does not take waits for EPOLLOUT.
func (w *Worker) flush(c *Conn) {
	b := w.scratch
	w.scratch = b[:0]
	if c.state == dead || c.state == securing {
		w.records = w.records[:0] // an alert, of one that has ended
		return
	}
	if c.secure != nil {
		b = c.secure.seal(b)
	}
	if len(c.out) > 0 {
		c.out = append(c.out, b...)
		b = c.out
	}
	if len(b) == 0 {
		return
	}
	n, errno := rawSend(c.fd, b)
	if n < 0 {
		if errno != unix.EAGAIN && errno != unix.EINTR {
			c.broken(errno)
			return
		}
		n = 0
	}
	c.out = append(c.out[:0], b[n:]...)
	if len(c.out) == 0 && cap(c.out) > 0 {
		c.out = nil
	}
	if waiting := len(c.out) > 0; waiting != c.writing {
		c.writing = waiting
		w.interest(c)
	}
}

// interest tells epoll what c waits for.
func (w *Worker) interest(c *Conn) {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: c.slot, Pad: c.gen}
	if c.stalled {
		e.Events = unix.EPOLLRDHUP
	}
	if c.writing || c.state == connecting {
		e.Events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_MOD, c.fd, &e); err != nil {
		c.end("epoll: " + err.Error())
	}
}

// forget frees c's slot and descriptor.
func (w *Worker) forget(c *Conn) {
	w.conns[c.slot] = nil
	w.dial.alive--
	w.free = append(w.free, c.slot)
	_ = unix.Close(c.fd) // whatever it says, the descriptor is gone (close(2))
	c.carry, c.out, c.frag, c.secure = nil, nil, nil, nil
}

// fault counts one error by kind.
func (w *Worker) fault(kind string) {
	if _, known := w.faults[kind]; !known && len(w.faults) >= maxKinds {
		kind = "other"
	}
	w.faults[kind]++
}

// mask is the next masking key. It need not be unpredictable here: no intermediary is to be protected (RFC 6455 §10.3).
func (w *Worker) mask() uint32 {
	w.random ^= w.random << 13
	w.random ^= w.random >> 17
	w.random ^= w.random << 5
	return w.random
}

// runTasks runs what Each has left, and says whether to go on.
func (w *Worker) runTasks() bool {
	w.mu.Lock()
	tasks, stop := w.tasks, w.stop
	w.tasks = nil
	w.mu.Unlock()
	for _, task := range tasks {
		task()
	}
	return !stop
}
