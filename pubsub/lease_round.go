package pubsub

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// How a life ends, and for how long that is remembered: a node that was
// stopped for longer does not learn that it was declared dead.
const (
	endLeft = "left"
	endDied = "died"
	endKept = 24 * time.Hour
)

// renewal is what the first half of a round says about this node.
type renewal struct {
	end      string            // this life has ended; the rest is void
	held     bool              // the lease was still there
	fresh    bool              // the registry had not known this life
	registry map[string]string // life → description
}

// sight is what stands in Redis about another life.
type sight struct {
	listed bool   // in the registry
	text   string // its description there
	lease  string // value of its lease; "" if it has none
	end    string // how it ended; "" if it has not
}

// round renews the lease and looks at the others.
func (l *Lease) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	began := l.now()
	was := l.Self()
	mine, err := l.renewOnce(ctx)
	if err == nil && mine.end != "" {
		l.reborn()
		mine, err = l.renew(ctx)
	}
	if err != nil {
		return err
	}
	if mine.end != "" {
		return errors.New("the next life had ended before it began: the node's life is not unique")
	}
	l.settle(began, mine)
	if now := l.Self(); now.Life != was.Life {
		if f := l.opts.Lapsed; f != nil {
			f(was, now)
		}
	}
	seen, err := l.look(ctx, mine.registry)
	if err != nil {
		return err
	}
	return l.judge(ctx, seen)
}

// renewOnce renews, unless this life may have ended meanwhile: then it looks
// first, because a dead life that is renewed would be seen to die again.
func (l *Lease) renewOnce(ctx context.Context) (renewal, error) {
	if l.good.IsZero() || l.now().Sub(l.good) >= l.opts.TTL/2 {
		var end *redis.StringCmd
		cmds, err := l.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			end = p.Get(ctx, l.key("end", l.Self().Life))
			return nil
		})
		if err = firstError(cmds, err); err != nil {
			return renewal{}, err
		}
		if end.Val() != "" {
			return renewal{end: end.Val()}, nil
		}
	}
	return l.renew(ctx)
}

func (l *Lease) renew(ctx context.Context) (renewal, error) {
	self := l.Self()
	l.number++
	var lease *redis.StatusCmd
	var listed *redis.IntCmd
	var end *redis.StringCmd
	var all *redis.MapStringStringCmd
	cmds, err := l.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		lease = p.SetArgs(ctx, l.key("lease", self.Life), strconv.FormatInt(l.number, 10), redis.SetArgs{TTL: l.opts.TTL, Get: true})
		listed = p.HSet(ctx, l.registry(), self.Life, self.describe())
		end = p.Get(ctx, l.key("end", self.Life))
		all = p.HGetAll(ctx, l.registry())
		return nil
	})
	if err = firstError(cmds, err); err != nil {
		return renewal{}, err
	}
	r := renewal{held: lease.Err() == nil, fresh: listed.Val() == 1, end: end.Val(), registry: all.Val()}
	if r.end != "" && r.fresh {
		// Declared dead and buried a moment ago: it must not stand there again.
		return r, l.strike(ctx, self.Life)
	}
	return r, nil
}

// reborn gives this node another life. The old one, if it still stands in the
// registry, is for the others to bury.
func (l *Lease) reborn() {
	next := l.next()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peers[l.self.Life] = &peer{Peer: l.self, ended: true}
	l.self.Life = next
	l.stats.Lapses++
	l.registered = false
}

// settle notes a renewal, and whether contact with Redis has been good.
func (l *Lease) settle(began time.Time, mine renewal) {
	now := l.now()
	forgotten := l.registered && mine.fresh
	if l.good.IsZero() || now.Sub(l.good) >= l.opts.TTL/2 || !mine.held || forgotten || !l.registered {
		l.calm = now
	}
	l.good, l.registered = began, true
	l.mu.Lock()
	l.renewed = began
	l.stats.Renewals++
	l.mu.Unlock()
	if f := l.opts.Forgotten; forgotten && f != nil {
		f()
	}
}

