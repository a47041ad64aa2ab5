package pubsub

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// The subscribe connection speaks RESP2: it is what a new connection speaks,
// every Redis and every relative of it knows it, and for pub/sub RESP3 adds
// nothing but another first byte. In RESP2 a connection that only subscribes
// and pings receives exactly these:
//
//	*3 message <channel> <payload>        smessage where the channel was SSUBSCRIBEd
//	*3 subscribe <channel> :<count>       ssubscribe
//	*3 unsubscribe <channel> :<count>     sunsubscribe, also unasked: the slot has moved
//	*2 pong <text>                        PING while subscribed
//	*n master|slave|… <anything>          ROLE
//	+<text>                               PONG otherwise; OK of AUTH and CLIENT SETNAME
//	-<text>                               an error
//
// Anything else is a protocol error and ends the connection.

type replyKind uint8

const (
	replyMessage      replyKind = iota + 1 // channel, payload
	replyOversize                          // channel, size: a message whose payload is skipped
	replySubscribed                        // channel
	replyUnsubscribed                      // channel
	replyPong                              // –
	replyStatus                            // payload: the line without + and CRLF
	replyError                             // payload: the line without - and CRLF
	replyRole                              // payload: the role
)

// reply is one thing that Redis sent. Its slices point into the receiver's
// buffer and are valid until its next call.
type reply struct {
	kind    replyKind
	channel []byte
	payload []byte
	size    int64 // bytes of an oversize payload
}

const (
	maxHeader     = 24       // bytes of one "$<n>\r\n" line
	maxWireName   = 1 << 10  // bytes of a channel name with its prefix
	maxLine       = 8 << 10  // bytes of one status or error line
	maxRole       = 64 << 10 // bytes of an answer to ROLE; a replica takes some 50
	roleDepth     = 3        // of lists in it: of a list of replicas each is a list
	maxBulk       = 1 << 40  // bytes; Redis' own proto-max-bulk-len is 512 MiB
	minReadBuffer = 4 << 10  // bytes; holds everything that stands before a payload
)

// ProtocolError means that what came from the subscribe connection was not
// the Redis protocol.
type ProtocolError struct{ Reason string }

func (e *ProtocolError) Error() string {
	return "pubsub: not the Redis protocol: " + e.Reason
}

func malformed(format string, args ...any) error {
	return &ProtocolError{fmt.Sprintf(format, args...)}
}

// excerpt is the front of b, for an error message.
func excerpt(b []byte) []byte { return b[:min(len(b), 32)] }

// errShort means: the reply goes on after the bytes that are here.
var errShort = errors.New("short")

// parse takes one reply from the front of b. n is its length in bytes; for
// replyOversize, the length of what stands before the payload. With n == 0 and
// no error the reply is not complete: at least need bytes are necessary to get
// on. Payloads above maxPayload bytes are oversize.
func parse(b []byte, maxPayload int) (rep reply, n, need int, err error) {
	c := cursor{b: b}
	rep, err = c.reply(maxPayload)
	if errors.Is(err, errShort) {
		return reply{}, 0, max(c.need, len(b)+1), nil
	}
	if err != nil {
		return reply{}, 0, 0, err
	}
	return rep, c.at, 0, nil
}

// cursor walks over the bytes of one reply.
type cursor struct {
	b    []byte
	at   int // bytes walked over
	need int // after errShort: len(b) that would have sufficed, if known
}

func (c *cursor) reply(maxPayload int) (reply, error) {
	if len(c.b) == 0 {
		return reply{}, errShort
	}
	switch c.b[0] {
	case '*':
		return c.push(maxPayload)
	case '+':
		line, err := c.line()
		if err == nil && string(line) == "PONG" {
			return reply{kind: replyPong}, nil
		}
		return reply{kind: replyStatus, payload: line}, err
	case '-':
		line, err := c.line()
		return reply{kind: replyError, payload: line}, err
	}
	return reply{}, malformed("a reply cannot start with %q", excerpt(c.b))
}

