package pubsub

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub/redisurl"
)

// server is one Redis: a standalone one, the master of a Sentinel group, or a
// master of a Cluster. The channels that it carries are spread over its lanes.
type server struct {
	addr    string // host:port
	fakes   *fakes
	options *redis.Options
	client  *redis.Client // for commands; repeats nothing
	sharded bool          // SSUBSCRIBE and SPUBLISH
	lanes   []*lane

	stop    context.CancelFunc // ends the lanes; nil: they do not run
	running sync.WaitGroup
}

// newServer makes a server that nothing is connected to.
func (r *Redis) newServer(o *redis.Options) *server {
	s := &server{addr: o.Addr, fakes: &r.opts.fakes, client: redis.NewClient(o), sharded: r.target.Kind == redisurl.Cluster && !r.target.Classic}
	s.options = s.client.Options() // with go-redis' defaults
	for i := range r.opts.Lanes {
		s.lanes = append(s.lanes, newLane(r, s, i))
	}
	return s
}

// seed spreads channels over lanes, differently in each process.
var seed = maphash.MakeSeed()

// lane is the one that carries channel.
func (s *server) lane(channel string) *lane {
	if len(s.lanes) == 1 {
		return s.lanes[0]
	}
	return s.lanes[maphash.String(seed, channel)%uint64(len(s.lanes))]
}

// start runs the lanes until halt, or until ctx ends.
func (s *server) start(ctx context.Context, sink Sink) {
	ctx, s.stop = context.WithCancel(ctx)
	for _, l := range s.lanes {
		l.out = sink.Lane(l)
		s.running.Go(func() { l.run(ctx) })
	}
}

// halt ends the lanes and waits for them.
func (s *server) halt() {
	if s.stop != nil {
		s.stop()
		s.running.Wait()
		s.stop = nil
	}
}

// publish sends one message. wire is the channel with its prefix.
func (s *server) publish(ctx context.Context, wire string, payload any) (int64, error) {
	switch {
	case s.fakes.publish != nil:
		return s.fakes.publish(ctx, s.addr, wire, payload)
	case s.sharded:
		return s.client.SPublish(ctx, wire, payload).Result()
	}
	return s.client.Publish(ctx, wire, payload).Result()
}

// wrongServer are the answers that mean: not executed, another server may; or
// this one, later.
var wrongServer = []string{"MOVED ", "ASK ", "CLUSTERDOWN", "TRYAGAIN", "READONLY", "LOADING", "MASTERDOWN"}

// isElsewhere reports whether an error answer is one of these.
func isElsewhere(text string) bool {
	for _, word := range wrongServer {
		if strings.HasPrefix(text, word) {
			return true
		}
	}
	return false
}

// notExecuted reports whether Redis has refused a command that another server
// may take.
func notExecuted(err error) bool {
	var said redis.Error
	return errors.As(err, &said) && isElsewhere(said.Error())
}

// wroteNothing reports whether Redis has refused a call before it wrote anything. These words
// a script hears, too, but not once it has written; of a right that is missing it may hear late.
// Those of another server are none of them: the one before may have written.
func wroteNothing(err error) bool {
	var said redis.Error
	if !errors.As(err, &said) {
		return false
	}
	text := said.Error()
	for _, word := range []string{"OOM ", "MISCONF ", "NOREPLICAS "} {
		if strings.HasPrefix(text, word) {
			return true
		}
	}
	return strings.HasPrefix(text, "NOPERM ") && !strings.Contains(text, "script")
}

// movedSlot reads the slot in "MOVED 866 10.0.0.7:6379".
func movedSlot(text string) (slot uint16, ok bool) {
	word, rest, _ := strings.Cut(text, " ")
	if word != "MOVED" {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(digits, 10, 16)
	return uint16(n), err == nil && n < slots
}

// probeChannel makes up the channel that only this lane subscribes, one that the
// server carries according to owns, which is asked for slots. No client can name
// it: braces are not allowed in channel names.
func (l *lane) probeChannel(life string, owns func(slot uint16) bool) string {
	for i := range 1 << 20 {
		name := fmt.Sprintf("{probe:%s.%x}", life, i)
		if owns(keySlot(l.r.opts.Prefix + name)) {
			return name
		}
	}
	return "" // it has hardly any slot
}
