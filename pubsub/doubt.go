package pubsub

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"syscall"
	"time"
)

// A Redis that says nothing may stand still for a while (SIGSTOP, DEBUG SLEEP, a
// slow command, a paused machine), or the connection may be dead without anyone
// having said so. Leaving the first loses what it will deliver when it goes on,
// staying with the second loses everything. What tells them apart is another
// connection: where that is answered and this one still is not, this one is dead.

// graceOfOld is how long the old connection has after the new one was answered:
// a Redis that goes on answers both at once, in any order.
const graceOfOld = 50 * time.Millisecond

// startDoubt begins to look for another connection, unless that has begun.
func (s *session) startDoubt(ctx context.Context) {
	s.mu.Lock()
	if s.trust != nil {
		s.mu.Unlock()
		return
	}
	ctx, s.trust = context.WithCancel(ctx)
	s.helpers.Go(func() { s.doubt(ctx) })
	s.doubting.Store(true)
	s.mu.Unlock()
	silent := s.silence()
	if silent < s.opts.PongTimeout { // something has come before it could be seen that there is a doubt to end
		s.trusted()
		return
	}
	if f := s.opts.Events.Silent; f != nil {
		f(s.addr(), silent)
	}
	s.l.r.troubled()
}

// doubted says whether the connection is.
func (s *session) doubted() bool { return s.doubting.Load() }

// silence is for how long nothing has come.
func (s *session) silence() time.Duration {
	return time.Since(s.born) - time.Duration(s.lastRead.Load())
}

// trusted ends the doubt: something has come. The oldest command gets its time
// again.
func (s *session) trusted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trust != nil {
		s.trust()
		s.trust = nil
	}
	s.headSince = time.Now()
	s.doubting.Store(false)
	s.wakeWriter()
}

// doubt ends the session when another connection is answered and this one is
// not. The other one is the lane's next.
func (s *session) doubt(ctx context.Context) {
	for began := time.Now(); ctx.Err() == nil; {
		rival, err := s.l.open(ctx)
		if err != nil {
			pause(ctx, backoff(time.Since(began)))
			continue
		}
		pause(ctx, graceOfOld)
		if ctx.Err() != nil {
			rival.conn.Close() // it was never used
			return
		}
		if unread(s.conn) { // it is this node that is slow, or stood still
			rival.conn.Close() // as above
			pause(ctx, backoff(time.Since(began)))
			continue
		}
		s.l.mu.Lock()
		s.l.rival = rival
		s.l.mu.Unlock()
		s.end(fmt.Errorf("pubsub: Redis at %s has sent nothing for %v on this connection, and answers another one",
			s.addr(), s.silence().Round(time.Millisecond)))
		return
	}
}

// unread says whether something has come on a connection that nobody has read yet. Where
// that cannot be found out, nothing has.
func unread(conn net.Conn) (waits bool) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	// Control, because Read would wait for the receive loop, which is reading.
	err = raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		waits = err == nil && n > 0
	})
	return err == nil && waits
}
