package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redistest"
)

// liveTTL is short for a test, and long enough for a busy machine: a round must not take
// three tenths of it. A pause of all nodes at once only has them wait before they judge.
const liveTTL = 3 * time.Second

// liveNode is a lease that runs.
type liveNode struct {
	*pubsub.Lease
	dead atomic.Bool // its commands go nowhere, as those of a killed process
	stop func()

	client *redis.Client
	mu     sync.Mutex
	events []string // guarded by mu
}

// Client and Misplaced make it its own Keys.
func (n *liveNode) Client(string) *redis.Client {
	if n.dead.Load() {
		return nil
	}
	return n.client
}

func (*liveNode) Misplaced() bool { return false }

func runLease(t *testing.T, client *redis.Client, life string) *liveNode {
	t.Helper()
	n := &liveNode{client: client}
	told := func(word string) func(pubsub.Peer) { return func(p pubsub.Peer) { n.add(word + " " + p.Life) } }
	n.Lease = pubsub.NewLease(n, pubsub.LeaseOptions{Self: pubsub.Peer{ID: life, Life: life}, TTL: liveTTL, LeaseEvents: pubsub.LeaseEvents{
		Joined: told("joined"), Left: told("left"), Died: told("died"),
		Lapsed:    func(_, now pubsub.Peer) { n.add("lapsed to " + now.Life) },
		Forgotten: func() { n.add("forgotten") },
		Bury:      func(_ context.Context, p pubsub.Peer) error { n.add("buries " + p.Life); return nil },
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(n.stop)
	return n
}

func (n *liveNode) add(event string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, event)
}

func (n *liveNode) count(event string) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		if e == event {
			count++
		}
	}
	return count
}

func (n *liveNode) await(t *testing.T, event string) {
	t.Helper()
	pubsubtest.Eventually(t, fmt.Sprintf("%s hears %s", n.Self().ID, event), func() bool { return n.count(event) > 0 })
}

// renewals waits until the nodes have renewed often enough to have judged the
// others.
func renewals(t *testing.T, nodes ...*liveNode) {
	t.Helper()
	from := make([]int64, len(nodes))
	for i, n := range nodes {
		from[i] = n.Stats().Renewals
	}
	for i, n := range nodes {
		pubsubtest.Eventually(t, "renewals", func() bool { return n.Stats().Renewals >= from[i]+8 })
	}
}

func redisClient(t *testing.T, addr string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { c.Close() })
	return c
}

func TestLeaseLives(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(t *testing.T) *redis.Client
	}{
		{"Redis", func(t *testing.T) *redis.Client { return redisClient(t, redistest.Start(t).Addr) }},
		{"embedded", func(t *testing.T) *redis.Client { return redisClient(t, startEmbedded(t).Addr()) }},
		{"Cluster", func(t *testing.T) *redis.Client {
			s := redistest.Start(t, "--cluster-enabled", "yes")
			s.Do("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
			pubsubtest.Eventually(t, "the cluster is up", func() bool {
				info, ok := s.Do("CLUSTER", "SHARDS").([]any)
				return ok && len(info) == 1 && s.Do("CLUSTER", "COUNTKEYSINSLOT", 1) == int64(0)
			})
			return redisClient(t, s.Addr) // it has all slots
		}},
		{"a narrow ACL", func(t *testing.T) *redis.Client {
			s := redistest.Start(t)
			s.Do("ACL", "SETUSER", "node", "on", ">pw", "~sluice:{nodes}*", "+set", "+get", "+hset", "+hgetall", "+hdel", "+del", "+mget")
			c := redis.NewClient(&redis.Options{Addr: s.Addr, Username: "node", Password: "pw", MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, DisableIdentity: true})
			t.Cleanup(func() { c.Close() })
			return c
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client := c.start(t)
			a, b := runLease(t, client, "a"), runLease(t, client, "b")
			d, e := runLease(t, client, "d"), runLease(t, client, "e")
			for _, n := range []*liveNode{a, b, d, e} {
				pubsubtest.Eventually(t, "all know all", func() bool { return n.Stats().Peers == 4 })
			}
			d.stop()
			a.await(t, "left d")
			b.await(t, "left d")
			renewals(t, a, b) // they may judge
			e.dead.Store(true)
			a.await(t, "died e")
			b.await(t, "died e")
			pubsubtest.Eventually(t, "e is buried", func() bool { return a.count("buries e")+b.count("buries e") == 1 })
			e.dead.Store(false)
			e.await(t, "lapsed to e.2")
			a.await(t, "joined e.2")
			renewals(t, a, b)
			if n := a.count("buries e") + b.count("buries e"); n != 1 || a.count("died e") != 1 || b.count("died e") != 1 {
				t.Errorf("buried %d times\n%v\n%v", n, a.events, b.events)
			}
			if ids := a.Peers(); !slices.ContainsFunc(ids, func(p pubsub.Peer) bool { return p.Life == "e.2" && p.ID == "e" }) {
				t.Errorf("%+v", ids)
			}
		})
	}
}

// Whatever happens to Redis, no node is declared dead that is alive.
func TestLeaseRedisInTrouble(t *testing.T) {
	for _, c := range []struct {
		name    string
		args    []string
		trouble func(s *redistest.Server)
		end     func(s *redistest.Server)
		lost    bool // its data
	}{
		{"stopped", nil, (*redistest.Server).Pause, (*redistest.Server).Resume, false},
		{"killed", nil, (*redistest.Server).Kill, (*redistest.Server).Restart, true},
		{"killed with persistence", []string{"--appendonly", "yes", "--appendfsync", "always"}, (*redistest.Server).Kill, (*redistest.Server).Restart, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, c.args...)
			client := redisClient(t, s.Addr)
			nodes := []*liveNode{runLease(t, client, "a"), runLease(t, client, "b"), runLease(t, client, "c")}
			for _, n := range nodes {
				pubsubtest.Eventually(t, "all know all", func() bool { return n.Stats().Peers == 3 })
			}
			renewals(t, nodes...)
			c.trouble(s)
			for _, n := range nodes {
				pubsubtest.Eventually(t, "the lease runs out", func() bool { return n.Stats().Age > liveTTL*3/2 && n.Stats().Failures > 0 })
			}
			c.end(s)
			for _, n := range nodes {
				if c.lost {
					n.await(t, "forgotten")
				}
			}
			renewals(t, nodes...)
			for _, n := range nodes {
				if s := n.Stats(); s.Deaths != 0 || s.Lapses != 0 || s.Peers != 3 || s.Failures == 0 {
					t.Errorf("%s: %+v", n.Self().ID, s)
				}
			}
		})
	}
}
