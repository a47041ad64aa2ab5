package pubsub

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// session is one subscribe connection from dial to death. Two goroutines work
// on it: the receive loop (receive), which is Run's own, reads and calls the
// sink; the writer (write) sends commands and watches over the deadlines.
type session struct {
	r    *Redis
	conn net.Conn
	sink Sink
	born time.Time
	kick chan struct{} // wakes the writer: up, or room for more confirmations

	up       atomic.Bool  // the first PING was answered
	lastRead atomic.Int64 // time of the last bytes, ns since born

	// turn is held by the receive loop from deciding to announce a channel
	// until Sink.Subscribed has returned, and by the writer while it decides
	// what to send: so no UNSUBSCRIBE leaves in between.
	turn sync.Mutex

	mu        sync.Mutex
	sent      []command // guarded by mu; unanswered, oldest first
	head      int       // guarded by mu; sent[:head] is answered
	room      int       // guarded by mu; bytes of confirmations that may still be asked for
	headSince time.Time // guarded by mu; when the oldest became the oldest, or its last progress
	cause     error     // guarded by mu; why the session was ended by us

	// Owned by the writer:
	out     []byte    // the command being written
	pingAt  time.Time // next PING
	flushAt time.Time // earliest next flush
	retryAt time.Time // next attempt for refused channels

	// Owned by the receive loop:
	delivered   bool // something, since the sink was last told that all was
	restoring   int  // names that stood when the session came up and are not answered yet
	restoreFrom time.Time
	restored    int
	limit       atomic.Int32 // names in the next SUBSCRIBE; halved by a refusal
}

// command is something sent that Redis has not answered, or not fully.
type command struct {
	verb  verb
	names []string  // still to be confirmed, in this order
	total int       // names sent
	since time.Time // when the oldest of the names was wished for; else when it was sent
	sent  time.Time
}

type verb uint8

const (
	verbAuth verb = iota + 1
	verbName
	verbPing
	verbSubscribe
	verbUnsubscribe
)

func (v verb) String() string {
	return [...]string{"", "AUTH", "CLIENT SETNAME", "PING", "SUBSCRIBE", "UNSUBSCRIBE"}[v]
}

// serve works on conn until it breaks or ctx ends, and closes it. The error
// is never nil.
func (r *Redis) serve(ctx context.Context, conn net.Conn, sink Sink) (up bool, err error) {
	s := &session{r: r, conn: conn, sink: sink, born: time.Now(), kick: make(chan struct{}, 1), room: r.opts.ChunkBytes}
	s.limit.Store(int32(r.opts.ChunkNames))
	ctx, stop := context.WithCancel(ctx)
	var writer sync.WaitGroup
	writer.Go(func() { s.end(s.write(ctx)) })
	r.attach(s)
	err = s.receive()
	s.end(err)
	stop()
	writer.Wait()
	r.detach()
	if up = s.up.Load(); up {
		r.wishes.lost()
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
	n, err := s.conn.Read(p)
	if n > 0 {
		s.lastRead.Store(int64(time.Since(s.born)))
	}
	return n, err
}

// endBurst tells the sink that a burst has ended.
func (s *session) endBurst() {
	if s.delivered {
		s.delivered = false
		s.sink.Delivered()
	}
}

// receive is the receive loop.
func (s *session) receive() error {
	in := newReceiver(s, s.r.opts.ReadBuffer, s.r.opts.MaxMessage)
	defer s.endBurst()
	for {
		rep, err := in.next()
		if err != nil {
			return fmt.Errorf("pubsub: reading from Redis at %s: %w", s.r.addr(), err)
		}
		if err := s.handle(rep); err != nil {
			return err
		}
	}
}

func (s *session) handle(rep reply) error {
	switch rep.kind {
	case replyMessage:
		channel, ok := s.strip(rep.channel)
		if !ok {
			return nil
		}
		s.r.stats.messages.Add(1)
		s.r.stats.bytes.Add(int64(len(rep.payload)))
		s.sink.Deliver(channel, rep.payload)
		s.delivered = true
		return nil
	case replyOversize:
		s.r.stats.oversize.Add(1)
		s.r.stats.oversizeBytes.Add(rep.size)
		if channel, ok := s.strip(rep.channel); ok && s.r.opts.Events.Oversize != nil {
			s.r.opts.Events.Oversize(string(channel), rep.size)
		}
		return nil
	case replySubscribed:
		return s.confirmed(verbSubscribe, rep.channel)
	case replyUnsubscribed:
		return s.confirmed(verbUnsubscribe, rep.channel)
	case replyPong, replyStatus, replyError:
	}
	return s.answered(rep)
}

// strip takes the prefix off a channel name.
func (s *session) strip(wire []byte) (channel []byte, ok bool) {
	p := s.r.opts.Prefix
	if len(wire) < len(p) || string(wire[:len(p)]) != p {
		if s.r.opts.Events.Unexpected != nil {
			s.r.opts.Events.Unexpected(string(wire))
		}
		return nil, false
	}
	return wire[len(p):], true
}

// oldest returns the oldest unanswered command, or nil. s.mu is held.
func (s *session) oldest() *command {
	if s.head == len(s.sent) {
		return nil
	}
	return &s.sent[s.head]
}

// done drops the oldest command. s.mu is held.
func (s *session) done() {
	s.sent[s.head] = command{}
	if s.head++; s.head == len(s.sent) {
		s.sent, s.head = s.sent[:0], 0
	} else if s.head > 64 && s.head > len(s.sent)/2 {
		n := copy(s.sent, s.sent[s.head:])
		clear(s.sent[n:])
		s.sent, s.head = s.sent[:n], 0
	}
}

// confirmed takes the confirmation of one name, which must be the next one
// asked for.
func (s *session) confirmed(v verb, wire []byte) error {
	s.mu.Lock()
	c := s.oldest()
	if c == nil || c.verb != v || !s.isWire(wire, c.names[0]) {
		s.mu.Unlock()
		return malformed("%v of %q is confirmed, which is not what was asked for next", v, excerpt(wire))
	}
	name := c.names[0]
	c.names = c.names[1:]
	last := len(c.names) == 0
	if last {
		s.done()
	}
	s.headSince = time.Now()
	wasFull := s.room <= 0
	s.room += confirmationBytes(len(wire))
	if wasFull && s.room > 0 || last {
		s.wakeWriter()
	}
	s.mu.Unlock()

	if v == verbUnsubscribe {
		s.r.wishes.unsubscribed(name)
	} else {
		s.announce(name)
		if last {
			s.limit.Store(min(s.limit.Load()*2, int32(s.r.opts.ChunkNames)))
		}
	}
	s.progress(1)
	return nil
}

// announce calls Sink.Subscribed if the wish for name still stands.
func (s *session) announce(name string) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.r.wishes.subscribed(name) {
		s.sink.Subscribed(name)
	}
}

