package main

import (
	"context"
	"runtime/debug"
	"strings"
	"time"
)

// tuneMemory lets the garbage collector run at half the growth that it would run
// at by default: a node is mostly connections that stay, so the garbage of their
// handshakes would otherwise keep a quarter of the memory. GOGC has precedence.
func tuneMemory(environ []string) {
	for _, e := range environ {
		if strings.HasPrefix(e, "GOGC=") {
			return
		}
	}
	debug.SetGCPercent(50)
}

// giveBack returns to the machine what many handshakes have left, or connections that
// have ended, once they are over: a node at rest allocates so little that its garbage
// collector, which goes by the growth of the heap, would let it lie. It is a collection
// like any other, which stops the reactors for a fraction of a millisecond.
func (a *App) giveBack(ctx context.Context) error {
	t := time.NewTicker(giveBackEvery)
	defer t.Stop()
	var crowd crowd
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		s := a.engine.Stats()
		if crowd.settled(s.Accepted, s.Accepted-s.Connections) {
			debug.FreeOSMemory()
		}
	}
}

const (
	giveBackEvery = 2 * time.Second
	calm          = 100  // who came and went in that time, at most, where the crowd has settled
	crowded       = 1000 // who came and went since it was last given back, at least, or it is not worth it
)

// crowd watches how many come and go.
type crowd struct {
	last, given int64 // who had come and gone at the last look, when memory was last given back
}

// settled is given how many have come and gone so far, and reports when many have that do
// no more.
func (c *crowd) settled(come, gone int64) bool {
	now := come + gone
	moved := now - c.last
	c.last = now
	if moved > calm || now-c.given < crowded {
		return false
	}
	c.given = now
	return true
}
