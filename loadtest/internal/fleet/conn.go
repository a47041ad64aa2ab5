package fleet

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"sluice/codec"
)

type state uint8

const (
	connecting state = iota // connect(2) is under way
	securing                // the TLS handshake is under way
	upgrading               // the upgrade request is sent
	open                    // the 101 has come
	closing                 // our close frame is sent
	closed                  // the server's close frame has come too; only its FIN is missing
	dead                    // the descriptor is closed
)

// Message is one WebSocket message from the server.
type Message struct {
	Op      codec.Opcode // text or binary
	Payload []byte       // dead when Script.Message returns
	At      int64        // when it was read, ns on Now's clock
}

// Conn is one client connection. Only its worker may touch it.
type Conn struct {
	ID int // 0.. in the order of opening

	w       *Worker
	fd      int
	slot    int32
	gen     int32
	state   state
	fragOp  codec.Opcode
	writing bool // EPOLLOUT is asked for
	stalled bool // it is not read any more
	excused bool // it has stalled: that the server ends it is no fault
	started int64
	need    int    // size of the frame that carry is the beginning of; 0: not known
	carry   []byte // received, not yet a whole frame (or not yet a whole handshake response)
	out     []byte // what the socket has not taken yet
	frag    []byte // the fragments so far of a fragmented message; of an event stream in chunks, the beginning of an event
	sse     bool   // it is an event stream
	chunk   chunk
	secure  *secure // nil: it speaks no TLS
}

// Send sends one message (op is text or binary). What is sent within one call of the Script to the same connection leaves
// with one write. payload is the caller's again when Send returns. An event stream has no way to the server: nothing is sent.
func (c *Conn) Send(op codec.Opcode, payload []byte) {
	if c.state != open || c.sse {
		return
	}
	c.w.scratch = codec.AppendMaskedFrame(c.w.scratch, op, payload, c.w.mask())
}

// Close starts the close handshake with code 1000. Script.Closed follows. An event stream has none: it is ended.
func (c *Conn) Close() {
	if c.state != open {
		return
	}
	if c.sse {
		c.state = closed
		c.end("")
		return
	}
	c.Send(codec.OpClose, []byte{1000 >> 8, 1000 & 0xff})
	c.state = closing
	c.w.closeBy.add(c)
}

// Reset drops the connection with a TCP RST. Script.Closed is called before it returns.
func (c *Conn) Reset() {
	if c.state != open {
		return
	}
	// A failure leaves a FIN in place of the RST; the connection ends either way.
	_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	c.state = closed
	c.end("")
}

// closed takes the server's close frame.
func (c *Conn) closed(payload []byte) {
	switch c.state {
	case open:
		var code [2]byte
		binary.BigEndian.PutUint16(code[:], 1000)
		c.Send(codec.OpClose, code[:copy(code[:], payload)])
		c.w.flush(c)
		if c.state != dead {
			c.end("closed by the server: " + closeText(payload))
		}
	case closing:
		c.state = closed
		c.w.count.CloseFrames++
	case connecting, securing, upgrading, closed, dead: // there are no frames then
	}
}

// end closes the descriptor and says why; "" is an end as wanted.
func (c *Conn) end(why string) {
	was := c.state
	c.state = dead
	if was == securing {
		c.secure.abandon()
	}
	c.w.forget(c)
	if why != "" {
		c.w.fault(why)
	}
	switch was {
	case connecting, securing, upgrading:
		c.w.count.Failed++
		c.w.dial.inflight--
	default:
		c.w.count.Open--
		if why != "" && c.excused {
			c.w.count.Cut++
		} else if why != "" {
			c.w.count.Lost++
		} else {
			c.w.count.Closed++
		}
		c.w.script.Closed(c, why)
	}
	c.w.ended(c.ID, was >= open)
}

// readable reads once and handles what came. The epoll set is level-triggered: what is left is reported again, but for what TLS
// has in it, of which the kernel knows nothing.
func (c *Conn) readable() {
	if c.secure == nil {
		c.take()
		return
	}
	switch n, errno := c.fill(); {
	case n > 0:
		for c.state != dead && c.take() {
		}
	case n == 0:
		c.eof()
	case errno != unix.EAGAIN && errno != unix.EINTR:
		c.broken(errno)
	}
}