// push walks over an array: a message, a confirmation or a role.
func (c *cursor) push(maxPayload int) (reply, error) {
	count, err := c.number('*')
	if err != nil {
		return reply{}, err
	}
	word, err := c.bulk(maxHeader)
	if err != nil {
		return reply{}, err
	}
	if count == 2 && string(word) == "pong" {
		_, err := c.bulk(maxLine)
		return reply{kind: replyPong}, err
	}
	var kind replyKind
	switch string(word) {
	case "message", "smessage":
		kind = replyMessage
	case "subscribe", "ssubscribe":
		kind = replySubscribed
	case "unsubscribe", "sunsubscribe":
		kind = replyUnsubscribed
	case "master", "slave", "sentinel", "active-replica": // the last is KeyDB's
		return reply{kind: replyRole, payload: word}, c.skip(count-1, roleDepth)
	}
	if kind == 0 || count != 3 {
		return reply{}, malformed("unexpected push %q of %d elements", excerpt(word), count)
	}
	channel, err := c.bulk(maxWireName)
	if err != nil {
		return reply{}, err
	}
	if kind != replyMessage {
		_, err := c.number(':')
		return reply{kind: kind, channel: channel}, err
	}
	size, err := c.number('$')
	if err != nil {
		return reply{}, err
	}
	if size > int64(maxPayload) {
		return reply{kind: replyOversize, channel: channel, size: size}, nil
	}
	payload, err := c.body(int(size))
	return reply{kind: replyMessage, channel: channel, payload: payload}, err
}

// skip walks over n values, which may be lists, so many levels deep.
func (c *cursor) skip(n int64, depth int) error {
	if depth == 0 {
		return malformed("a list in too many others")
	}
	for ; n > 0; n-- {
		if err := c.skipOne(depth); err != nil {
			return err
		}
	}
	return nil
}

func (c *cursor) skipOne(depth int) error {
	switch {
	case c.at > maxRole:
		return malformed("a role of more than %d bytes", maxRole)
	case c.at == len(c.b):
		return errShort
	}
	var err error
	switch c.b[c.at] {
	case '*':
		var items int64
		if items, err = c.number('*'); err == nil {
			err = c.skip(items, depth-1)
		}
	case '$':
		_, err = c.bulk(maxWireName)
	case ':': // which may be negative
		_, err = c.line()
	default:
		err = malformed("%q in a role", excerpt(c.b[c.at:]))
	}
	return err
}

// number walks over "<mark><decimal>\r\n". The decimal has no sign and no
// leading zero.
func (c *cursor) number(mark byte) (int64, error) {
	b := c.b[c.at:]
	if len(b) == 0 {
		return 0, errShort
	}
	if b[0] != mark {
		return 0, malformed("%q instead of %q", excerpt(b), mark)
	}
	var v int64
	i := 1
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		if v = v*10 + int64(b[i]-'0'); v > maxBulk || (i == 2 && b[1] == '0') {
			return 0, malformed("bad number in %q", excerpt(b))
		}
	}
	if i == len(b) {
		return 0, errShort
	}
	if i == 1 || b[i] != '\r' {
		return 0, malformed("bad number in %q", excerpt(b))
	}
	if i+1 == len(b) {
		return 0, errShort
	}
	if b[i+1] != '\n' {
		return 0, malformed("no line feed after %q", excerpt(b))
	}
	c.at += i + 2
	return v, nil
}

// bulk walks over "$<n>\r\n<n bytes>\r\n", at most limit bytes.
func (c *cursor) bulk(limit int) ([]byte, error) {
	n, err := c.number('$')
	if err != nil {
		return nil, err
	}
	if n > int64(limit) {
		return nil, malformed("a word of %d bytes, at most %d are expected", n, limit)
	}
	return c.body(int(n))
}

// body walks over n bytes and their CRLF.
func (c *cursor) body(n int) ([]byte, error) {
	end := c.at + n
	if len(c.b) < end+2 {
		c.need = end + 2
		return nil, errShort
	}
	p := c.b[c.at:end:end]
	if c.b[end] != '\r' || c.b[end+1] != '\n' {
		return nil, malformed("%d bytes are not followed by CRLF but by %q", n, c.b[end:end+2])
	}
	c.at = end + 2
	return p, nil
}

