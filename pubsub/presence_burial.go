package pubsub

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Bury removes the entries of a dead node: LeaseEvents.Bury calls it. It may be
// repeated, and called from any goroutine.
func (p *Presence) Bury(ctx context.Context, dead Peer) error {
	err := p.eachIndexed(ctx, dead.Life, func(channels []string) error {
		for len(channels) > 0 {
			n := min(len(channels), p.opts.Calls)
			if err := p.buryIn(ctx, dead.Life, channels[:n]); err != nil {
				return err
			}
			channels = channels[n:]
		}
		return nil
	})
	if err == nil {
		var cmds []redis.Cmder
		cmds, err = p.far.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Del(ctx, p.indexKey(dead.Life))
			return nil
		})
		err = firstError(cmds, err)
	}
	if err != nil {
		return fmt.Errorf("pubsub: removing the presence of node %s, life %s: %w", dead.ID, dead.Life, err)
	}
	return nil
}

// buryIn removes a life's entries from some channels.
func (p *Presence) buryIn(ctx context.Context, life string, channels []string) error {
	var calls []call
	for _, channel := range channels {
		calls = append(calls, call{channel, "sluice_sweep", []any{life, "-", "0", flag(p.opts.Announces(channel))}})
	}
	for len(calls) > 0 {
		var rest []call
		for i, a := range p.far.calls(ctx, calls) {
			cursor, removed, ok := parseSweep(a)
			if !ok {
				return fmt.Errorf("in %s: %w, %.200v", calls[i].channel, a.err, a.value)
			}
			p.mu.Lock()
			p.stats.Buried += removed
			p.mu.Unlock()
			if cursor != "0" {
				next := calls[i]
				next.args = []any{life, "-", cursor, next.args[3]}
				rest = append(rest, next)
			}
		}
		calls = rest
	}
	return nil
}

// parseSweep reads what sluice_sweep answers.
func parseSweep(a answer) (cursor string, removed int64, ok bool) {
	items, ok := a.list(2)
	if !ok || a.err != nil {
		return "", 0, false
	}
	cursor, ok1 := items[0].(string)
	removed, ok2 := items[1].(int64)
	_, err := strconv.ParseUint(cursor, 10, 64)
	return cursor, removed, ok1 && ok2 && err == nil
}