// receive is rawRead, of what has been sealed where that is spoken.
func (c *Conn) receive(b []byte) (int, unix.Errno) {
	if c.secure != nil {
		return c.secure.read(b)
	}
	return rawRead(c.fd, b)
}

// take reads once and handles what came, and reports whether anything did.
func (c *Conn) take() bool {
	w := c.w
	var data []byte
	var n int
	var errno unix.Errno
	if c.need > len(w.buf) {
		// A frame longer than the shared buffer is put together in the connection's own.
		if cap(c.carry) < c.need {
			c.carry = append(make([]byte, 0, c.need), c.carry...)
		}
		have := len(c.carry)
		n, errno = c.receive(c.carry[have:c.need])
		c.carry = c.carry[:have+max(n, 0)]
		data = c.carry
	} else {
		have := copy(w.buf, c.carry)
		n, errno = c.receive(w.buf[have:])
		data = w.buf[:have+max(n, 0)]
	}
	switch {
	case n > 0:
		w.count.Bytes += int64(n)
	case n == 0:
		c.eof()
		return false
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return false
	default:
		c.broken(errno)
		return false
	}
	now := Now()
	used, err := 0, error(nil)
	if c.state == upgrading {
		used, err = c.upgrade(data, now)
	}
	if err == nil && c.state != upgrading && c.state != dead {
		var more int
		if c.sse {
			more, c.need, err = c.stream(data[used:], now)
		} else {
			more, c.need, err = c.scan(data[used:], now)
		}
		used += more
	}
	if c.state == dead {
		return false
	}
	if err != nil {
		c.end(err.Error())
		return false
	}
	c.keep(data[used:])
	return true
}

// keep stores the beginning of a frame. Most reads end with a whole frame: then nothing is held.
func (c *Conn) keep(tail []byte) {
	if len(tail) == 0 {
		if c.carry != nil {
			c.carry = nil
		}
		return
	}
	c.carry = append(c.carry[:0], tail...)
}

func (c *Conn) eof() {
	switch c.state {
	case closed:
		c.end("")
	case closing:
		c.end("close: connection ended without a close frame")
	case upgrading:
		c.end("handshake: connection ended")
	default:
		c.end("connection ended without a close frame")
	}
}

func (c *Conn) broken(errno unix.Errno) {
	if c.secure != nil && c.secure.fault != nil {
		c.end("TLS: " + c.secure.fault.Error())
		return
	}
	switch c.state {
	case closed:
		c.end("") // both close frames have been exchanged: the WebSocket connection is over (RFC 6455 §7.1.4)
	case closing:
		c.end("close: " + unix.ErrnoName(errno))
	case upgrading:
		c.end("handshake: " + unix.ErrnoName(errno))
	default:
		c.end("connection: " + unix.ErrnoName(errno))
	}
}

var errLongResponse = errors.New("handshake: response longer than 64 KiB")

// upgrade looks for the whole response to the upgrade request in data and opens the connection.
func (c *Conn) upgrade(data []byte, now int64) (used int, err error) {
	size, err := 0, error(nil)
	if t := c.w.o.target(c.ID); t.stream {
		c.sse = true
		size, c.chunk.on, err = checkStream(data)
	} else {
		size, err = t.checkResponse(data)
	}
	if err != nil {
		return 0, err
	}
	if size == 0 {
		if len(data) >= len(c.w.buf) {
			return 0, errLongResponse
		}
		return 0, nil
	}
	c.carry = nil
	c.state = open
	w := c.w
	w.dial.inflight--
	w.count.Opened++
	w.count.Open++
	Record(w.handshake, now-c.started)
	w.script.Opened(c)
	w.held(c)
	return size, nil
}

// rawRead is read(2) without telling the Go scheduler, which is right because the socket never blocks: the scheduler would
// otherwise often take the processor from this goroutine, at a cost above that of the read itself.
func rawRead(fd int, b []byte) (int, unix.Errno) {
	if len(b) == 0 {
		return -1, unix.ENOBUFS
	}
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), 0
}

// rawSend is send(2) with MSG_NOSIGNAL, for the same reason.
func rawSend(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), 0
}
