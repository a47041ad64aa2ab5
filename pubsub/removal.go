package pubsub

import (
	"context"
	"fmt"
)

// RemoveHistory empties a channel's log (DEL). Its positions go on, so whoever comes
// back from one that was in it learns that something may be missing.
func (r *Redis) RemoveHistory(ctx context.Context, channel string) error {
	if err := r.ensureLayout(ctx); err != nil {
		return fmt.Errorf("pubsub: removing the log of %s%s: %w", r.opts.Prefix, channel, err)
	}
	key := "{" + r.opts.Prefix + channel + "}.log"
	client := r.Client(key)
	if client == nil {
		return fmt.Errorf("pubsub: removing the log of %s%s: %w", r.opts.Prefix, channel, r.unknown(channel))
	}
	if err := client.Del(ctx, key).Err(); err != nil {
		if notExecuted(err) {
			r.troubled()
		}
		return fmt.Errorf("pubsub: removing the log of %s%s: %w", r.opts.Prefix, channel, err)
	}
	return nil
}
