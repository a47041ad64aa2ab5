package pubsub_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redistest"
)

const recordOf = "{sluice:inbox}.open."

func connect(conn string) pubsub.Entry {
	return pubsub.Entry{Type: "connect", ID: conn + ".1", Conn: conn, User: "u" + conn, Channel: "news", Reply: "r", Node: "n", Time: time.Now()}
}

func disconnect(conn string) pubsub.Entry {
	return pubsub.Entry{Type: "disconnect", ID: conn + ".2", Conn: conn, User: "u" + conn, Reply: "r", Node: "n", Data: []byte("1000 "), Time: time.Now()}
}

// add adds entries that must be taken.
func add(t testing.TB, b interface{ Add(pubsub.Entry) error }, entries ...pubsub.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := b.Add(e); err != nil {
			t.Fatalf("%s of %s: %v", e.Type, e.Conn, err)
		}
	}
}

// streamOf reads a stream: "connect a", "disconnect a" …
func streamOf(t testing.TB, client *redis.Client, stream string) (says []string, entries []redis.XMessage) {
	t.Helper()
	says, entries, err := readStream(client, stream)
	if err != nil {
		t.Fatal(err)
	}
	return says, entries
}

func readStream(client *redis.Client, stream string) (says []string, entries []redis.XMessage, err error) {
	entries, err = client.XRange(context.Background(), stream, "-", "+").Result()
	for _, e := range entries {
		says = append(says, fmt.Sprint(e.Values["type"], " ", e.Values["conn"]))
	}
	return says, entries, err
}

func wantStream(t testing.TB, client *redis.Client, want ...string) {
	t.Helper()
	var got []string
	var err error // while Redis is coming back, too
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if got, _, err = readStream(client, "sluice:inbox"); err == nil && slices.Equal(got, want) {
			return
		}
	}
	t.Fatalf("the stream is\n%q, %v, want\n%q", got, err, want)
}

