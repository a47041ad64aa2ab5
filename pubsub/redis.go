package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// ErrClosed is returned by Run and Ready after Close.
var ErrClosed = errors.New("pubsub: the broker is closed")

// Redis is the Broker over one Redis server. Open makes it.
type Redis struct {
	opts   Options
	client *redis.Client
	wishes *wishes
	stats  counters

	running atomic.Bool
	life    context.Context // ends with Close
	end     context.CancelFunc

	mu    sync.Mutex
	state connState // guarded by mu
}

var _ Broker = (*Redis)(nil)

// quiet is go-redis' logger, one for the process: its lines, unstructured and as
// many as there are attempts, say what errors and Events say already.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// Open validates o and returns a Broker that is not connected yet: Redis may
// be down. Run connects; the command client connects when it is first used.
func Open(o Options) (*Redis, error) {
	o = o.withDefaults()
	ro, err := parseURL(o.URL)
	if err := errors.Join(err, o.validate()); err != nil {
		return nil, err
	}
	if o.DialTimeout > 0 {
		ro.DialTimeout = o.DialTimeout
	}
	redis.SetLogger(quiet{})
	r := &Redis{opts: o, client: redis.NewClient(ro), wishes: newWishes()}
	r.life, r.end = context.WithCancel(context.Background())
	return r, nil
}

// Client is the go-redis client for commands, with its pool. It never repeats
// a command by itself (MaxRetries is off), and honours the deadlines of
// contexts. Close closes it.
func (r *Redis) Client() *redis.Client { return r.client }

// Close ends Run, if it runs, without waiting for it, and closes the command
// client.
func (r *Redis) Close() error {
	r.end()
	return r.client.Close()
}

// Publish is Broker.Publish.
func (r *Redis) Publish(ctx context.Context, channel string, payload []byte) (int64, error) {
	n, err := r.client.Publish(ctx, r.opts.Prefix+channel, payload).Result()
	if err != nil {
		return 0, fmt.Errorf("pubsub: PUBLISH %s%s: %w", r.opts.Prefix, channel, err)
	}
	return n, nil
}

// Subscribe is Broker.Subscribe.
func (r *Redis) Subscribe(channel string) { r.wishes.want(channel) }

// Unsubscribe is Broker.Unsubscribe.
func (r *Redis) Unsubscribe(channel string) { r.wishes.drop(channel) }
