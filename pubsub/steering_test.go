package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redistest"
)

// steered is a node that reads commands.
type steered struct {
	running
	*pubsub.Steering

	mu       sync.Mutex
	commands []string // guarded by mu
	missed   int      // guarded by mu
}

// ringing is a recorder that rings for what comes on the control channel.
type ringing struct {
	pubsub.Receiver
	n *steered
}

func (r ringing) Deliver(channel, payload []byte) {
	if string(channel) == pubsub.ControlChannel {
		r.n.Ring()
	}
	r.Receiver.Deliver(channel, payload)
}

type ringingSink struct{ n *steered }

func (s ringingSink) Lane(link pubsub.Link) pubsub.Receiver { return ringing{s.n.sink.Lane(link), s.n} }

// steer runs a node until the test ends. every is how often it looks into the log by
// itself.
func steer(t *testing.T, url string, every time.Duration) *steered {
	t.Helper()
	n := &steered{running: running{open(t, pubsub.Options{URL: url}), pubsubtest.NewRecorder()}}
	n.Steering = pubsub.NewSteering(n.Redis, pubsub.SteeringOptions{Every: every, Timeout: patience,
		Apply: func(commands []pubsub.Command) {
			n.mu.Lock()
			defer n.mu.Unlock()
			for _, c := range commands {
				n.commands = append(n.commands, said(c))
			}
		},
		Missed: func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.missed++
		},
	})
	pubsubtest.Background(t, n.Redis, ringingSink{n})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Steering.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	n.subscribed(t, pubsub.ControlChannel)
	pubsubtest.Eventually(t, "revocations are known", func() bool { return n.Steering.Ready() == nil })
	return n
}

// said is a command in a line, without moments.
func said(c pubsub.Command) string {
	whom := "user " + c.User
	if c.Conn != "" {
		whom = "conn " + c.Conn
	}
	if c.Token != "" {
		whom = "token " + c.Token
	}
	text := fmt.Sprintf("%s %s", c.Do, whom)
	if c.Channel != "" {
		text += " " + c.Channel
	}
	if c.Code != 0 {
		text += fmt.Sprint(" ", c.Code)
	}
	if c.Reason != "" {
		text += " (" + c.Reason + ")"
	}
	return text
}

