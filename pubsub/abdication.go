package pubsub

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub/redisurl"
)

// After a failover, or while slots move, the old master may not know yet that it
// is none: services that do not know either still publish there, and Redis takes
// it. Nobody hears that. So the gap lasts until the old master has been told, or
// has gone; what is published with it meanwhile falls into the gap.

// How long and how often an old master is asked.
const (
	abdicationEvery = 50 * time.Millisecond
	abdicationAtMax = time.Minute // it does not answer: it may come back, but not be waited for
)

// awaitAbdication waits until the server at addr, which carried the slots that
// stand in moved and does not any more, knows that.
func (r *Redis) awaitAbdication(ctx context.Context, addr string, moved []uint16) {
	ctx, cancel := context.WithTimeout(ctx, abdicationAtMax)
	defer cancel()
	o := r.target.at(addr)
	o.PoolSize, o.DialTimeout = 1, askTimeout
	client := redis.NewClient(o)
	defer func() { _ = client.Close() }() // nothing is under way
	for ctx.Err() == nil && r.stillReigns(ctx, client, addr, moved) {
		pause(ctx, abdicationEvery)
	}
}

// stillReigns says whether the server may still take what is published.
func (r *Redis) stillReigns(ctx context.Context, client *redis.Client, addr string, moved []uint16) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	switch {
	case r.opts.reigns != nil:
		return r.opts.reigns(addr)
	case r.target.Kind == redisurl.Sentinel:
		role, err := client.Do(ctx, "ROLE").Slice()
		if err != nil || len(role) == 0 {
			return !errors.Is(err, syscall.ECONNREFUSED)
		}
		return role[0] == "master"
	}
	view, err := client.ClusterNodes(ctx).Result()
	if err != nil {
		return !errors.Is(err, syscall.ECONNREFUSED)
	}
	nodes, err := parseNodes(addr, view)
	if err != nil {
		return true
	}
	for _, n := range nodes {
		if n.self && n.master {
			return n.owns(moved)
		}
	}
	return false
}

// owns says whether the node has any of the slots.
func (n *node) owns(wanted []uint16) bool {
	for _, slot := range wanted {
		for _, r := range n.slots {
			if r[0] <= int(slot) && int(slot) <= r[1] {
				return true
			}
		}
	}
	return false
}
