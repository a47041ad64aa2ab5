package pubsub

import (
	"sync"
	"time"
)

// gaps numbers the broker's gaps, and tells of each when it opens and when it ends.
type gaps struct {
	tell func(Gap) // may be nil

	mu     sync.Mutex
	number uint64 // guarded by mu; of the last gap
}

// openGap is a gap that has not ended: it does when all fences have passed that
// stand behind the channels which may have missed something.
type openGap struct {
	book    *gaps
	ended   func(Gap)
	gap     Gap // guarded by book.mu
	waiting int // guarded by book.mu; fences that have not passed
}

func (b *gaps) id() uint64 {
	b.number++
	return b.number
}

// report tells of a gap as it is now.
func (b *gaps) report(g Gap) {
	if b.tell != nil {
		b.tell(g)
	}
}

// point tells of a single message that is missed.
func (b *gaps) point(l *lane, channel string, cause Cause) {
	g := Gap{Link: l.name, Channel: channel, Cause: cause, From: l.Sound(), To: time.Now(), Channels: 1}
	b.mu.Lock()
	g.ID = b.id()
	b.mu.Unlock()
	b.report(g)
}

// open opens a gap, held once.
func (b *gaps) open(l *lane, cause Cause, ended func(Gap)) *openGap {
	since := l.Sound()
	b.mu.Lock()
	defer b.mu.Unlock()
	return &openGap{book: b, ended: ended, waiting: 1, gap: Gap{ID: b.id(), Link: l.name, Cause: cause, From: since}}
}

// hearsay is how far behind the view of the node or sentinel may have been that was
// asked for the layout.
const hearsay = time.Second

// hold keeps the gap open until release. false: it has ended already.
func (g *openGap) hold() bool {
	g.book.mu.Lock()
	defer g.book.mu.Unlock()
	if g.waiting == 0 {
		return false
	}
	g.waiting++
	return true
}

// grow says that so many channels more may have missed something; where their
// connection has broken it is all of them, some counted before.
func (g *openGap) grow(cause Cause, channels int) {
	g.book.mu.Lock()
	if cause == CauseConnection {
		g.gap.Channels = max(g.gap.Channels, channels)
	} else {
		g.gap.Channels += channels
	}
	g.book.mu.Unlock()
}

// tell tells of the gap as it is now.
func (g *openGap) tell() {
	g.book.mu.Lock()
	now := g.gap
	g.book.mu.Unlock()
	g.book.report(now)
}

func (g *openGap) release() {
	g.book.mu.Lock()
	g.waiting--
	if g.waiting > 0 {
		g.book.mu.Unlock()
		return
	}
	g.gap.To = time.Now()
	gap := g.gap
	g.book.mu.Unlock()
	g.ended(gap)
	g.book.report(gap)
}

// missed says that channels of the lane may have missed messages, from now back
// to the last proof, and on until Redis has confirmed what the lane has to tell it
// now. The gap that is returned is held: release it.
func (l *lane) missed(cause Cause, channels int) *openGap {
	l.gapping.Lock()
	defer l.gapping.Unlock()
	g := l.gap
	if g == nil || !g.hold() {
		g = l.r.gaps.open(l, cause, l.gapEnded)
		l.gap, l.fenced = g, false
		g.grow(cause, channels)
		g.tell()
	} else {
		g.grow(cause, channels)
	}
	if l.fenced {
		l.moveFences()
	} else {
		l.fenced = true
		g.hold()
		l.fence(func() {
			l.gapping.Lock()
			l.fenced = false
			l.gapping.Unlock()
			l.r.afterLook(g.release)
		})
	}
	return g
}

// Name implements Link.
func (l *lane) Name() string { return l.name }

// Sound implements Link: what was proven then went through the server that was the
// right one then.
func (l *lane) Sound() time.Time {
	since := l.proof.since()
	l.r.routes.RLock()
	defer l.r.routes.RUnlock()
	if known := l.r.known.Add(-hearsay); l.r.dynamic() && !l.r.known.IsZero() && known.Before(since) {
		return known
	}
	return since
}

// Carries implements Link.
func (l *lane) Carries(channel string) bool {
	l.r.routes.RLock()
	defer l.r.routes.RUnlock()
	return l.r.lane(channel) == l && l.wishes.stands(channel)
}

// gapEnded notes that nothing is missed any more, from then on.
func (l *lane) gapEnded(g Gap) { l.proof.restored(g.To) }
