package main

import (
	"context"
	"sync/atomic"
	"time"
)

// tally counts deliveries over all workers and wakes the one goroutine that waits for a number of them.
type tally struct {
	delivered atomic.Int64
	target    atomic.Int64
	reached   chan struct{} // holds one token; a stale one only costs a look
}

func newTally() *tally { return &tally{reached: make(chan struct{}, 1)} }

// add is called by workers, once per batch of events.
func (t *tally) add(n int64) {
	if t.delivered.Add(n) >= t.target.Load() {
		select {
		case t.reached <- struct{}{}:
		default: // a token is there already
		}
	}
}

// await returns true when target deliveries are reached, and false when none has come for quiet or ctx has ended.
func (t *tally) await(ctx context.Context, target int64, quiet time.Duration) bool {
	t.target.Store(target)
	last := t.delivered.Load()
	if last >= target {
		return true
	}
	look := time.NewTicker(max(quiet/8, time.Millisecond))
	defer look.Stop()
	since := time.Now()
	for {
		select {
		case <-t.reached:
		case <-look.C:
		case <-ctx.Done():
			return false
		}
		switch now := t.delivered.Load(); {
		case now >= target:
			return true
		case now != last:
			last, since = now, time.Now()
		case time.Since(since) >= quiet:
			return false
		}
	}
}
