package fleet

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// dialing is a worker's plan of connections to open.
type dialing struct {
	next, stop, step int     // IDs: the next one, the end (exclusive), the number of workers
	inflight, limit  int     // handshakes under way, and how many may be
	alive, most      int     // connections in any state, and how many may be; 0: no bound
	perNs            float64 // connections per ns; 0: as fast as the limit allows
	begin            int64   // when the plan started, ns
	started          int64   // since begin
}

// due is how many connections may be started now.
func (d *dialing) due(now int64) int {
	if d.next >= d.stop || d.inflight >= d.limit {
		return 0
	}
	n := d.limit - d.inflight
	if d.most > 0 {
		n = min(n, d.most-d.alive)
	}
	if d.perNs > 0 {
		n = min(n, int(float64(now-d.begin)*d.perNs)+1-int(d.started))
	}
	return n
}

// patience is how long to sleep for the next dial, in ms; -1: dialling does not care.
func (d *dialing) patience(now int64) int {
	if d.next >= d.stop || d.inflight >= d.limit || d.most > 0 && d.alive >= d.most {
		return -1
	}
	if d.due(now) > 0 {
		return 0
	}
	return 1
}

// startDials starts what is due, a few at a time, so that connections already open are not kept waiting.
func (w *Worker) startDials(now int64) {
	for n := min(w.dial.due(now), 64); n > 0 && w.dial.next < w.dial.stop; n-- {
		id := w.dial.next
		w.dial.next += w.dial.step
		w.dial.started++
		w.connect(id)
	}
}

// connect starts one connection. A failure is counted by kind and not tried again.
func (w *Worker) connect(id int) {
	w.count.Started++
	family := unix.AF_INET
	target := w.o.target(id)
	if !target.addr.Addr().Is4() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		w.count.Failed++
		w.fault("socket: " + errname(err))
		w.ended(id, false)
		return
	}
	c := w.enlist(id, fd)
	// Without it small frames are held back for the delayed ACK; the connection still works if it is refused.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if id < w.o.Narrow {
		narrow(fd)
	}
	if len(w.o.Sources) > 0 {
		if err := bindSource(fd, w.o.Sources[id/w.o.PerSource%len(w.o.Sources)]); err != nil {
			c.end("bind: " + errname(err))
			return
		}
	}
	err = unix.Connect(fd, sockaddr(target.addr))
	if err != nil && err != unix.EINPROGRESS {
		c.end("connect: " + errname(err))
		return
	}
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: c.slot, Pad: c.gen}
	if add := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &e); add != nil {
		c.end("epoll: " + errname(add))
	}
}

// enlist gives a connection its slot and its handshake deadline.
func (w *Worker) enlist(id, fd int) *Conn {
	if len(w.free) == 0 {
		w.free = append(w.free, int32(len(w.conns)))
		w.conns = append(w.conns, nil)
	}
	slot := w.free[len(w.free)-1]
	w.free = w.free[:len(w.free)-1]
	w.gen++
	c := &Conn{ID: id, w: w, fd: fd, slot: slot, gen: w.gen, started: Now()}
	w.conns[slot] = c
	w.dial.inflight++
	w.dial.alive++
	w.upgradeBy.add(c)
	return c
}

// bindSource chooses the local address and leaves the port to connect(2), which may then use a port again for another
// destination.
func bindSource(fd int, addr netip.Addr) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	return unix.Bind(fd, sockaddr(netip.AddrPortFrom(addr, 0)))
}

// connected takes the result of connect(2) and sends the upgrade request, over TLS where the target wants that.
func (w *Worker) connected(c *Conn) {
	code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	if err != nil {
		c.end("connect: " + errname(err))
		return
	}
	if t := w.o.target(c.ID); t.secure {
		w.shake(c, t.config)
		return
	}
	c.state = upgrading
	w.interest(c)
	w.ask(c)
}

// ask sends the upgrade request.
func (w *Worker) ask(c *Conn) {
	w.scratch = append(w.scratch, w.o.target(c.ID).request(w.o.Channel(c.ID), w.o.since(c.ID))...)
}

// held starts the life span of a connection that is not to stay.
func (w *Worker) held(c *Conn) {
	if w.o.Life == nil || c.state != open {
		return
	}
	if w.o.Life.Hold > 0 {
		w.holdUntil.add(c)
		return
	}
	w.release(c)
}

func (w *Worker) release(c *Conn) {
	if w.o.Life.Reset {
		c.Reset()
	} else {
		c.Close()
	}
}

// expire ends what has outlived its deadline.
func (w *Worker) expire(now int64) {
	for c := w.upgradeBy.next(now); c != nil; c = w.upgradeBy.next(now) {
		switch c.state {
		case connecting:
			c.end("connect: no answer in time")
		case securing, upgrading:
			c.end("handshake: no answer in time")
		case open, closing, closed, dead: // it made it
		}
	}
	for c := w.closeBy.next(now); c != nil; c = w.closeBy.next(now) {
		switch c.state {
		case closing:
			c.end("close: no close frame in time")
		case closed:
			c.end("close: the server did not close the connection in time")
		case connecting, securing, upgrading, open, dead: // not closing
		}
	}
	for c := w.holdUntil.next(now); c != nil; c = w.holdUntil.next(now) {
		if c.state == open {
			w.release(c)
			w.flush(c)
		}
	}
}

func errname(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		if name := unix.ErrnoName(errno); name != "" {
			return name
		}
	}
	return err.Error()
}

// deadlines is a queue of connections that all have the same time, so that the first is always the next due.
type deadlines struct {
	after int64 // ns
	queue []deadline
	head  int
}

type deadline struct {
	c  *Conn
	at int64
}

func (d *deadlines) add(c *Conn) {
	d.queue = append(d.queue, deadline{c, Now() + d.after})
}

func (d *deadlines) pending() bool { return d.head < len(d.queue) }

// next takes one connection whose time has come; nil: none.
func (d *deadlines) next(now int64) *Conn {
	if !d.pending() || d.queue[d.head].at > now {
		return nil
	}
	c := d.queue[d.head].c
	d.queue[d.head].c = nil
	d.head++
	if d.head == len(d.queue) {
		d.queue, d.head = d.queue[:0], 0
	} else if d.head >= 4096 && d.head*2 >= len(d.queue) {
		d.queue = d.queue[:copy(d.queue, d.queue[d.head:])]
		d.head = 0
	}
	return c
}

// Life is how long a connection of a churning fleet lasts.
type Life struct {
	Hold  time.Duration // from the 101 to the close; 0: closed at once
	Reset bool          // end with a TCP RST in place of the close handshake
}
