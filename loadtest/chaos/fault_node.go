package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"sluice/pubsub/redisproc/faultproxy"
)

// nodeFaults happen to nodes, or to what Redis keeps for them.
var nodeFaults = []fault{
	{"node-kill", nil, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		n := r.nodes[random.IntN(len(r.nodes))]
		e.Nodes = []int{n.index}
		e.begin("kill -9 and restart of %s", n.name)
		n.kill()
		hold(ctx, between(random, 100*time.Millisecond, time.Second))
		err := n.start(ctx)
		e.From = now()
		e.heal()
		return err
	}},
	{"node-stop", nil, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		n := r.nodes[random.IntN(len(r.nodes))]
		e.Nodes, e.stopped = []int{n.index}, true
		d := r.length(random)
		e.begin("SIGSTOP and SIGCONT of %s, %v", n.name, d.Round(time.Millisecond))
		return n.stopped(func() error { hold(ctx, d); return nil }, e)
	}},
	{"overrun", nil, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		n := r.nodes[random.IntN(len(r.nodes))]
		e.Nodes, e.stopped = []int{n.index}, true
		e.begin("output buffer overrun for %s, which is stopped", n.name)
		return r.limited(func() error {
			return n.stopped(func() error { return r.flood(ctx) }, e)
		})
	}},
	{"overrun-stall", alone, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		n := r.nodes[random.IntN(len(r.nodes))]
		e.Nodes = []int{n.index}
		e.begin("output buffer overrun for %s, to which nothing gets through", n.name)
		return r.limited(func() error {
			r.proxied(e, func(p *faultproxy.Proxy) { p.Set(faultproxy.Rules{Down: faultproxy.Rule{Hold: true}}) })
			err := r.flood(ctx)
			e.From = now()
			r.proxied(e, func(p *faultproxy.Proxy) { p.Set(faultproxy.Rules{}) })
			e.heal()
			return err
		})
	}},
}

// stopped does something while the node is.
func (n *node) stopped(do func() error, e *event) error {
	l := n.current()
	if l == nil {
		return fmt.Errorf("%s does not run", n.name)
	}
	if err := l.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	err := do()
	e.From = now()
	err = errors.Join(err, l.signal(syscall.SIGCONT))
	e.heal()
	return err
}

// limited does something while the Redis that carries the big channel allows its
// subscribers little output buffer.
func (r *rig) limited(do func() error) error {
	s, err := r.backend.carrier(bigChannel)
	if err != nil {
		return err
	}
	if _, err := s.Do("CONFIG", "SET", "client-output-buffer-limit", "pubsub 4mb 0 0"); err != nil {
		return err
	}
	err = do()
	_, back := s.Do("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60")
	return errors.Join(err, back)
}

// flood publishes big messages until Redis has cut a subscriber off. Sockets
// swallow several megabytes before its buffer fills.
func (r *rig) flood(ctx context.Context) error {
	p := &publisher{router: r.backend.router, channel: prefix + bigChannel}
	defer p.close()
	reached := int64(0)
	for range 1000 {
		if _, err := r.big.publish(ctx, p); err != nil {
			return fmt.Errorf("publishing big messages: %w", err)
		}
		if p.receivers < reached {
			return nil
		}
		reached = p.receivers
	}
	return errors.New("nobody was cut off by Redis, whatever was published")
}
