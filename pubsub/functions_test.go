package pubsub_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"sluice/pubsub"
	"sluice/pubsub/redistest"
)

// durably is a Redis on which durable messages can be published.
var durably = []struct {
	name  string
	start func(t *testing.T) (url string)
}{
	{"functions", func(t *testing.T) string {
		s := redistest.Start(t)
		s.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
		return s.URL
	}},
	{"script", func(t *testing.T) string { return redistest.Start(t).URL }},
	{"embedded", func(t *testing.T) string { return startEmbedded(t).URL() }},
}

func publishDurable(t testing.TB, b *pubsub.Redis, channel, payload string, o pubsub.DurableOptions) pubsub.Position {
	t.Helper()
	at, epoch, err := b.PublishDurable(context.Background(), channel, []byte(payload), o)
	if err != nil || at == 0 || epoch == "" {
		t.Fatalf("PublishDurable: %d, %q, %v", at, epoch, err)
	}
	return at
}

func history(t testing.TB, b *pubsub.Redis, channel string, since pubsub.Position, limit int) pubsub.History {
	t.Helper()
	h, err := b.History(context.Background(), channel, since, limit, 0)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// told is a history in a line.
func told(h pubsub.History) string {
	var words []string
	for _, e := range h.Entries {
		words = append(words, string(e.Payload))
	}
	return fmt.Sprintf("%s proven:%v", strings.Join(words, ","), h.Proven)
}

func TestDurable(t *testing.T) {
	for _, d := range durably {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := run(t, pubsub.Options{URL: d.start(t)})
			b.awaitReady(t)
			b.subscribed(t, "orders")
			began := history(t, b.Redis, "orders", 0, 10)
			if began.Last == 0 || told(began) != " proven:false" {
				t.Errorf("before the first message: %+v", began)
			}
			if got := told(history(t, b.Redis, "orders", began.Last, 10)); got != " proven:true" {
				t.Errorf("before the first message, and known to be: %s", got)
			}
			payloads := []string{"one", "", "\x00\r\n\xff", "four"}
			var at []pubsub.Position
			for _, payload := range payloads {
				at = append(at, publishDurable(t, b.Redis, "orders", payload, pubsub.DurableOptions{}))
			}
			if !slices.IsSorted(at) || at[3] >= 1<<53 {
				t.Errorf("positions %d", at)
			}
			b.await(t, "all are heard", func() bool { return len(b.sink.Messages("orders")) == len(payloads) })
			before := began.Last
			for i, message := range b.sink.Messages("orders") {
				m, ok := pubsub.ParseDurable([]byte(message))
				if !ok || m.Position != at[i] || m.Before != before || string(m.Payload) != payloads[i] || m.Epoch == "" {
					t.Errorf("message %d is %q: %+v, %v", i, message, m, ok)
				}
				before = m.Position
			}
			for _, row := range []struct {
				since pubsub.Position
				limit int
				want  string
			}{
				{0, 10, "one,,\x00\r\n\xff,four proven:false"},
				{began.Last, 10, "one,,\x00\r\n\xff,four proven:true"},
				{at[0], 10, ",\x00\r\n\xff,four proven:true"},
				{at[0], 3, ",\x00\r\n\xff,four proven:true"},
				{at[0], 2, ",\x00\r\n\xff proven:false"},
				{at[2], 10, "four proven:true"},
				{at[3], 10, " proven:true"},
				{at[3], 0, " proven:true"},
				{at[2], 0, " proven:false"},
				{at[3] + 1, 10, " proven:false"},
				{at[0] + 1, 10, ",\x00\r\n\xff,four proven:false"},
				{1<<53 - 1, 10, " proven:false"},
			} {
				if got := told(history(t, b.Redis, "orders", row.since, row.limit)); got != row.want {
					t.Errorf("since %d, at most %d: %q, want %q", row.since, row.limit, got, row.want)
				}
			}
			for _, row := range []struct {
				before pubsub.Position
				limit  int
				want   string
			}{
				{0, 10, "four,\x00\r\n\xff,,one proven:false"},
				{0, 2, "four,\x00\r\n\xff proven:false"},
				{0, 0, " proven:false"},
				{at[3], 2, "\x00\r\n\xff, proven:false"},
				{at[3] + 1, 1, "four proven:false"},
				{at[0], 10, " proven:false"},
				{1, 10, " proven:false"},
			} {
				h, err := b.HistoryBefore(t.Context(), "orders", row.before, row.limit)
				if got := told(h); err != nil || got != row.want || h.Last != at[3] {
					t.Errorf("before %d, at most %d: %q, last %d, %v; want %q", row.before, row.limit, got, h.Last, err, row.want)
				}
			}
			if h := history(t, b.Redis, "orders", 0, 10); h.Last != at[3] || h.Epoch == "" {
				t.Errorf("last %d, want %d; epoch %q", h.Last, at[3], h.Epoch)
			}
		})
	}
}

