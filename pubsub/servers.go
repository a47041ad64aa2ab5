package pubsub

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Servers are the Redis servers that channels lie on, by address, looked up anew
// where a Sentinel or a Cluster says which they are. The clients are the Redis' own,
// until Close.
func (r *Redis) Servers(ctx context.Context) (map[string]*redis.Client, error) {
	if err := r.ensureLayout(ctx); err != nil {
		return nil, err
	}
	r.routes.RLock()
	defer r.routes.RUnlock()
	clients := make(map[string]*redis.Client, len(r.layout.servers))
	for _, s := range r.layout.servers {
		clients[s.addr] = s.client
	}
	return clients, nil
}
