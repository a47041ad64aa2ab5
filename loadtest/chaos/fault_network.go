package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"sluice/pubsub/redisproc/faultproxy"
)

// networkFaults happen between nodes and Redis; services reach it all the time.
// Sentinel and Cluster tell clients where to go, past any proxy.
var networkFaults = []fault{
	{"blackhole", alone, rules("nothing passes", faultproxy.Both(faultproxy.Rule{Hold: true}), true)},
	{"blackhole-up", alone, rules("nothing passes to Redis", faultproxy.Rules{Up: faultproxy.Rule{Hold: true}}, false)},
	{"blackhole-down", alone, rules("nothing passes from Redis", faultproxy.Rules{Down: faultproxy.Rule{Hold: true}}, true)},
	{"corrupt", alone, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		e.spoils = true
		nth := 500 + random.IntN(3000)
		return rules(fmt.Sprintf("every %dth byte from Redis is altered", nth), faultproxy.Rules{Down: faultproxy.Rule{Corrupt: nth}}, false)(ctx, r, random, e)
	}},
	{"delay", alone, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		d := between(random, 10*time.Millisecond, 300*time.Millisecond)
		return rules(fmt.Sprintf("%v more each way", d.Round(time.Millisecond)), faultproxy.Both(faultproxy.Rule{Delay: d}), false)(ctx, r, random, e)
	}},
	{"cut", alone, func(_ context.Context, r *rig, random *rand.Rand, e *event) error {
		var who string
		e.Nodes, who = someNodes(r, random)
		how, name := faultproxy.Finish, "FIN"
		if random.IntN(2) == 0 {
			how, name = faultproxy.Reset, "RST"
		}
		e.begin("%s on all connections between Redis and %s", name, who)
		r.proxied(e, func(p *faultproxy.Proxy) { p.Cut(how) })
		e.From = now()
		e.heal()
		return nil
	}},
}

// rules makes proxies behave so for a while. away: nothing can come from Redis
// meanwhile.
func rules(what string, rules faultproxy.Rules, away bool) func(context.Context, *rig, *rand.Rand, *event) error {
	return func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		var who string
		e.Nodes, who = someNodes(r, random)
		e.away = away
		d := r.length(random)
		e.begin("%s, %s, %v", what, who, d.Round(time.Millisecond))
		r.proxied(e, func(p *faultproxy.Proxy) { p.Set(rules) })
		hold(ctx, d)
		e.From = now()
		r.proxied(e, func(p *faultproxy.Proxy) { p.Set(faultproxy.Rules{}) })
		e.heal()
		return nil
	}
}

// proxied does something to all proxies of the event's nodes.
func (r *rig) proxied(e *event, do func(*faultproxy.Proxy)) {
	for node, proxies := range r.backend.proxies {
		if e.hits(node) {
			for _, p := range proxies {
				do(p)
			}
		}
	}
}
