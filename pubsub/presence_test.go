package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redistest"
)

// attending is a node that keeps presence, with its broker.
type attending struct {
	running
	*pubsub.Presence
	stop func()
}

// attend runs one until the test ends.
func attend(t *testing.T, url string, o pubsub.PresenceOptions) *attending {
	t.Helper()
	n := &attending{}
	n.running = running{open(t, pubsub.Options{URL: url, Events: pubsub.Events{Connected: func(string) { n.Resync() }}}), pubsubtest.NewRecorder()}
	o.RetryEvery, o.Timeout, o.DrainTimeout = 20*time.Millisecond, patience, patience
	n.Presence = pubsub.NewPresence(n.Redis, o)
	pubsubtest.Background(t, n.Redis, n.sink)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Presence.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(n.stop)
	return n
}

// Run is ambiguous otherwise.
func (n *attending) Run(ctx context.Context) error { return n.Presence.Run(ctx) }

func (n *attending) join(channel string, conns ...string) {
	for _, conn := range conns {
		user, _, _ := strings.Cut(conn, "-")
		n.Join(channel, pubsub.Attendee{Conn: conn, User: strings.TrimPrefix(user, "nobody"), Info: []byte(`{"of": "` + conn + `"}`), Since: time.UnixMilli(1700000000000)})
	}
}

// who waits until those are in a channel, and nobody else.
func (n *attending) who(t *testing.T, channel string, conns ...string) {
	t.Helper()
	slices.Sort(conns)
	var got []string
	n.await(t, fmt.Sprint("in ", channel, " are ", conns), func() bool {
		a, err := n.Attendance(context.Background(), channel, 1000, "")
		if err != nil {
			return false
		}
		got = nil
		for _, one := range a.Attendees {
			got = append(got, one.Conn)
		}
		slices.Sort(got)
		return slices.Equal(got, conns) && a.Connections == int64(len(conns))
	})
}