// line walks over the rest of a status or error line.
func (c *cursor) line() ([]byte, error) {
	b := c.b[c.at:]
	i := bytes.IndexByte(b, '\n')
	switch {
	case i < 0 && len(b) > maxLine, i > maxLine:
		return nil, malformed("a line of more than %d bytes: %q", maxLine, excerpt(b))
	case i < 0:
		return nil, errShort
	case i < 2 || b[i-1] != '\r':
		return nil, malformed("a line feed without carriage return after %q", excerpt(b))
	}
	c.at += i + 1
	return b[1 : i-1], nil
}

// receiver reads replies from src through a buffer of its own. It allocates
// only when a message does not fit into the buffer, and gives the larger
// buffer back once it is no longer needed.
type receiver struct {
	src  io.Reader
	max  int // largest payload, bytes
	base int // usual len(buf), bytes

	buf  []byte
	r, w int   // buf[r:w] is received and not yet parsed
	need int   // unparsed bytes below which parsing again is in vain
	skip int64 // bytes yet to be thrown away of an oversize payload and its CRLF
	calm int   // fills in a row for which the usual size would have done
}

// calmFills is how many fills in a row must have fitted into the usual buffer
// before a grown one is given back: a stream of large messages keeps its
// buffer, and an idle connection (which sees a PONG every few seconds) does not
// hold on to megabytes.
const calmFills = 16

func newReceiver(src io.Reader, base, maxPayload int) *receiver {
	return &receiver{src: src, base: base, max: maxPayload, buf: make([]byte, base)}
}

// next returns the next reply. It blocks until that is complete.
func (d *receiver) next() (reply, error) {
	for {
		if d.skip > 0 {
			if err := d.discard(); err != nil {
				return reply{}, err
			}
		}
		if d.w-d.r >= max(d.need, 1) {
			rep, n, need, err := parse(d.buf[d.r:d.w], d.max)
			if err != nil {
				return reply{}, err
			}
			d.need = need
			if n > 0 {
				d.r += n
				if rep.kind == replyOversize {
					d.skip = rep.size + 2
				}
				return rep, nil
			}
		}
		if err := d.fill(); err != nil {
			return reply{}, err
		}
	}
}

// discard throws the rest of an oversize payload away, and checks the CRLF
// that ends it.
func (d *receiver) discard() error {
	for d.skip > 2 {
		if d.r == d.w {
			if err := d.fill(); err != nil {
				return err
			}
		}
		n := min(d.skip-2, int64(d.w-d.r))
		d.r += int(n)
		d.skip -= n
	}
	d.need = 2
	for d.w-d.r < 2 {
		if err := d.fill(); err != nil {
			return err
		}
	}
	d.need = 0
	if tail := d.buf[d.r : d.r+2]; tail[0] != '\r' || tail[1] != '\n' {
		return malformed("an oversize payload is not followed by CRLF but by %q", tail)
	}
	d.r += 2
	d.skip = 0
	return nil
}

// fill reads once, after making room for need bytes.
func (d *receiver) fill() error {
	d.room()
	for range 100 {
		n, err := d.src.Read(d.buf[d.w:])
		d.w += n
		if n > 0 {
			return nil // an error, if any, comes again
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// room moves what is unparsed to the front, and grows or shrinks the buffer.
func (d *receiver) room() {
	have, want := d.w-d.r, len(d.buf)
	switch {
	case d.need > len(d.buf):
		want = (d.need + d.base - 1) / d.base * d.base
		d.calm = 0
	case len(d.buf) > d.base && max(d.need, have+1) <= d.base:
		if d.calm++; d.calm >= calmFills {
			want, d.calm = d.base, 0
		}
	default:
		d.calm = 0
	}
	if want != len(d.buf) {
		next := make([]byte, want)
		copy(next, d.buf[d.r:d.w])
		d.buf = next
	} else if d.r > 0 {
		if have > 0 && d.r+max(d.need, have+1) <= len(d.buf) && len(d.buf)-d.w >= len(d.buf)/4 {
			return // enough room behind: do not copy a half-received payload around
		}
		copy(d.buf, d.buf[d.r:d.w])
	}
	d.r, d.w = 0, have
}