func TestDurableOptions(t *testing.T) {
	for _, d := range durably {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := open(t, pubsub.Options{URL: d.start(t)})
			client := b.Client("sluice:a")
			for i := range 5 {
				publishDurable(t, b, "a", fmt.Sprint(i), pubsub.DurableOptions{Size: 3, TTL: 60, Exclude: "n1.7"})
			}
			h := history(t, b, "a", 0, 10)
			if told(h) != "2,3,4 proven:false" || h.Entries[0].Exclude != "n1.7" {
				t.Errorf("three are kept: %s, %+v", told(h), h.Entries)
			}
			if ttl := client.TTL(t.Context(), "{sluice:a}.log").Val().Seconds(); ttl < 1 || ttl > 60 {
				t.Errorf("the log is kept for %v s, want 60", ttl)
			}
			if ttl := client.TTL(t.Context(), "{sluice:a}.meta").Val().Hours(); ttl < 24*30 {
				t.Errorf("the last position is kept for %v h", ttl)
			}
			once := pubsub.DurableOptions{ID: "order-7"}
			first := publishDurable(t, b, "b", "paid", once)
			if again := publishDurable(t, b, "b", "paid", once); again != first {
				t.Errorf("published again at %d, was %d", again, first)
			}
			if got := told(history(t, b, "b", 0, 10)); got != "paid proven:false" {
				t.Errorf("with an idempotency key: %s", got)
			}
			for _, row := range []struct {
				args []any
				want string
			}{
				{[]any{"sluice_publish", 0}, "write FCALL sluice_publish"},
				{[]any{"sluice_publish", 1, "sluice:c"}, "write FCALL sluice_publish"},
				{[]any{"sluice_publish", 1, "sluice:{c}", "x"}, "braces"},
				{[]any{"sluice_publish", 1, "sluice:c", "x", "sise", "3"}, "unknown option sise"},
				{[]any{"sluice_publish", 1, "sluice:c", "x", "size"}, "option size has no value"},
				{[]any{"sluice_publish", 1, "sluice:c", "x", "size", "0"}, "option size must be a number from 1 to 100000"},
				{[]any{"sluice_publish", 1, "sluice:c", "x", "size", "1e3"}, "option size must be"},
				{[]any{"sluice_publish", 1, "sluice:c", "x", "ttl", "-1"}, "option ttl must be"},
				{[]any{"sluice_publish", 1, "sluice:c", "x", "id", "a b"}, "option id must be"},
				{[]any{"sluice_publish", 1, "sluice:c", "x", "exclude", strings.Repeat("x", 129)}, "option exclude must be"},
				{[]any{"sluice_history", 1, "sluice:c", "since", "9007199254740992"}, "option since must be"},
				{[]any{"sluice_history", 1, "sluice:c", "since", "1", "before", "2"}, "not both"},
			} {
				keys := row.args[2:]
				n := row.args[1].(int)
				var names []string
				for _, k := range keys[:n] {
					names = append(names, k.(string))
				}
				var err error
				if d.name == "script" {
					err = client.Eval(t.Context(), strings.SplitN(pubsub.FunctionLibrary(), "\n", 2)[1], names, append([]any{row.args[0]}, keys[n:]...)...).Err()
				} else {
					err = client.FCall(t.Context(), row.args[0].(string), names, keys[n:]...).Err()
				}
				if err == nil || !strings.Contains(err.Error(), row.want) {
					t.Errorf("%v: %v, want %q", row.args, err, row.want)
				}
			}
			if n := client.Exists(t.Context(), "{sluice:c}.log", "{sluice:c}.meta").Val(); n != 0 {
				t.Error("a refused call has left something")
			}
		})
	}
}