// keys waits until Redis has those keys.
func keys(t *testing.T, client *redis.Client, want ...string) {
	t.Helper()
	slices.Sort(want)
	pubsubtest.Eventually(t, fmt.Sprint("Redis has ", want), func() bool {
		got := client.Keys(context.Background(), "*").Val()
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

func TestPresence(t *testing.T) {
	for _, d := range durably {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			url := d.start(t)
			a := attend(t, url, pubsub.PresenceOptions{Life: "a.1"})
			b := attend(t, url, pubsub.PresenceOptions{Life: "b.1"})
			client := a.Client("")
			a.join("room", "ada-1", "ada-2", "nobody-1")
			b.join("room", "ada-3", "bob-1")
			b.join("hall", "bob-1")
			a.who(t, "room", "ada-1", "ada-2", "ada-3", "bob-1", "nobody-1")
			a.who(t, "hall", "bob-1")
			keys(t, client, "sluice:{nodes}.who.a.1", "sluice:{nodes}.who.b.1", "{sluice:room}.who", "{sluice:room}.who.users", "{sluice:room}.who.lives",
				"{sluice:hall}.who", "{sluice:hall}.who.users", "{sluice:hall}.who.lives")
			for _, key := range client.Keys(t.Context(), "*").Val() {
				if ttl := client.TTL(t.Context(), key).Val(); ttl <= 0 || ttl > 20*time.Minute {
					t.Errorf("%s is kept for %v", key, ttl)
				}
			}
			if got := client.HGet(t.Context(), "{sluice:room}.who", "ada-1").Val(); !strings.Contains(got, `"user":"ada","info":{"of":"ada-1"},"since":1700000000000}`) {
				t.Errorf("an entry is %s", got)
			}
			if n, users, err := a.AttendanceStats(t.Context(), "room"); n != 5 || users != 2 || err != nil {
				t.Errorf("counted are %d, %d, %v", n, users, err)
			}
			if n, users, err := a.AttendanceStats(t.Context(), "nowhere"); n != 0 || users != 0 || err != nil {
				t.Errorf("counted are %d, %d, %v", n, users, err)
			}
			got, err := a.Attendance(t.Context(), "hall", 10, "")
			if err != nil || got.Users != 1 || got.Next != "" || len(got.Attendees) != 1 || got.Attendees[0].User != "bob" ||
				string(got.Attendees[0].Info) != `{"of":"bob-1"}` || got.Attendees[0].Since.UnixMilli() != 1700000000000 {
				t.Errorf("%+v, %v", got, err)
			}
			a.Leave("room", "ada-1")
			a.Leave("room", "bob-1") // is b's, and stays
			a.Leave("nowhere", "ada-1")
			b.Leave("hall", "bob-1")
			b.who(t, "room", "ada-2", "ada-3", "bob-1", "nobody-1")
			b.Leave("room", "bob-1")
			b.Leave("room", "ada-3")
			b.who(t, "hall")
			if n, users, err := a.AttendanceStats(t.Context(), "hall"); n != 0 || users != 0 || err != nil {
				t.Errorf("counted are %d, %d, %v", n, users, err)
			}
			keys(t, client, "sluice:{nodes}.who.a.1", "{sluice:room}.who", "{sluice:room}.who.users", "{sluice:room}.who.lives")
			if n, users, _ := a.AttendanceStats(t.Context(), "room"); n != 2 || users != 1 {
				t.Errorf("counted are %d, %d", n, users)
			}
			a.Leave("room", "ada-2")
			a.Leave("room", "nobody-1")
			keys(t, client)
			for _, n := range []*attending{a, b} {
				n.await(t, "the last answer is taken note of", func() bool { return n.Presence.Stats().Pending == 0 })
				if s := n.Presence.Stats(); s.Entries != 0 || s.Pending != 0 || s.Down || s.Failed != 0 {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}

func TestPresenceOptions(t *testing.T) {
	s := redistest.Start(t)
	s.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
	b := open(t, pubsub.Options{URL: s.URL})
	client := b.Client("")
	for _, row := range []struct {
		keys []string
		name string
		args []any
		want string
	}{
		{nil, "sluice_presence", nil, "write FCALL sluice_presence 1 <channel>"},
		{[]string{"sluice:a"}, "sluice_presence", []any{"limit", "0"}, "option limit must be a number from 1 to 10000"},
		{[]string{"sluice:a"}, "sluice_presence", []any{"cursor", "x"}, "option cursor must be what the call before has returned"},
		{[]string{"sluice:a"}, "sluice_presence", []any{"count", "1"}, "unknown option count"},
		{nil, "sluice_presence_stats", nil, "write FCALL sluice_presence_stats 1 <channel>"},
		{[]string{"sluice:{a}"}, "sluice_attend", []any{"l", "10", "0", "1"}, "braces"},
		{[]string{"sluice:a"}, "sluice_attend", []any{"l", "10", "0", "1", "+"}, "for nodes"},
		{[]string{"sluice:a"}, "sluice_sweep", []any{"l", "-"}, "for nodes"},
		{[]string{"sluice:a"}, "sluice_sweep", []any{"l", "x", "0", "0"}, "for nodes"},
	} {
		if err := client.FCall(t.Context(), row.name, row.keys, row.args...).Err(); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s %v %v: %v, want %q", row.name, row.keys, row.args, err, row.want)
		}
	}
	if v, err := client.FCallRO(t.Context(), "sluice_presence_stats", []string{"sluice:a"}).Result(); err != nil || fmt.Sprint(v) != "[0 0]" {
		t.Errorf("FCALL_RO: %v, %v", v, err)
	}
}

// Many connections, more than one call takes, and more than one look shows.
func TestPresenceOfMany(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
	a := attend(t, s.URL, pubsub.PresenceOptions{Life: "a.1"})
	var all []string
	for i := range 3000 {
		all = append(all, fmt.Sprintf("u%d-%d", i%100, i))
	}
	a.join("room", all...)
	pubsubtest.Eventually(t, "all are written", func() bool { return a.Presence.Stats().Written >= 3000 && a.Presence.Stats().Pending == 0 })
	if n, users, err := a.AttendanceStats(t.Context(), "room"); n != 3000 || users != 100 || err != nil {
		t.Errorf("counted are %d, %d, %v", n, users, err)
	}
	seen := map[string]bool{}
	for cursor, looks := "", 0; looks == 0 || cursor != ""; looks++ {
		page, err := a.Attendance(t.Context(), "room", 200, cursor)
		if err != nil || len(page.Attendees) > 400 {
			t.Fatalf("%d at once, %v", len(page.Attendees), err)
		}
		for _, one := range page.Attendees {
			seen[one.Conn] = true
		}
		cursor = page.Next
	}
	if len(seen) != 3000 {
		t.Errorf("seen are %d", len(seen))
	}
	b := attend(t, s.URL, pubsub.PresenceOptions{Life: "b.1"})
	b.join("room", "bob-1")
	pubsubtest.Eventually(t, "one more is there", func() bool {
		n, _, err := b.AttendanceStats(t.Context(), "room")
		return n == 3001 && err == nil
	})
	if err := b.Bury(t.Context(), pubsub.Peer{Life: "a.1"}); err != nil {
		t.Fatal(err)
	}
	b.who(t, "room", "bob-1")
	if s := b.Presence.Stats(); s.Buried != 3000 {
		t.Errorf("buried are %d", s.Buried)
	}
}

// Who comes and goes from many goroutines at once leaves the right ones behind.
func TestPresenceFlaps(t *testing.T) {
	t.Parallel()
	e := startEmbedded(t)
	a := attend(t, e.URL(), pubsub.PresenceOptions{Life: "a.1", Changes: 7})
	var flapping sync.WaitGroup
	for g := range 4 {
		flapping.Go(func() {
			for i := range 500 {
				conn := fmt.Sprintf("u%d-%d", g, rand.IntN(5))
				if rand.IntN(2) == 0 {
					a.join("room", conn)
				} else {
					a.Leave("room", conn)
				}
				if i%100 == 0 {
					a.Resync()
				}
			}
			for i := range 5 {
				a.Leave("room", fmt.Sprintf("u%d-%d", g, i))
			}
			a.join("room", fmt.Sprintf("u%d-9", g))
		})
	}
	flapping.Wait()
	a.who(t, "room", "u0-9", "u1-9", "u2-9", "u3-9")
}

// announced are the comings and goings that a channel was told of.
func announced(r running, channel string) (list []string) {
	for _, m := range r.sink.Messages(channel) {
		if c, ok := pubsub.ParseComing([]byte(m)); ok {
			sign := "-"
			if c.Came {
				sign = "+"
			}
			list = append(list, sign+c.Conn+" "+c.User)
		}
	}
	return list
}

func TestPresenceAnnounces(t *testing.T) {
	for _, d := range durably {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			url := d.start(t)
			o := pubsub.PresenceOptions{Life: "a.1", Announces: func(channel string) bool { return channel == "room" }}
			a := attend(t, url, o)
			o.Life = "b.1"
			b := attend(t, url, o)
			b.subscribed(t, "room")
			b.subscribed(t, "quiet")
			heard := func(want ...string) {
				t.Helper()
				pubsubtest.Eventually(t, fmt.Sprint("announced are ", want), func() bool { return slices.Equal(announced(b.running, "room"), want) })
			}
			a.join("room", "ada-1")
			a.join("quiet", "ada-1")
			heard("+ada-1 ada")
			a.join("room", "ada-1") // again
			a.Resync()
			b.join("room", "bob-1")
			heard("+ada-1 ada", "+bob-1 bob")
			a.Leave("room", "ada-1")
			heard("+ada-1 ada", "+bob-1 bob", "-ada-1 ada")
			a.join("room", "nobody-2")
			heard("+ada-1 ada", "+bob-1 bob", "-ada-1 ada", "+nobody-2 ")
			a.stop() // as if killed
			for range 2 {
				if err := b.Bury(t.Context(), pubsub.Peer{Life: "a.1"}); err != nil {
					t.Fatal(err)
				}
			}
			b.Leave("room", "bob-1")
			heard("+ada-1 ada", "+bob-1 bob", "-ada-1 ada", "+nobody-2 ", "-nobody-2 ", "-bob-1 bob")
			if m := b.sink.Messages("quiet"); len(m) != 0 {
				t.Errorf("announced where nobody wants that: %q", m)
			}
		})
	}
}

// Whatever becomes of Redis, those are in it afterwards who are there.
func TestPresenceSurvivesRedis(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		keep bool
	}{
		{"restart without data", []string{"--save", "", "--appendonly", "no"}, false},
		{"restart with data", []string{"--appendonly", "yes", "--appendfsync", "always"}, true},
		{"restart from an old snapshot", []string{"--save", "", "--appendonly", "no"}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, row.args...)
			a := attend(t, s.URL, pubsub.PresenceOptions{Life: "a.1"})
			b := attend(t, s.URL, pubsub.PresenceOptions{Life: "b.1"})
			a.join("room", "ada-1", "ada-2")
			a.join("hall", "ada-1")
			b.join("room", "bob-1")
			a.who(t, "room", "ada-1", "ada-2", "bob-1")
			a.who(t, "hall", "ada-1")
			if strings.Contains(row.name, "snapshot") {
				s.Do("SAVE")
				a.Leave("hall", "ada-1")
				a.Leave("room", "ada-2")
				a.join("room", "ada-3")
				a.who(t, "hall")
				a.who(t, "room", "ada-1", "ada-3", "bob-1")
				a.join("room", "ada-2")
				a.Leave("room", "ada-3")
				a.join("attic", "ada-4")
				a.who(t, "attic", "ada-4")
				a.Leave("attic", "ada-4")
				a.join("hall", "ada-1")
				a.who(t, "attic")
			}
			s.Kill()
			a.Leave("hall", "ada-1") // Redis is not there to be told
			a.Leave("room", "ada-1")
			b.join("room", "bob-2")
			b.join("cellar", "bob-2")
			pubsubtest.Eventually(t, "it is noticed", func() bool { return a.Presence.Stats().Down && b.Presence.Stats().Down })
			b.join("room", "bob-3")
			b.Leave("room", "bob-3")
			s.Restart()
			a.who(t, "room", "ada-2", "bob-1", "bob-2")
			a.who(t, "hall")
			b.who(t, "cellar", "bob-2")
			pubsubtest.Eventually(t, "it is noticed", func() bool { return !a.Presence.Stats().Down && !b.Presence.Stats().Down })
			keys(t, a.Client(""), "sluice:{nodes}.who.a.1", "sluice:{nodes}.who.b.1", "{sluice:room}.who", "{sluice:room}.who.users", "{sluice:room}.who.lives",
				"{sluice:cellar}.who", "{sluice:cellar}.who.users", "{sluice:cellar}.who.lives")
		})
	}
}

