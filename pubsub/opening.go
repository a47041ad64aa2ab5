package pubsub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"sluice/pubsub/redisurl"
)

// opening is a connection on which Redis has begun to answer the login.
type opening struct {
	conn  net.Conn
	login []command // what was sent
	first []byte    // what has come, the beginning of the answers
	began time.Time // when it was opened
}

// What a race of connection attempts is made of.
const (
	hedgeAfter = 100 * time.Millisecond // an attempt is joined by another when it has not succeeded after this
	maxFlying  = 8                      // attempts at a time
	hedgeLives = time.Second            // for so long such another attempt may go on
)

// open opens one connection. An attempt that hangs is joined by others, and the
// first to be answered wins: where packets vanish, an attempt hangs until TCP
// repeats its SYN, which takes a second or more after the network is back, while
// a new one gets through at once. open fails when the first attempt does.
func (l *lane) open(ctx context.Context) (*opening, error) {
	type result struct {
		o     *opening
		err   error
		first bool
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result)
	flying := 0
	launch := func(first bool) {
		flying++
		go func() { // waited for below
			ctx := ctx
			if !first {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, hedgeLives)
				defer cancel()
			}
			o, err := l.attempt(ctx)
			results <- result{o, err, first}
		}()
	}
	launch(true)
	hedge := time.NewTicker(hedgeAfter)
	defer hedge.Stop()
	for {
		select {
		case <-hedge.C:
			if flying < maxFlying && ctx.Err() == nil {
				launch(false)
			}
		case won := <-results:
			flying--
			if won.err != nil && !won.first {
				continue
			}
			cancel()
			for ; flying > 0; flying-- {
				if late := <-results; late.err == nil {
					late.o.conn.Close() // it was never used
				}
			}
			return won.o, won.err
		}
	}
}

// attempt dials, sends the login and waits until the answers begin.
func (l *lane) attempt(ctx context.Context) (*opening, error) {
	began := time.Now()
	conn, err := l.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("pubsub: connecting to Redis at %s: %w", l.server.addr, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // ends Write and Read
	o := &opening{conn: conn, began: began, first: make([]byte, 4<<10)}
	var out []byte
	out, o.login = l.login()
	n := 0
	if _, err = conn.Write(out); err == nil {
		_ = conn.SetReadDeadline(time.Now().Add(l.r.opts.PongTimeout)) // fails only where Read will, too
		n, err = io.ReadAtLeast(conn, o.first, 1)
	}
	o.first = o.first[:n]
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err == nil {
		err = conn.SetReadDeadline(time.Time{})
	}
	if err != nil {
		conn.Close() // the error that counts is the other one
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil {
			return nil, fmt.Errorf("pubsub: Redis at %s has sent nothing for %v after a PING", l.server.addr, l.r.opts.PongTimeout)
		}
		return nil, fmt.Errorf("pubsub: reading from Redis at %s: %w", l.server.addr, err)
	}
	return o, nil
}

func (l *lane) dial(ctx context.Context) (net.Conn, error) {
	if l.r.opts.dial != nil {
		return l.r.opts.dial(ctx, l.server.addr)
	}
	o := l.server.options
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	d := &net.Dialer{KeepAlive: 30 * time.Second}
	if o.TLSConfig == nil {
		return d.DialContext(ctx, o.Network, o.Addr)
	}
	return (&tls.Dialer{NetDialer: d, Config: o.TLSConfig}).DialContext(ctx, o.Network, o.Addr)
}

// login is AUTH, CLIENT SETNAME, where sentinels have named the server ROLE, and the first
// PING. Their answers are taken by the receive loop.
func (l *lane) login() (out []byte, sent []command) {
	o := l.server.options
	now := time.Now()
	add := func(v verb, words ...string) {
		out = appendCommand(out, words[0], "", words[1:])
		sent = append(sent, command{verb: v, since: now, sent: now})
	}
	switch {
	case o.Username != "":
		add(verbAuth, "AUTH", o.Username, o.Password)
	case o.Password != "":
		add(verbAuth, "AUTH", o.Password)
	}
	add(verbName, "CLIENT", "SETNAME", l.r.opts.ClientName)
	if l.r.target.Kind == redisurl.Sentinel {
		add(verbRole, "ROLE")
	}
	add(verbPing, "PING")
	return out, sent
}