// In one step with the state that it is about: a backend's transaction publishes
// what it has changed.
func TestDurableInTransactions(t *testing.T) {
	s := redistest.Start(t)
	s.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
	b := open(t, pubsub.Options{URL: s.URL})
	client := b.Client("sluice:a")
	_, err := client.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		p.HSet(t.Context(), "order:7", "state", "paid")
		p.FCall(t.Context(), "sluice_publish", []string{"sluice:a"}, "paid")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := told(history(t, b, "a", 0, 10)); got != "paid proven:false" {
		t.Error(got)
	}
}

func TestDurableInCluster(t *testing.T) {
	c := redistest.StartCluster(t)
	c.Bear(patience)
	b := run(t, pubsub.Options{URL: c.URL, Functions: true})
	b.awaitReady(t)
	for i := range 20 { // over all masters
		channel := fmt.Sprint("orders", i)
		b.subscribed(t, channel)
		publishDurable(t, b.Redis, channel, "x", pubsub.DurableOptions{})
		b.await(t, "a message on "+channel, func() bool {
			m := b.sink.Messages(channel)
			if len(m) != 1 {
				return false
			}
			d, ok := pubsub.ParseDurable([]byte(m[0]))
			return ok && string(d.Payload) == "x"
		})
		if got := told(history(t, b.Redis, channel, 0, 10)); got != "x proven:false" {
			t.Errorf("%s: %s", channel, got)
		}
	}
	for _, m := range c.Masters() { // loaded everywhere, for services, beside everything else
		b.await(t, "the functions at "+m.Addr, func() bool {
			v, err := m.Server.Do("FCALL", "sluice_version", 0)
			return err == nil && v == int64(pubsub.FunctionsVersion)
		})
	}
}

// TestProofAgainstModel: whatever happens to Redis' data, a history that says it is
// proven is all that was published after the position which was asked for, by
// somebody who has seen that message.
func TestProofAgainstModel(t *testing.T) {
	s := redistest.Start(t)
	s.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
	b := open(t, pubsub.Options{URL: s.URL})
	client := b.Client("")
	ctx := context.Background()
	keys := []string{"{sluice:m}.log", "{sluice:m}.meta"}
	rapid.Check(t, func(t *rapid.T) {
		client.FlushAll(ctx)
		type message struct {
			at      pubsub.Position
			payload string // "" where it is not a message, but where somebody stood who saw that there was none yet
		}
		var live []message // what Redis has acknowledged and not lost, in order
		var all []message  // what was ever acknowledged
		var snapshot []string
		var then []message
		n := 0
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				n++
				payload := fmt.Sprint(n)
				at, _, err := b.PublishDurable(ctx, "m", []byte(payload), pubsub.DurableOptions{Size: rapid.IntRange(1, 6).Draw(t, "size")})
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range all {
					if m.at >= at {
						t.Fatalf("position %d was given before, or a greater one: %d", at, m.at)
					}
				}
				live, all = append(live, message{at, payload}), append(all, message{at, payload})
			},
			"snapshot": func(t *rapid.T) {
				snapshot = nil
				for _, key := range keys {
					snapshot = append(snapshot, client.Dump(ctx, key).Val())
				}
				then = slices.Clone(live)
			},
			"the snapshot is what Redis comes back with": func(t *rapid.T) {
				if snapshot == nil {
					t.Skip("there is none")
				}
				for i, key := range keys {
					client.Del(ctx, key)
					if snapshot[i] != "" {
						if err := client.Restore(ctx, key, 0, snapshot[i]).Err(); err != nil {
							t.Fatal(err)
						}
					}
				}
				live = slices.Clone(then)
			},
			"the log is evicted":  func(*rapid.T) { client.Del(ctx, keys[0]) },
			"the meta is evicted": func(*rapid.T) { client.Del(ctx, keys[1]) },
			"": func(t *rapid.T) {
				now, err := b.History(ctx, "m", 0, 0, 0) // somebody comes, and goes on from here
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(all, func(m message) bool { return m.at == now.Last }) {
					live, all = append(live, message{now.Last, ""}), append(all, message{now.Last, ""})
				}
				for _, from := range append([]message{{}}, all...) {
					h, err := b.History(ctx, "m", from.at, 100, 0)
					if err != nil {
						t.Fatal(err)
					}
					if !h.Proven {
						continue
					}
					// Proven to one who has seen from: it must be among the living, or the beginning.
					i := slices.Index(live, from)
					if i < 0 {
						t.Fatalf("proven after %d, which Redis has lost: %s", from.at, told(h))
					}
					after := slices.DeleteFunc(slices.Clone(live[i+1:]), func(m message) bool { return m.payload == "" })
					if len(h.Entries) != len(after) {
						t.Fatalf("proven after %d: %s, published were %v", from.at, told(h), after)
					}
					for k, e := range h.Entries {
						if m := after[k]; m.at != e.Position || m.payload != string(e.Payload) {
							t.Fatalf("proven after %d: %s, published were %v", from.at, told(h), after)
						}
					}
				}
			},
		})
	})
}

