package pubsub

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// write is the writer: it sends wishes and PINGs, lets fences pass, and ends the
// session when a deadline passes. It returns why the session is to end.
func (s *session) write(ctx context.Context) error {
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.l.wishes.wake:
		case <-s.kick:
		case <-alarm.C:
		}
		now := time.Now()
		if err := s.dead(ctx, now); err != nil {
			return err
		}
		if err := s.ping(now); err != nil {
			return err
		}
		more, err := s.flush(now)
		if err != nil {
			return err
		}
		s.letPass(now)
		alarm.Reset(max(time.Until(s.nextAlarm(more)), time.Millisecond/4))
	}
}

// expect notes a command before it is sent, so that its answer finds it.
func (s *session) expect(c command) {
	c.total = len(c.names)
	s.mu.Lock()
	if s.head == len(s.sent) {
		s.headSince = c.sent
	}
	if c.verb == verbPing {
		s.pinged = c.sent
	}
	for _, name := range c.names {
		s.room -= confirmationBytes(len(s.opts.Prefix) + len(name))
	}
	s.sent = append(s.sent, c)
	s.mu.Unlock()
}

// send writes s.command.
func (s *session) send() error {
	// An error here means that the connection is closed; then Write says so too.
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.opts.WriteTimeout))
	_, err := s.conn.Write(s.command)
	if cap(s.command) > 64<<10 {
		s.command = nil // grown for a large chunk
	}
	if err != nil {
		return fmt.Errorf("pubsub: writing to Redis at %s: %w", s.addr(), err)
	}
	return nil
}

// ping sends a PING when it is time, or the prover wants one, and none is
// unanswered.
func (s *session) ping(now time.Time) error {
	if now.Before(s.pingAt) && !s.pingNow.Load() || s.pingSent() != (time.Time{}) {
		return nil
	}
	s.pingNow.Store(false)
	s.pingAt = now.Add(s.opts.PingEvery)
	s.expect(command{verb: verbPing, since: now, sent: now})
	s.command = appendCommand(s.command[:0], "PING", "", nil)
	return s.send()
}

// pingSent is when the unanswered PING was sent; zero: there is none.
func (s *session) pingSent() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pinged
}

