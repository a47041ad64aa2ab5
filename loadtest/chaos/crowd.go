package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/loadtest/internal/history"
)

// crowd are the clients: some that stay and together hold every channel at every
// node, and some that come and go.
type crowd struct {
	rig *rig

	// fresh is, by node and stream's channel, when the newest message was sent that
	// a staying client has got.
	fresh     [][]atomic.Int64
	delivered atomic.Int64
	connected atomic.Int64

	mu      sync.Mutex
	number  int                    // guarded by mu; of the last connection
	done    []history.Subscription // guarded by mu; of connections that are over
	dropped []string               // guarded by mu; connections that a living node ended
}

func (c *crowd) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number++
	return c.number
}

// stay keeps a connection to a node until the run is over; where its node is
// killed it waits for the next one.
func (c *crowd) stay(ctx context.Context, n *node, channels []string) {
	for ctx.Err() == nil && c.rig.over.Err() == nil {
		k := c.open(ctx, n, channels)
		if k == nil {
			continue
		}
		c.connected.Add(1)
		stop := context.AfterFunc(c.rig.over, func() { _ = k.SetReadDeadline(time.Now()) }) // it fails only on a closed one
		interrupted := context.AfterFunc(ctx, func() { k.Close() })
		finals := c.finals(channels)
		take := func(payload []byte, at int64) bool {
			r, ok := c.note(k, payload, at)
			if ok {
				if f := finals[r.stream]; f != nil {
					f.newest = max(f.newest, r.number)
				}
			}
			return c.rig.over.Err() != nil && allSeen(finals)
		}
		err := k.read(take)
		// What is under way at the end of the run may still come.
		for end := time.Now().Add(drainTime); errors.Is(err, os.ErrDeadlineExceeded) && !allSeen(finals) && time.Now().Before(end); {
			_ = k.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) // as above
			err = k.read(take)
		}
		stop()
		interrupted()
		c.connected.Add(-1)
		c.finish(k, err, c.rig.over.Err() != nil)
	}
}

// final is how far a stream has come.
type final struct {
	stream *stream
	newest int
}

func (c *crowd) finals(channels []string) map[int]*final {
	list := map[int]*final{}
	for _, s := range c.rig.streams {
		if slices.Contains(channels, s.channel) {
			list[s.index] = &final{stream: s, newest: -1}
		}
	}
	return list
}

func allSeen(finals map[int]*final) bool {
	for _, f := range finals {
		if f.newest < f.stream.last() {
			return false
		}
	}
	return true
}

// visit connects, stays a while, and leaves, again and again.
func (c *crowd) visit(ctx context.Context, n *node, random *rand.Rand) {
	for ctx.Err() == nil && c.rig.over.Err() == nil {
		var channels []string
		for range 1 + random.IntN(3) {
			channels = append(channels, c.rig.streams[random.IntN(len(c.rig.streams))].channel)
		}
		slices.Sort(channels)
		k := c.open(ctx, n, slices.Compact(channels))
		if k == nil {
			continue
		}
		c.connected.Add(1)
		leave := time.AfterFunc(time.Duration(100+random.IntN(2500))*time.Millisecond, k.hangUp)
		stop := context.AfterFunc(c.rig.over, k.hangUp)
		_ = k.read(func(payload []byte, at int64) bool { // that it ends says nothing: it may have left
			c.note(k, payload, at)
			return false
		})
		stop()
		leave.Stop()
		c.connected.Add(-1)
		c.finish(k, nil, false)
	}
}

// open connects to whatever lives at a node now. It is nil after a short wait
// where that fails.
func (c *crowd) open(ctx context.Context, n *node, channels []string) *client {
	if l := n.current(); l != nil {
		if k, err := connect(ctx, l, c.next(), channels); err == nil {
			return k
		}
	}
	select {
	case <-time.After(50 * time.Millisecond):
	case <-ctx.Done():
	}
	return nil
}

// note books an arrival.
func (c *crowd) note(k *client, payload []byte, at int64) (r received, ok bool) {
	r, ok = parseMessage(payload)
	var sub *history.Subscription
	if ok {
		sub = k.subs[string(r.channel)]
		ok = sub != nil && r.stream >= 0 && r.stream < len(c.rig.streams)
	}
	if !ok {
		for _, s := range k.subs { // whichever it was meant for
			s.Altered++
			break
		}
		return r, false
	}
	sub.Arrivals = append(sub.Arrivals, history.Arrival{Stream: int32(r.stream), Number: int32(r.number), At: at})
	c.delivered.Add(1)
	fresh := &c.fresh[k.life.node][r.stream]
	for {
		was := fresh.Load()
		if was >= r.sent || fresh.CompareAndSwap(was, r.sent) {
			return r, true
		}
	}
}

// finish hands a connection's subscriptions over to the history.
func (c *crowd) finish(k *client, err error, stayed bool) {
	k.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range k.subs {
		s.Stayed = stayed
		c.done = append(c.done, *s)
	}
	if err != nil && !stayed && !k.life.wasKilled() {
		c.dropped = append(c.dropped, fmt.Sprintf("%s at %s: %v", k.life.key, time.Now().UTC().Format("15:04:05.000"), err))
	}
}