// A node whose entries nobody buries: they are not shown any more when their time has
// passed, and removed by whoever renews the channel.
func TestPresenceLapses(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
	const ttl = 5 * time.Second // who stands still for longer loses what is asserted of the living
	dead := attend(t, s.URL, pubsub.PresenceOptions{Life: "d.1", TTL: ttl})
	a := attend(t, s.URL, pubsub.PresenceOptions{Life: "a.1", TTL: ttl})
	dead.join("room", "dora-1")
	dead.join("hall", "dora-1")
	a.join("room", "ada-1")
	a.who(t, "room", "ada-1", "dora-1")
	a.who(t, "hall", "dora-1")
	dead.stop()
	a.who(t, "room", "ada-1")
	keys(t, a.Client(""), "sluice:{nodes}.who.a.1", "{sluice:room}.who", "{sluice:room}.who.users", "{sluice:room}.who.lives")
	pubsubtest.Eventually(t, "the entry is removed", func() bool { return a.Presence.Stats().Outdated > 0 })
	if s := a.Presence.Stats(); s.Outdated != 1 {
		t.Errorf("%+v", s)
	}
}

// Each channel's presence is in its own slot, the index in that of the nodes; slots
// move, masters change.
func TestPresenceInCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	c.Bear(patience)
	a := attend(t, c.URL, pubsub.PresenceOptions{Life: "a.1"})
	b := attend(t, c.URL, pubsub.PresenceOptions{Life: "b.1"})
	var channels []string
	for i := range 12 {
		channels = append(channels, fmt.Sprint("room", i))
	}
	all := func(conns ...string) {
		t.Helper()
		for _, channel := range channels {
			b.who(t, channel, conns...)
		}
	}
	for _, channel := range channels {
		a.join(channel, "ada-1")
		b.join(channel, "bob-1")
	}
	all("ada-1", "bob-1")
	slot := c.Slot("{sluice:room0}.who")
	owner := c.Owner(slot)
	masters := c.Masters()
	c.Migrate(slot, masters[slices.IndexFunc(masters, func(s *redistest.Server) bool { return s.Addr != owner.Addr })])
	for _, channel := range channels {
		a.join(channel, "ada-2")
	}
	all("ada-1", "ada-2", "bob-1")
	c.Failover(c.Masters()[0])
	for _, channel := range channels {
		a.Leave(channel, "ada-1")
		b.join(channel, "bob-2")
	}
	all("ada-2", "bob-1", "bob-2")
	a.stop()
	pubsubtest.Eventually(t, "the dead node is buried", func() bool { return b.Bury(t.Context(), pubsub.Peer{Life: "a.1"}) == nil })
	all("bob-1", "bob-2")
}
