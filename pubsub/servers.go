package pubsub

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub/redisurl"
)

// Server is one Redis that channels lie on, for who wants to look at it.
type Server struct {
	Addr   string // host:port
	Named  bool   // by sentinels, as the master
	client *redis.Client
}

// Servers are those of r, by address, looked up anew where a Sentinel or a Cluster
// says which they are. They can be asked until Close.
func (r *Redis) Servers(ctx context.Context) ([]Server, error) {
	if err := r.ensureLayout(ctx); err != nil {
		return nil, err
	}
	r.routes.RLock()
	defer r.routes.RUnlock()
	servers := make([]Server, 0, len(r.layout.servers))
	for _, s := range r.layout.servers {
		servers = append(servers, Server{s.addr, r.target.Kind == redisurl.Sentinel, s.client})
	}
	slices.SortFunc(servers, func(a, b Server) int { return strings.Compare(a.Addr, b.Addr) })
	return servers, nil
}

// Ask sends a command and returns the words of its answer, those of nested lists and
// maps one after the other.
func (s Server) Ask(ctx context.Context, command ...any) ([]string, error) {
	answer, err := s.client.Do(ctx, command...).Result()
	if err != nil {
		return nil, err
	}
	return words(answer), nil
}

func words(answer any) (all []string) {
	switch a := answer.(type) {
	case []any:
		for _, v := range a {
			all = append(all, words(v)...)
		}
	case map[any]any:
		for k, v := range a {
			all = append(append(all, words(k)...), words(v)...)
		}
	default:
		all = append(all, fmt.Sprint(a))
	}
	return all
}
