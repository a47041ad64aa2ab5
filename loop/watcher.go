package loop

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// watcher tells reactors when a socket that was full is writable again. gnet
// has no such callback; polling would cost a system call per stalled client and
// tick, and gnet's own outbound buffer a copy per client. It is one epoll set,
// in which a socket is armed once for each time that it was full, and one
// goroutine which waits on it.
type watcher struct {
	epoll, wake int // file descriptors
	reactors    []*Reactor
	failed      atomic.Bool // run ended by itself
}

func newWatcher() (*watcher, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("loop: epoll set for writability: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(epoll) // the first error is the one that tells
		return nil, fmt.Errorf("loop: wake-up of the epoll set for writability: %w", err)
	}
	w := &watcher{epoll: epoll, wake: wake}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1, Pad: -1}); err != nil {
		w.close()
		return nil, fmt.Errorf("loop: wake-up of the epoll set for writability: %w", err)
	}
	return w, nil
}

// watch asks for one call of c.writable. It is called by c's reactor; closing
// the socket ends it. The identity, not the fd, travels with the event, so that
// one which comes late finds nobody.
func (w *watcher) watch(c *Conn) error {
	event := unix.EpollEvent{
		Events: unix.EPOLLOUT | unix.EPOLLONESHOT,
		Fd:     int32(uint32(c.id)),
		Pad:    int32(uint32(c.id >> 32)),
	}
	op := unix.EPOLL_CTL_MOD
	if !c.marks.has(markWatched) {
		op = unix.EPOLL_CTL_ADD
	}
	if err := unix.EpollCtl(w.epoll, op, int(c.fd), &event); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	c.marks |= markWatched
	return nil
}

// run waits until stop. A reactor is rung once for each batch.
func (w *watcher) run() error {
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(w.epoll, events, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			w.failed.Store(true)
			return fmt.Errorf("loop: waiting for writable sockets: %w", err)
		}
		for _, e := range events[:n] {
			if e.Fd == -1 && e.Pad == -1 {
				return nil
			}
			id := ConnID(uint32(e.Pad))<<32 | ConnID(uint32(e.Fd))
			r := w.reactors[id.Reactor()]
			r.ready.put(id)
			r.bell.ring()
		}
	}
}

// stop asks run to return.
func (w *watcher) stop() {
	_, _ = unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // an eventfd takes this always
}

// close is for when neither run nor a reactor is left that would use the file
// descriptors, which are somebody else's afterwards.
func (w *watcher) close() {
	_ = unix.Close(w.wake) // nothing to be done about it, nobody to tell
	_ = unix.Close(w.epoll)
}

// readyList carries connections that became writable from the watcher to their
// reactor.
type readyList struct {
	mu  sync.Mutex
	in  []ConnID // guarded by mu
	out []ConnID // owned by the reactor: the last take's
}

func (l *readyList) put(id ConnID) {
	l.mu.Lock()
	l.in = append(l.in, id)
	l.mu.Unlock()
}

func (l *readyList) take() []ConnID {
	l.mu.Lock()
	l.out, l.in = l.in, l.out[:0]
	l.mu.Unlock()
	return l.out
}
