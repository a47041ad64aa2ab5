package pubsub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// While layouts change and wishes flap, no wish is lost and none is doubled: in the
// end each stands in the lane that carries its channel, and nowhere else.
func TestRoutesWhileLayoutsChange(t *testing.T) {
	t.Parallel()
	const wishers, channels = 4, 200 // of each wisher
	rapid.Check(t, func(t *rapid.T) {
		c := newFakeCluster()
		o := c.options()
		o.Lanes = rapid.IntRange(1, 3).Draw(t, "lanes")
		r, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		rounds := rapid.IntRange(1, 5).Draw(t, "rounds")
		seed := rapid.Uint64().Draw(t, "seed")
		layouts := rapid.SliceOfN(rapid.Custom(drawLayout), 1, 8).Draw(t, "layouts")
		wanted := make([]map[string]bool, wishers)
		var wishing sync.WaitGroup
		for w := range wishers {
			wanted[w] = map[string]bool{}
			wishing.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(w)))
				for range rounds * channels {
					name := fmt.Sprint(w, "-", random.IntN(channels))
					if wanted[w][name] = random.IntN(2) == 0; wanted[w][name] {
						r.Subscribe(name)
					} else {
						r.Unsubscribe(name)
					}
				}
			})
		}
		for _, f := range layouts {
			r.apply(f)
		}
		wishing.Wait()
		last, standing := layouts[len(layouts)-1], r.standing()
		for w := range wishers {
			for name, wants := range wanted[w] {
				lanes := standing[name]
				if len(lanes) != count(wants) {
					t.Fatalf("%s, wished for: %v, stands in %v", name, wants, lanes)
				}
				addr := last.slots[keySlot(r.opts.Prefix+name)]
				if s := r.server(name); wants && (addr == "") != (s == nil) || wants && s != nil && (s.addr != addr || lanes[0] != s.lane(name).name) {
					t.Fatalf("%s, which %q has, stands in %v", name, addr, lanes)
				}
			}
		}
	})
}

// drawLayout is any layout of three servers, with slots that nobody has.
func drawLayout(t *rapid.T) found {
	f := found{slots: new([slots]string)}
	owners := rapid.SliceOfN(rapid.SampledFrom([]string{"a:1", "b:1", "c:1", ""}), 7, 7).Draw(t, "owners")
	for slot := range f.slots {
		f.slots[slot] = owners[slot%len(owners)]
	}
	for _, addr := range owners {
		if addr != "" && !slices.Contains(f.addrs, addr) {
			f.addrs = append(f.addrs, addr)
		}
	}
	slices.Sort(f.addrs)
	return f
}

// What a server counted that is gone stays counted, also while its channels are on
// their way.
func TestCountersOnlyGrow(t *testing.T) {
	c := newFakeCluster()
	r, err := Open(c.options())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	two := found{addrs: []string{"a:1"}, slots: new([slots]string)}
	for slot := range two.slots {
		two.slots[slot] = "a:1"
	}
	one := found{addrs: []string{"b:1"}, slots: new([slots]string)}
	for slot := range one.slots {
		one.slots[slot] = "b:1"
	}
	r.apply(two)
	r.Subscribe("x")
	l := r.layout.servers[0].lanes[0]
	l.stats.messages.Store(7)
	seen := int64(-1)
	l.out = movedFunc(func(string) { seen = r.Stats().Messages })
	r.apply(one)
	if after := r.Stats().Messages; seen != 7 || after != 7 || len(r.leaving) != 0 {
		t.Errorf("%d messages while the server leaves, %d afterwards, want 7; %d servers still leave", seen, after, len(r.leaving))
	}
}

// movedFunc is a Receiver that is told of moves.
type movedFunc func(channel string)

func (movedFunc) Deliver(_, _ []byte) {}
func (movedFunc) Delivered()          {}
func (movedFunc) Subscribed(string)   {}
func (movedFunc) Interrupted(error)   {}
func (movedFunc) Skipped(string)      {}
func (f movedFunc) Moved(name string) { f(name) }

// A broker that is closed makes no servers that nobody would close.
func TestNothingIsAppliedAfterClose(t *testing.T) {
	c := newFakeCluster()
	r, err := Open(c.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.apply(found{addrs: []string{"a:1"}})
	if len(r.layout.servers) != 0 {
		t.Errorf("there are servers: %v", &r.layout)
	}
	if _, err := r.Publish(t.Context(), "x", nil); err == nil {
		t.Error("it publishes")
	}
}

// What a server of a Cluster has not executed is published again, for a while, where
// the channel is then; anything else is not.
func TestPublishFollows(t *testing.T) {
	errUnknown := errors.New("i/o timeout")
	for _, row := range []struct {
		name    string
		url     string
		answers []error // to attempts, the last one to all that follow
		want    string  // attempts, time, error
	}{
		{"at once", "redis+cluster://a:1", []error{nil}, "1 0s <nil>"},
		{"the same server, a moment later", "redis+cluster://a:1", []error{said("CLUSTERDOWN Hash slot not served"), said("TRYAGAIN"), nil}, "3 40ms <nil>"},
		{"closed, because it is gone", "redis+cluster://a:1", []error{redis.ErrClosed, nil}, "2 20ms <nil>"},
		{"sent about for ever", "redis+cluster://a:1", []error{said("MOVED 1 b:1")}, "101 2s pubsub: publishing on sluice:x: MOVED 1 b:1"},
		{"unknown", "redis+cluster://a:1", []error{errUnknown, nil}, "1 0s pubsub: publishing on sluice:x: i/o timeout"},
		{"refused", "redis+cluster://a:1", []error{said("NOPERM"), nil}, "1 0s pubsub: publishing on sluice:x: NOPERM"},
		{"there is no other server", "redis://a:1", []error{said("LOADING"), nil}, "1 0s pubsub: publishing on sluice:x: LOADING"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, attempts := newFakeCluster(), 0
				o := c.options()
				o.URL = row.url
				o.publish = func(context.Context, string, string, any) (int64, error) {
					attempts++
					return 1, row.answers[min(attempts, len(row.answers))-1]
				}
				r, err := Open(o)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				if err := r.ensureLayout(t.Context()); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				_, err = r.Publish(t.Context(), "x", nil)
				if got := fmt.Sprint(attempts, " ", time.Since(began), " ", err); got != row.want {
					t.Errorf("%s, want %s", got, row.want)
				}
			})
		})
	}
}

// said is an error answer.
type said string

func (e said) Error() string { return string(e) }
func (said) RedisError()     {}
