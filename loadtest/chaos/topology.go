package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/pubsub/redisproc"
	"sluice/pubsub/redisproc/faultproxy"
)

// backend is the Redis of a run, whatever its shape.
type backend struct {
	topology string
	servers  []*redisproc.Server // that hold data
	sentinel *redisproc.Sentinel // nil: none
	cluster  *redisproc.Cluster  // nil: none
	args     []string            // of servers that stand alone
	urls     []string            // by node
	router   router

	// proxies stand between a node and its servers: by node, by server. Sentinel
	// and Cluster tell clients addresses themselves, past any proxy: there they are
	// empty.
	proxies [][]*faultproxy.Proxy
}

// topologies are the names of -topology.
var topologies = []string{"standalone", "aof", "shards", "sentinel", "cluster"}

// shards is how many servers the topology of this name has.
const shards = 3

func startBackend(topology string, nodes int) (*backend, error) {
	b := &backend{topology: topology}
	if err := b.start(nodes); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *backend) start(nodes int) (err error) {
	switch b.topology {
	case "standalone", "aof", "shards":
		n := 1
		if b.topology == "aof" {
			b.args = []string{"--appendonly", "yes"}
		}
		if b.topology == "shards" {
			n = shards
		}
		for range n {
			s, err := redisproc.Start(b.args...)
			if err != nil {
				return err
			}
			b.servers = append(b.servers, s)
		}
		b.router = &fixed{b.servers}
		return b.proxy(nodes)
	case "sentinel":
		if b.sentinel, err = redisproc.StartSentinel(); err != nil {
			return err
		}
		b.servers, b.router = b.sentinel.Servers, &watched{b.sentinel}
		b.same(nodes, b.sentinel.URL)
	case "cluster":
		if b.cluster, err = redisproc.StartCluster(); err != nil {
			return err
		}
		b.servers, b.router = b.cluster.Servers, &clustered{cluster: b.cluster, owners: map[string]string{}, asked: map[string]int{}}
		b.same(nodes, b.cluster.URL)
	default:
		return fmt.Errorf("there is no topology %q: choose from %s", b.topology, strings.Join(topologies, ", "))
	}
	return nil
}

// proxy puts a proxy between each node and each server.
func (b *backend) proxy(nodes int) error {
	for range nodes {
		b.proxies = append(b.proxies, nil)
		var urls []string
		for _, s := range b.servers {
			p, err := faultproxy.Start(s.Addr)
			if err != nil {
				return err
			}
			node := len(b.proxies) - 1
			b.proxies[node] = append(b.proxies[node], p)
			urls = append(urls, "redis://"+p.Addr)
		}
		b.urls = append(b.urls, strings.Join(urls, ","))
	}
	return nil
}

// kept says what a server finds again when it is started anew.
func (b *backend) kept() string {
	if b.topology == "aof" {
		return "its append-only file"
	}
	return "nothing"
}

func (b *backend) same(nodes int, url string) {
	for range nodes {
		b.urls = append(b.urls, url)
	}
}

// carrier is the server that carries a channel now.
func (b *backend) carrier(channel string) (*redisproc.Server, error) {
	switch {
	case b.sentinel != nil:
		return b.sentinel.Master()
	case b.cluster != nil:
		slot, err := b.cluster.Slot(prefix + channel)
		if err != nil {
			return nil, err
		}
		return b.cluster.Owner(slot)
	}
	return b.servers[shard(channel, len(b.servers))], nil
}

// awaitCarrier is carrier, where servers may not agree on that for a moment, or not answer in time.
func (b *backend) awaitCarrier(channel string) (*redisproc.Server, error) {
	for end := time.Now().Add(redisproc.Patience); ; time.Sleep(20 * time.Millisecond) {
		s, err := b.carrier(channel)
		if err == nil || time.Now().After(end) {
			return s, err
		}
	}
}

// behind is the address of the server that a node's link leads to, as the node
// names it: by address and number, and perhaps by its proxy's address.
func (b *backend) behind(link string) string {
	addr, _, _ := strings.Cut(link, "#")
	for _, proxies := range b.proxies {
		for i, p := range proxies {
			if p.Addr == addr {
				return b.servers[i].Addr
			}
		}
	}
	return addr
}

// whole waits until Redis is as complete as at the start.
func (b *backend) whole() error {
	switch {
	case b.sentinel != nil:
		return b.sentinel.AwaitOK()
	case b.cluster != nil:
		err := b.cluster.AwaitOK()
		if c, ok := b.router.(*clustered); ok {
			c.renew()
		}
		return err
	}
	return nil
}

