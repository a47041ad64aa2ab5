package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

// Look is how a connection stands at the moment, made of what is there anyway.
type Look struct {
	Age     time.Duration // since the reactor has it, to a tenth of a second
	Silent  time.Duration // since bytes came, likewise
	Pinged  bool          // a ping is unanswered
	Opened  bool          // its handshake was accepted
	Closing bool          // its last bytes are on their way
	Queued  int           // bytes that wait for its socket, what their references take included
	Blocked bool          // its socket is full

	Kernel *unix.TCPInfo // nil: the kernel does not say
}

// Look looks at the connection. It costs a system call.
func (c *Conn) Look() Look {
	c.r.owner.check()
	now := c.r.wheel.now
	l := Look{
		Age:     c.Age(),
		Silent:  time.Duration(now-c.seen) * tickLength,
		Pinged:  c.marks.has(markPinged),
		Opened:  c.state >= open,
		Closing: c.state > open,
		Queued:  int(c.queued),
		Blocked: c.marks.has(markBlocked),
	}
	if c.seen == 0 {
		l.Silent = l.Age
	}
	if c.g != nil {
		if info, err := unix.GetsockoptTCPInfo(int(c.fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			l.Kernel = info
		}
	}
	return l
}

// Age is how long the reactor has had the connection, to a tenth of a second. It may be asked in Handler.OnClose, too.
func (c *Conn) Age() time.Duration {
	c.r.owner.check()
	return time.Duration(c.r.engine.ticked()-c.r.conns.born(c.id)) * tickLength
}
