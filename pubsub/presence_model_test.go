package pubsub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// shaky is a Redis some of whose answers do not come.
type shaky struct {
	far
	fault func() string // "": none; "refused": it was not executed; "lost": its answer was
}

var errShaken = errors.New("no answer")

// refusal is a Redis' that has no memory left.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

const errRefused = refusal("OOM command not allowed when used memory > 'maxmemory'.")

// errorOf is what a fault is answered with.
func errorOf(fault string) error {
	if fault == "refused" {
		return errRefused
	}
	return errShaken
}

func (s *shaky) calls(ctx context.Context, calls []call) []answer {
	answers := make([]answer, len(calls))
	for i, c := range calls {
		fault := s.fault()
		if fault != "refused" {
			answers[i] = s.far.calls(ctx, []call{c})[0]
		}
		if fault != "" {
			answers[i] = answer{err: errorOf(fault)}
		}
	}
	return answers
}

func (s *shaky) Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) (cmds []redis.Cmder, err error) {
	fault := s.fault()
	if fault != "refused" {
		cmds, err = s.far.Pipelined(ctx, fn)
	}
	if fault != "" {
		return nil, errorOf(fault)
	}
	return cmds, err
}

// attending is a node that keeps presence, stepped by hand.
type attending struct {
	*Presence
	base   string
	lives  int
	wanted map[string]map[string]bool // by channel, connections
	owed   []func()                   // what it will be told of, sooner or later
}

func (n *attending) life() string { return fmt.Sprint(n.base, ".", n.lives) }

// passTTL makes it time to renew everything.
func (n *attending) passTTL() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.rooms {
		r.renewed = r.renewed.Add(-n.opts.TTL)
	}
}

// expire is what the clock does to what nobody renews.
func expire(ctx context.Context, client *redis.Client, lives []string) {
	for _, life := range lives {
		client.Del(ctx, registry("sluice:")+".who."+life)
	}
	for _, channel := range []string{"x", "y", "z"} {
		who := "{sluice:" + channel + "}.who"
		stamps := client.HGetAll(ctx, who+".lives").Val()
		for _, life := range lives {
			if _, there := stamps[life]; there {
				client.HSet(ctx, who+".lives", life, 1)
				delete(stamps, life)
			}
		}
		if len(stamps) == 0 {
			client.Del(ctx, who, who+".users", who+".lives")
		}
	}
}

// contents are the keys of presence in Redis, hashes and sets alike.
func contents(t interface{ Fatal(...any) }, client *redis.Client) (hashes map[string]map[string]string, sets map[string][]string) {
	ctx := context.Background()
	hashes, sets = map[string]map[string]string{}, map[string][]string{}
	for _, key := range client.Keys(ctx, "*").Val() {
		var err error
		if strings.Contains(key, "{nodes}") {
			sets[key], err = client.SMembers(ctx, key).Result()
		} else {
			hashes[key], err = client.HGetAll(ctx, key).Result()
		}
		if err != nil {
			t.Fatal(key, err)
		}
	}
	return hashes, sets
}

