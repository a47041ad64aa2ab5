package pubsub

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Redis answers commands in the order in which they were sent, and names a channel
// in most answers, not in errors. This file says what each answer is to.

// command is something sent that Redis has not answered, or not fully.
type command struct {
	verb  verb
	names []string  // still to be confirmed, in this order
	total int       // names sent
	from  uint64    // SUBSCRIBE, UNSUBSCRIBE: a place in the queue that none of the names stood before
	since time.Time // when the oldest of the names was wished for; else when it was sent
	sent  time.Time
}

type verb uint8

const (
	verbAuth verb = iota + 1
	verbName
	verbRole
	verbPing
	verbSubscribe   // SSUBSCRIBE where the lane is sharded
	verbUnsubscribe // SUNSUBSCRIBE
)

func (v verb) String() string {
	return [...]string{"", "AUTH", "CLIENT SETNAME", "ROLE", "PING", "SUBSCRIBE", "UNSUBSCRIBE"}[v]
}

// roomy says whether so many confirmations have come that it is worth asking for
// more: as soon as one name fitted, each would get a command of its own. s.mu is
// held.
func (s *session) roomy() bool { return s.room > s.window/2 }

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
// asked for. An UNSUBSCRIBE that was not asked for is a Cluster's: the channel's
// slot has moved.
func (s *session) confirmed(v verb, wire []byte) error {
	s.mu.Lock()
	c := s.oldest()
	if c == nil || c.verb != v || !s.isWire(wire, c.names[0]) {
		s.mu.Unlock()
		if channel, ok := s.strip(wire); ok && v == verbUnsubscribe && s.l.server.sharded {
			s.movedAway(string(channel))
			return nil
		}
		return malformed("%s of %q is confirmed, which is not what was asked for next", s.word(v), excerpt(wire))
	}
	name := c.names[0]
	s.mu.Unlock()

	// Before the command is done, or fences would pass too early.
	if v == verbUnsubscribe {
		s.l.wishes.unsubscribed(name)
	} else {
		s.announce(name)
	}

	s.mu.Lock()
	c = s.oldest() // it may have moved
	c.names = c.names[1:]
	last := len(c.names) == 0
	if last {
		s.done()
	}
	s.headSince = time.Now()
	wasRoomy := s.roomy()
	s.room += confirmationBytes(len(wire))
	wake := s.head == len(s.sent) || s.roomy() && !wasRoomy
	s.mu.Unlock()
	if wake {
		s.wakeWriter()
	}
	if last && v == verbSubscribe {
		s.limit.Store(min(s.limit.Load()*2, int32(s.opts.ChunkNames)))
	}
	return nil
}

// movedAway takes note that a channel of this lane is another master's now. The
// wish stays here, and is refused, until it is known whose.
func (s *session) movedAway(name string) {
	s.l.wishes.again(name)
	if !s.l.isProbe([]byte(name)) {
		s.out.Moved(name)
		s.l.missed(CauseMoved, 1).release()
	}
	s.holdBack()
}

// holdBack lets a while pass before Redis is told something again, and asks for
// the Cluster's layout.
func (s *session) holdBack() {
	s.waitFor.Store(int64(time.Since(s.born) + holdBack))
	s.l.moveFences()
	s.wakeWriter()
	s.l.r.troubled()
}

// holdBack is how long a channel waits that a Cluster has sent elsewhere.
const holdBack = 30 * time.Millisecond

// announce calls Receiver.Subscribed if the wish for name still stands. Where it has gone to
// another lane meanwhile, that one's confirmation may have come first, and the receiver would
// believe that this lane has the channel: so the other one asks for it once more.
func (s *session) announce(name string) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if !s.l.wishes.subscribed(name) || s.l.isProbe([]byte(name)) {
		return
	}
	s.out.Subscribed(name)
	if !s.l.wishes.stands(name) {
		s.l.r.askAgain(name)
	}
}

func (s *session) isWire(wire []byte, name string) bool {
	p := s.opts.Prefix
	return len(wire) == len(p)+len(name) && string(wire[:len(p)]) == p && string(wire[len(p):]) == name
}

