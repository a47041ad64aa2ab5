package fleet

import "golang.org/x/sys/unix"

// Stall stops reading: from now on the server's data fills the socket's buffers (see Options.Narrow), and then the server's own.
// The connection stays open until the server ends it, and answers nothing.
func (c *Conn) Stall() {
	if c.state != open || c.stalled {
		return
	}
	c.stalled = true
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

// narrow makes fd take little. Loopback's segments of 64 KiB would let the kernels of both ends keep some megabytes before a server
// notices that nobody reads; over a network segments have 1448 bytes, and it is some ten kilobytes. If the kernel refuses, it keeps more.
func narrow(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1448)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10)
}

// cut takes the end of a stalled connection: it is the server's right, and no fault.
func (c *Conn) cut() {
	c.w.count.Cut++
	c.state = closed
	c.end("")
}