// TestPresenceAgainstModel: in whatever order connections come and go, calls fail or
// lose their answers, Redis forgets everything or goes back to what it knew once, nodes
// die, or are taken for dead and come back: when all have been told, and Redis takes
// writes, those are there who are there.
func TestPresenceAgainstModel(t *testing.T) {
	e, err := StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r, err := Open(Options{URL: e.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	client := r.Client("")
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		client.FlushAll(ctx)
		fault := func() string { return "" }
		begin := func(base string, lives int) *attending {
			n := &attending{base: base, lives: lives, wanted: map[string]map[string]bool{}}
			n.Presence = newPresence(&shaky{whole{r, keyed{r, registry("sluice:")}}, func() string { return fault() }}, PresenceOptions{Life: n.life(), Changes: 3, Calls: 2})
			return n
		}
		nodes := []*attending{begin("a", 1), begin("b", 1)}
		var dead []Peer // that are to be buried
		var buried []Peer
		var lost []string // lives whose entries are only found when their time has passed
		one := func(t *rapid.T) *attending { return rapid.SampledFrom(nodes).Draw(t, "node") }
		place := func(t *rapid.T, n *attending) (channel, conn string) {
			return rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "channel"), n.base + fmt.Sprint(rapid.IntRange(1, 5).Draw(t, "conn"))
		}
		steps := func(n *attending, most int) {
			w := presenceWriter{n.Presence}
			w.retry()
			for i := 0; i < most && w.step(ctx); i++ {
			}
		}
		bury := func(n *attending, p Peer) bool {
			if n.Bury(ctx, p) != nil {
				return false
			}
			dead = slices.DeleteFunc(dead, func(d Peer) bool { return d == p })
			buried = append(buried, p)
			return true
		}
		var hashes map[string]map[string]string
		var sets map[string][]string
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				n := one(t)
				channel, conn := place(t, n)
				if n.wanted[channel] == nil {
					n.wanted[channel] = map[string]bool{}
				}
				n.wanted[channel][conn] = true
				n.Join(channel, Attendee{Conn: conn, User: conn[len(conn)-1:], Since: time.UnixMilli(1)})
			},
			"leave": func(t *rapid.T) {
				n := one(t)
				channel, conn := place(t, n)
				delete(n.wanted[channel], conn)
				n.Leave(channel, conn)
			},
			"write": func(t *rapid.T) { steps(one(t), rapid.IntRange(1, 5).Draw(t, "steps")) },
			"write, with trouble": func(t *rapid.T) {
				kinds := rapid.SliceOfN(rapid.SampledFrom([]string{"", "refused", "lost"}), 1, 6).Draw(t, "faults")
				i := 0
				fault = func() string { i++; return kinds[i%len(kinds)] }
				steps(one(t), 3)
				fault = func() string { return "" }
			},
			"time passes": func(t *rapid.T) {
				one(t).passTTL()
			},
			"Redis forgets": func(t *rapid.T) {
				client.FlushAll(ctx)
				for _, n := range nodes {
					n.owed = append(n.owed, n.Resync)
				}
			},
			"a snapshot is taken": func(t *rapid.T) { hashes, sets = contents(t, client) },
			"Redis goes back to the snapshot": func(t *rapid.T) {
				client.FlushAll(ctx)
				for key, fields := range hashes {
					client.HSet(ctx, key, fields)
				}
				for key, members := range sets {
					client.SAdd(ctx, key, members)
				}
				for _, n := range nodes {
					n.owed = append(n.owed, n.Resync)
				}
				dead, buried = append(dead, buried...), nil // they die again
			},
			"a node is killed, and started again": func(t *rapid.T) {
				i := rapid.IntRange(0, 1).Draw(t, "node")
				dead = append(dead, Peer{Life: nodes[i].life()})
				if len(nodes[i].owed) > 0 { // what Redis has forgotten it did not know yet: its index may be incomplete
					lost = append(lost, nodes[i].life(), nodes[i].Presence.life)
				}
				nodes[i] = begin(nodes[i].base, nodes[i].lives+1)
			},
			"a node is taken for dead": func(t *rapid.T) {
				n := one(t)
				dead = append(dead, Peer{Life: n.life()})
				n.lives++
				now := n.life()
				n.owed = append(n.owed, func() { n.Reborn(now) })
			},
			"a node is told": func(t *rapid.T) {
				if n := one(t); len(n.owed) > 0 {
					n.owed[0]()
					n.owed = n.owed[1:]
				}
			},
			"a burial": func(t *rapid.T) {
				if len(dead) > 0 {
					bury(one(t), dead[0])
				}
			},
			"": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "settled") > 0 {
					return
				}
				for _, n := range nodes {
					for _, f := range n.owed {
						f()
					}
					n.owed = nil
				}
				steps(nodes[0], 1000)
				for len(dead) > 0 {
					if !bury(nodes[0], dead[0]) {
						t.Fatal("a burial fails")
					}
				}
				steps(nodes[1], 1000)
				expire(ctx, client, lost)
				for _, n := range nodes {
					n.passTTL()
					steps(n, 1000)
				}
				wantPresent(t, client, nodes)
			},
		})
	})
}

