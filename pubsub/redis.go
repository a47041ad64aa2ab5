package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub/redisurl"
)

// ErrClosed is returned by Run and Ready after Close.
var ErrClosed = errors.New("pubsub: the broker is closed")

var errRunning = errors.New("pubsub: Run is called while it runs")

// Redis is the Broker over Redis, however that is run: one server, several as
// shards, one behind Sentinel, or a Cluster. Open makes it.
//
// What differs is only which servers there are and which channels each carries
// (layout); everything else is lanes.
type Redis struct {
	opts   Options
	target *target
	life   string // of this broker: what the names of its probes begin with
	gaps   gaps

	running atomic.Bool
	ctx     context.Context // ends with Close
	end     context.CancelFunc
	trouble chan struct{} // holds a token when the layout may have changed
	looking sync.Mutex    // held by ensureLayout, and while Run begins: only one of them applies a layout

	// routes is held for writing while channels are on their way from one lane to
	// another, and for reading by those who ask which lane has one.
	routes  sync.RWMutex
	layout  layout    // guarded by routes
	limbo   *lane     // of channels whose server is not known; never connected
	moving  []*lane   // guarded by routes; lanes that may still have channels which are not theirs any more
	stage   *running  // guarded by routes; nil while Run does not run
	known   time.Time // guarded by routes; when the last look began that found this layout; zero: never, or it is fixed
	awaited []func()  // guarded by routes; those who wait for a look
	leaving []*server // guarded by routes; those that carry nothing any more and are still being ended
	past    Stats     // guarded by routes; what servers counted that are gone
}

// running is a Run that runs.
type running struct {
	ctx   context.Context
	sink  Sink
	owned sync.WaitGroup // those who wait for an abdication
}

var _ Broker = (*Redis)(nil)

// quiet is go-redis' logger, one for the process: its lines, unstructured and as
// many as there are attempts, say what errors and Events say already.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// Open validates o and returns a Broker that is not connected yet: Redis may
// be down. Run connects; command clients connect when they are first used.
func Open(o Options) (*Redis, error) {
	o = o.withDefaults()
	t, err := parseTarget(o.URL)
	if err := errors.Join(err, o.validate()); err != nil {
		return nil, err
	}
	if o.DialTimeout > 0 {
		for _, s := range t.servers {
			s.DialTimeout = o.DialTimeout
		}
	}
	redis.SetLogger(quiet{})
	r := &Redis{opts: o, target: t, life: newLife(), gaps: gaps{tell: o.Events.Gap}, trouble: make(chan struct{}, 1)}
	r.ctx, r.end = context.WithCancel(context.Background())
	r.limbo = newLane(r, &server{addr: "nowhere yet"}, 0)
	r.layout = r.fixed()
	return r, nil
}

// Close ends Run, if it runs, without waiting for it, and closes the command
// clients.
func (r *Redis) Close() error {
	r.end()
	r.routes.Lock()
	defer r.routes.Unlock()
	var faults []error
	for _, s := range r.layout.servers {
		faults = append(faults, s.client.Close())
	}
	return errors.Join(faults...)
}

// Run is Broker.Run.
func (r *Redis) Run(ctx context.Context, sink Sink) error {
	if !r.running.CompareAndSwap(false, true) {
		return errRunning
	}
	defer r.running.Store(false)
	outer := ctx
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(r.ctx, stop)()
	r.begin(ctx, sink)
	r.discover(ctx)
	<-ctx.Done()
	r.finish()
	if err := outer.Err(); err != nil {
		return err
	}
	return ErrClosed
}

// begin starts the lanes of the servers that are known.
func (r *Redis) begin(ctx context.Context, sink Sink) {
	r.looking.Lock()
	defer r.looking.Unlock()
	r.routes.Lock()
	defer r.routes.Unlock()
	r.stage = &running{ctx: ctx, sink: sink}
	for _, s := range r.layout.servers {
		s.start(ctx, sink)
	}
}

// finish waits for all lanes; their context has ended.
func (r *Redis) finish() {
	r.routes.Lock()
	stage := r.stage
	r.stage = nil
	servers := r.layout.servers
	r.routes.Unlock()
	stage.owned.Wait()
	for _, s := range servers {
		s.halt()
	}
}

