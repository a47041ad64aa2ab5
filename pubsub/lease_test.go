package pubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub/redistest"
)

// crew is nodes on one Redis, whose rounds the tests make by hand at a time of
// their own. Leases live for a real hour: they "run out" when a test deletes them.
type crew struct {
	t      *testing.T
	client *redis.Client
	nodes  map[string]*hand
	time   time.Time
}

const crewTTL = time.Hour

// hand is one node of a crew.
type hand struct {
	*Lease
	crew   *crew
	events []string
	broken error // what its Redis answers
	mu     sync.Mutex
	buries error // what Bury returns
}

// Pipelined makes a hand its own client.
func (h *hand) Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error) {
	if h.broken != nil {
		return nil, h.broken
	}
	return h.crew.client.Pipelined(ctx, fn)
}

func newCrew(t *testing.T, lives ...string) *crew {
	t.Helper()
	s := redistest.Start(t)
	c := &crew{t: t, client: redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, ReadTimeout: 30 * time.Second}), nodes: map[string]*hand{}, time: time.Now()}
	t.Cleanup(func() { c.client.Close() })
	for _, life := range lives {
		c.add(life)
	}
	c.settle()
	for _, h := range c.nodes {
		h.take()
	}
	return c
}

func (c *crew) add(life string) *hand {
	h := &hand{crew: c}
	told := func(word string) func(Peer) { return func(p Peer) { h.events = append(h.events, word+" "+p.Life) } }
	h.Lease = newLease(h, LeaseOptions{Self: Peer{ID: "node-" + life, Life: life}, TTL: crewTTL, LeaseEvents: LeaseEvents{
		Joined: told("joined"), Left: told("left"), Died: told("died"),
		Lapsed:    func(was, now Peer) { h.events = append(h.events, "lapsed "+was.Life+" to "+now.Life) },
		Forgotten: func() { h.events = append(h.events, "forgotten") },
		Down:      func(err error) { h.events = append(h.events, "down "+err.Error()) },
		Up:        func(after time.Duration) { h.events = append(h.events, fmt.Sprint("up after ", after)) },
	}})
	h.opts.Timeout = 30 * time.Second // real time: busy machines
	h.now = func() time.Time { return c.time }
	c.nodes[life] = h
	return h
}

// round is one turn of Run, with whatever is to be buried.
func (h *hand) round() {
	ctx := context.Background()
	h.report(h.Lease.round(ctx))
	h.startBurial(ctx)
	h.burial.Wait()
}

// rounds lets all nodes, or those named, have one, Every after the last.
func (c *crew) rounds(lives ...string) {
	c.time = c.time.Add(crewTTL / 5)
	for _, life := range c.lives(lives) {
		c.nodes[life].round()
	}
}

// settle makes rounds until each may judge the others.
func (c *crew) settle(lives ...string) {
	for range 7 {
		c.rounds(lives...)
	}
}

func (c *crew) lives(named []string) []string {
	if len(named) == 0 {
		for life := range c.nodes {
			named = append(named, life)
		}
	}
	slices.Sort(named)
	return named
}

// expire takes the leases of lives away, as time would.
func (c *crew) expire(lives ...string) {
	c.t.Helper()
	for _, life := range lives {
		if n, err := c.client.Del(context.Background(), "sluice:{nodes}.lease."+life).Result(); err != nil || n != 1 {
			c.t.Fatalf("%s had no lease: %d, %v", life, n, err)
		}
	}
}

func (h *hand) take() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := strings.Join(h.events, ", ")
	h.events = nil
	return s
}

func (c *crew) heard(life, want string) {
	c.t.Helper()
	if got := c.nodes[life].take(); got != want {
		c.t.Errorf("%s heard %q, want %q", life, got, want)
	}
}

// registered checks who stands in Redis, and that every node knows them.
func (c *crew) registered(want ...string) {
	c.t.Helper()
	got := c.client.HKeys(context.Background(), "sluice:{nodes}").Val()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		c.t.Errorf("registered: %v, want %v", got, want)
	}
}

