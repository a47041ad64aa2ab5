package pubsub

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// keyed sends pipelines to the server that has a key, and with it all keys of its
// slot, whichever that is by then.
type keyed struct {
	keys Keys
	key  string
}

// Pipelined waits for the server, where it is being found out, as long as ctx lasts.
func (k keyed) Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error) {
	client := k.keys.Client(k.key)
	for client == nil && k.keys.Misplaced() && ctx.Err() == nil {
		pause(ctx, misplacedPause)
		client = k.keys.Client(k.key)
	}
	if client == nil {
		return nil, fmt.Errorf("it is not known which Redis has %s", k.key)
	}
	cmds, err := client.Pipelined(ctx, fn)
	if notExecuted(firstError(cmds, err)) {
		k.keys.Misplaced()
	}
	return cmds, err
}
