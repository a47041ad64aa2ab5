package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"sluice/codec"
	"sluice/loadtest/internal/history"
)

// client is one WebSocket connection to a node. It belongs to one goroutine, but
// for Close.
type client struct {
	net.Conn
	life *life
	buf  []byte // from the wire, not yet taken
	dec  codec.Decoder
	subs map[string]*history.Subscription
}

var decoding = codec.DecoderOptions{FromServer: true, MaxMessage: 16 << 20, MaxFragments: 1000}

const (
	handshakeKey     = "dGhlIHNhbXBsZSBub25jZQ=="
	handshakeTimeout = 15 * time.Second // a node waits for Redis before it answers
)

// connect subscribes to channels at a node.
func connect(ctx context.Context, l *life, number int, channels []string) (*client, error) {
	c, err := dial(ctx, l, url.Values{"channel": channels}, "")
	if err != nil {
		return nil, err
	}
	opened := time.Now().UnixNano()
	for _, ch := range channels {
		c.subs[ch] = &history.Subscription{Node: l.key, Conn: number, Channel: ch, Opened: opened}
	}
	return c, nil
}

// dial opens /ws with a query, and with a subprotocol unless that is "".
func dial(ctx context.Context, l *life, query url.Values, protocol string) (*client, error) {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", l.public)
	if err != nil {
		return nil, err
	}
	c := &client{Conn: conn, life: l, subs: map[string]*history.Subscription{}}
	c.dec.Init(&decoding)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := c.shake(query, protocol); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connecting to %s: %w", l.key, err)
	}
	return c, nil
}

func (c *client) shake(query url.Values, protocol string) error {
	if err := c.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	if protocol != "" {
		protocol = "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	if _, err := fmt.Fprintf(c, "GET /ws?%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n",
		query.Encode(), c.life.public, handshakeKey, protocol); err != nil {
		return err
	}
	for {
		if err := c.fill(); err != nil {
			return err
		}
		head, rest, ok := bytes.Cut(c.buf, []byte("\r\n\r\n"))
		if !ok {
			continue
		}
		line, _, _ := strings.Cut(string(head), "\r\n")
		if !strings.HasPrefix(line, "HTTP/1.1 101 ") {
			return fmt.Errorf("answered %q", line)
		}
		if !bytes.Contains(head, codec.AppendAccept(nil, handshakeKey)) {
			return errors.New("the handshake's answer has no right Sec-WebSocket-Accept")
		}
		c.buf = rest
		return c.SetDeadline(time.Time{})
	}
}

func (c *client) fill() error {
	if cap(c.buf)-len(c.buf) < 4096 {
		c.buf = append(make([]byte, 0, max(64<<10, 2*len(c.buf))), c.buf...)
	}
	n, err := c.Read(c.buf[len(c.buf):cap(c.buf)])
	c.buf = c.buf[:len(c.buf)+n]
	if n > 0 {
		return nil
	}
	return err
}

// read takes what comes until take says that it is enough, or the connection
// ends.
func (c *client) read(take func(payload []byte, at int64) (enough bool)) error {
	for {
		at := time.Now().UnixNano()
		for len(c.buf) > 0 {
			m, n, err := c.dec.Next(c.buf)
			if err != nil {
				return err
			}
			c.buf = c.buf[n:]
			switch m.Op {
			case codec.OpText, codec.OpBinary:
				if take(m.Payload, at) {
					return nil
				}
			case codec.OpPing:
				if _, err := c.Write(codec.AppendMaskedFrame(nil, codec.OpPong, m.Payload, 1)); err != nil {
					return err
				}
			case codec.OpClose:
				code, reason, err := codec.ParseClose(m.Payload)
				return errors.Join(fmt.Errorf("closed with %d %q", code, reason), err)
			default: // a pong, or nothing complete yet
			}
		}
		c.buf = c.buf[:0]
		if err := c.fill(); err != nil {
			return fmt.Errorf("reading: %w", err)
		}
	}
}

// hangUp says goodbye as browsers do, and does not wait.
func (c *client) hangUp() {
	_, _ = c.Write(codec.AppendMaskedFrame(nil, codec.OpClose, []byte{0x03, 0xE8}, 1)) // it may be gone
	c.Close()
}

var _ io.Closer = (*client)(nil)