func TestLeaseJoinAndLeave(t *testing.T) {
	c := newCrew(t, "a", "b")
	c.registered("a", "b")
	n := c.add("c")
	n.round()
	c.heard("c", "joined a, joined b")
	c.rounds()
	c.heard("a", "joined c")
	c.rounds("a", "b")
	c.rounds("a", "b")
	peers := c.nodes["a"].Peers()
	if len(peers) != 3 || peers[0].Life != "a" || peers[1].ID != "node-b" || peers[2].Life != "c" {
		t.Errorf("peers: %+v", peers)
	}
	if peers[1].Age != 0 || peers[2].Age != crewTTL/5 || peers[2].TTL != crewTTL.Milliseconds() {
		t.Errorf("peers: %+v", peers)
	}
	n.leave(context.Background())
	delete(c.nodes, "c")
	c.nodes["b"].take()
	c.rounds()
	c.heard("a", "left c")
	c.heard("b", "left c")
	c.registered("a", "b")
	c.settle()
	c.heard("a", "")
	if s := c.nodes["a"].Stats(); s.Peers != 2 || s.Deaths != 0 || s.Age != 0 || len(c.nodes["a"].peers) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestLeaseDeath(t *testing.T) {
	c := newCrew(t, "a", "b", "c")
	c.expire("c")
	c.rounds("a", "b")
	c.heard("a", "died c")
	c.heard("b", "died c")
	c.registered("a", "b")
	delete(c.nodes, "c")
	c.add("d").round()
	c.heard("d", "joined a, joined b")
	c.settle()
	c.heard("a", "joined d")
	if s := c.nodes["b"].Stats(); s.Deaths != 1 || s.Peers != 3 || len(c.nodes["b"].peers) != 2 {
		t.Errorf("%+v", s)
	}
}

// A new node knows nothing yet, and a node is unknown to it: it waits before it judges.
func TestLeaseNewNodeWaits(t *testing.T) {
	c := newCrew(t, "a")
	c.expire("a")
	delete(c.nodes, "a")
	c.add("b")
	for range 5 {
		c.rounds()
		c.heard("b", "")
	}
	c.settle()
	c.heard("b", "died a")
	c.registered("b")
}

func TestLeaseBurial(t *testing.T) {
	c := newCrew(t, "a", "b", "c", "d")
	for _, life := range []string{"a", "b"} {
		h := c.nodes[life]
		h.opts.Bury = func(_ context.Context, dead Peer) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, "buries "+dead.Life+" of "+dead.ID)
			return h.buries
		}
		h.opts.BuryFailed = func(dead Peer, err error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, "failed with "+dead.Life+": "+err.Error())
		}
	}
	a, b := c.nodes["a"], c.nodes["b"]
	a.buries = errors.New("no spade")
	c.expire("c", "d")
	c.rounds("a", "b")
	c.heard("a", "died c, died d, buries c of node-c, failed with c: no spade")
	c.heard("b", "died c, died d, buries d of node-d")
	c.registered("a", "b", "c")
	c.rounds("a", "b")
	c.heard("a", "") // the claim spaces the attempts
	c.heard("b", "")
	c.client.Del(context.Background(), "sluice:{nodes}.bury.c")
	c.rounds("b")
	c.heard("b", "buries c of node-c")
	c.rounds("a", "b")
	c.registered("a", "b")
	if len(a.peers) != 1 || len(b.peers) != 1 {
		t.Errorf("peers: %v, %v", a.peers, b.peers)
	}
}