// Who comes and goes while Redis refuses what is written leaves nothing behind.
func TestPresenceRefused(t *testing.T) {
	e, err := StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	r, err := Open(Options{URL: e.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fault := "refused"
	p := newPresence(&shaky{whole{r, keyed{r, registry("sluice:")}}, func() string { return fault }}, PresenceOptions{Life: "a.1", Changes: 3, Calls: 2})
	w := presenceWriter{p}
	write := func() {
		w.retry()
		for i := 0; i < 100 && w.step(t.Context()); i++ {
		}
	}
	p.Join("stays", Attendee{Conn: "stays"})
	for i := range 50 {
		for _, channel := range []string{"stays", fmt.Sprint(i)} {
			p.Join(channel, Attendee{Conn: fmt.Sprint(i)})
			write()
			p.Leave(channel, fmt.Sprint(i))
			write()
		}
	}
	p.mu.Lock()
	if seats := len(p.rooms["stays"].seats); seats != 1 {
		t.Errorf("where one stays are %d seats", seats)
	}
	p.mu.Unlock()
	fault = ""
	write()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.rooms) != 1 || p.byAge.Len() != 1 {
		t.Errorf("there are %d rooms, %d by age", len(p.rooms), p.byAge.Len())
	}
}

// wantPresent checks what is in Redis.
func wantPresent(t *rapid.T, client *redis.Client, nodes []*attending) {
	hashes, sets := contents(t, client)
	want, wantIndex := map[string][]string{}, map[string][]string{}
	for _, n := range nodes {
		if s := n.Stats(); s.Pending > 0 || s.Down {
			t.Fatalf("%s has not come to rest: %+v", n.base, s)
		}
		entries := 0
		for channel, conns := range n.wanted {
			if len(conns) > 0 {
				want[channel] = append(want[channel], slices.Collect(maps.Keys(conns))...)
				wantIndex[n.indexKey(n.life())] = append(wantIndex[n.indexKey(n.life())], channel)
				entries += len(conns)
			}
		}
		if s := n.Stats(); s.Entries != entries {
			t.Fatalf("%s counts %d entries, has %d", n.base, s.Entries, entries)
		}
		if len(n.rooms) != len(wantIndex[n.indexKey(n.life())]) || n.byAge.Len() != len(n.rooms) {
			t.Fatalf("%s keeps %d rooms, %d by age, wants %v", n.base, len(n.rooms), n.byAge.Len(), wantIndex)
		}
	}
	for _, channel := range []string{"x", "y", "z"} {
		key := "{sluice:" + channel + "}.who"
		got := slices.Sorted(maps.Keys(hashes[key]))
		if !slices.Equal(got, slices.Sorted(slices.Values(want[channel]))) {
			t.Fatalf("in %s are %v, should be %v", channel, got, want[channel])
		}
		users := map[string]string{}
		for _, conn := range got {
			user := conn[len(conn)-1:]
			if users[user] == "" {
				users[user] = "0"
			}
			users[user] = string(users[user][0] + 1)
		}
		if !maps.Equal(hashes[key+".users"], users) {
			t.Fatalf("users of %s: %v, should be %v", channel, hashes[key+".users"], users)
		}
	}
	for key, members := range sets {
		slices.Sort(members)
		slices.Sort(wantIndex[key])
		if !slices.Equal(members, wantIndex[key]) {
			t.Fatalf("%s has %v, should have %v", key, members, wantIndex[key])
		}
		delete(wantIndex, key)
	}
	if len(wantIndex) > 0 {
		t.Fatalf("indices are missing: %v", wantIndex)
	}
}
