package fleet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"unicode/utf8"

	"sluice/codec"
)

const fin = 0x80 // the first byte's highest bit (RFC 6455 §5.2)

// maxFrame bounds what a server can make the generator allocate, in bytes.
const maxFrame = 64 << 20

// What a server must not send. The texts are kinds of errors in the report.
var (
	errMasked       = errors.New("protocol: masked frame from the server")          // RFC 6455 §5.1
	errReserved     = errors.New("protocol: reserved bit set without an extension") // §5.2
	errOpcode       = errors.New("protocol: unknown opcode")                        // §5.2
	errControl      = errors.New("protocol: control frame long or fragmented")      // §5.5
	errContinuation = errors.New("protocol: continuation out of place")             // §5.4
	errLength       = errors.New("protocol: frame above 64 MiB")
)

// header reads the frame header at the start of b. size is that of the whole frame with its header; 0 means that b is too
// short to tell.
func header(b []byte) (hlen, size int, err error) {
	if len(b) < 2 {
		return 0, 0, nil
	}
	n := int(b[1])
	switch {
	case n >= 0x80:
		return 0, 0, errMasked
	case n < 126:
		return 2, 2 + n, nil
	case n == 126:
		if len(b) < 4 {
			return 0, 0, nil
		}
		return 4, 4 + int(binary.BigEndian.Uint16(b[2:])), nil
	}
	if len(b) < 10 {
		return 0, 0, nil
	}
	long := binary.BigEndian.Uint64(b[2:])
	if long > maxFrame {
		return 0, 0, errLength
	}
	return 10, 10 + int(long), nil
}

// scan gives every whole frame at the front of data to c. used is what was taken; need is the size of the frame that has
// begun behind it, 0 if not known yet. It stops where c is not open any more.
func (c *Conn) scan(data []byte, now int64) (used, need int, err error) {
	for {
		b := data[used:]
		hlen, size, err := header(b)
		if err != nil || size == 0 || size > len(b) {
			return used, size, err
		}
		used += size
		payload := b[hlen:size:size]
		if (b[0] == fin|byte(codec.OpText) || b[0] == fin|byte(codec.OpBinary)) && c.fragOp == 0 && c.state == open {
			c.message(Message{Op: codec.Opcode(b[0] & 0xf), Payload: payload, At: now})
		} else if err := c.uncommon(b[0], payload, now); err != nil {
			return used, 0, err
		}
		if c.state == dead {
			return used, 0, nil
		}
	}
}

// uncommon takes control frames, fragments, and data during the close handshake.
func (c *Conn) uncommon(first byte, payload []byte, now int64) error {
	if first&0x70 != 0 {
		return errReserved
	}
	last, op := first&fin != 0, codec.Opcode(first&0xf)
	if op.IsControl() {
		return c.control(last, op, payload)
	}
	if op > codec.OpBinary {
		return errOpcode
	}
	if (op == codec.OpContinuation) != (c.fragOp != 0) {
		return errContinuation
	}
	if op != codec.OpContinuation {
		c.fragOp = op
	}
	if len(c.frag)+len(payload) > maxFrame {
		return errLength
	}
	c.frag = append(c.frag, payload...)
	if !last {
		return nil
	}
	m := Message{Op: c.fragOp, Payload: c.frag, At: now}
	c.fragOp, c.frag = 0, nil
	if c.state == open {
		c.message(m)
	}
	return nil
}

// message gives a whole message to the Script, and answers what Options.Answers names.
func (c *Conn) message(m Message) {
	if len(c.w.o.Answers) > 0 && c.answer(m.Payload) {
		return
	}
	c.w.count.Messages++
	c.w.script.Message(c, m)
}

// answer replies to each line of a message that is among Options.Answers, and says whether that was the whole message.
func (c *Conn) answer(message []byte) (whole bool) {
	for line := range bytes.SplitSeq(message, []byte{'\n'}) {
		if reply, ok := c.w.o.Answers[string(line)]; ok {
			c.w.count.Pings++
			c.Send(codec.OpText, []byte(reply))
			whole = len(line) == len(message)
		}
	}
	return whole
}

// control answers a ping and takes the server's close frame.
func (c *Conn) control(last bool, op codec.Opcode, payload []byte) error {
	if !last || len(payload) > 125 {
		return errControl
	}
	switch op {
	case codec.OpPing:
		if c.state == open {
			c.w.count.Pings++
			c.Send(codec.OpPong, payload)
		}
	case codec.OpClose:
		c.closed(payload)
	case codec.OpPong:
	default:
		return errOpcode
	}
	return nil
}

// closeText is a close frame's payload as a kind of error.
func closeText(payload []byte) string {
	if len(payload) < 2 {
		return "no code"
	}
	text := strconv.Itoa(int(binary.BigEndian.Uint16(payload)))
	if reason := payload[2:]; len(reason) > 0 && utf8.Valid(reason) {
		text += " " + strconv.Quote(string(reason))
	}
	return text
}
