package hostile

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Peer is the other end of a connection to a node, which does exactly what it is
// told and nothing by itself. It belongs to one goroutine, but one may write
// while another reads.
type Peer struct {
	*net.TCPConn
	r        *bufio.Reader
	secure   *tls.Conn // nil: it speaks no TLS
	deflates bool      // permessage-deflate was agreed on
}

// Dial opens a TCP connection. All its reads together have to be done within
// Patience.
func Dial(ctx context.Context, address string) (*Peer, error) {
	c, err := (&net.Dialer{Timeout: Patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp := c.(*net.TCPConn) // what dialing "tcp" gives
	return &Peer{TCPConn: tcp, r: bufio.NewReader(tcp)}, tcp.SetDeadline(time.Now().Add(Patience))
}

// Request is the head of a handshake for a path. fields are header lines without
// their ends; of a field given here the usual line is left out.
func Request(path string, fields ...string) string {
	return requestLine("GET "+path+" HTTP/1.1", fields...)
}

func requestLine(line string, fields ...string) string {
	var b strings.Builder
	b.WriteString(line + "\r\n")
	for _, usual := range []string{"Host: sluice.example", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="} {
		name, _, _ := strings.Cut(usual, ":")
		given := false
		for _, f := range fields {
			other, _, _ := strings.Cut(f, ":")
			given = given || strings.EqualFold(name, strings.TrimLeft(other, "-"))
		}
		if !given {
			b.WriteString(usual + "\r\n")
		}
	}
	for _, f := range fields {
		if !strings.HasPrefix(f, "-") {
			b.WriteString(f + "\r\n")
		}
	}
	return b.String() + "\r\n"
}

// Write writes over TLS where that is spoken. TCPConn.Write writes what is no record of it.
func (p *Peer) Write(b []byte) (int, error) {
	if p.secure != nil {
		return p.secure.Write(b)
	}
	return p.TCPConn.Write(b)
}

// speak has all that follows be over TLS.
func (p *Peer) speak(ctx context.Context, config *tls.Config) error {
	secure := tls.Client(p.TCPConn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	p.secure, p.r = secure, bufio.NewReader(secure)
	return nil
}

// Open dials a path of a node and does the handshake as it should be done.
func Open(ctx context.Context, n *Node, path string, fields ...string) (*Peer, error) {
	p, err := Dial(ctx, n.Public)
	if err != nil {
		return nil, err
	}
	if n.TLS != nil {
		if err := p.speak(ctx, n.TLS); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	if _, err := io.WriteString(p, n.Preamble+Request(path, fields...)); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if status, body, err := p.ReadResponse(); err != nil || status != 101 {
		return nil, errors.Join(fmt.Errorf("%s answered %d %q: %w", path, status, body, err), p.Close())
	}
	return p, nil
}

// ReadResponse reads an HTTP response. Of one that is not 101 it reads all that
// comes until the node closes: body is the rest, header included.
func (p *Peer) ReadResponse() (status int, rest string, err error) {
	line, err := p.r.ReadString('\n')
	if err != nil {
		return 0, line, err
	}
	version, after, _ := strings.Cut(line, " ")
	if version != "HTTP/1.1" || len(after) < 3 {
		return 0, line, fmt.Errorf("answered %q", line)
	}
	if status, err = strconv.Atoi(after[:3]); err != nil {
		return 0, line, err
	}
	if status != 101 {
		b, err := io.ReadAll(p.r)
		if err != nil {
			err = fmt.Errorf("after %q: %w", strings.TrimSpace(line), err)
		}
		return status, string(b), err
	}
	for {
		line, err := p.r.ReadString('\n')
		rest += line
		if err != nil || line == "\r\n" {
			p.deflates = extensions(rest) != ""
			return status, rest, err
		}
	}
}

// extensions is the value of Sec-WebSocket-Extensions in a response's header.
func extensions(header string) string {
	for line := range strings.Lines(header) {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Sec-WebSocket-Extensions") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Frame opcodes, RFC 6455 §5.2.
const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

// ReadFrame reads a frame of the server's, which never fragments, and inflates it
// where it has RSV1.
func (p *Peer) ReadFrame() (op byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return 0, nil, err
	}
	deflated := p.deflates && head[0]&0x40 != 0 && head[0]&8 == 0
	if head[0]&0xF0 != 0x80 && !deflated || head[1]&0x80 != 0 {
		return 0, nil, fmt.Errorf("the server sent a frame that begins % x", head)
	}
	length := uint64(head[1])
	switch length {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(p.r, b[:])
		length = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(p.r, b[:])
		length = binary.BigEndian.Uint64(b[:])
	}
	if err != nil {
		return 0, nil, err
	}
	const enough = 32 << 20
	if length > enough {
		return 0, nil, fmt.Errorf("the server sent a frame of %d bytes", length)
	}
	payload = make([]byte, length)
	if _, err = io.ReadFull(p.r, payload); err == nil && deflated {
		whole := io.MultiReader(bytes.NewReader(payload), strings.NewReader(deflateTail+"\x01\x00\x00\xff\xff"))
		payload, err = io.ReadAll(io.LimitReader(flate.NewReader(whole), enough))
	}
	return head[0] & 15, payload, err
}

// describe is a frame as the tables write it.
func describe(op byte, payload []byte) string {
	name := map[byte]string{opText: "text", opBinary: "binary", opPing: "ping", opPong: "pong"}[op]
	switch {
	case op == opClose && len(payload) == 0:
		return "close"
	case op == opClose:
		return fmt.Sprintf("close %d", binary.BigEndian.Uint16(payload))
	case name == "":
		return fmt.Sprintf("opcode %d", op)
	case len(payload) > 60:
		return fmt.Sprintf("%s of %d", name, len(payload))
	}
	return name + " " + string(payload)
}

// Bytes is the wire in a notation for people: hex digits, 'text', and spaces
// between that mean nothing. 81 85 00000000 'hello' is a text frame whose
// masking key is 0, so that its payload can be read.
func Bytes(notation string) string {
	var out bytes.Buffer
	for rest := notation; rest != ""; {
		switch {
		case rest[0] == ' ':
			rest = rest[1:]
		case rest[0] == '\'':
			end := strings.IndexByte(rest[1:], '\'')
			if end < 0 {
				panic("no end of text in " + notation) // a table that does not parse
			}
			out.WriteString(rest[1 : 1+end])
			rest = rest[end+2:]
		default:
			token := rest
			if end := strings.IndexAny(rest, " '"); end >= 0 {
				token = rest[:end]
			}
			b, err := hex.DecodeString(token)
			if err != nil {
				panic(fmt.Sprintf("%q in %s: %v", token, notation, err)) // a table that does not parse
			}
			out.Write(b)
			rest = rest[len(token):]
		}
	}
	return out.String()
}

// Frame is a whole client frame with masking key 0. first is its first byte, FIN
// and opcode.
func Frame(first byte, payload string) string {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xFE), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0xFF), uint64(n))
	}
	return string(append(b, 0, 0, 0, 0)) + payload
}

// CloseFrame is a close frame as a client sends it.
func CloseFrame(code int, reason string) string {
	return Frame(0x88, string([]byte{byte(code >> 8), byte(code)})+reason)
}