// look reads what stands in Redis about all that are registered or were.
func (l *Lease) look(ctx context.Context, registry map[string]string) (map[string]sight, error) {
	seen := make(map[string]sight, len(registry))
	for life, text := range registry {
		seen[life] = sight{listed: true, text: text}
	}
	for life := range l.peers { // Run's goroutine is the only writer
		if _, ok := seen[life]; !ok {
			seen[life] = sight{}
		}
	}
	delete(seen, l.Self().Life)
	if len(seen) == 0 {
		return seen, nil
	}
	lives := slices.Collect(maps.Keys(seen))
	keys := make([]string, 0, 2*len(lives))
	for _, life := range lives {
		keys = append(keys, l.key("lease", life), l.key("end", life))
	}
	var got *redis.SliceCmd
	cmds, err := l.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		got = p.MGet(ctx, keys...)
		return nil
	})
	if err = firstError(cmds, err); err != nil {
		return nil, err
	}
	values := got.Val()
	if len(values) != len(keys) {
		return nil, errors.New("MGET answered for another number of keys")
	}
	for i, life := range lives {
		s := seen[life]
		s.lease, _ = values[2*i].(string) // nil: no such key
		s.end, _ = values[2*i+1].(string)
		seen[life] = s
	}
	return seen, nil
}

// judge draws the conclusions, one life at a time.
func (l *Lease) judge(ctx context.Context, seen map[string]sight) error {
	for _, life := range slices.Sorted(maps.Keys(seen)) {
		s := seen[life]
		p := l.meet(life, s)
		switch {
		case s.end == endLeft:
			if !p.ended {
				l.tell(p, l.opts.Left)
			}
			l.forget(life)
			if s.listed { // it could not finish
				if err := l.strike(ctx, life); err != nil {
					return err
				}
			}
		case s.end != "":
			l.died(p)
			if err := l.bury(ctx, p, s.listed); err != nil {
				return err
			}
		case s.lease != "":
			l.alive(p, s.lease)
		case !l.mayJudge(p):
		case s.listed:
			if err := l.declare(ctx, p); err != nil {
				return err
			}
		default: // Redis has lost it, or it was long ago: there is nothing to bury
			l.died(p)
			l.forget(life)
		}
	}
	return nil
}

// mayJudge says whether p has had its chance: all that were cut off from Redis
// together with this node have come back by now.
func (l *Lease) mayJudge(p *peer) bool {
	return l.now().Sub(l.calm) >= max(l.opts.TTL, time.Duration(p.TTL)*time.Millisecond)
}

// meet finds life among the peers, or adds it.
func (l *Lease) meet(life string, s sight) *peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[life]
	if p == nil {
		p = &peer{Peer: described(life, s.text)}
		l.peers[life] = p
	}
	return p
}

func (l *Lease) forget(life string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.peers, life)
}

func (l *Lease) alive(p *peer, lease string) {
	l.mu.Lock()
	news := !p.known
	p.known = true
	if p.lease != lease {
		p.lease, p.seen = lease, l.now()
	}
	l.mu.Unlock()
	if news && !p.ended {
		if f := l.opts.Joined; f != nil {
			f(p.Peer)
		}
	}
}

// tell says once that p has ended.
func (l *Lease) tell(p *peer, event func(Peer)) {
	l.mu.Lock()
	p.ended = true
	l.mu.Unlock()
	if event != nil {
		event(p.Peer)
	}
}

func (l *Lease) died(p *peer) {
	if p.ended {
		return
	}
	l.mu.Lock()
	l.stats.Deaths++
	l.mu.Unlock()
	l.tell(p, l.opts.Died)
}

// declare ends p's life, unless another node just did or p has left.
func (l *Lease) declare(ctx context.Context, p *peer) error {
	var first *redis.StatusCmd
	cmds, err := l.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		first = pipe.SetArgs(ctx, l.key("end", p.Life), endDied, redis.SetArgs{Mode: "NX", TTL: endKept})
		return nil
	})
	if err = firstError(cmds, err); err != nil {
		return err
	}
	if first.Err() != nil {
		return nil // the next round reads how it ended
	}
	l.died(p)
	return l.bury(ctx, p, true)
}

// strike takes life off the registry.
func (l *Lease) strike(ctx context.Context, life string) error {
	cmds, err := l.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HDel(ctx, l.registry(), life)
		return nil
	})
	return firstError(cmds, err)
}

// firstError is the first real error of a pipeline; nil replies are none.
func firstError(cmds []redis.Cmder, err error) error {
	for _, c := range cmds {
		if err := ignoreNil(c.Err()); err != nil {
			return err
		}
	}
	return ignoreNil(err)
}

func ignoreNil(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