func TestRecordedEntries(t *testing.T) {
	for name, url := range map[string]string{"redis": redistest.Start(t).URL, "embedded": startEmbedded(t).URL()} {
		t.Run(name, func(t *testing.T) {
			keys := open(t, pubsub.Options{URL: url})
			client := keys.Client("sluice:inbox")
			b, stop := runInbox(t, keys, pubsub.InboxOptions{Life: "n.x"})
			var out outcomes
			for _, e := range []pubsub.Entry{
				connect("a"), connect("b"), {Type: "message", ID: "m", Conn: "a"}, disconnect("a"),
				disconnect("a"), connect("b"), disconnect("never"), // no occasion for these
			} {
				e.Done = out.done(e.Type + e.Conn + fmt.Sprint(len(out.all())))
				add(t, b, e)
			}
			pubsubtest.Eventually(t, "outcomes", func() bool { return len(out.all()) == 7 })
			if n := count(out.all(), nil); n != 7 {
				t.Errorf("%v", out.all())
			}
			wantStream(t, client, "connect a", "connect b", "message a", "disconnect a")
			_, entries := streamOf(t, client, "sluice:inbox")
			if v := entries[0].Values; v["id"] != "a.1" || v["user"] != "ua" || v["channel"] != "news" || v["reply"] != "r" || v["node"] != "n" {
				t.Errorf("%v", v)
			}
			if v := entries[3].Values; v["id"] != "a.2" || v["data"] != "1000 " {
				t.Errorf("%v", v)
			}
			record, err := client.HGetAll(t.Context(), recordOf+"n.x").Result()
			if record["a"] == "" {
				delete(record, "a") // it ended, and goes when there is something to send
			}
			if err != nil || len(record) != 2 || record["b"] != `{"user":"ub","channel":"news"}` {
				t.Errorf("the record is %v, %v", record, err)
			}
			add(t, b, disconnect("b"))
			pubsubtest.Eventually(t, "what has ended goes", func() bool {
				return slices.Equal(client.HKeys(t.Context(), recordOf+"n.x").Val(), []string{"!", "b"})
			})
			stop()
			if s := b.Stats(); s.Written != 5 || s.Needless != 3 || s.Owed != 0 || s.Repeated != 0 || s.Forgotten != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// What Redis refuses is owed, in its order; messages are refused, as always.
func TestRecordedEntriesAreOwed(t *testing.T) {
	s := redistest.Start(t)
	keys := open(t, pubsub.Options{URL: s.URL})
	client := keys.Client("sluice:inbox")
	var owing atomic.Value
	b, _ := runInbox(t, keys, pubsub.InboxOptions{Life: "n.x", Owing: func(err error) { owing.Store(err.Error()) }})
	add(t, b, connect("first"))
	wantStream(t, client, "connect first")
	s.Do("CONFIG", "SET", "maxmemory", "1")
	var out outcomes
	m := pubsub.Entry{Type: "message", ID: "m", Conn: "a", Done: out.done("m")}
	add(t, b, connect("a"), m, disconnect("a"), disconnect("first"), connect("b"))
	if err := out.await(t, 1)[0]; err == nil {
		t.Error("Redis without memory takes a message")
	}
	pubsubtest.Eventually(t, "they are owed", func() bool { return b.Stats().Owed == 4 })
	pubsubtest.Eventually(t, "and that is told", func() bool {
		text, _ := owing.Load().(string)
		return strings.Contains(text, "OOM")
	})
	if d := b.Stats().OldestWait; d <= 0 {
		t.Errorf("the oldest waits %v", d)
	}
	s.Do("CONFIG", "SET", "maxmemory", "0")
	wantStream(t, client, "connect first", "connect a", "disconnect a", "disconnect first", "connect b")
}

// While Redis is down all that opens and ends is remembered, and written once it is
// back; what it had taken without having answered is not written twice.
func TestRecordedEntriesSurviveAnOutage(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	keys := open(t, pubsub.Options{URL: s.URL})
	b, stop := runInbox(t, keys, pubsub.InboxOptions{Life: "n.x", Timeout: 200 * time.Millisecond})
	add(t, b, connect("a"))
	wantStream(t, keys.Client(""), "connect a")
	s.Pause()
	add(t, b, connect("b"), disconnect("a")) // it will have them, and does not say so
	pubsubtest.Eventually(t, "the inbox is down", func() bool { return b.Stats().Down })
	if err := b.Add(pubsub.Entry{Type: "message"}); err != pubsub.ErrInboxUnavailable {
		t.Errorf("a message: %v", err)
	}
	add(t, b, connect("c"), disconnect("b"))
	s.Resume()
	wantStream(t, keys.Client(""), "connect a", "connect b", "disconnect a", "connect c", "disconnect b")
	s.Kill()
	add(t, b, connect("d"), disconnect("c"))
	pubsubtest.Eventually(t, "the inbox is down", func() bool { return b.Stats().Down })
	s.Restart()
	wantStream(t, keys.Client(""), "connect a", "connect b", "disconnect a", "connect c", "disconnect b", "connect d", "disconnect c")
	stop()
	if st := b.Stats(); st.Owed != 0 || st.Forgotten != 0 {
		t.Errorf("%+v", st)
	}
}

// What is owed is bounded. Beyond, the inbox wants to be told again.
func TestOwedIsBounded(t *testing.T) {
	s := redistest.Start(t)
	keys := open(t, pubsub.Options{URL: s.URL})
	var forgotten atomic.Int64
	b, _ := runInbox(t, keys, pubsub.InboxOptions{Life: "n.x", QueueEntries: 10, Forgotten: func() { forgotten.Add(1) }})
	s.Kill()
	for i := range 30 {
		add(t, b, connect(fmt.Sprint(i)))
		if i == 0 {
			pubsubtest.Eventually(t, "the inbox is down", func() bool { return b.Stats().Down })
		}
	}
	if st := b.Stats(); st.Owed > 10 || forgotten.Load() != 0 {
		t.Errorf("forgotten %d times; %+v", forgotten.Load(), st)
	}
	s.Restart()
	pubsubtest.Eventually(t, "it asks for them again", func() bool { return forgotten.Load() == 1 })
	if st := b.Stats(); st.Owed != 0 || st.Forgotten != 1 || st.Down {
		t.Errorf("%+v", st)
	}
}

// A Redis that has lost its data, or some of it, is noticed, and what is open is
// stated again.
func TestRecordLost(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, s *redistest.Server){
		"all of it": func(t *testing.T, s *redistest.Server) { s.Do("FLUSHALL") },
		"the newest": func(t *testing.T, s *redistest.Server) { // back to a snapshot
			s.Kill()
			s.Restart()
		},
	} {
		for how, quiet := range map[string]bool{"at the next entry": false, "by looking": true} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				s := redistest.Start(t, "--appendonly", "no", "--save", "3600 1000000")
				keys := open(t, pubsub.Options{URL: s.URL})
				client := keys.Client("")
				var forgotten atomic.Int64
				var mu sync.Mutex
				var recorded []string // guarded by mu
				o := pubsub.InboxesOptions{WatchEvery: 10 * time.Millisecond, Recorded: func(list []pubsub.Recorded) {
					mu.Lock()
					defer mu.Unlock()
					for _, r := range list {
						recorded = append(recorded, r.Conn+" "+r.User+" "+r.Channel)
					}
				}}
				o.Life, o.Forgotten = "n.x", func() { forgotten.Add(1) }
				b := runInboxes(t, keys, o)
				add(t, b, connect("a"), connect("z"))
				wantStream(t, client, "connect a", "connect z")
				s.Do("SAVE")
				add(t, b, connect("b"), disconnect("a"))
				wantStream(t, client, "connect a", "connect z", "connect b", "disconnect a")
				lose(t, s)
				pubsubtest.Eventually(t, "Redis is back", func() bool { return client.Ping(t.Context()).Err() == nil })
				if !quiet {
					add(t, b, connect("c"))
				}
				pubsubtest.Eventually(t, "the loss is noticed", func() bool { return forgotten.Load() > 0 })
				add(t, b, connect("z"), connect("b"), disconnect("a"))
				pubsubtest.Eventually(t, "all is written", func() bool {
					st := b.Stats()
					return st.Owed == 0 && st.QueueEntries == 0 && st.OldestWait == 0
				})
				got, _ := streamOf(t, client, "sluice:inbox")
				slices.Sort(got)
				want := map[string][]string{
					"all of it, false":  {"connect b", "connect c", "connect z"},
					"all of it, true":   {"connect b", "connect z"},
					"the newest, false": {"connect a", "connect b", "connect c", "connect z", "disconnect a"},
					"the newest, true":  {"connect a", "connect b", "connect z", "disconnect a"},
				}[fmt.Sprintf("%s, %v", name, quiet)]
				if !slices.Equal(got, want) {
					t.Errorf("the stream has %q, want %q", got, want)
				}
				if name == "the newest" {
					pubsubtest.Eventually(t, "what the record holds is told", func() bool {
						mu.Lock()
						defer mu.Unlock()
						return slices.Contains(recorded, "z uz news")
					})
				}
			})
		}
	}
}