func TestParseDurable(t *testing.T) {
	for _, row := range []struct {
		in   string
		want string // "": none
	}{
		{"\x01sluice 7 5 3\nhello", "7 5 3  hello"},
		{"\x01sluice 7 0 7 n1.4\n", "7 0 7 n1.4 "},
		{"\x01sluice 9007199254740991 0 7\n\n\n", "9007199254740991 0 7  \n\n"},
		{"", ""}, {"\x01", ""}, {"hello", ""}, {"\x01sluice 7 5 3", ""}, {"\x01sluice 7 5\nx", ""}, {"\x01sluice 7 5 3 x y\n", ""},
		{"\x01sluice 5 5 3\nx", ""}, {"\x01sluice 5 6 3\nx", ""}, {"\x01sluice -1 0 3\nx", ""}, {"\x01sluice 9007199254740992 0 3\nx", ""},
		{"\x01sluice x 0 3\nx", ""}, {"\x02sluice 7 5 3\nx", ""}, {"\x01slUice 7 5 3\nx", ""},
		{"\x01sluice 7 5 " + strings.Repeat("e", 300) + "\nx", ""},
	} {
		got := ""
		if d, ok := pubsub.ParseDurable([]byte(row.in)); ok {
			got = fmt.Sprintf("%d %d %s %s %s", d.Position, d.Before, d.Epoch, d.Exclude, d.Payload)
		}
		if got != row.want {
			t.Errorf("%.40q: %q, want %q", row.in, got, row.want)
		}
	}
}

// A reading is bounded in bytes, and goes on where it was cut; one message is read in
// any case.
func TestHistoryInBytes(t *testing.T) {
	for _, d := range durably {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := run(t, pubsub.Options{URL: d.start(t)})
			var positions []pubsub.Position
			for _, size := range []int{10, 10, 500, 10} {
				positions = append(positions, publishDurable(t, b.Redis, "bytes", strings.Repeat("x", size), pubsub.DurableOptions{}))
			}
			for _, row := range []struct {
				since, limit, bytes int // since: the index of a message, -1 for none
				entries             int
				proven, more        bool
			}{
				{0, 100, 0, 3, true, false},
				{0, 100, 1000, 3, true, false},
				{0, 100, 20, 1, false, true},
				{1, 100, 20, 1, false, true}, // longer than that, and the first
				{2, 100, 20, 1, true, false},
				{0, 2, 1000, 2, false, true},
				{0, 3, 1000, 3, true, false},
				{3, 100, 20, 0, true, false},
			} {
				h, err := b.History(t.Context(), "bytes", positions[row.since], row.limit, row.bytes)
				if err != nil {
					t.Fatal(err)
				}
				if len(h.Entries) != row.entries || h.Proven != row.proven || h.More != row.more {
					t.Errorf("after message %d, %d entries, %d bytes: %d entries, proven %v, more %v", row.since, row.limit, row.bytes, len(h.Entries), h.Proven, h.More)
				}
			}
		})
	}
}

// A Redis without memory left still says what is in its logs.
func TestHistoryWithoutMemory(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	b := run(t, pubsub.Options{URL: s.URL})
	at := publishDurable(t, b.Redis, "full", "x", pubsub.DurableOptions{})
	s.Do("FUNCTION", "LOAD", "REPLACE", pubsub.FunctionLibrary())
	s.Do("CONFIG", "SET", "maxmemory", "1mb")
	if _, _, err := b.PublishDurable(t.Context(), "full", []byte("x"), pubsub.DurableOptions{}); err == nil {
		t.Fatal("it has memory left")
	}
	if got := told(history(t, b.Redis, "full", at, 10)); got != " proven:true" {
		t.Error(got)
	}
}
