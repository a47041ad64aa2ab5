package pubsub_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redistest"
)

// TestLines: what a Redis has said yes to and lost, its successor knows nothing of.
// Nothing is proven across the two, from wherever a client comes, and everything is
// again from there on.
func TestLines(t *testing.T) {
	for _, row := range []struct {
		name    string
		args    []string
		succeed func(t *testing.T, s *redistest.Server, last func()) *redistest.Server
	}{
		{"an older snapshot", nil, func(_ *testing.T, s *redistest.Server, last func()) *redistest.Server {
			s.Do("SAVE")
			last()
			s.Restart()
			return s
		}},
		{"an append-only file, from which nothing is missing, which nobody can know", []string{"--appendonly", "yes"}, func(_ *testing.T, s *redistest.Server, last func()) *redistest.Server {
			last()
			s.Restart()
			return s
		}},
		{"a replica that was not told the last one", nil, func(t *testing.T, s *redistest.Server, last func()) *redistest.Server {
			heir := redistest.Start(t)
			host, port, _ := strings.Cut(s.Addr, ":")
			heir.Do("REPLICAOF", host, port)
			pubsubtest.Eventually(t, "it replicates", func() bool {
				return strings.Contains(fmt.Sprint(heir.Do("INFO", "replication")), "master_link_status:up")
			})
			s.Do("WAIT", 1, 30_000)
			heir.Do("REPLICAOF", "NO", "ONE")
			last()
			s.Kill()
			return heir
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, row.args...)
			s.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
			before := open(t, pubsub.Options{URL: s.URL})
			first := publishDurable(t, before, "orders", "one", pubsub.DurableOptions{})
			if got := told(history(t, before, "orders", first, 10)); got != " proven:true" {
				t.Fatalf("before anything happens: %s", got)
			}
			var lost pubsub.Position
			heir := row.succeed(t, s, func() { lost = publishDurable(t, before, "orders", "two", pubsub.DurableOptions{}) })

			after := open(t, pubsub.Options{URL: heir.URL})
			for range 2 { // before it is published on again, and after
				for _, since := range []pubsub.Position{first, lost} {
					if h := history(t, after, "orders", since, 10); h.Proven || h.Last <= lost {
						t.Errorf("since %d, with %d the last that was said yes to: %+v", since, lost, h)
					}
				}
				publishDurable(t, after, "orders", "three", pubsub.DurableOptions{})
			}
			h := history(t, after, "orders", 0, 10)
			if from := h.Entries[len(h.Entries)-2].Before; told(history(t, after, "orders", from, 10)) != "three,three proven:true" {
				t.Errorf("since the successor began, %d: %+v", from, h)
			}
		})
	}
}

// Who may not ask Redis for its line publishes all the same.
func TestLinesUnknown(t *testing.T) {
	s := redistest.Start(t)
	s.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
	b := open(t, pubsub.Options{URL: s.AddUser("service", "secret", "~*", "&*", "+@all", "-info")})
	first := publishDurable(t, b, "orders", "one", pubsub.DurableOptions{})
	publishDurable(t, b, "orders", "two", pubsub.DurableOptions{})
	if got := told(history(t, b, "orders", first, 10)); got != "two proven:true" {
		t.Error(got)
	}
}

// While a channel's slot is on its way, its log is not begun a second time: whoever
// publishes has to wait until it has arrived. Then it goes on.
func TestDurableMoves(t *testing.T) {
	c := redistest.StartCluster(t)
	c.Bear(patience)
	b := run(t, pubsub.Options{URL: c.URL, Functions: true})
	b.awaitReady(t)
	const channel = "orders"
	publishDurable(t, b.Redis, channel, "one", pubsub.DurableOptions{ID: "a"})
	slot := c.Slot("sluice:" + channel)
	source := c.Owner(slot)
	var target *redistest.Server
	for _, m := range c.Masters() {
		if m.Addr != source.Addr {
			target = m
		}
	}
	client := target.Client()
	defer client.Close()
	tries := 0
	err := c.Cluster.MigrateSlowly(slot, target.Server, func() {
		tries++
		var answer *redis.Cmd
		_, err := client.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			p.Do(t.Context(), "ASKING")
			answer = p.FCall(t.Context(), "sluice_publish", []string{"sluice:" + channel}, "two", "id", "b")
			return nil
		})
		if err == nil || !strings.HasPrefix(answer.Err().Error(), "TRYAGAIN ") {
			t.Errorf("the target answers %v, %v", answer, err)
		}
	})
	if err != nil || tries < 2 {
		t.Fatalf("%d pauses, %v", tries, err)
	}
	again := publishDurable(t, b.Redis, channel, "one", pubsub.DurableOptions{ID: "a"})
	publishDurable(t, b.Redis, channel, "two", pubsub.DurableOptions{ID: "b"})
	h := history(t, b.Redis, channel, 0, 10)
	if told(h) != "one,two proven:false" || h.Entries[0].Position != again {
		t.Errorf("the first again at %d; %+v", again, h)
	}
}
