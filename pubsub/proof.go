package pubsub

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// A lane proves that it hears: again and again it publishes a probe through
// Redis, on a channel that it alone has subscribed, and expects it back. An open
// connection proves nothing.

// proof is what a lane's probes have shown. It outlives connections.
type proof struct {
	mu     sync.Mutex
	next   uint64               // guarded by mu; number of the last probe that was published
	flying map[uint64]time.Time // guarded by mu; probes that have not come back: when each was published
	newest uint64               // guarded by mu; number of the newest probe that came back
	last   time.Time            // guarded by mu; when that was published; zero: none ever came back
	time   time.Duration        // guarded by mu; that it took to come back
	counts int64                // guarded by mu; how many came back
	row    int                  // guarded by mu; how many came back in a row, each in time
	good   bool                 // guarded by mu; they came back in time, enough of them
	sound  time.Time            // guarded by mu; when the last gap ended
	err    error                // guarded by mu; why the last one could not be published
}

// proofsAgain is how many probes in a row make a lane that had failed good again.
const proofsAgain = 2

// begin numbers a probe that is about to be published.
func (p *proof) begin(now time.Time) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flying == nil {
		p.flying = map[uint64]time.Time{}
	}
	p.next++
	p.flying[p.next] = now
	delete(p.flying, p.next-maxProbes)
	return p.next
}

// maxProbes is how many probes that did not come back are remembered.
const maxProbes = 64

// failed notes that a probe could not be published; nil: it could.
func (p *proof) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// back notes that a probe has come back. limit is how old a proof may become.
func (p *proof) back(number uint64, limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.flying[number]
	if !ok || number <= p.newest {
		return
	}
	for n := range p.flying {
		if n <= number {
			delete(p.flying, n)
		}
	}
	first := p.last.IsZero()
	if at.Sub(p.last) > limit || time.Since(at) > limit {
		p.row, p.good = 0, first
	}
	p.row++
	p.newest, p.last, p.time = number, at, time.Since(at)
	p.counts++
	p.good = p.good || p.row >= proofsAgain
}

// has says whether that probe, or a later one, has come back.
func (p *proof) has(number uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.newest >= number
}

// since is a time of which is known that nothing published before it was
// missed, but for gaps that have ended.
func (p *proof) since() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sound.After(p.last) {
		return p.sound
	}
	return p.last
}

// restored notes that a gap has ended.
func (p *proof) restored(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sound = now
}

// age is how old the newest proof is: the time since it was published. never:
// there is none.
func (p *proof) age(now time.Time) (age time.Duration, never bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Sub(p.last), p.last.IsZero()
}

// took is how long the newest probe that came back was under way.
func (p *proof) took() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.time
}

// count is how many probes came back.
func (p *proof) count() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// verdict says why the lane is not proven to hear, or nil.
func (p *proof) verdict(now time.Time, limit time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch age := now.Sub(p.last); {
	case p.last.IsZero() && p.err != nil:
		return fmt.Errorf("no probe could be published yet: %w", p.err)
	case p.last.IsZero():
		return errors.New("no probe has come back yet")
	case age > limit && p.err != nil:
		return fmt.Errorf("the last probe that came back is %v old, and none can be published: %w", age.Round(time.Millisecond), p.err)
	case age > limit:
		return fmt.Errorf("the last probe that came back is %v old", age.Round(time.Millisecond))
	case !p.good:
		return errors.New("probes have only begun to come back")
	}
	return nil
}

// proofLimit is how old a proof may become before the lane counts as deaf.
func (o *Options) proofLimit() time.Duration { return o.ProbeEvery + o.ProbeTimeout }

// isProbe says whether channel is this lane's own.
func (l *lane) isProbe(channel []byte) bool {
	return len(channel) > 0 && channel[0] == '{' && string(channel) == l.probeName()
}

// proved takes a probe that has come back.
func (s *session) proved(payload []byte) {
	number, err := strconv.ParseUint(string(payload), 10, 64)
	if err != nil {
		return // somebody else's message on our channel
	}
	s.l.proof.back(number, s.opts.proofLimit())
	select {
	case s.proving <- struct{}{}:
	default:
	}
}

// prove is the prover. It publishes probes until the session ends, and ends it
// when one was published and has not come.
func (s *session) prove(ctx context.Context) {
	for ctx.Err() == nil {
		if !s.l.wishes.isSubscribed(s.l.probeName()) { // at a start it is in a moment, and the node is ready as soon as it is
			pause(ctx, 5*time.Millisecond)
			continue
		}
		wait := s.opts.ProbeEvery
		if !s.probe(ctx) || s.l.proof.verdict(time.Now(), s.opts.proofLimit()) != nil {
			wait /= 5 // to be found good again soon
		}
		pause(ctx, wait)
	}
}

// probe publishes one probe, waits for it, and says whether it came back in time.
func (s *session) probe(ctx context.Context) bool {
	channel := s.l.probeName()
	if !s.l.wishes.isSubscribed(channel) { // its slot has just moved
		return false
	}
	began := time.Now()
	number := s.l.proof.begin(began)
	publishing, cancel := context.WithTimeout(ctx, s.opts.proofLimit())
	defer cancel()
	receivers, err := s.l.server.publish(publishing, s.opts.Prefix+channel, number)
	s.l.proof.failed(err)
	if err != nil {
		if notExecuted(err) {
			s.l.r.troubled()
		}
		return false
	}
	if receivers == 0 && s.l.wishes.isSubscribed(channel) {
		s.end(fmt.Errorf("pubsub: Redis at %s says that nobody hears this node's probes, which it had subscribed", s.addr()))
		return false
	}
	return s.awaitProof(ctx, channel, number)
}

// awaitProof waits for a probe that Redis has published. When a PING that was
// sent after that is answered, the probe must have come before: Redis had put it
// into the same connection. This node may be as slow as it likes.
func (s *session) awaitProof(ctx context.Context, channel string, number uint64) bool {
	published := time.Since(s.born)
	s.pingNow.Store(true)
	s.wakeWriter()
	late := time.NewTimer(s.opts.ProbeTimeout)
	defer late.Stop()
	for inTime := true; ; {
		switch {
		case s.l.proof.has(number):
			return inTime
		case s.l.probeName() != channel:
			return false // its slot has moved, and it is not listened for any more
		}
		select {
		case <-ctx.Done():
			return false
		case <-s.proving:
		case <-late.C:
			if time.Duration(s.pongFor.Load()) > published && !s.l.proof.has(number) && s.l.probeName() == channel {
				s.end(fmt.Errorf("pubsub: Redis at %s has published a probe and not delivered it on this node's subscribe connection", s.addr()))
				return false
			}
			inTime = false
			s.pingNow.Store(true) // the answer may have been to one that was sent too early
			s.wakeWriter()
			late.Reset(20 * time.Millisecond)
		}
	}
}
