package pubsub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// lane is one subscribe connection and the channels that it carries: the wishes
// and the order of their messages are its own. It outlives its connections.
type lane struct {
	r      *Redis
	server *server
	name   string                 // for people: address and number
	probe  atomic.Pointer[string] // the channel that only this lane knows; nil: it is not probed
	wishes *wishes

	stats counters
	proof proof

	mu     sync.Mutex
	state  connState // guarded by mu
	fences []fence   // guarded by mu; in no order
	rival  *opening  // guarded by mu; the connection that proved the last one dead
	out    Receiver  // set before run; nil: never

	gapping sync.Mutex // held while a gap is opened
	gap     *openGap   // guarded by gapping; the last one; nil: there was none
	fenced  bool       // guarded by gapping; a fence of this lane holds it open
}

// connState is what Ready and Stats know of a connection.
type connState struct {
	session *session // nil: none
	since   time.Time
	lastErr error
	lastAt  time.Time
}

// fence waits until Redis has confirmed all that stood in the queue before it, and
// then what joined the queue meanwhile: a wish that was renewed while its
// UNSUBSCRIBE was in flight joins when that is confirmed.
type fence struct {
	mark   uint64 // place in the queue
	again  bool   // this is the first of the two
	passed func() // called once, from the writer or from retire
}

func newLane(r *Redis, s *server, number int) *lane {
	l := &lane{r: r, server: s, name: fmt.Sprintf("%s#%d", s.addr, number), wishes: newWishes()}
	l.proof.restored(time.Now()) // it has missed nothing yet
	return l
}

// Between attempts to connect passes a twentieth of the time that nothing was
// connected, within these bounds and with jitter, so that the nodes of a fleet
// do not come back in step: Redis is found within a small part of the time that
// it was away.
const (
	firstRetry  = 50 * time.Millisecond
	longestWait = time.Second
	livedLong   = 5 * time.Second // a connection that lived so long was a success
)

func backoff(outage time.Duration) time.Duration {
	base := min(max(outage/20, firstRetry), longestWait)
	return base/2 + rand.N(base/2)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// run connects, serves and connects again until ctx ends.
func (l *lane) run(ctx context.Context) {
	defer l.dropRival()
	for outage := time.Now(); ctx.Err() == nil; {
		up, lived, err := l.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		if up {
			l.broke(err)
		} else {
			l.stats.fails.Add(1)
		}
		wait := time.Duration(0) // after a connection that was good, or with another one at hand
		switch {
		case up && lived > livedLong:
			outage = time.Now()
		case !l.hasRival():
			wait = backoff(time.Since(outage))
		}
		if f := l.r.opts.Events.Lost; f != nil {
			f(l.server.addr, err, wait)
		}
		pause(ctx, wait)
	}
}

// broke tells everybody that the connection has broken.
func (l *lane) broke(err error) {
	l.stats.losses.Add(1)
	l.out.Interrupted(err)
	if n := l.channels(); n > 0 {
		l.missed(CauseConnection, n).release()
	}
	l.r.troubled()
}

// channels is how many channels the lane carries, without its own.
func (l *lane) channels() int {
	n := l.wishes.count().wished
	if l.probeName() != "" && n > 0 {
		n--
	}
	return n
}

// probeName is the channel of the lane's probes, "" where it has none.
func (l *lane) probeName() string {
	if name := l.probe.Load(); name != nil {
		return *name
	}
	return ""
}

// setProbe has the lane subscribe a channel for its probes in place of the one
// that it had. "" is none.
func (l *lane) setProbe(name string) {
	old := l.probeName()
	if name == old {
		return
	}
	l.probe.Store(&name)
	if name != "" {
		l.wishes.want(name)
	}
	if old != "" {
		l.wishes.drop(old)
	}
}

// connect opens one connection and serves it. The error is never nil.
func (l *lane) connect(ctx context.Context) (up bool, lived time.Duration, err error) {
	o := l.takeRival()
	if o == nil {
		o, err = l.open(ctx)
	}
	if err == nil {
		up, err = l.serve(ctx, o)
		lived = time.Since(o.began)
	}
	l.mu.Lock()
	l.state.lastErr, l.state.lastAt = err, time.Now()
	l.mu.Unlock()
	return up, lived, err
}

func (l *lane) attach(s *session) {
	l.mu.Lock()
	l.state.session, l.state.since = s, s.born
	l.mu.Unlock()
}

func (l *lane) detach() {
	l.mu.Lock()
	l.state.session = nil
	l.mu.Unlock()
}

func (l *lane) takeRival() *opening {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.rival
	l.rival = nil
	return o
}

func (l *lane) hasRival() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rival != nil
}

func (l *lane) dropRival() {
	if o := l.takeRival(); o != nil {
		o.conn.Close() // it was never used
	}
}

// fence calls passed when Redis has confirmed all wishes that stand now, on
// this connection or the next.
func (l *lane) fence(passed func()) {
	l.mu.Lock()
	l.fences = append(l.fences, fence{l.wishes.end(), true, passed})
	s := l.state.session
	l.mu.Unlock()
	if s != nil {
		s.wakeWriter()
	}
}

// moveFences puts all fences behind what stands in the queue now.
func (l *lane) moveFences() {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.wishes.end()
	for i := range l.fences {
		l.fences[i].mark, l.fences[i].again = end, true
	}
}

// shareFences has all fences wait for other lanes, too: some of what they wait for
// is theirs now.
func (l *lane) shareFences(with []*lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.fences {
		all := l.fences[i].passed
		var waiting atomic.Int64
		waiting.Store(int64(1 + len(with)))
		one := func() {
			if waiting.Add(-1) == 0 {
				all()
			}
		}
		l.fences[i].passed = one
		for _, other := range with {
			other.fence(one)
		}
	}
}

// settled lets those fences pass that stand at place or before it.
func (l *lane) settled(place uint64) {
	l.mu.Lock()
	var passed []func()
	end := l.wishes.end()
	rest := l.fences[:0]
	for _, f := range l.fences {
		if f.mark <= place && f.again {
			f.mark, f.again = end, false
		}
		if f.mark <= place {
			passed = append(passed, f.passed)
		} else {
			rest = append(rest, f)
		}
	}
	clear(l.fences[len(rest):])
	l.fences = rest
	l.mu.Unlock()
	for _, f := range passed {
		f()
	}
}

// everywhere is behind all places in all queues.
const everywhere = ^uint64(0)

// retire lets all fences pass: the lane has no channels any more.
func (l *lane) retire() { l.settled(everywhere) }
