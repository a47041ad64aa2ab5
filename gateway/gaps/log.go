// Package gaps remembers in which stretches of time this node may have missed
// messages, so that whoever misses one can be told whether it is among them.
//
// pubsub tells of a gap when it begins and again when it ends, hub of messages that
// a reactor had no room for; both call Note. The admin port shows the Log.
package gaps

import (
	"slices"
	"sync"
	"time"

	"sluice/pubsub"
)

// Kept is how many gaps are remembered.
const Kept = 1000

// merge is how far apart two gaps of the same channel and cause may be to be one.
const merge = time.Second

// Log is the last gaps. Its methods may be called from any goroutine.
type Log struct {
	mu        sync.Mutex
	gaps      []pubsub.Gap // guarded by mu; oldest first
	forgotten int64        // guarded by mu
}

// Note records a gap, or what has become of one with the same ID. Gaps without an
// ID are put together where they touch, nearly.
func (l *Log) Note(g pubsub.Gap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.gaps) - 1; i >= 0; i-- {
		old := &l.gaps[i]
		switch {
		case g.ID != 0 && old.ID == g.ID:
			*old = g
			return
		case g.ID == 0 && old.ID == 0 && old.Channel == g.Channel && old.Cause == g.Cause && g.To.Sub(old.To) < merge:
			old.To = g.To
			return
		}
	}
	if len(l.gaps) == Kept {
		// One that is still open is forgotten only where all are.
		i := max(0, slices.IndexFunc(l.gaps, func(g pubsub.Gap) bool { return !g.To.IsZero() }))
		l.gaps = slices.Delete(l.gaps, i, i+1)
		l.forgotten++
	}
	l.gaps = append(l.gaps, g)
}

// List is the gaps that are remembered, oldest first, and how many were forgotten.
func (l *Log) List() (gaps []pubsub.Gap, forgotten int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.gaps), l.forgotten
}

// Open is how many gaps have not ended.
func (l *Log) Open() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.gaps {
		if l.gaps[i].To.IsZero() {
			n++
		}
	}
	return n
}
