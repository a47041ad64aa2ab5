package pubsub

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// write is the writer: it logs in, sends wishes and PINGs, and ends the
// session when a deadline passes. It returns why the session is to end.
func (s *session) write(ctx context.Context) error {
	if err := s.login(); err != nil {
		return err
	}
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.r.wishes.wake:
		case <-s.kick:
		case <-alarm.C:
		}
		now := time.Now()
		if err := s.dead(now); err != nil {
			return err
		}
		if err := s.ping(now); err != nil {
			return err
		}
		more, err := s.flush(now)
		if err != nil {
			return err
		}
		alarm.Reset(max(time.Until(s.nextAlarm(more)), time.Millisecond/4))
	}
}

// login sends AUTH, CLIENT SETNAME and the first PING. Their answers are
// taken by the receive loop.
func (s *session) login() error {
	o := s.r.client.Options()
	var cmds [][]string
	var verbs []verb
	switch {
	case o.Username != "":
		cmds, verbs = append(cmds, []string{"AUTH", o.Username, o.Password}), append(verbs, verbAuth)
	case o.Password != "":
		cmds, verbs = append(cmds, []string{"AUTH", o.Password}), append(verbs, verbAuth)
	}
	cmds, verbs = append(cmds, []string{"CLIENT", "SETNAME", s.r.opts.ClientName}), append(verbs, verbName)
	cmds, verbs = append(cmds, []string{"PING"}), append(verbs, verbPing)
	now := time.Now()
	s.out = s.out[:0]
	for i, cmd := range cmds {
		s.out = appendCommand(s.out, cmd[0], "", cmd[1:])
		s.expect(command{verb: verbs[i], since: now, sent: now})
	}
	s.pingAt = now.Add(s.r.opts.PingEvery)
	s.retryAt = now.Add(s.r.opts.RefusedRetry)
	return s.send()
}

// expect notes a command before it is sent, so that its answer finds it.
func (s *session) expect(c command) {
	c.total = len(c.names)
	s.mu.Lock()
	if s.head == len(s.sent) {
		s.headSince = c.sent
	}
	for _, name := range c.names {
		s.room -= confirmationBytes(len(s.r.opts.Prefix) + len(name))
	}
	s.sent = append(s.sent, c)
	s.mu.Unlock()
}

// send writes s.out.
func (s *session) send() error {
	// An error here means that the connection is closed; then Write says so too.
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.r.opts.WriteTimeout))
	_, err := s.conn.Write(s.out)
	if cap(s.out) > 64<<10 {
		s.out = nil // grown for a large chunk
	}
	if err != nil {
		return fmt.Errorf("pubsub: writing to Redis at %s: %w", s.r.addr(), err)
	}
	return nil
}

// ping sends a PING when it is time and none is unanswered.
func (s *session) ping(now time.Time) error {
	if now.Before(s.pingAt) || s.pingSent() != (time.Time{}) {
		return nil
	}
	s.pingAt = now.Add(s.r.opts.PingEvery)
	s.expect(command{verb: verbPing, since: now, sent: now})
	s.out = appendCommand(s.out[:0], "PING", "", nil)
	return s.send()
}

// pingSent is when the unanswered PING was sent; zero: there is none.
func (s *session) pingSent() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.sent[s.head:] {
		if c.verb == verbPing {
			return c.sent
		}
	}
	return time.Time{}
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
		silence = sent.Add(s.r.opts.PongTimeout)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oldest() != nil {
		stall = s.headSince.Add(s.r.opts.ReplyTimeout)
	}
	return silence, stall
}

// dead says whether a deadline has passed.
func (s *session) dead(now time.Time) error {
	silence, stall := s.deadlines()
	if !silence.IsZero() && !now.Before(silence) {
		return fmt.Errorf("pubsub: Redis at %s has sent nothing for %v after a PING", s.r.addr(), s.r.opts.PongTimeout)
	}
	if !stall.IsZero() && !now.Before(stall) {
		s.mu.Lock()
		v := s.oldest().verb
		s.mu.Unlock()
		return fmt.Errorf("pubsub: Redis at %s has not answered %v for %v", s.r.addr(), v, s.r.opts.ReplyTimeout)
	}
	return nil
}

// flush sends wishes as far as there is room for their confirmations. more
// says that some are left which need no answer to be sent, only time.
func (s *session) flush(now time.Time) (more bool, err error) {
	if !s.up.Load() {
		return false, nil
	}
	if !now.Before(s.retryAt) {
		s.retryAt = now.Add(s.r.opts.RefusedRetry)
		s.r.wishes.retryRefused(s.r.opts.ChunkNames)
	}
	if now.Before(s.flushAt) {
		return true, nil
	}
	for {
		s.mu.Lock()
		room := s.room
		s.mu.Unlock()
		if room <= 0 {
			return false, nil // the receive loop wakes us
		}
		n, err := s.chunk(room)
		if n == 0 || err != nil {
			return false, err
		}
		s.flushAt = now.Add(s.r.opts.FlushInterval)
	}
}

// chunk sends one SUBSCRIBE and one UNSUBSCRIBE at most.
func (s *session) chunk(room int) (names int, err error) {
	s.turn.Lock()
	sub, unsub, since := s.r.wishes.take(int(s.limit.Load()), room, len(s.r.opts.Prefix))
	s.turn.Unlock()
	if len(sub)+len(unsub) == 0 {
		return 0, nil
	}
	now := time.Now()
	s.out = s.out[:0]
	if len(unsub) > 0 {
		s.out = appendCommand(s.out, "UNSUBSCRIBE", s.r.opts.Prefix, unsub)
		s.expect(command{verb: verbUnsubscribe, names: unsub, since: since, sent: now})
	}
	if len(sub) > 0 {
		s.out = appendCommand(s.out, "SUBSCRIBE", s.r.opts.Prefix, sub)
		s.expect(command{verb: verbSubscribe, names: sub, since: since, sent: now})
	}
	return len(sub) + len(unsub), s.send()
}

// nextAlarm is when the writer has to look again even if nothing wakes it.
func (s *session) nextAlarm(more bool) time.Time {
	silence, stall := s.deadlines()
	next := s.pingAt
	if s.pingSent() != (time.Time{}) {
		next = stall // no second PING before the answer
	}
	for _, t := range [...]time.Time{silence, stall} {
		if !t.IsZero() && t.Before(next) {
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
