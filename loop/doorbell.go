package loop

import (
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// doorbell wakes a reactor: one end of a socket pair is watched by the event
// loop like any client, a byte written to the other end is a ring.
//
// gnet's own wake-up runs its tasks until none is left before it looks at a
// socket again, so that a reactor which asks itself for another turn would
// starve its clients. The doorbell is one ready socket among the others.
type doorbell struct {
	rung atomic.Bool // a ring is under way that the reactor has not answered

	mu sync.Mutex
	fd int // our end; -1 once closed; guarded by mu
}

// newDoorbell makes a doorbell and the end that the event loop is to watch.
func newDoorbell() (*doorbell, net.Conn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("loop: socket pair for a reactor's wake-ups: %w", err)
	}
	f := os.NewFile(uintptr(fds[1]), "doorbell")
	watched, err := net.FileConn(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = unix.Close(fds[0]) // the first error is the one that tells
		return nil, nil, fmt.Errorf("loop: socket pair for a reactor's wake-ups: %w", err)
	}
	return &doorbell{fd: fds[0]}, watched, nil
}

// ring asks the reactor for a turn. Any goroutine, also after close; one write
// for any number of rings until the reactor answers.
func (d *doorbell) ring() {
	if d.rung.Swap(true) {
		return
	}
	d.mu.Lock() // against close: the fd may be somebody else's afterwards
	defer d.mu.Unlock()
	for d.fd >= 0 {
		if _, err := unix.Write(d.fd, []byte{1}); err != unix.EINTR {
			return // EAGAIN: bytes wait there, so it rings anyway; EPIPE: the reactor has ended
		}
	}
}

// answer is called by the reactor before it looks at what it was rung for.
func (d *doorbell) answer() { d.rung.Store(false) }

// close lets further rings go unheard.
func (d *doorbell) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fd >= 0 {
		_ = unix.Close(d.fd) // nothing to be done about it, nobody to tell
		d.fd = -1
	}
}
