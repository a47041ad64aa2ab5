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
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case <-t.reached:
			if t.delivered.Load() >= target {
				return true
			}
		case <-timer.C:
			now := t.delivered.Load()
			if now >= target {
				return true
			}
			if now == last {
				return false
			}
			last = now
			timer.Reset(quiet)
		case <-ctx.Done():
			return false
		}
	}
}
