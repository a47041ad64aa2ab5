package pubsub

import (
	"errors"
	"fmt"
	"time"
)

// Ready is Broker.Ready. It is nil if all of these hold: Run runs, the
// subscribe connection is up, no PING is unanswered for Options.ReadyLag, no
// wish (to subscribe or to unsubscribe) waits for Redis' confirmation for that
// long, and Redis does not refuse all of the channels. It only looks; it never
// waits for the network.
//
// Some refused channels are no reason: otherwise any client that asks for a
// channel outside the ACL would take the node out of service. Stats.Refused
// and Events.Refused tell of them.
func (r *Redis) Ready() error {
	if r.life.Err() != nil {
		return ErrClosed
	}
	if !r.running.Load() {
		return errors.New("pubsub: not started")
	}
	r.mu.Lock()
	state := r.state
	r.mu.Unlock()
	if state.session == nil || !state.session.up.Load() {
		if state.lastErr != nil {
			return fmt.Errorf("not connected to Redis: %w", state.lastErr)
		}
		return fmt.Errorf("not connected to Redis at %s yet", r.addr())
	}
	return state.session.ready(time.Now())
}

func (s *session) ready(now time.Time) error {
	lag := s.r.opts.ReadyLag
	if sent := s.pingSent(); !sent.IsZero() && now.Sub(sent) > lag {
		return fmt.Errorf("Redis at %s has not answered a PING for %v", s.r.addr(), now.Sub(sent).Round(time.Millisecond))
	}
	c := s.r.wishes.count()
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

// Stats returns a snapshot.
func (r *Redis) Stats() Stats {
	r.mu.Lock()
	state := r.state
	r.mu.Unlock()
	c := r.wishes.count()
	s := Stats{
		Messages: r.stats.messages.Load(), Bytes: r.stats.bytes.Load(),
		Oversize: r.stats.oversize.Load(), OversizeBytes: r.stats.oversizeBytes.Load(),
		Connects: r.stats.connects.Load(), Losses: r.stats.losses.Load(), FailedDial: r.stats.fails.Load(),
		Wished: c.wished, Refused: c.refused, Pending: c.queued,
		RoundTrip:   time.Duration(r.stats.roundTrip.Load()),
		LastErrorAt: state.lastAt,
	}
	if state.lastErr != nil {
		s.LastError = state.lastErr.Error()
	}
	if state.session != nil && state.session.up.Load() {
		_, waiting := state.session.oldestWish()
		s.Connected, s.ConnectedSince = true, state.since
		s.Confirmed = c.confirmed
		s.Pending += waiting
	}
	return s
}
