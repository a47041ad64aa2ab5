package faultproxy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is a client's connection and the one to the server that belongs to it.
type link struct {
	p      *Proxy
	client *net.TCPConn
	ctx    context.Context // ends with the link
	stop   context.CancelFunc
	reset  atomic.Bool // both sides get an RST

	mu     sync.Mutex
	server *net.TCPConn // guarded by mu; nil before it is dialed
}

// Little is kept on the way, so that a held back reader is felt by the writer as
// if there were no proxy.
const (
	chunkSize = 16 << 10
	chunks    = 16 // per direction
)

// chunk is some bytes on their way.
type chunk struct {
	bytes []byte
	read  time.Time
}

func (l *link) run() {
	defer l.forget()
	if !l.free(up) {
		return
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	c, err := dialer.DialContext(l.ctx, "tcp", l.p.target)
	if err != nil {
		l.p.refused.Add(1)
		l.end(Reset)
		return
	}
	server := c.(*net.TCPConn) // what dialing "tcp" gives
	l.mu.Lock()
	l.server = server
	l.mu.Unlock()
	// A subscriber that is held back shall cost the server its own buffers, not ours.
	_ = server.SetReadBuffer(64 << 10) // it works the other way too
	var both sync.WaitGroup
	both.Go(func() { l.pump(up, l.client, server) })
	both.Go(func() { l.pump(down, server, l.client) })
	both.Wait()
}

// end makes run return.
func (l *link) end(how How) {
	l.reset.Store(how == Reset)
	l.stop()
}

// forget closes both sides.
func (l *link) forget() {
	l.stop()
	for _, c := range l.sides() {
		if l.reset.Load() {
			_ = c.SetLinger(0) // Close sends RST; it fails only where the connection is gone already
		}
		_ = c.Close() // as above
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	delete(l.p.links, l)
}

func (l *link) sides() []*net.TCPConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server == nil {
		return []*net.TCPConn{l.client}
	}
	return []*net.TCPConn{l.client, l.server}
}

// direction says which rule is meant.
type direction uint8

const (
	up direction = iota
	down
)

func (d direction) of(r Rules) Rule {
	if d == up {
		return r.Up
	}
	return r.Down
}

// free waits until the direction is not held. It is false when the link is to end.
func (l *link) free(d direction) bool {
	for {
		rules, changed := l.p.now()
		if !d.of(rules).Hold {
			return l.ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
			return false
		}
	}
}

// pump carries one direction: it reads ahead a little, and writes by the rules.
func (l *link) pump(d direction, from, to *net.TCPConn) {
	queue := make(chan chunk, chunks)
	var reader sync.WaitGroup
	reader.Go(func() { l.read(from, queue) })
	// The end of the link wakes whoever reads or writes.
	wake := context.AfterFunc(l.ctx, func() {
		for _, c := range []*net.TCPConn{from, to} {
			_ = c.SetDeadline(time.Unix(1, 0)) // it fails only where the connection is gone already
		}
	})
	l.write(d, queue, to)
	reader.Wait()
	wake()
}

func (l *link) read(from *net.TCPConn, queue chan<- chunk) {
	defer close(queue)
	for {
		b := make([]byte, chunkSize)
		n, err := from.Read(b)
		if n > 0 {
			select {
			case queue <- chunk{b[:n], time.Now()}:
			case <-l.ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *link) write(d direction, queue <-chan chunk, to *net.TCPConn) {
	seen := 0 // bytes, for Corrupt
	for c := range queue {
		if !l.due(d, c.read) {
			continue // the reader ends, and with it the queue
		}
		rules, _ := l.p.now()
		if every := d.of(rules).Corrupt; every > 0 {
			for i := every - 1 - seen%every; i < len(c.bytes); i += every {
				c.bytes[i] ^= 0x10
				l.p.corrupted.Add(1)
			}
		}
		seen += len(c.bytes)
		// Counted before it is passed on: whoever has heard a byte finds it in Stats.
		passed := &l.p.up
		if d == down {
			passed = &l.p.down
		}
		passed.Add(int64(len(c.bytes)))
		if n, err := to.Write(c.bytes); err != nil {
			passed.Add(int64(n - len(c.bytes)))
			l.stop()
		}
	}
	// One side has closed, and the other hears of it when it may.
	if l.free(d) {
		if to.CloseWrite() != nil {
			l.stop()
		}
	}
}

// due waits until what was read then may be passed on. It is false when the link
// is to end.
func (l *link) due(d direction, read time.Time) bool {
	for {
		if !l.free(d) {
			return false
		}
		rules, changed := l.p.now()
		wait := time.Until(read.Add(d.of(rules).Delay))
		if wait <= 0 && !d.of(rules).Hold {
			return true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-l.ctx.Done():
		}
		timer.Stop()
	}
}
