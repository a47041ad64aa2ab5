package pubsub

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// session is one subscribe connection of a lane, from login to death. Two
// goroutines work on it always: the receive loop (receive), which is the lane's
// own, reads and calls the receiver; the writer (write) sends commands and
// watches over the deadlines. Two more do at times: the prover (prove) and, while
// nothing arrives, the one that looks for a rival (doubt).
type session struct {
	l    *lane
	opts *Options
	conn net.Conn
	out  Receiver
	born time.Time
	kick chan struct{} // wakes the writer: up, a fence, a PING to send, or room for more confirmations

	up       atomic.Bool  // the first PING was answered
	lastRead atomic.Int64 // time of the last bytes, ns since born
	pongFor  atomic.Int64 // when the last PING that was answered was sent, ns since born
	pingNow  atomic.Bool  // the prover wants a PING
	doubting atomic.Bool  // nothing came after a PING

	// turn is held by the receive loop from deciding to announce a channel
	// until Receiver.Subscribed has returned, and by the writer while it decides
	// what to send: so no UNSUBSCRIBE leaves in between.
	turn sync.Mutex

	mu        sync.Mutex
	sent      []command          // guarded by mu; unanswered, oldest first
	head      int                // guarded by mu; sent[:head] is answered
	room      int                // guarded by mu; bytes of confirmations that may still be asked for
	pinged    time.Time          // guarded by mu; when the unanswered PING was sent; zero: there is none
	headSince time.Time          // guarded by mu; when the oldest became the oldest, or its last progress
	cause     error              // guarded by mu; why the session was ended by us
	trust     context.CancelFunc // guarded by mu; ends doubt; nil: there is none

	window int // bytes of confirmations that may be outstanding

	// Owned by the writer:
	command []byte    // being written
	pingAt  time.Time // next PING
	flushAt time.Time // earliest next flush
	retryAt time.Time // next attempt for refused channels
	told    time.Time // when the progress of the restoration was told last

	// Owned by the receive loop:
	first     []byte // what came before the session began
	delivered bool   // something, since the receiver was last told that all was

	limit     atomic.Int32 // names in the next SUBSCRIBE; halved by a refusal
	restoring atomic.Int64 // channels that stood when the session came up; 0: all of them are confirmed
	waitFor   atomic.Int64 // when names that a Cluster sent elsewhere may be tried again, ns since born

	helpers sync.WaitGroup // the prover, and doubt
	proving chan struct{}  // tells the prover that a probe has come back
}

// serve works on a connection until it breaks or ctx ends, and closes it. The
// error is never nil.
func (l *lane) serve(ctx context.Context, o *opening) (up bool, err error) {
	s := &session{
		l: l, opts: &l.r.opts, conn: o.conn, out: l.out, first: o.first, born: o.began,
		kick: make(chan struct{}, 1), proving: make(chan struct{}, 1), window: max(1, l.r.opts.ChunkBytes/l.r.opts.Lanes),
	}
	s.room = s.window
	s.limit.Store(int32(s.opts.ChunkNames))
	for _, c := range o.login {
		s.expect(c)
	}
	s.lastRead.Store(int64(time.Since(s.born)))
	now := time.Now()
	s.pingAt, s.retryAt = now.Add(s.opts.PingEvery), now.Add(s.opts.RefusedRetry)
	ctx, stop := context.WithCancel(ctx)
	s.helpers.Go(func() { s.end(s.write(ctx)) })
	l.attach(s)
	err = s.receive(ctx)
	s.end(err)
	stop()
	s.helpers.Wait()
	l.detach()
	if up = s.up.Load(); up {
		l.wishes.lost()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return up, s.cause
}

// end closes the connection. The first reason counts.
func (s *session) end(err error) {
	s.mu.Lock()
	if s.cause == nil {
		s.cause = err
	}
	s.mu.Unlock()
	s.conn.Close() // its error says nothing that the cause does not
}

func (s *session) wakeWriter() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// Read makes the session the receiver's source: it notes when bytes arrive. The
// receiver asks for more when nothing whole is left, which ends a burst.
func (s *session) Read(p []byte) (int, error) {
	s.endBurst()
	if len(s.first) > 0 {
		n := copy(p, s.first)
		s.first = s.first[n:]
		return n, nil
	}
	n, err := s.conn.Read(p)
	if n > 0 {
		s.lastRead.Store(int64(time.Since(s.born)))
		if s.doubting.Load() {
			s.trusted()
		}
	}
	return n, err
}

// endBurst tells the receiver that a burst has ended.
func (s *session) endBurst() {
	if s.delivered {
		s.delivered = false
		s.out.Delivered()
	}
}

// receive is the receive loop.
func (s *session) receive(ctx context.Context) error {
	in := newReceiver(s, s.opts.ReadBuffer, s.opts.MaxMessage)
	defer s.endBurst()
	for {
		rep, err := in.next()
		if err != nil {
			return fmt.Errorf("pubsub: reading from Redis at %s: %w", s.addr(), err)
		}
		if err := s.handle(ctx, rep); err != nil {
			return err
		}
	}
}

func (s *session) addr() string { return s.l.server.addr }

func (s *session) handle(ctx context.Context, rep reply) error {
	switch rep.kind {
	case replyMessage:
		channel, ok := s.strip(rep.channel)
		if !ok {
			return nil
		}
		if s.l.isProbe(channel) {
			s.proved(rep.payload)
			return nil
		}
		s.l.stats.messages.Add(1)
		s.l.stats.bytes.Add(int64(len(rep.payload)))
		s.out.Deliver(channel, rep.payload)
		s.delivered = true
		return nil
	case replyOversize:
		s.l.stats.oversize.Add(1)
		s.l.stats.oversizeBytes.Add(rep.size)
		if channel, ok := s.strip(rep.channel); ok {
			s.skipped(string(channel), rep.size)
		}
		return nil
	case replySubscribed:
		return s.confirmed(verbSubscribe, rep.channel)
	case replyUnsubscribed:
		return s.confirmed(verbUnsubscribe, rep.channel)
	case replyPong, replyStatus, replyError, replyRole:
	}
	return s.answered(ctx, rep)
}

// skipped tells of a message that was too long.
func (s *session) skipped(channel string, size int64) {
	s.out.Skipped(channel)
	s.l.r.gaps.point(s.l, channel, CauseOversize)
	if f := s.opts.Events.Oversize; f != nil {
		f(channel, size)
	}
}

// strip takes the prefix off a channel name.
func (s *session) strip(wire []byte) (channel []byte, ok bool) {
	p := s.opts.Prefix
	if len(wire) < len(p) || string(wire[:len(p)]) != p {
		if s.opts.Events.Unexpected != nil {
			s.opts.Events.Unexpected(string(wire))
		}
		return nil, false
	}
	return wire[len(p):], true
}
