package fleet

import "golang.org/x/sys/unix"

// Stall stops reading: from now on the server's data fills the socket's buffers, which are made small, and then the server's.
// The connection stays open until the server ends it, and answers nothing.
func (c *Conn) Stall() {
	if c.state != open || c.stalled {
		return
	}
	c.stalled = true
	// The kernel does not go below its own minimum. If it refuses, it swallows more before the server notices.
	_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	c.w.interest(c)
}

// Resume reads again what a stalled connection has not read. That the server ends it is still no fault; why is counted all the same.
func (c *Conn) Resume() {
	if c.state != open || !c.stalled {
		return
	}
	c.stalled, c.excused = false, true
	// If the kernel refuses, it takes longer to read what is there.
	_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20)
	c.w.interest(c)
}

// cut takes the end of a stalled connection: it is the server's right, and no fault.
func (c *Conn) cut() {
	c.w.count.Cut++
	c.state = closed
	c.end("")
}
