package fleet

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// secure is the TLS side of a connection to a wss:// or https:// target. crypto/tls does a handshake in one go and waits where it has
// to: meanwhile it has a goroutine and a duplicate of the descriptor, and the worker looks away. From then on it belongs to the worker:
// what crypto/tls reads are the bytes that the socket just had, and what it writes is what the worker sends next. As in Sluice's own
// reactors, of which nothing is taken: whoever measures must not share the faults of what is measured.
type secure struct {
	w     *Worker
	conn  *tls.Conn
	file  *os.File // the duplicate; of use during the handshake alone
	quiet bool     // the handshake is over
	in    []byte   // of the socket, for crypto/tls to read; empty between events
	fault error    // why it has ended
}

// errAgain is what crypto/tls is told where there are no more bytes: it keeps its state at errors that say they are temporary.
var errAgain error = again{}

type again struct{}

func (again) Error() string   { return "no more bytes for now" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// Read is crypto/tls's.
func (s *secure) Read(p []byte) (int, error) {
	if !s.quiet {
		return s.file.Read(p)
	}
	if len(s.in) == 0 {
		return 0, errAgain
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	return n, nil
}

// Write is crypto/tls's.
func (s *secure) Write(b []byte) (int, error) {
	if !s.quiet {
		return s.file.Write(b)
	}
	s.w.records = append(s.w.records, b...)
	return len(b), nil
}

// The rest of net.Conn, for which crypto/tls has no use here.

// Close does nothing: the socket is the worker's.
func (s *secure) Close() error { return nil }

// LocalAddr is nil.
func (s *secure) LocalAddr() net.Addr { return nil }

// RemoteAddr is nil.
func (s *secure) RemoteAddr() net.Addr { return nil }

// SetDeadline does nothing.
func (s *secure) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (s *secure) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (s *secure) SetWriteDeadline(time.Time) error { return nil }

// shake begins c's handshake. The worker hears nothing of its socket until that is over.
func (w *Worker) shake(c *Conn, config *tls.Config) {
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, c.fd, nil); err != nil {
		c.end("epoll: " + errname(err))
		return
	}
	fd, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		c.end("handshake: " + errname(err))
		return
	}
	s := &secure{w: w, file: os.NewFile(uintptr(fd), "")}
	s.conn = tls.Client(s, config)
	c.state, c.secure = securing, s
	w.shaking.Go(func() {
		err := s.conn.Handshake()
		_ = s.file.Close() // the socket has another descriptor
		w.post(func() { w.shaken(c, err) })
	})
}

// shaken goes on where the handshake has ended.
func (w *Worker) shaken(c *Conn, err error) {
	if c.state != securing {
		return // it took too long
	}
	if err != nil {
		c.end("handshake: TLS: " + errname(err))
		return
	}
	c.secure.quiet = true
	if c.secure.conn.ConnectionState().DidResume {
		w.count.Resumed++
	}
	c.state = upgrading
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: c.slot, Pad: c.gen}
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, c.fd, &e); err != nil {
		c.end("epoll: " + errname(err))
		return
	}
	w.ask(c)
	w.flush(c)
}

// abandon has a handshake end that is not waited for any more.
func (s *secure) abandon() {
	_ = s.file.SetDeadline(time.Now()) // it fails only where the handshake is over
}

// fill takes from the socket what crypto/tls is to read.
func (c *Conn) fill() (n int, errno unix.Errno) {
	if c.w.sealed == nil {
		c.w.sealed = make([]byte, bufSize)
	}
	if n, errno = rawRead(c.fd, c.w.sealed); n > 0 {
		c.secure.in = c.w.sealed[:n]
	}
	return n, errno
}

// read is rawRead, of what TLS has in it.
func (s *secure) read(b []byte) (int, unix.Errno) {
	n, err := s.conn.Read(b)
	switch {
	case n > 0:
		return n, 0
	case errors.Is(err, errAgain):
		return -1, unix.EAGAIN
	case errors.Is(err, io.EOF): // close_notify
		return 0, 0
	}
	s.fault = err
	return -1, unix.EPROTO
}

// seal makes records of b, behind those that crypto/tls has made by itself.
func (s *secure) seal(b []byte) (records []byte) {
	if len(b) > 0 {
		if _, err := s.conn.Write(b); err != nil && s.fault == nil {
			s.fault = err // what is read next says so, too
		}
	}
	records = s.w.records
	s.w.records = records[:0]
	return records
}