// deadlines returns when the session is dead if nothing changes: silence is
// the end of waiting for any byte while a PING is unanswered (at login, for
// its answer), stall that of waiting for the answer to the oldest command.
// Zero: nothing is awaited.
func (s *session) deadlines() (silence, stall time.Time) {
	if sent := s.pingSent(); !sent.IsZero() {
		if last := s.born.Add(time.Duration(s.lastRead.Load())); s.up.Load() && last.After(sent) {
			sent = last
		}
		silence = sent.Add(s.opts.PongTimeout)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oldest() != nil {
		stall = s.headSince.Add(s.opts.ReplyTimeout)
	}
	return silence, stall
}

// dead says whether a deadline has passed. Silence alone is no reason to end a
// connection that was good: a Redis that stands still and goes on loses nothing,
// unless we leave it. It is doubted.
func (s *session) dead(ctx context.Context, now time.Time) error {
	silence, stall := s.deadlines()
	if !silence.IsZero() && !now.Before(silence) {
		if !s.up.Load() {
			return fmt.Errorf("pubsub: Redis at %s has sent nothing for %v after a PING", s.addr(), s.opts.PongTimeout)
		}
		s.startDoubt(ctx)
	}
	if stall.IsZero() || now.Before(stall) || s.doubted() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	late := now.Sub(stall) > s.opts.PongTimeout // this process stood still: what came meanwhile has not been read
	if late {
		s.headSince = now
	}
	if c := s.oldest(); c != nil && !now.Before(s.headSince.Add(s.opts.ReplyTimeout)) {
		return fmt.Errorf("pubsub: Redis at %s has not answered %s for %v", s.addr(), s.word(c.verb), s.opts.ReplyTimeout)
	}
	return nil
}

// letPass lets the fences pass whose wishes Redis has confirmed, and tells how a
// long restoration goes on.
func (s *session) letPass(now time.Time) {
	if !s.up.Load() {
		return
	}
	place := s.l.wishes.front()
	s.mu.Lock()
	for _, c := range s.sent[s.head:] {
		if c.verb == verbSubscribe || c.verb == verbUnsubscribe {
			place = min(place, c.from)
			break
		}
	}
	s.mu.Unlock()
	s.l.settled(place)
	if all := int(s.restoring.Load()); all > 0 && now.Sub(s.told) >= time.Second {
		if f := s.opts.Events.Restoring; f != nil && !s.told.IsZero() {
			f(s.addr(), min(s.l.wishes.count().confirmed, all), all)
		}
		s.told = now
	}
}

// flush sends wishes as far as there is room for their confirmations. more
// says that some are left which need no answer to be sent, only time.
func (s *session) flush(now time.Time) (more bool, err error) {
	if !s.up.Load() {
		return false, nil
	}
	if !now.Before(s.retryAt) {
		s.retryAt = now.Add(s.opts.RefusedRetry)
		s.l.wishes.retryRefused(s.opts.ChunkNames)
	}
	if held := s.born.Add(time.Duration(s.waitFor.Load())); held.After(s.flushAt) {
		s.flushAt = held
	}
	if now.Before(s.flushAt) {
		return true, nil
	}
	s.mu.Lock()
	room, roomy := s.room, s.roomy()
	s.mu.Unlock()
	if !roomy {
		return false, nil // the receive loop wakes us
	}
	for room > 0 {
		n, err := s.chunk(room)
		if n == 0 || err != nil {
			return false, err
		}
		s.flushAt = now.Add(s.opts.FlushInterval)
		s.mu.Lock()
		room = s.room
		s.mu.Unlock()
	}
	return false, nil
}

// chunk sends one SUBSCRIBE and one UNSUBSCRIBE at most; in a Cluster, where names
// of one command must be of one slot, a command for each name, in one write.
func (s *session) chunk(room int) (names int, err error) {
	s.turn.Lock()
	sub, unsub, since, from := s.l.wishes.take(int(s.limit.Load()), room, len(s.opts.Prefix))
	s.turn.Unlock()
	if len(sub)+len(unsub) == 0 {
		return 0, nil
	}
	now := time.Now()
	s.command = s.command[:0]
	add := func(v verb, names []string) {
		s.command = appendCommand(s.command, s.word(v), s.opts.Prefix, names)
		s.expect(command{verb: v, names: names, from: from, since: since, sent: now})
	}
	for _, part := range [...]struct {
		v     verb
		names []string
	}{{verbUnsubscribe, unsub}, {verbSubscribe, sub}} {
		if s.l.server.sharded {
			for i := range part.names {
				add(part.v, part.names[i:i+1:i+1])
			}
		} else if len(part.names) > 0 {
			add(part.v, part.names)
		}
	}
	return len(sub) + len(unsub), s.send()
}

// nextAlarm is when the writer has to look again even if nothing wakes it.
func (s *session) nextAlarm(more bool) time.Time {
	silence, stall := s.deadlines()
	next := s.pingAt
	if s.pingSent() != (time.Time{}) {
		next = stall // no second PING before the answer
		if s.doubted() {
			next = time.Now().Add(s.opts.PingEvery)
		}
	}
	for _, t := range [...]time.Time{silence, stall} {
		if !t.IsZero() && t.Before(next) && !s.doubted() {
			next = t
		}
	}
	if more && s.flushAt.Before(next) {
		next = s.flushAt
	}
	return next
}

// appendCommand appends the request "word prefix+arg…" in RESP.
func appendCommand(b []byte, word, prefix string, args []string) []byte {
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(1+len(args)), 10)
	b = appendBulk(b, "", word)
	for _, a := range args {
		b = appendBulk(b, prefix, a)
	}
	return append(b, '\r', '\n')
}

// appendBulk appends the CRLF that ends what stands before, and the bulk
// string prefix+s without its own.
func appendBulk(b []byte, prefix, s string) []byte {
	b = append(b, "\r\n$"...)
	b = strconv.AppendInt(b, int64(len(prefix)+len(s)), 10)
	b = append(b, '\r', '\n')
	b = append(b, prefix...)
	return append(b, s...)
}