func (s *session) isWire(wire []byte, name string) bool {
	p := s.r.opts.Prefix
	return len(wire) == len(p)+len(name) && string(wire[:len(p)]) == p && string(wire[len(p):]) == name
}

// progress counts n names that are settled, until all that stood when the
// session came up are. A name that was given up before it was sent is never
// settled, so the end of all waiting counts, too.
func (s *session) progress(n int) {
	if s.restoring == 0 {
		return
	}
	if s.restoring -= n; s.restoring > 0 && !s.idle() {
		return
	}
	s.restoring = 0
	if f := s.r.opts.Events.Restored; f != nil {
		f(s.restored, time.Since(s.restoreFrom))
	}
}

// idle says whether no wish waits to be sent or confirmed.
func (s *session) idle() bool {
	_, waiting := s.oldestWish()
	return waiting == 0 && s.r.wishes.count().queued == 0
}

// answered takes a status, a PONG or an error: the answer to a whole command.
func (s *session) answered(rep reply) error {
	s.mu.Lock()
	c := s.oldest()
	if c == nil {
		s.mu.Unlock()
		if rep.kind == replyError {
			return fmt.Errorf("pubsub: Redis at %s says: %s", s.r.addr(), rep.payload)
		}
		return malformed("an answer (%q) to nothing", excerpt(rep.payload))
	}
	cmd := *c
	s.done()
	s.headSince = time.Now()
	for _, name := range cmd.names {
		s.room += confirmationBytes(len(s.r.opts.Prefix) + len(name))
	}
	s.mu.Unlock()
	s.wakeWriter()

	if rep.kind == replyError {
		return s.refused(cmd, string(rep.payload))
	}
	pong := rep.kind == replyPong
	switch {
	case cmd.verb == verbPing && pong:
		s.r.stats.roundTrip.Store(int64(time.Since(cmd.sent)))
		if !s.up.Load() {
			s.comeUp()
		} else {
			s.progress(0)
		}
		return nil
	case (cmd.verb == verbAuth || cmd.verb == verbName) && !pong:
		return nil
	}
	return malformed("%q answers %v", excerpt(rep.payload), cmd.verb)
}

// comeUp marks the connection as good. From now on the writer sends wishes.
func (s *session) comeUp() {
	s.r.stats.connects.Add(1)
	s.restored = s.r.wishes.restart(s.r.opts.First)
	s.restoring, s.restoreFrom = s.restored, time.Now()
	s.up.Store(true)
	s.wakeWriter()
	if f := s.r.opts.Events.Connected; f != nil {
		f(s.r.addr())
	}
}

// refused takes an error as the answer to cmd.
func (s *session) refused(cmd command, text string) error {
	addr := s.r.addr()
	switch cmd.verb {
	case verbName:
		return nil // a proxy or an ACL without CLIENT SETNAME: the name is decoration
	case verbAuth:
		return fmt.Errorf("pubsub: Redis at %s refuses the login: %s; check user and password in the URL", addr, text)
	case verbPing:
		if strings.HasPrefix(text, "NOAUTH") {
			return fmt.Errorf("pubsub: Redis at %s wants a password: %s; put user and password into the URL", addr, text)
		}
		return fmt.Errorf("pubsub: Redis at %s answers PING with: %s", addr, text)
	case verbUnsubscribe:
		return fmt.Errorf("pubsub: Redis at %s refuses UNSUBSCRIBE: %s; allow the user +unsubscribe", addr, text)
	case verbSubscribe:
	}
	// One forbidden channel spoils the whole SUBSCRIBE: halve until it is alone.
	if cmd.total > 1 {
		s.limit.Store(int32(max(1, cmd.total/2)))
		s.r.wishes.retry(cmd.names)
		s.r.wishes.signal()
		return nil
	}
	name := cmd.names[0]
	err := fmt.Errorf("pubsub: Redis at %s refuses SUBSCRIBE %s%s: %s; allow the user +subscribe and the channels &%s*",
		addr, s.r.opts.Prefix, name, text, s.r.opts.Prefix)
	s.r.wishes.refuse(name, err)
	s.progress(1)
	if f := s.r.opts.Events.Refused; f != nil {
		f(name, err)
	}
	return nil
}