// heard is what it heard. What is revoked it may hear again at any time.
func (n *steered) heard() (list []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.commands {
		if !strings.HasPrefix(c, "revoke") || !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	return list
}

func (n *steered) hears(t *testing.T, want ...string) {
	t.Helper()
	pubsubtest.Eventually(t, fmt.Sprintf("it hears %q", want), func() bool { return slices.Equal(n.heard(), want) })
}

// fcall calls a function as a service does.
func fcall(t *testing.T, d string, client *redis.Client, name string, keys []string, args ...any) (any, error) {
	t.Helper()
	if d == "script" {
		return client.Eval(t.Context(), strings.SplitN(pubsub.FunctionLibrary(), "\n", 2)[1], keys, append([]any{name}, args...)...).Result()
	}
	return client.FCall(t.Context(), name, keys, args...).Result()
}

func TestSteering(t *testing.T) {
	for _, d := range durably {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			url := d.start(t)
			n := steer(t, url, time.Hour) // what it hears it has heard at once
			client := n.Client("")
			var want []string
			for _, row := range []struct {
				call string
				want string // what nodes hear; else a part of the error, after !
			}{
				{"sluice_disconnect user 42", "disconnect user 42 4500"},
				{"sluice_disconnect USER 42 4001", "disconnect user 42 4001"},
				{"sluice_disconnect user a:b 4001 go_away", "disconnect user a:b 4001 (go_away)"},
				{"sluice_disconnect conn n.x.7", "disconnect conn n.x.7 4500"},
				{"sluice_disconnect token j-1", "revoke token j-1 4501"},
				{"sluice_disconnect token j-2 4002 bye", "revoke token j-2 4002 (bye)"},
				{"sluice_revoke token j-3", "revoke token j-3 4501"},
				{"sluice_revoke token j-4 ttl 7200", "revoke token j-4 4501"},
				{"sluice_revoke user 42 ttl 60", "revoke user 42 4501"},
				{"sluice_subscribe user 42 room:1", "subscribe user 42 room:1"},
				{"sluice_unsubscribe user 42 room:1", "unsubscribe user 42 room:1"},
				{"sluice_unsubscribe conn n.x.7 #42", "unsubscribe conn n.x.7 #42"},
				{"sluice_disconnect", "!write FCALL sluice_disconnect 0 user"},
				{"sluice_disconnect user", "!write FCALL"},
				{"sluice_disconnect users 42", "!write FCALL"},
				{"sluice_disconnect user 42 1000", "!the close code must be a number from 4000 to 4999"},
				{"sluice_disconnect user 42 4000 " + strings.Repeat("x", 124), "!the reason must be at most 123 bytes"},
				{"sluice_disconnect user 42 4000 a b", "!write FCALL"},
				{"sluice_disconnect user " + strings.Repeat("x", 256), "!write FCALL"},
				{"sluice_revoke conn n.x.7", "!write FCALL sluice_revoke"},
				{"sluice_revoke user 42 ttl 0", "!option ttl must be a number"},
				{"sluice_revoke user 42 code 4000", "!unknown option code"},
				{"sluice_subscribe user 42", "!write FCALL sluice_subscribe"},
				{"sluice_subscribe token 42 room:1", "!write FCALL sluice_subscribe"},
				{"sluice_subscribe user 42 {node:x}", "!no channel can have this name"},
				{`sluice_subscribe user 42 a\b`, "!no channel can have this name"},
			} {
				words := strings.Fields(row.call)
				var args []any
				for _, w := range words[1:] {
					args = append(args, w)
				}
				v, err := fcall(t, d.name, client, words[0], nil, args...)
				if reason, fails := strings.CutPrefix(row.want, "!"); fails {
					if err == nil || !strings.Contains(err.Error(), reason) {
						t.Errorf("%.60s: %v, want %q", row.call, err, reason)
					}
					continue
				}
				want = append(want, row.want)
				if err != nil || len(v.([]any)) != 2 || v.([]any)[1] != int64(1) {
					t.Errorf("%s: %v, %v", row.call, v, err)
				}
			}
			n.hears(t, want...)
			if _, err := fcall(t, d.name, client, "sluice_disconnect", []string{"sluice:news"}, "user", "42"); err == nil || !strings.Contains(err.Error(), "sluice:{control}") {
				t.Errorf("another key: %v", err)
			}
			if _, err := fcall(t, d.name, client, "sluice_disconnect", []string{"sluice:{control}"}, "user", "43"); err != nil {
				t.Errorf("with the key: %v", err)
			}
			n.hears(t, append(want, "disconnect user 43 4500")...)

			// One that starts later knows what is revoked, and nothing else of what was.
			later := steer(t, url, time.Hour)
			got := later.heard()
			slices.Sort(got)
			if want := []string{"revoke token j-1 4501", "revoke token j-2 4501", "revoke token j-3 4501", "revoke token j-4 4501", "revoke user 42 4501"}; !slices.Equal(got, want) {
				t.Errorf("revoked are %q, want %q", got, want)
			}
			if nodes, err := later.Steer(t.Context(), "disconnect", "user", "44"); err != nil || nodes != 2 {
				t.Errorf("Steer: %d, %v", nodes, err)
			}
			if s := n.Steering.Stats(); s.Malformed != 0 || s.Failed != 0 || s.Missed != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// In one step with what it is about, and from scripts.
func TestSteeringInTransactions(t *testing.T) {
	s := redistest.Start(t)
	s.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
	n := steer(t, s.URL, time.Hour)
	_, err := n.Client("").TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Set(t.Context(), "user:42:banned", "1", 0)
		p.FCall(t.Context(), "sluice_disconnect", nil, "user", "42")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	n.hears(t, "disconnect user 42 4500")
}

// What is said while a node does not hear is read afterwards, once; what Redis has
// lost is known to be missing.
func TestSteeringSurvivesRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	s.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
	n := steer(t, s.URL, 50*time.Millisecond)
	s.Do("FCALL", "sluice_disconnect", 0, "user", "1")
	n.hears(t, "disconnect user 1 4500")
	s.Do("CLIENT", "KILL", "TYPE", "pubsub") // and before it is back
	s.Do("FCALL", "sluice_disconnect", 0, "user", "2")
	n.hears(t, "disconnect user 1 4500", "disconnect user 2 4500")
	s.Restart()
	s.Do("FCALL", "sluice_revoke", 0, "token", "j")
	n.hears(t, "disconnect user 1 4500", "disconnect user 2 4500", "revoke token j 4501")
	// A Redis that was restarted may have lost something, and cannot know.
	pubsubtest.Eventually(t, "it is noticed", func() bool { return n.Steering.Stats().Missed > 0 })
	missed := n.Steering.Stats().Missed
	s.Do("FLUSHALL")
	pubsubtest.Eventually(t, "it is noticed", func() bool { return n.Steering.Stats().Missed > missed })
	s.Do("FCALL", "sluice_disconnect", 0, "user", "3")
	n.hears(t, "disconnect user 1 4500", "disconnect user 2 4500", "revoke token j 4501", "disconnect user 3 4500")
	// By somebody who may write where it does not belong.
	for i, rubbish := range []string{"rubbish", `{"do":"dance","user":"42"}`, `{"do":"disconnect","code":4000}`, `{"do":"disconnect","user":"42","code":1}`,
		`{"do":"subscribe","user":"42","channel":"{node:x}"}`, `{"do":"revoke","conn":"42","code":4000}`, `{"do":"disconnect","user":"42","conn":"43","code":4000}`} {
		last, err := strconv.ParseUint(s.Do("HGET", "sluice:{control}.meta", "last").(string), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		s.Do("XADD", "sluice:{control}.log", fmt.Sprint(last+1, "-0"), "p", last, "d", rubbish)
		s.Do("HSET", "sluice:{control}.meta", "last", last+1)
		pubsubtest.Eventually(t, "it is noticed", func() bool { return n.Steering.Stats().Malformed == int64(i+1) })
	}
	n.hears(t, "disconnect user 1 4500", "disconnect user 2 4500", "revoke token j 4501", "disconnect user 3 4500")
}

// What is revoked is read again after a loss, also where that fails at first; the loss is told once.
func TestSteeringReadsRevocationsAgain(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
	n := steer(t, s.URL, 20*time.Millisecond)
	s.Do("FCALL", "sluice_disconnect", 0, "user", "1")
	n.hears(t, "disconnect user 1 4500")
	const revoked = "sluice:{control}.revoked"
	together := func(f func(p redis.Pipeliner)) {
		t.Helper()
		if _, err := n.Client("").TxPipelined(t.Context(), func(p redis.Pipeliner) error { f(p); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	together(func(p redis.Pipeliner) {
		p.FlushAll(t.Context())
		p.Set(t.Context(), revoked, "no sorted set", 0)
	})
	pubsubtest.Eventually(t, "it fails again and again", func() bool { return n.Steering.Stats().Failed > 2 })
	together(func(p redis.Pipeliner) { // it is in the set alone: in the log it is not
		p.Del(t.Context(), revoked)
		p.ZAdd(t.Context(), revoked, redis.Z{Score: float64(time.Now().Unix() + 3600), Member: "t quiet"})
	})
	n.hears(t, "disconnect user 1 4500", "revoke token quiet 4501")
	n.mu.Lock()
	defer n.mu.Unlock()
	if got := n.Steering.Stats(); got.Missed != 1 || n.missed != 1 {
		t.Errorf("it was told %d times, and is %+v", n.missed, got)
	}
}

// Many commands at once, more than one look takes.
func TestSteeringMuch(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
	n := steer(t, s.URL, time.Hour)
	var want []string
	_, err := n.Client("").TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range 2500 {
			p.FCall(t.Context(), "sluice_disconnect", nil, "user", fmt.Sprint(i))
			want = append(want, fmt.Sprintf("disconnect user %d 4500", i))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	n.hears(t, want...)
	if got := n.Steering.Stats(); got.Missed != 0 {
		t.Errorf("%+v", got)
	}
}

// In a Cluster the key says where the call belongs; without it the call says so.
func TestSteeringInCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	c.Bear(patience)
	for _, m := range c.Masters() {
		m.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
	}
	a, b := steer(t, c.URL, time.Hour), steer(t, c.URL, time.Hour)
	owner := c.Owner(c.Slot("sluice:{control}"))
	owner.Do("FCALL", "sluice_disconnect", 1, "sluice:{control}", "user", "1")
	owner.Do("FCALL", "sluice_disconnect", 0, "user", "2") // by luck
	for _, m := range c.Masters() {
		if m.Addr == owner.Addr {
			continue
		}
		if _, err := m.Server.Do("FCALL", "sluice_disconnect", 0, "user", "3"); err == nil || !strings.Contains(err.Error(), "name the key") {
			t.Errorf("without the key at another master: %v", err)
		}
	}
	if _, err := a.Steer(t.Context(), "revoke", "user", "4"); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*steered{a, b} {
		n.hears(t, "disconnect user 1 4500", "disconnect user 2 4500", "revoke user 4 4501")
	}
}
