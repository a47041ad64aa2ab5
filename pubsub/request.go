package pubsub

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// What the embedded broker accepts of a request. Redis' own limits are larger.
const (
	maxArguments    = 1 << 20         // arguments of one command
	maxArgument     = 64 << 20        // bytes of one argument
	maxInline       = 16 << 10        // bytes of an inline command
	embeddedPatient = 2 * time.Second // how long a client may block a write
)

// requestConn is a client's connection as miniredis sees it: only well-formed
// requests come out of Read. Inline commands ("PING\r\n" typed into telnet, or
// sent by a health check) become arrays, empty requests vanish as they do in
// Redis, anything else that is not the protocol is answered with an error and
// ends the connection.
type requestConn struct {
	net.Conn
	in   *bufio.Reader
	out  []byte // checked, not yet read by miniredis
	args int64  // arguments still to come of the command under way
	body int64  // bytes still to come of an argument and its CRLF
}

func newRequestConn(c net.Conn) *requestConn {
	return &requestConn{Conn: c, in: bufio.NewReaderSize(c, maxInline)}
}

// Write gives up on a client that does not read: miniredis writes while it
// holds its only lock.
func (c *requestConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(embeddedPatient)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err != nil {
		c.Close() // the error that counts is Write's
	}
	return n, err
}

func (c *requestConn) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if c.body > 0 {
			return c.pass(p)
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// pass hands an argument's bytes through.
func (c *requestConn) pass(p []byte) (int, error) {
	n, err := c.in.Read(p[:min(int64(len(p)), c.body)])
	c.body -= int64(n)
	return n, err
}

// next reads one line and puts its checked form into c.out.
func (c *requestConn) next() error {
	line, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return c.refuse("too big inline request")
	}
	if err != nil {
		return err
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	switch {
	case c.args > 0:
		return c.argument(line)
	case len(line) > 0 && line[0] == '*':
		n, err := strconv.ParseInt(string(line[1:]), 10, 32)
		if err != nil || n > maxArguments {
			return c.refuse("invalid multibulk length")
		}
		if n > 0 { // Redis ignores *0 and *-1
			c.args = n
			c.out = fmt.Appendf(c.out[:0], "*%d\r\n", n)
		}
		return nil
	}
	return c.inline(bytes.Fields(line))
}

func (c *requestConn) argument(line []byte) error {
	if len(line) == 0 || line[0] != '$' {
		return c.refuse("expected '$'")
	}
	n, err := strconv.ParseInt(string(line[1:]), 10, 64)
	if err != nil || n < 0 || n > maxArgument {
		return c.refuse("invalid bulk length")
	}
	c.args--
	c.body = n + 2
	c.out = fmt.Appendf(c.out[:0], "$%d\r\n", n)
	return nil
}

func (c *requestConn) inline(words [][]byte) error {
	if len(words) == 0 {
		return nil
	}
	// As in Redis: a web page that posts to this port must not run commands.
	if w := string(bytes.ToLower(words[0])); w == "post" || w == "host:" {
		return c.refuse("this is HTTP, possibly a cross protocol scripting attack")
	}
	c.out = fmt.Appendf(c.out[:0], "*%d\r\n", len(words))
	for _, w := range words {
		c.out = fmt.Appendf(c.out, "$%d\r\n%s\r\n", len(w), w)
	}
	return nil
}

// refuse tells the client why, and ends the connection.
func (c *requestConn) refuse(why string) error {
	_, err := fmt.Fprintf(c, "-ERR Protocol error: %s\r\n", why)
	return errors.Join(errors.New("pubsub: malformed request: "+why), err)
}