// Publish is Broker.Publish.
func (r *Redis) Publish(ctx context.Context, channel string, payload []byte) (int64, error) {
	wire := r.opts.Prefix + channel
	if err := r.ensureLayout(ctx); err != nil {
		return 0, fmt.Errorf("pubsub: publishing on %s: %w", wire, err)
	}
	var refused time.Time // when it was first; zero: it was not
	for {
		s := r.server(channel)
		if s == nil {
			return 0, fmt.Errorf("pubsub: publishing on %s: %w", wire, r.unknown(channel))
		}
		n, err := s.publish(ctx, wire, payload)
		if err == nil {
			return n, nil
		}
		if !r.again(ctx, err, &refused) {
			return 0, fmt.Errorf("pubsub: publishing on %s: %w", wire, err)
		}
	}
}

// again says, after a pause, whether to ask once more for what a server has not
// executed: another may, or this one in a moment. refused is when that was first.
func (r *Redis) again(ctx context.Context, err error, refused *time.Time) bool {
	if refused.IsZero() {
		*refused = time.Now()
	}
	if !r.dynamic() || !notExecuted(err) && !errors.Is(err, redis.ErrClosed) || time.Since(*refused) >= r.opts.MoveTimeout {
		return false
	}
	r.troubled()
	pause(ctx, refusedPause)
	return ctx.Err() == nil && r.ctx.Err() == nil
}

// refusedPause is between attempts to publish what a Cluster has refused.
const refusedPause = 20 * time.Millisecond

// server is the one that carries channel; nil: it is not known.
func (r *Redis) server(channel string) *server {
	r.routes.RLock()
	defer r.routes.RUnlock()
	return r.layout.server(r.opts.Prefix, channel)
}

// lane is the one that carries channel. r.routes is held.
func (r *Redis) lane(channel string) *lane {
	if s := r.layout.server(r.opts.Prefix, channel); s != nil {
		return s.lane(channel)
	}
	return r.limbo
}

// Subscribe is Broker.Subscribe.
func (r *Redis) Subscribe(channel string) { r.wish(channel, func(l *lane) { l.wishes.want(channel) }) }

// Unsubscribe is Broker.Unsubscribe.
func (r *Redis) Unsubscribe(channel string) {
	r.wish(channel, func(l *lane) { l.wishes.drop(channel) })
}

// wish changes the wish for channel on the lane that carries it.
func (r *Redis) wish(channel string, change func(*lane)) {
	r.routes.RLock()
	settled := len(r.moving) == 0
	if settled {
		change(r.lane(channel))
	}
	r.routes.RUnlock()
	if settled {
		return
	}
	r.routes.Lock()
	defer r.routes.Unlock()
	r.adopt(channel)
	change(r.lane(channel))
}

// adopt takes the wish for channel, if there is one, from whatever lane had it to
// the one that carries it now. r.routes is held for writing.
func (r *Redis) adopt(channel string) (to *lane) {
	to = r.lane(channel)
	for _, l := range r.moving {
		if l != to && l.wishes.drop(channel) {
			to.wishes.want(channel)
			return to
		}
	}
	return to
}

// askAgain has the lane that carries channel subscribe it once more, if it is wished for. A wish
// that is still on its way there will do so anyway.
func (r *Redis) askAgain(channel string) {
	r.routes.RLock()
	defer r.routes.RUnlock()
	r.lane(channel).wishes.renew(channel)
}

// troubled says that the layout may have changed.
func (r *Redis) troubled() {
	select {
	case r.trouble <- struct{}{}:
	default:
	}
}

// Client is the go-redis client, with its pool, of the server that has key, which
// is with its prefix; nil where that is not known. It never repeats a command by
// itself (MaxRetries is off), and honours the deadlines of contexts. Ask for it
// each time: the key may move. Close closes it.
func (r *Redis) Client(key string) *redis.Client {
	r.routes.RLock()
	defer r.routes.RUnlock()
	if s := r.layout.keeper(key); s != nil {
		return s.client
	}
	return nil
}

// Shard gives the keys of one of several parts into which something is cut. They are
// spread over the servers where those know nothing of each other; elsewhere where
// each lies depends on its key alone.
func (r *Redis) Shard(part int) Keys {
	if r.target.Kind == redisurl.Shards {
		return shardKeys{r, part}
	}
	return r
}

// shardKeys are keys on one of several servers that know nothing of each other.
type shardKeys struct {
	r    *Redis
	part int
}

func (k shardKeys) Client(string) *redis.Client {
	k.r.routes.RLock()
	defer k.r.routes.RUnlock()
	servers := k.r.layout.servers
	if len(servers) == 0 {
		return nil
	}
	return servers[k.part%len(servers)].client
}

func (k shardKeys) Misplaced() bool { return k.r.Misplaced() }

// Misplaced implements Keys: the layout is looked at again.
func (r *Redis) Misplaced() bool {
	r.troubled()
	return r.dynamic()
}
