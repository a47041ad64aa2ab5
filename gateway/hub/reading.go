package hub

import (
	"context"
	"slices"
	"sync"
	"time"

	"sluice/pubsub"
)

// reading is one reading of a channel's log: to fill a hole in what comes live, or
// for members that resume. However many resume on one channel from one position,
// as long as it has not begun they share it.
type reading struct {
	readingKey
	fills bool   // it is the chain's
	asked uint32 // its asking
	tries int    // that have failed before

	reactors []int // that want the answer, unless it fills; guarded by log.mu until it is begun
	begun    bool  // guarded by log.mu
	unwanted bool  // nobody waits for it any more; guarded by log.mu

	// The answer, set before it is handed on:
	history pubsub.History
	err     error
	live    pubsub.Position // what the chain had handed on to the reactors by then; 0: it does not know
}

// readingKey is what readings have in common that can be one.
type readingKey struct {
	channel *Channel
	since   pubsub.Position
	limit   int
	newest  bool // of the last entry
}

// log reads the logs of channels, on goroutines of its own.
type log struct {
	h *Hub

	mu    sync.Mutex
	more  sync.Cond
	fills []*reading              // those of chains, which come first: everybody waits for them; guarded by mu
	queue []*reading              // those of members; guarded by mu
	open  map[readingKey]*reading // those in queue that members wait for; guarded by mu
	ended bool                    // guarded by mu

	kept     []keeping // oldest first; guarded by mu
	keptSize int       // guarded by mu
}

const (
	readers      = 8                      // readings at the same time
	readTimeout  = 2 * time.Second        // for one
	readAttempts = 3                      // for members that resume
	readPause    = 100 * time.Millisecond // after one that failed; it grows with each
)

func newLog(h *Hub) *log {
	l := &log{h: h, open: map[readingKey]*reading{}}
	l.more.L = &l.mu
	return l
}

// want puts a chain's reading in line.
func (l *log) want(r *reading) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fills = append(l.fills, r)
	l.more.Signal()
}

// share puts a reactor among those that wait for a reading, which is put in line
// unless there is one that has not begun.
func (l *log) share(key readingKey, reactor int) *reading {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.open[key]
	if r == nil {
		r = &reading{readingKey: key}
		l.open[key] = r
		l.queue = append(l.queue, r)
		l.more.Signal()
	}
	for _, i := range r.reactors {
		if i == reactor {
			return r
		}
	}
	r.reactors = append(r.reactors, reactor)
	return r
}

// unshare takes a reactor from those that wait for a reading. One that nobody waits for
// is not made.
func (l *log) unshare(r *reading, reactor int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.begun {
		return
	}
	r.reactors = slices.DeleteFunc(r.reactors, func(i int) bool { return i == reactor })
	if len(r.reactors) == 0 && l.open[r.readingKey] == r {
		r.unwanted = true
		delete(l.open, r.readingKey)
	}
}

// run carries readings out until ctx ends.
func (l *log) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ended = true
		l.more.Broadcast()
	})
	defer stop()
	var running sync.WaitGroup
	for range readers {
		running.Go(func() {
			e := newEmitter(l.h, "the log")
			for r := l.next(); r != nil; r = l.next() {
				l.read(ctx, e, r)
			}
		})
	}
	running.Wait()
}

// next takes a reading out of the line, and waits for one. It returns nil when the
// log has ended.
func (l *log) next() *reading {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.ended {
		if r := l.first(); r != nil {
			r.begun = true
			return r
		}
		l.more.Wait()
	}
	return nil
}

// first is the next reading that is wanted, nil if there is none. l.mu is held.
func (l *log) first() *reading {
	if len(l.fills) > 0 {
		return pop(&l.fills)
	}
	for len(l.queue) > 0 {
		if r := pop(&l.queue); !r.unwanted {
			delete(l.open, r.readingKey)
			return r
		}
	}
	return nil
}

func pop(queue *[]*reading) *reading {
	r := (*queue)[0]
	(*queue)[0] = nil
	*queue = (*queue)[1:]
	return r
}

func (l *log) read(ctx context.Context, e *emitter, r *reading) {
	s := l.h.streamOf(r.channel)
	if r.fills {
		if r.tries > 0 {
			pause(ctx, time.Duration(r.tries)*readPause)
		}
		l.attempt(ctx, r)
		if ctx.Err() == nil {
			s.fill(e, r)
		}
		return
	}
	for try := 1; ; try++ {
		s.mu.Lock()
		doubts := s.chain.doubts
		s.mu.Unlock()
		l.attempt(ctx, r)
		if ctx.Err() != nil {
			return
		}
		if try < readAttempts && r.err != nil {
			pause(ctx, time.Duration(try)*readPause)
			continue
		}
		if s.answer(r, doubts, try == readAttempts) {
			l.keep(s, r)
			return
		}
	}
}

// bytes is how much of the log the reading takes at most.
func (r *reading) bytes() int {
	if r.fills {
		return fillSize
	}
	return r.channel.rules.Load().recovery()
}

func (l *log) attempt(ctx context.Context, r *reading) {
	l.h.readings.Add(1)
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if r.newest {
		r.history, r.err = l.h.broker.HistoryBefore(ctx, r.channel.name, 0, 1)
	} else {
		r.history, r.err = l.h.broker.History(ctx, r.channel.name, r.since, r.limit, r.bytes())
	}
	if r.err != nil {
		l.h.readFailed.Add(1)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// answer hands the answer to the reactors, unless messages may have been missed, or
// are not handed on any more, since the reading began, which it does not show; the
// last one says so as an error.
func (s *stream) answer(r *reading, doubts uint32, last bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.err == nil && s.chain.doubts != doubts {
		if !last {
			return false
		}
		r.err = errUnsteady
	}
	h := r.channel.hub
	if r.err == nil && !s.answered && h.onlyResuming(r.channel) && s.chain.learn(&r.history) {
		s.chain.doubts++ // who has an older answer under way would miss what is between the two
	}
	s.answered = true
	if s.chain.epoch == r.history.Epoch {
		r.live = s.chain.last
	}
	if r.err == nil {
		s.kept = &kept{r, s.chain.doubts}
	}
	h.answered(r)
	return true
}

// keep bounds what the answers that streams keep take, in number and bytes: the oldest
// are dropped.
func (l *log) keep(s *stream, r *reading) {
	size := 256
	for i := range r.history.Entries {
		size += 96 + len(r.history.Entries[i].Payload)
	}
	var dropped []*stream
	l.mu.Lock()
	l.kept, l.keptSize = append(l.kept, keeping{s, size}), l.keptSize+size
	for l.keptSize > maxKeptSize {
		dropped = append(dropped, l.kept[0].stream)
		l.keptSize -= l.kept[0].size
		l.kept[0] = keeping{}
		l.kept = l.kept[1:]
	}
	l.mu.Unlock()
	for _, s := range dropped {
		s.forgetKept()
	}
}

// keeping is a stream that may keep an answer, and what that takes, in bytes.
type keeping struct {
	stream *stream
	size   int
}

// maxKeptSize is what all answers that are kept take, in bytes.
const maxKeptSize = 8 << 20