func (b *backend) close() error {
	var errs []error
	for _, ps := range b.proxies {
		for _, p := range ps {
			errs = append(errs, p.Close())
		}
	}
	switch {
	case b.sentinel != nil:
		errs = append(errs, b.sentinel.Close())
	case b.cluster != nil:
		errs = append(errs, b.cluster.Close())
	default:
		for _, s := range b.servers {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// shard is the rule by which channels are spread over several independent Redis:
// jump consistent hash (Lamping, Veach 2014) of the FNV-1a hash of the name.
func shard(channel string, n int) int {
	h := fnv.New64a()
	_, _ = h.Write([]byte(channel)) // never fails
	key := h.Sum64()
	b, j := int64(-1), int64(0)
	for j < int64(n) {
		b = j
		key = key*2862933555777941757 + 1
		j = int64(float64(b+1) * (float64(int64(1)<<31) / float64((key>>33)+1)))
	}
	return int(b)
}

// fixed routes by the names of channels alone: to one server, or to shards.
type fixed struct{ servers []*redisproc.Server }

func (f *fixed) route(_ context.Context, channel string) (string, error) {
	return f.servers[shard(strings.TrimPrefix(channel, prefix), len(f.servers))].Addr, nil
}
func (f *fixed) moved(string, string)    {}
func (f *fixed) check(*wire) error       { return nil }
func (f *fixed) term() int64             { return 0 }
func (f *fixed) command() string         { return "PUBLISH" }
func (f *fixed) patience() time.Duration { return 15 * time.Second } // nobody else would take over

// watched routes to whom the Sentinels name, if it agrees.
type watched struct{ group *redisproc.Sentinel }

func (w *watched) route(ctx context.Context, _ string) (string, error) {
	err := errors.New("no Sentinel runs")
	for _, s := range w.group.Sentinels {
		var c *wire
		if c, err = dialWire(ctx, s.Addr, time.Second); err != nil {
			continue
		}
		var reply any
		reply, err = c.do("SENTINEL", "get-master-addr-by-name", redisproc.MasterName)
		c.Close()
		if list, ok := reply.([]any); ok && len(list) == 2 {
			return net.JoinHostPort(fmt.Sprint(list[0]), fmt.Sprint(list[1])), nil
		}
	}
	return "", fmt.Errorf("asking who is the master: %w", err)
}
func (w *watched) moved(string, string) {}
func (w *watched) check(c *wire) error {
	reply, err := c.do("ROLE")
	if list, ok := reply.([]any); err == nil && (!ok || len(list) == 0 || list[0] != "master") {
		err = fmt.Errorf("%s is no master", c.RemoteAddr())
	}
	return err
}
func (w *watched) term() int64             { return 0 }
func (w *watched) command() string         { return "PUBLISH" }
func (w *watched) patience() time.Duration { return time.Second }

// clustered routes to the owner of the channel's slot.
type clustered struct {
	cluster *redisproc.Cluster
	terms   atomic.Int64

	mu     sync.Mutex
	owners map[string]string // guarded by mu; by channel
	asked  map[string]int    // guarded by mu; how often, to ask another server each time
}

func (r *clustered) route(ctx context.Context, channel string) (string, error) {
	r.mu.Lock()
	addr, s := r.owners[channel], r.cluster.Servers[r.asked[channel]%len(r.cluster.Servers)]
	r.asked[channel]++
	r.mu.Unlock()
	if addr != "" {
		return addr, nil
	}
	// Any server says who the owner is: it is it, or it answers MOVED.
	c, err := dialWire(ctx, s.Addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	owner := s.Addr
	if _, err := c.do("GET", channel); err != nil {
		rest, ok := strings.CutPrefix(err.Error(), "MOVED ")
		if !ok {
			return "", fmt.Errorf("asking %s for the owner of %s: %w", s.Addr, channel, err)
		}
		_, owner, _ = strings.Cut(rest, " ")
	}
	r.moved(channel, owner)
	return owner, nil
}
func (r *clustered) moved(channel, addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owners[channel] = addr
}

// renew has publishers ask again, as client libraries do now and then: a master
// that became a replica takes messages as before, and when the new master has died
// it says yes to what nobody gets.
func (r *clustered) renew() {
	r.mu.Lock()
	clear(r.owners)
	r.mu.Unlock()
	r.terms.Add(1)
}
func (r *clustered) check(*wire) error       { return nil }
func (r *clustered) term() int64             { return r.terms.Load() }
func (r *clustered) command() string         { return "SPUBLISH" }
func (r *clustered) patience() time.Duration { return time.Second }
