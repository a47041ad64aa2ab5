package pubsub

import (
	"errors"
	"fmt"
	"time"
)

// Ready is Broker.Ready. It is nil if all of these hold: Run runs; it is known
// which servers there are; each lane of each of them is connected, and has proven
// lately that what is published through Redis arrives, twice in a row if it had
// failed; no wish (to subscribe or to unsubscribe) waits for Redis' confirmation for
// longer than Options.ReadyLag; and no Redis refuses all of a lane's channels. It
// only looks; it never waits for the network.
//
// Some refused channels are no reason: otherwise any client that asks for a
// channel outside the ACL would take the node out of service. Stats.Refused
// and Events.Refused tell of them.
func (r *Redis) Ready() error {
	if r.ctx.Err() != nil {
		return ErrClosed
	}
	if !r.running.Load() {
		return errors.New("pubsub: not started")
	}
	r.routes.RLock()
	defer r.routes.RUnlock()
	if len(r.layout.servers) == 0 {
		return r.whyUnknown("")
	}
	now := time.Now()
	for _, s := range r.layout.servers {
		for _, l := range s.lanes {
			if err := l.ready(now); err != nil {
				return err
			}
		}
	}
	if c := r.limbo.wishes.count(); c.wished > 0 {
		return fmt.Errorf("%d channels belong to slots that no master of the Cluster has", c.wished)
	}
	return nil
}

func (l *lane) ready(now time.Time) error {
	l.mu.Lock()
	state := l.state
	l.mu.Unlock()
	if state.session == nil || !state.session.up.Load() {
		if state.lastErr != nil {
			return fmt.Errorf("not connected to Redis: %w", state.lastErr)
		}
		return fmt.Errorf("not connected to Redis at %s yet", l.server.addr)
	}
	if l.probeName() != "" {
		if err := l.proof.verdict(now, l.r.opts.proofLimit()); err != nil {
			return fmt.Errorf("Redis at %s is not proven to deliver: %w", l.server.addr, err)
		}
	}
	return state.session.ready(now)
}

func (s *session) ready(now time.Time) error {
	lag := s.opts.ReadyLag
	if sent := s.pingSent(); !sent.IsZero() && now.Sub(sent) > lag {
		return fmt.Errorf("Redis at %s has not answered a PING for %v", s.addr(), now.Sub(sent).Round(time.Millisecond))
	}
	c := s.l.wishes.count()
	oldest, waiting := s.oldestWish()
	if oldest.IsZero() || !c.oldest.IsZero() && c.oldest.Before(oldest) {
		oldest = c.oldest
	}
	if wait := now.Sub(oldest); !oldest.IsZero() && wait > lag {
		return fmt.Errorf("%d subscriptions wait for Redis' confirmation, the oldest for %v", c.queued+waiting, wait.Round(time.Millisecond))
	}
	if c.refused > 0 && c.confirmed == 0 {
		return fmt.Errorf("all %d channels are refused, among them %q: %w", c.refused, c.example, c.because)
	}
	return nil
}

// oldestWish is when the oldest wish among those sent was recorded, and how
// many are sent and not confirmed.
func (s *session) oldestWish() (oldest time.Time, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.sent[s.head:] {
		if len(c.names) == 0 {
			continue
		}
		waiting += len(c.names)
		if oldest.IsZero() || c.since.Before(oldest) {
			oldest = c.since
		}
	}
	return oldest, waiting
}