// answered takes a status, a PONG, a role or an error: the answer to a whole command.
func (s *session) answered(ctx context.Context, rep reply) error {
	s.mu.Lock()
	c := s.oldest()
	if rep.kind == replyError && s.isStray(c, string(rep.payload)) {
		s.mu.Unlock()
		return nil
	}
	if c == nil {
		s.mu.Unlock()
		if rep.kind == replyError {
			return fmt.Errorf("pubsub: Redis at %s says: %s", s.addr(), rep.payload)
		}
		return malformed("an answer (%q) to nothing", excerpt(rep.payload))
	}
	cmd := *c
	s.mu.Unlock()

	var err error
	if rep.kind == replyError {
		err = s.refused(cmd, string(rep.payload))
	}
	// Not before its names are queued again, or fences would pass too early.
	s.mu.Lock()
	s.done()
	if cmd.verb == verbPing {
		s.pinged = time.Time{}
	}
	s.headSince = time.Now()
	for _, name := range cmd.names {
		s.room += confirmationBytes(len(s.opts.Prefix) + len(name))
	}
	s.mu.Unlock()
	s.wakeWriter()

	pong := rep.kind == replyPong
	switch {
	case rep.kind == replyError:
		return err
	case cmd.verb == verbPing && pong:
		s.l.stats.roundTrip.Store(int64(time.Since(cmd.sent)))
		s.pongFor.Store(int64(cmd.sent.Sub(s.born)))
		if !s.up.Load() {
			s.comeUp(ctx)
		}
		return nil
	case cmd.verb == verbRole && !pong:
		return s.serves(string(rep.payload))
	case (cmd.verb == verbAuth || cmd.verb == verbName) && rep.kind == replyStatus:
		return nil
	}
	return malformed("%q answers %s", excerpt(rep.payload), s.word(cmd.verb))
}

// comeUp marks the connection as good. From now on the writer sends wishes.
func (s *session) comeUp(ctx context.Context) {
	s.l.stats.connects.Add(1)
	began := time.Now()
	s.l.wishes.restart(s.opts.First)
	channels := s.l.channels()
	if channels > 0 {
		s.restoring.Store(int64(channels))
		s.l.fence(func() { s.restored(channels, time.Since(began)) })
	}
	s.l.moveFences()
	s.up.Store(true)
	s.wakeWriter()
	if s.opts.ProbeEvery > 0 {
		s.helpers.Go(func() { s.prove(ctx) })
	}
	if s.opts.Functions && s.l == s.l.server.lanes[0] {
		s.helpers.Go(func() { s.loadFunctions(ctx) })
	}
	if f := s.opts.Events.Connected; f != nil {
		f(s.addr())
	}
}

// restored notes that every wish which stood when the session came up is
// confirmed. It may have happened on a later session.
func (s *session) restored(channels int, took time.Duration) {
	s.restoring.Store(0)
	if f := s.opts.Events.Restored; f != nil {
		f(s.addr(), channels, took)
	}
}

// isStray says whether an error answers an UNSUBSCRIBE that Redis had already
// answered by itself, when the channel's slot moved: then it names another slot
// than that of the command which waits for its answer, c, or none does. s.mu is
// held.
func (s *session) isStray(c *command, text string) bool {
	slot, ok := movedSlot(text)
	return ok && s.l.server.sharded && (c == nil || len(c.names) == 0 || keySlot(s.opts.Prefix+c.names[0]) != slot)
}

// refused takes an error as the answer to cmd.
func (s *session) refused(cmd command, text string) error {
	addr := s.addr()
	switch cmd.verb {
	case verbName:
		return nil // a proxy or an ACL without CLIENT SETNAME: the name is decoration
	case verbRole:
		return nil // a proxy or an ACL without ROLE: the sentinels have to be believed
	case verbAuth:
		return fmt.Errorf("pubsub: Redis at %s refuses the login: %s; check user and password in the URL", addr, text)
	case verbPing:
		if strings.HasPrefix(text, "NOAUTH") {
			return fmt.Errorf("pubsub: Redis at %s wants a password: %s; put user and password into the URL", addr, text)
		}
		return fmt.Errorf("pubsub: Redis at %s answers PING with: %s", addr, text)
	case verbUnsubscribe:
		if s.l.server.sharded && isElsewhere(text) {
			s.l.wishes.unsubscribed(cmd.names[0])
			return nil
		}
		return fmt.Errorf("pubsub: Redis at %s refuses %s: %s; allow the user +%s", addr, s.word(cmd.verb), text, strings.ToLower(s.word(cmd.verb)))
	case verbSubscribe:
	}
	// One forbidden channel spoils the whole SUBSCRIBE: halve until it is alone.
	if cmd.total > 1 {
		s.limit.Store(int32(max(1, cmd.total/2)))
		s.l.wishes.retry(cmd.names)
		s.l.moveFences()
		s.l.wishes.signal()
		return nil
	}
	name := cmd.names[0]
	if s.l.server.sharded && isElsewhere(text) {
		s.l.wishes.again(name)
		s.holdBack()
		return nil
	}
	err := fmt.Errorf("pubsub: Redis at %s refuses %s %s%s: %s; allow the user +%s and the channels &%s*",
		addr, s.word(cmd.verb), s.opts.Prefix, name, text, strings.ToLower(s.word(cmd.verb)), s.opts.Prefix)
	s.l.wishes.refuse(name, err)
	if s.l.isProbe([]byte(name)) {
		s.l.proof.failed(err)
	}
	if f := s.opts.Events.Refused; f != nil {
		f(name, err)
	}
	return nil
}

// word is the command that a verb stands for on this connection.
func (s *session) word(v verb) string {
	if s.l.server.sharded && (v == verbSubscribe || v == verbUnsubscribe) {
		return "S" + v.String()
	}
	return v.String()
}