func runInboxes(t testing.TB, keys pubsub.Keys, o pubsub.InboxesOptions) *pubsub.Inboxes {
	t.Helper()
	unhurried(&o.InboxOptions)
	b := pubsub.NewInboxes(keys, o)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = b.Run(ctx) })
	running.Go(func() { _ = b.Watch(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return b
}

func peerOf(life string) pubsub.Peer {
	return pubsub.Peer{ID: "n", Life: life, Reply: "sluice:{node:n}", Inbox: "sluice:inbox"}
}

// Whoever buries a node, however often and however many at once: each connection has
// one disconnect entry, and the dead one writes no more.
func TestBurialOfRecords(t *testing.T) {
	for name, row := range map[string]struct {
		url   string
		conns int // several pages, or fewer where scripts are slow
	}{"redis": {redistest.Start(t).URL, 2500}, "embedded": {startEmbedded(t).URL(), 200}} {
		t.Run(name, func(t *testing.T) {
			keys, conns := open(t, pubsub.Options{URL: row.url}), row.conns
			client := keys.Client("")
			o := pubsub.InboxesOptions{}
			o.Life = "n.x"
			dead := runInboxes(t, keys, o)
			for i := range conns {
				add(t, dead, connect(fmt.Sprint(i)))
			}
			add(t, dead, disconnect("7"))
			pubsubtest.Eventually(t, "all is written", func() bool { return dead.Stats().Written == int64(conns)+1 })

			var all sync.WaitGroup
			var wrote atomic.Int64
			for i := range 3 {
				all.Go(func() {
					var o pubsub.InboxesOptions
					o.Life = fmt.Sprint("undertaker", i)
					b := pubsub.NewInboxes(keys, o)
					for range 2 {
						n, err := b.Bury(t.Context(), peerOf("n.x"))
						if err != nil {
							t.Error(err)
						}
						wrote.Add(int64(n))
					}
				})
			}
			all.Wait()
			if wrote.Load() != int64(conns)-1 {
				t.Errorf("the undertakers wrote %d entries, want %d", wrote.Load(), conns-1)
			}
			says, entries := streamOf(t, client, "sluice:inbox")
			ends := map[string]int{}
			for i, say := range says {
				if conn, ok := strings.CutPrefix(say, "disconnect "); ok {
					ends[conn]++
					if v := entries[i].Values; conn != "7" && (v["data"] != "1006 the node has died" || v["user"] != "u"+conn || v["channel"] != "news" ||
						v["id"] != conn+".died.n.x" || v["reply"] != "sluice:{node:n}" || v["node"] != "n" || v["time"] == "") {
						t.Fatalf("%v", v)
					}
				}
			}
			for i := range conns {
				if n := ends[fmt.Sprint(i)]; n != 1 {
					t.Fatalf("connection %d has %d disconnect entries", i, n)
				}
			}

			// The dead one was only slow. It writes nothing under that life, and all that it
			// owes under the next.
			add(t, dead, disconnect("8"), connect("new"))
			pubsubtest.Eventually(t, "it owes them", func() bool { return dead.Stats().Owed == 2 })
			dead.SetLife("n.x.2")
			add(t, dead, connect("9"))
			pubsubtest.Eventually(t, "it owes nothing", func() bool { s := dead.Stats(); return s.Owed == 0 && s.QueueEntries == 0 && s.OldestWait == 0 })
			says, _ = streamOf(t, client, "sluice:inbox")
			if rest := says[2*conns:]; !slices.Equal(rest, []string{"connect new", "connect 9"}) {
				t.Errorf("then came %q", rest)
			}
			record, err := client.HKeys(t.Context(), recordOf+"n.x.2").Result()
			slices.Sort(record)
			if err != nil || !slices.Equal(record, []string{"!", "9", "new"}) {
				t.Errorf("the new record holds %q, %v", record, err)
			}
			if ttl := client.TTL(t.Context(), recordOf+"n.x").Val(); ttl <= 0 {
				t.Errorf("the buried record lives %v", ttl)
			}
		})
	}
}

// A node that comes back before anybody has buried it says nothing twice.
func TestLifeGoesOnBeforeTheBurial(t *testing.T) {
	s := redistest.Start(t)
	keys := open(t, pubsub.Options{URL: s.URL})
	var o pubsub.InboxesOptions
	o.Life = "n.x"
	b := runInboxes(t, keys, o)
	add(t, b, connect("a"), connect("b"), connect("c"))
	wantStream(t, keys.Client(""), "connect a", "connect b", "connect c")
	b.SetLife("n.x.2")
	add(t, b, connect("a"), disconnect("b")) // one is stated again, one ends before it is
	wantStream(t, keys.Client(""), "connect a", "connect b", "connect c", "disconnect b")
	if _, err := b.Bury(t.Context(), peerOf("n.x")); err != nil {
		t.Fatal(err)
	}
	add(t, b, connect("c"), disconnect("a"), disconnect("c"))
	wantStream(t, keys.Client(""), "connect a", "connect b", "connect c", "disconnect b", "disconnect c", "connect c", "disconnect a", "disconnect c")
}

// What Redis had taken without saying so is not written again under the next life.
func TestLifeGoesOnWithEntriesUnderWay(t *testing.T) {
	s := redistest.Start(t)
	keys := open(t, pubsub.Options{URL: s.URL})
	o := pubsub.InboxesOptions{}
	o.Life, o.Timeout = "n.x", 200*time.Millisecond
	b := runInboxes(t, keys, o)
	add(t, b, connect("a"))
	wantStream(t, keys.Client(""), "connect a")
	s.Pause()
	add(t, b, connect("b"), disconnect("b"), disconnect("a"))
	pubsubtest.Eventually(t, "the inbox is down", func() bool { return b.Stats().Down })
	b.SetLife("n.x.2")
	s.Resume()
	add(t, b, connect("c"))
	wantStream(t, keys.Client(""), "connect a", "connect b", "disconnect b", "disconnect a", "connect c")
	if n, err := b.Bury(t.Context(), peerOf("n.x")); n != 0 || err != nil {
		t.Errorf("%d entries are completed, %v", n, err)
	}
	if n, err := b.Bury(t.Context(), peerOf("n.x.2")); n != 1 || err != nil {
		t.Errorf("%d entries are completed, %v", n, err)
	}
	wantStream(t, keys.Client(""), "connect a", "connect b", "disconnect b", "disconnect a", "connect c", "disconnect c")
}

func TestInboxStreams(t *testing.T) {
	t.Parallel()
	servers := []*redistest.Server{redistest.Start(t), redistest.Start(t)}
	keys := open(t, pubsub.Options{URL: servers[0].URL + "," + servers[1].URL})
	o := pubsub.InboxesOptions{Streams: []string{"sluice:orders"}, Parts: 4, Place: keys.Shard}
	o.Life = "n.x"
	b := runInboxes(t, keys, o)
	var out outcomes
	for i := range 100 {
		conn := fmt.Sprint("c", i)
		add(t, b, connect(conn))
		for j := range 3 {
			add(t, b, pubsub.Entry{Type: "message", ID: fmt.Sprint(j), Conn: conn, Done: out.done(fmt.Sprint(i, j))},
				pubsub.Entry{Type: "message", Stream: "sluice:orders", ID: fmt.Sprint(j), Conn: conn, Done: out.done(fmt.Sprint("o", i, j))})
		}
	}
	if n := count(out.await(t, 600), nil); n != 600 {
		t.Fatalf("%d are stored", n)
	}
	latest, err := b.Latest(t.Context(), 50)
	if err != nil || len(latest) != 50 {
		t.Errorf("the latest are %d, %v", len(latest), err)
	}
	wrote, err := b.Bury(t.Context(), pubsub.Peer{ID: "n", Life: "n.x", Inbox: "sluice:inbox", InboxParts: 4})
	if err != nil || wrote != 100 {
		t.Errorf("%d were buried, %v", wrote, err)
	}
	for _, stream := range []string{"sluice:inbox", "sluice:orders"} {
		where := map[string]string{} // by connection
		for part := range 4 {
			key := fmt.Sprintf("%s.%d", stream, part)
			client := servers[part%2].Client()
			defer client.Close()
			says, entries := streamOf(t, client, key)
			if len(says) < 20 {
				t.Errorf("%s has %d entries", key, len(says))
			}
			next := map[string]int{}
			for _, e := range entries {
				conn := e.Values["conn"].(string)
				if other, known := where[conn]; known && other != key {
					t.Fatalf("%s is in %s and in %s", conn, other, key)
				}
				where[conn] = key
				if e.Values["type"] == "message" {
					if e.Values["id"] != fmt.Sprint(next[conn]) {
						t.Fatalf("%s in %s: %v, want number %d", conn, key, e.Values["id"], next[conn])
					}
					next[conn]++
				}
			}
		}
		if len(where) != 100 {
			t.Errorf("%d connections are in %s", len(where), stream)
		}
	}
}

// The writers of several streams share what may wait.
func TestInboxStreamsShareTheirRoom(t *testing.T) {
	keys := open(t, pubsub.Options{URL: "redis://127.0.0.1:1"})
	o := pubsub.InboxesOptions{Streams: []string{"sluice:b"}, Parts: 2}
	o.QueueEntries = 10
	b := pubsub.NewInboxes(keys, o)
	taken := 0
	for i := range 30 {
		if b.Add(pubsub.Entry{Conn: fmt.Sprint(i), Stream: []string{"", "sluice:b"}[i%2]}) == nil {
			taken++
		}
	}
	if taken != 10 || !b.Busy() {
		t.Errorf("%d entries were taken; busy: %v", taken, b.Busy())
	}
}

func TestInboxLag(t *testing.T) {
	s := redistest.Start(t)
	keys := open(t, pubsub.Options{URL: s.URL})
	client := keys.Client("")
	told := make(chan string, 100)
	o := pubsub.InboxesOptions{WatchEvery: 5 * time.Millisecond, Trimmed: func(s pubsub.StreamLag, g pubsub.GroupLag) {
		told <- fmt.Sprint(s.Stream, " ", g.Name, " ", s.Trimmed(g) > 0)
	}}
	o.MaxLen = 1000
	b := runInboxes(t, keys, o)
	lag := func(what string, check func(pubsub.StreamLag) bool) {
		t.Helper()
		var last []pubsub.StreamLag
		pubsubtest.Eventually(t, what, func() bool {
			last = b.Lags()
			return len(last) == 1 && check(last[0])
		})
	}
	lag("nothing there", func(s pubsub.StreamLag) bool { return s.Stream == "sluice:inbox" && s.Length == 0 && s.MaxLen == 1000 })
	s.Do("XGROUP", "CREATE", "sluice:inbox", "workers", "0", "MKSTREAM")
	for i := range 20 {
		s.Do("XGROUP", "CREATE", "sluice:inbox", fmt.Sprintf("x%02d", i), "$")
	}
	add := func(n int) {
		pipe := client.Pipeline()
		for range n {
			pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: "sluice:inbox", MaxLen: 1000, Values: []string{"a", "b"}})
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	add(100)
	s.Do("XREADGROUP", "GROUP", "workers", "w", "COUNT", "30", "STREAMS", "sluice:inbox", ">")
	lag("70 are not given", func(s pubsub.StreamLag) bool {
		g := s.Groups[0]
		return s.Length == 100 && len(s.Groups) == pubsub.MaxGroups && s.More == 5 && g.Name == "workers" && g.Lag == 70 && g.Pending == 30 && g.Idle >= 0
	})
	lag("they get old", func(s pubsub.StreamLag) bool { return s.Groups[0].Idle > 20*time.Millisecond })
	for i := range 20 { // they would be in danger, too
		s.Do("XGROUP", "DESTROY", "sluice:inbox", fmt.Sprintf("x%02d", i))
	}
	lag("one group", func(s pubsub.StreamLag) bool { return len(s.Groups) == 1 && s.More == 0 })
	select {
	case text := <-told:
		t.Errorf("%s, though nothing is in danger", text)
	default:
	}
	add(850)
	if text := <-told; text != "sluice:inbox workers false" {
		t.Errorf("told %s", text)
	}
	s.Do("XREADGROUP", "GROUP", "workers", "w", "COUNT", "5000", "STREAMS", "sluice:inbox", ">")
	lag("all are given", func(s pubsub.StreamLag) bool { return s.Groups[0].Lag == 0 })
	add(3000)
	if text := <-told; !strings.HasPrefix(text, "sluice:inbox workers ") {
		t.Errorf("told %s", text)
	}
	lag("2000 are gone", func(s pubsub.StreamLag) bool { return s.Trimmed(s.Groups[0]) == 2000 })
}

// The commands and keys that doc.go names are enough.
func TestRecordACL(t *testing.T) {
	s := redistest.Start(t)
	s.Do("ACL", "SETUSER", "gate", "on", ">pw", "-@all", "+ping", "+xadd", "~sluice:inbox", "+eval", "+evalsha", "+hget", "+hset", "+hsetnx",
		"+hdel", "+hscan", "+expire", "~{sluice:inbox*", "+xlen", "+xpending", "+xinfo|groups")
	s.Do("XGROUP", "CREATE", "sluice:inbox", "workers", "0", "MKSTREAM")
	keys := open(t, pubsub.Options{URL: strings.Replace(s.URL, "//", "//gate:pw@", 1)})
	o := pubsub.InboxesOptions{WatchEvery: 5 * time.Millisecond}
	o.Life = "n.x"
	b := runInboxes(t, keys, o)
	admin := s.Client()
	defer admin.Close()
	add(t, b, connect("a"), connect("b"), disconnect("a"))
	wantStream(t, admin, "connect a", "connect b", "disconnect a")
	add(t, b, connect("c"))
	wantStream(t, admin, "connect a", "connect b", "disconnect a", "connect c")
	if n, err := b.Bury(t.Context(), peerOf("n.x")); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
	pubsubtest.Eventually(t, "the lag is seen", func() bool {
		lags := b.Lags()
		return len(lags) == 1 && len(lags[0].Groups) == 1 && lags[0].Groups[0].Lag >= 4
	})
	if text := b.Stats().LastError; text != "" {
		t.Error(text)
	}
}

// BenchmarkInboxConnections is connections that come and go: two recorded entries each.
func BenchmarkInboxConnections(b *testing.B) {
	s := redistest.Start(b)
	keys := open(b, pubsub.Options{URL: s.URL})
	inbox, stop := runInbox(b, keys, pubsub.InboxOptions{Life: "n.x"})
	b.ReportAllocs()
	n, began := 0, time.Now()
	for b.Loop() {
		conn := fmt.Sprint("n.ABCDEFGHIJ.", n)
		for inbox.Stats().QueueEntries > 60_000 {
			time.Sleep(100 * time.Microsecond)
		}
		add(b, inbox, connect(conn), disconnect(conn))
		n++
	}
	stop()
	if st := inbox.Stats(); st.Written != int64(2*n) {
		b.Errorf("%d connections: %+v", n, st)
	}
	b.ReportMetric(float64(2*n)/time.Since(began).Seconds(), "entries/s") // until the last ack
}
