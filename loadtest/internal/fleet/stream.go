package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"sluice/codec"
)

// Event streams (WHATWG HTML §9.2) come from http:// targets: the server answers 200 and then sends events, the client nothing.

var (
	errNoStream = errors.New("handshake: answer is no event stream")
	errChunk    = errors.New("protocol: chunk without its size or its end") // RFC 9112 §7.1
	errChunkEnd = errors.New("the event stream ended")
)

// chunk is where a connection is in a chunked body (RFC 9112 §7.1).
type chunk struct {
	on   bool // the body is chunked
	left int  // bytes of the present chunk with its CRLF that have not come; 0: a size is next
}

// checkStream looks at the response to the request for an event stream. size is its length with the empty line; 0 means that it
// is not complete.
func checkStream(b []byte) (size int, chunked bool, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, false, nil
	}
	line, rest, _ := bytes.Cut(b[:end+2], []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return 0, false, errNotHTTP
	}
	if !bytes.HasPrefix(line[8:], []byte(" 200")) {
		return 0, false, fmt.Errorf("handshake: HTTP status %.3s", line[9:])
	}
	stream := false
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Type")):
			stream = bytes.HasPrefix(value, []byte("text/event-stream"))
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
	if !stream {
		return 0, false, errNoStream
	}
	return end + 4, chunked, nil
}

// stream gives every whole event at the front of data to c. used and need are as for scan.
func (c *Conn) stream(data []byte, now int64) (used, need int, err error) {
	if c.chunk.on {
		return c.chunks(data, now)
	}
	used = c.events(data, now)
	rest := len(data) - used
	if c.state == dead {
		return used, 0, nil
	}
	if rest > maxFrame {
		return used, 0, errLength
	}
	if rest >= len(c.w.buf)/2 { // its size is not known: the connection's own buffer grows with it
		need = max(2*rest, len(c.w.buf)+1)
	}
	return used, need, nil
}

// events gives the whole events at the front of data to c, and says how long they are.
func (c *Conn) events(data []byte, now int64) (used int) {
	for c.state == open {
		b := data[used:]
		end := bytes.Index(b, []byte("\n\n"))
		size := end + 2
		if crlf := bytes.Index(b[:max(end, 0)], []byte("\n\r\n")); end < 0 || crlf >= 0 {
			if end < 0 {
				crlf = bytes.Index(b, []byte("\n\r\n"))
			}
			end, size = crlf, crlf+3
		}
		if end < 0 {
			return used
		}
		used += size
		c.event(b[:end], now)
	}
	return used
}

// event gives the data of an event to the Script, unless it has a name of its own, with which servers speak for themselves, or
// no data, as comments have.
func (c *Conn) event(lines []byte, now int64) {
	var payload []byte
	count := 0
	for line := range bytes.SplitSeq(lines, []byte{'\n'}) {
		line = bytes.TrimSuffix(line, []byte{'\r'})
		field, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(field) {
		case "event":
			if string(value) != "message" {
				return
			}
		case "data":
			if count++; count == 1 {
				payload = value[:len(value):len(value)]
			} else {
				payload = append(append(payload, '\n'), value...)
			}
		}
	}
	if count > 0 {
		c.message(Message{Op: codec.OpText, Payload: payload, At: now})
	}
}

// chunks takes the events out of chunks, in which they may begin and end anywhere.
func (c *Conn) chunks(data []byte, now int64) (used, need int, err error) {
	for c.state == open {
		if c.chunk.left == 0 {
			end := bytes.Index(data[used:], []byte("\r\n"))
			if end < 0 {
				if len(data)-used > 64 {
					return used, 0, errChunk
				}
				return used, 0, nil
			}
			text, _, _ := bytes.Cut(data[used:used+end], []byte{';'})
			size, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 16, 31)
			switch {
			case err != nil:
				return used, 0, errChunk
			case size == 0:
				return used, 0, errChunkEnd
			case size > maxFrame || len(c.frag) > maxFrame:
				return used, 0, errLength
			}
			used += end + 2
			c.chunk.left = int(size) + 2
		}
		// The last two bytes are the chunk's CRLF, not the events'.
		n := min(c.chunk.left, len(data)-used)
		if n == 0 {
			return used, 0, nil
		}
		content := data[used : used+max(0, min(n, c.chunk.left-2))]
		c.frag = append(c.frag, content...)
		used += n
		c.chunk.left -= n
		taken := c.events(c.frag, now)
		if c.frag = c.frag[:copy(c.frag, c.frag[taken:])]; len(c.frag) == 0 {
			c.frag = nil
		}
	}
	return used, 0, nil
}