func TestLeaseLapses(t *testing.T) {
	for _, c := range []struct {
		name   string
		missed int // rounds
	}{
		{"and looks first", 4},
		{"and has just renewed", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			crew := newCrew(t, "a", "b")
			for range c.missed {
				crew.rounds("a")
			}
			crew.expire("b")
			crew.rounds("a")
			crew.heard("a", "died b")
			crew.rounds("b")
			crew.heard("b", "lapsed b to b.2")
			crew.registered("a", "b.2")
			crew.rounds()
			crew.heard("a", "joined b.2")
			crew.settle()
			crew.heard("a", "")
			crew.heard("b", "")
			if s := crew.nodes["b"].Stats(); s.Lapses != 1 || s.Deaths != 0 || crew.nodes["b"].Self().Life != "b.2" || crew.nodes["b"].Self().ID != "node-b" {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A node that is declared dead before it is buried finds the burial to others.
func TestLeaseLapsesUnburied(t *testing.T) {
	c := newCrew(t, "a", "b")
	c.nodes["a"].opts.Bury = func(context.Context, Peer) error { return errors.New("not yet") }
	c.expire("b")
	c.rounds("a", "b")
	c.heard("a", "died b")
	c.heard("b", "lapsed b to b.2")
	c.registered("a", "b.2") // b buries nothing: without Bury it only strikes out
}

func TestLeaseFlush(t *testing.T) {
	c := newCrew(t, "a", "b", "c")
	c.client.FlushAll(context.Background())
	c.rounds("a")
	c.heard("a", "forgotten")
	c.rounds("a", "b")
	c.heard("a", "")
	c.heard("b", "forgotten")
	c.rounds("a", "b", "c")
	c.heard("c", "forgotten")
	c.settle()
	for _, life := range []string{"a", "b", "c"} {
		c.heard(life, "")
	}
	// One that does not come back is dead for those who remember it.
	c.client.FlushAll(context.Background())
	c.rounds("a", "b")
	c.heard("a", "forgotten")
	c.heard("b", "forgotten")
	for range 3 {
		c.rounds("a", "b")
		c.heard("a", "")
	}
	c.settle("a", "b")
	c.heard("a", "died c")
	c.heard("b", "died c")
	if len(c.nodes["a"].peers) != 1 {
		t.Errorf("peers: %v", c.nodes["a"].peers)
	}
}

// All leases run out at once: Redis was stopped, or its clock was set.
func TestLeaseAllRunOut(t *testing.T) {
	c := newCrew(t, "a", "b", "c")
	c.expire("a", "b", "c")
	c.settle()
	for _, life := range []string{"a", "b", "c"} {
		c.heard(life, "")
	}
}

// A node that could not reach Redis does not judge those who may have been no
// better off.
func TestLeaseTrouble(t *testing.T) {
	c := newCrew(t, "a", "b")
	a := c.nodes["a"]
	a.broken = errors.New("connection refused")
	c.rounds("a")
	c.heard("a", "down pubsub: renewing this node's lease: connection refused")
	c.rounds("a")
	c.heard("a", "") // once for each reason
	a.broken = redisError("READONLY You can't write against a read only replica.")
	c.rounds("a")
	c.heard("a", "down pubsub: renewing this node's lease: READONLY You can't write against a read only replica.")
	a.broken = nil
	c.expire("b")
	c.rounds("a")
	c.heard("a", "up after 36m0s")
	for range 4 {
		c.rounds("a")
		c.heard("a", "")
	}
	c.settle("a")
	c.heard("a", "died b")
	if s := a.Stats(); s.Failures != 3 || !strings.HasPrefix(s.LastError, "READONLY") {
		t.Errorf("%+v", s)
	}
	// Late is as bad as failed.
	c = newCrew(t, "a", "b")
	c.expire("b")
	c.time = c.time.Add(crewTTL / 2)
	for range 5 {
		c.rounds("a")
		c.heard("a", "")
	}
}

type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

func TestLeaseKeysShareASlot(t *testing.T) {
	l := NewLease(nil, LeaseOptions{Self: Peer{Life: "x{y}"}})
	for _, key := range []string{l.key("lease", "x{y}"), l.key("end", "{}"), l.key("bury", "z")} {
		if keySlot(key) != keySlot(l.registry()) {
			t.Errorf("%s is in another slot than %s", key, l.registry())
		}
	}
}

// What others have written into the registry hurts nobody.
func TestLeaseStrangeRegistry(t *testing.T) {
	c := newCrew(t, "a")
	c.client.HSet(context.Background(), "sluice:{nodes}", "", "", "x\r\ny", "{", "z", `{"life":"a","ttl":-1}`)
	c.settle()
	c.heard("a", "died , died x\r\ny, died z")
	c.registered("a")
}
