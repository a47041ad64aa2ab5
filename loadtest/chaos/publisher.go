package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/loadtest/internal/history"
)

const prefix = "sluice:" // what nodes put before channel names

// stream is one publisher on one channel, with what it has sent.
type stream struct {
	index   int
	channel string
	size    int // of messages, at least

	mu       sync.Mutex
	messages []history.Message // guarded by mu
	final    int               // guarded by mu; number of the last message, -1 while there will be more
}

// begin books a message and gives its number.
func (s *stream) begin(via string) (number int, sent int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent = time.Now().UnixNano()
	s.messages = append(s.messages, history.Message{Sent: sent, Via: via})
	return len(s.messages) - 1, sent
}

func (s *stream) acked(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages[number].Acked = time.Now().UnixNano()
}

func (s *stream) last() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.final
}

// run publishes at a steady rate until quit is closed, and then the last message.
func (s *stream) run(ctx context.Context, quit <-chan struct{}, every time.Duration, to router) {
	p := &publisher{router: to, channel: prefix + s.channel}
	defer p.close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_, _ = s.publish(ctx, p) // not acked: the history says so
		case <-quit:
			s.end(ctx, p)
			return
		}
	}
}

// end publishes one message more that Redis says yes to, if it can be had before
// ctx ends: subscribers that have got it have had their chance of all the others.
func (s *stream) end(ctx context.Context, p *publisher) {
	for ctx.Err() == nil {
		number, err := s.publish(ctx, p)
		if err == nil {
			s.mu.Lock()
			s.final = number
			s.mu.Unlock()
			return
		}
		hold(ctx, 50*time.Millisecond)
	}
}

func (s *stream) publish(ctx context.Context, p *publisher) (number int, err error) {
	if err := p.connect(ctx); err != nil { // nothing was sent
		return 0, err
	}
	number, sent := s.begin(p.addr)
	if err := p.publish(appendMessage(nil, s.channel, s.index, number, sent, s.size)); err != nil {
		return 0, err
	}
	s.acked(number)
	return number, nil
}

// router knows where a channel is published.
type router interface {
	// route is the address of the Redis that takes the channel's messages.
	route(ctx context.Context, channel string) (addr string, err error)
	// moved hears that a Redis sent the publisher elsewhere, or that it failed.
	moved(channel, addr string)
	// check makes sure that a fresh connection leads to the right one.
	check(c *wire) error
	// term grows when publishers look again where they have to send.
	term() int64
	command() string // PUBLISH or SPUBLISH
	patience() time.Duration
}

// publisher is one connection to Redis. It sends nothing twice by itself.
type publisher struct {
	router
	channel   string
	wire      *wire  // nil: none
	addr      string // where it leads
	since     int64  // the router's term when it was opened
	receivers int64  // of the last message, as Redis counts
}

func (p *publisher) connect(ctx context.Context) error {
	term := p.term()
	if p.wire != nil && p.since == term {
		return nil
	}
	p.close()
	addr, err := p.route(ctx, p.channel)
	if err != nil {
		return err
	}
	w, err := dialWire(ctx, addr, p.patience())
	if err == nil {
		if err = p.check(w); err == nil {
			p.wire, p.addr, p.since = w, addr, term
			return nil
		}
		w.Close()
	}
	p.moved(p.channel, "")
	return err
}

func (p *publisher) publish(payload []byte) error {
	reply, err := p.wire.do(p.command(), p.channel, string(payload))
	n, ok := reply.(int64)
	if err == nil && !ok {
		err = fmt.Errorf("%s answered %v", p.command(), reply)
	}
	if err == nil {
		p.receivers = n
		return nil
	}
	p.failed(err)
	return err
}

// failed gives the connection up and goes where Redis has sent it, if it has.
func (p *publisher) failed(err error) {
	p.close()
	p.moved(p.channel, elsewhere(err, "MOVED "))
}

// elsewhere is the address in an answer of a Cluster's; "": it names none.
func elsewhere(err error, word string) (addr string) {
	if rest, ok := strings.CutPrefix(err.Error(), word); ok {
		_, addr, _ = strings.Cut(rest, " ")
	}
	return addr
}

func (p *publisher) close() {
	if p.wire != nil {
		p.wire.Close()
		p.wire = nil
	}
}

// wire speaks to Redis, RESP2, one command at a time. A client library would
// dial, wait and repeat by rules of its own, and the rig measures time.
type wire struct {
	net.Conn
	r       *bufio.Reader
	timeout time.Duration
}

func dialWire(ctx context.Context, addr string, timeout time.Duration) (*wire, error) {
	c, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &wire{c, bufio.NewReader(c), timeout}, nil
}

// do runs a command. After an error the connection is of no use any more.
func (w *wire) do(args ...string) (any, error) {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	if err := w.SetDeadline(time.Now().Add(w.timeout)); err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	return w.reply()
}

func (w *wire) reply() (any, error) {
	line, err := w.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if line = strings.TrimSuffix(line, "\r\n"); line == "" {
		return nil, errors.New("an empty line from Redis")
	}
	body := line[1:]
	switch line[0] {
	case '+':
		return body, nil
	case '-':
		return nil, errors.New(body)
	}
	n, err := strconv.ParseInt(body, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("unexpected from Redis: %q", line)
	}
	switch {
	case line[0] == ':':
		return n, nil
	case line[0] == '$' && n >= 0:
		b := make([]byte, n+2)
		_, err := io.ReadFull(w.r, b)
		return string(b[:n]), err
	case line[0] == '*' && n >= 0:
		list := make([]any, n)
		for i := range list {
			if list[i], err = w.reply(); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, nil // a null
}
