package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"sluice/codec"
	"sluice/loop"
	"sluice/pubsub"
)

// wishes is a broker that remembers what it was asked for.
type wishes map[string]bool

func (w wishes) Subscribe(channel string) {
	if w[channel] {
		panic("subscribed twice: " + channel)
	}
	w[channel] = true
}

func (w wishes) Unsubscribe(channel string) {
	if !w[channel] {
		panic("unsubscribed without being subscribed: " + channel)
	}
	delete(w, channel)
}

func (wishes) History(context.Context, string, pubsub.Position, int, int) (pubsub.History, error) {
	return pubsub.History{}, errors.New("there is no log")
}

func (wishes) HistoryBefore(context.Context, string, pubsub.Position, int) (pubsub.History, error) {
	return pubsub.History{}, errors.New("there is no log")
}

// mailbox is a reactor that keeps its events until the test takes them.
type mailbox struct {
	events []any
	full   bool
	woken  int

	received time.Time // as Wake was told last
}

func (m *mailbox) Post(event any) { m.events = append(m.events, event) }

func (m *mailbox) Wake(received time.Time) { m.woken, m.received = m.woken+1, received }

func (m *mailbox) Offer(event any, _ int) bool {
	if m.full {
		return false
	}
	m.Post(event)
	return true
}

// bench is a hub over two reactors without any sockets, with a lane.
type bench struct {
	*Hub
	*lane
	gaps   []pubsub.Gap
	missed map[*Member]int // how often it was told of a gap
	wishes wishes
	boxes  []*mailbox
	locals []*Local
	told   map[*Member]int
	given  map[*Member]*Recovery
}

func newBench() *bench {
	b := &bench{wishes: wishes{}, told: map[*Member]int{}, given: map[*Member]*Recovery{}, missed: map[*Member]int{}}
	counts := new(Gaps)
	b.Hub = New(Options{Broker: b.wishes, Node: "n1", Life: "n1", Rules: func(string) *Rules { return &Rules{Gaps: counts} },
		Encoders: []Encoder{Verbatim}, OnGap: func(g pubsub.Gap) { b.gaps = append(b.gaps, g) }})
	var reactors []Reactor
	for i := range 2 {
		box := &mailbox{}
		b.boxes = append(b.boxes, box)
		reactors = append(reactors, box)
		b.locals = append(b.locals, b.Local(i, Events{
			Confirmed: func(_ *loop.Conn, m *Member, r *Recovery) { b.told[m]++; b.given[m] = r },
			Gap:       func(_ *loop.Conn, m *Member) { b.missed[m]++ },
		}))
	}
	b.Attach(reactors)
	b.lane = b.newLane("redis:6379#0")
	b.Subscribed(DirectChannel("n1"))
	return b
}

// join makes a member of a channel, which Redis confirms.
func (b *bench) join(reactor int, m *Member, name string) {
	b.locals[reactor].Join(nil, m, name, Wants{})
	b.Subscribed(name)
	b.turn(reactor)
}

// newLane is one more subscribe connection.
func (b *bench) newLane(name string) *lane { return b.Lane(link(name)).(*lane) }

// link is a subscribe connection by its name.
type link string

func (l link) Name() string      { return string(l) }
func (link) Sound() time.Time    { return time.Unix(1, 0) }
func (link) Carries(string) bool { return true }

// oldLink is one that has lost its channels.
type oldLink struct{ link }

func (oldLink) Carries(string) bool { return false }

// turn lets a reactor take its events.
func (b *bench) turn(reactor int) {
	for _, e := range b.boxes[reactor].events {
		b.locals[reactor].Take(e)
	}
	b.boxes[reactor].events = nil
}

// TestMembership drives a hub with any sequence of what reactors and the broker
// may do. Redis' subscriptions always are the channels that have members; nobody
// is told too early or twice; and when everything has been confirmed, everybody
// has been told.
func TestMembership(t *testing.T) {
	type joined struct {
		member   *Member
		reactor  int
		channel  string
		atOnce   bool
		deflates bool
		early    bool // it may be ready: Redis confirmed since it joined, or had before
	}
	rapid.Check(t, func(t *rapid.T) {
		b := newBench()
		var members []*joined
		confirmed := map[string]bool{} // in this epoch
		channel := rapid.SampledFrom([]string{"a", "b", "c"})
		reactor := rapid.IntRange(0, 1)
		confirm := func(name string) {
			if !b.wishes[name] {
				return
			}
			confirmed[name] = true
			for _, m := range members {
				m.early = m.early || m.channel == name
			}
			b.Subscribed(name)
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				m := &joined{member: new(Member), reactor: reactor.Draw(t, "reactor"), channel: channel.Draw(t, "channel"), deflates: rapid.Bool().Draw(t, "deflates")}
				if !b.wishes[m.channel] {
					confirmed[m.channel] = false
				}
				b.locals[m.reactor].Join(nil, m.member, m.channel, Wants{Deflated: m.deflates})
				m.atOnce = m.member.Ready()
				m.early = confirmed[m.channel]
				if m.atOnce != m.early {
					t.Fatalf("ready at once: %v, want %v", m.atOnce, m.early)
				}
				members = append(members, m)
			},
			"leave": func(t *rapid.T) {
				if len(members) == 0 {
					t.Skip("nobody is there")
				}
				i := rapid.IntRange(0, len(members)-1).Draw(t, "member")
				m := members[i]
				b.locals[m.reactor].Leave(m.member)
				b.locals[m.reactor].Leave(m.member) // twice is once
				members = append(members[:i], members[i+1:]...)
			},
			"confirm":   func(t *rapid.T) { confirm(channel.Draw(t, "channel")) },
			"interrupt": func(*rapid.T) { b.Interrupted(errors.New("test")); clear(confirmed) },
			"turn":      func(t *rapid.T) { b.turn(reactor.Draw(t, "reactor")) },
			"": func(t *rapid.T) {
				want := wishes{}
				for _, m := range members {
					want[m.channel] = true
					if m.member.Ready() && !m.early {
						t.Fatalf("a member of %s is ready, but Redis has not confirmed", m.channel)
					}
					told := b.told[m.member]
					if told > 1 || (told == 1) != (m.member.Ready() && !m.atOnce) {
						t.Fatalf("a member was told %d times, ready %v, at once %v", told, m.member.Ready(), m.atOnce)
					}
				}
				if fmt.Sprint(want) != fmt.Sprint(b.wishes) {
					t.Fatalf("Redis is asked for %v, members want %v", b.wishes, want)
				}
				if s := b.Stats(); s.Subscriptions != int64(len(members)) || s.Channels != int64(len(want)) {
					t.Fatalf("stats %+v with %d members of %d channels", s, len(members), len(want))
				}
			},
		})
		for _, name := range []string{"a", "b", "c"} {
			confirm(name)
		}
		b.turn(0)
		b.turn(1)
		for _, m := range members {
			if !m.member.Ready() {
				t.Fatalf("a member of %s was never told", m.channel)
			}
		}
	})
}

func TestDeliverReachesReactorsWithMembersOnly(t *testing.T) {
	b := newBench()
	var m [3]Member
	b.join(1, &m[0], "news")
	b.Deliver([]byte("news"), []byte("hello"))
	if len(b.boxes[0].events) != 0 || len(b.boxes[1].events) != 1 {
		t.Fatalf("%d and %d events, want 0 and 1", len(b.boxes[0].events), len(b.boxes[1].events))
	}
	got := b.boxes[1].events[0].(*publication).as(0)
	if want := codec.AppendFrame(nil, codec.OpText, []byte("hello")); !bytes.Equal(got, want) {
		t.Errorf("frame % x, want % x", got, want)
	}
	b.Deliver([]byte("news"), []byte("again"))
	if b.boxes[1].woken != 0 {
		t.Error("woken before the burst has ended")
	}
	b.Delivered()
	b.Delivered()
	if b.boxes[0].woken != 0 || b.boxes[1].woken != 1 {
		t.Errorf("woken %d and %d times, want 0 and 1", b.boxes[0].woken, b.boxes[1].woken)
	}
	b.Deliver([]byte("other"), []byte("hello"))
	b.boxes[1].full = true
	b.Deliver([]byte("news"), []byte("hello"))
	if s := b.Stats(); s.Delivered != 3 || s.Unwanted != 1 || s.Lost != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestDeliverKeepsNothingOfTheReadersBuffer(t *testing.T) {
	b := newBench()
	var m Member
	b.join(0, &m, "news")
	channel, payload := []byte("news"), []byte("hello")
	b.Deliver(channel, payload)
	copy(channel, "xxxx")
	copy(payload, "xxxxx")
	if p := b.boxes[0].events[0].(*publication); p.channel.name != "news" || !bytes.HasSuffix(p.as(0), []byte("hello")) {
		t.Errorf("delivered %q %q", p.channel.name, p.as(0))
	}
	direct := []byte(ConnName("n1", 1) + ":7 hello")
	b.Deliver([]byte(DirectChannel("n1")), direct)
	clear(direct)
	if d := b.boxes[0].events[1].(*Direct); d.Conn != 1 || d.Call != "7" || string(d.Payload) != "hello" {
		t.Errorf("delivered %+v", d)
	}
}

func TestDeliverAllocations(t *testing.T) {
	b := newBench()
	var m Member
	b.join(0, &m, "news")
	channel, payload := []byte("news"), bytes.Repeat([]byte("x"), 128)
	b.boxes[0].events = make([]any, 0, 2000)
	got := testing.AllocsPerRun(1000, func() { b.Deliver(channel, payload) })
	if got > 2 { // the frame, and the event that carries it: per message and node, whatever the number of subscribers
		t.Errorf("%v allocations, want 2", got)
	}
}

func TestRuns(t *testing.T) {
	a, b := &Channel{name: "a"}, &Channel{name: "b"}
	excluding := func(p *publication) *publication { p.excludes = true; return p }
	frame := func(c *Channel, size int) *publication {
		p := &publication{channel: c}
		p.add(0, bytes.Repeat([]byte(c.name), size))
		return p
	}
	for _, row := range []struct {
		name  string
		queue []*publication
		n     int
		size  int
	}{
		{"one", []*publication{frame(a, 3)}, 1, 3},
		{"a run", []*publication{frame(a, 3), frame(a, 4), frame(b, 1)}, 2, 7},
		{"another channel ends it", []*publication{frame(a, 3), frame(b, 1), frame(a, 4)}, 1, 3},
		{"a full chunk ends it", []*publication{frame(a, chunkSize-1), frame(a, 1), frame(a, 1)}, 2, chunkSize},
		{"one that somebody is not to get is alone", []*publication{excluding(frame(a, 3)), frame(a, 4)}, 1, 3},
		{"and ends a run", []*publication{frame(a, 4), excluding(frame(a, 3))}, 1, 4},
		{"one that is bigger than a chunk", []*publication{frame(a, 2*chunkSize), frame(a, 1)}, 1, 2 * chunkSize},
	} {
		t.Run(row.name, func(t *testing.T) {
			n, size := run(row.queue)
			if n != row.n || size != row.size {
				t.Fatalf("run of %d, %d bytes; want %d, %d", n, size, row.n, row.size)
			}
			var want []byte
			for _, p := range row.queue[:n] {
				want = append(want, p.as(0)...)
			}
			if got := join(row.queue[:n], 0, size); !bytes.Equal(got, want) {
				t.Error("the chunk is not the frames put together")
			}
		})
	}
}

// A burst is timed from its first message on, whoever that is for.
func TestBurstsAreTimed(t *testing.T) {
	bench := newBench()
	var m Member
	bench.join(0, &m, "news")
	box := bench.boxes[0]
	bench.Deliver([]byte("nobody"), []byte("x"))
	first := bench.received
	bench.Deliver([]byte("news"), []byte("x"))
	bench.Delivered()
	if first.IsZero() || !box.received.Equal(first) {
		t.Errorf("received at %v, and the reactor was told %v", first, box.received)
	}
	if bench.Delivered(); !bench.received.IsZero() || box.woken != 1 {
		t.Errorf("%v is left of a burst, woken %d times", bench.received, box.woken)
	}
	bench.Deliver([]byte("news"), []byte("x"))
	bench.Delivered()
	if !box.received.After(first) {
		t.Errorf("the next burst was received at %v, the one before at %v", box.received, first)
	}
}

func TestConnNames(t *testing.T) {
	for _, id := range []loop.ConnID{0, 1, 1<<32 | 7, ^loop.ConnID(0)} {
		if got, ok := ParseConn("n1", ConnName("n1", id)); !ok || got != id {
			t.Errorf("%d came back as %d, %v", id, got, ok)
		}
	}
	for _, bad := range []string{"", "n1", "n1.", "n1.-1", "n1.+1", "n1.01", "n1.Z", "n1.1 ", "n2.1", "xn1.1", "n1.zzzzzzzzzzzzzz", "n1.1.1"} {
		if id, ok := ParseConn("n1", bad); ok {
			t.Errorf("%q was taken for connection %d", bad, id)
		}
	}
}

func BenchmarkDeliver(b *testing.B) {
	bench := newBench()
	var m Member
	bench.join(0, &m, "news")
	channel, payload := []byte("news"), bytes.Repeat([]byte("x"), 128)
	b.ReportAllocs()
	for b.Loop() {
		bench.Deliver(channel, payload)
		bench.boxes[0].events = bench.boxes[0].events[:0]
	}
}

// sink is a reactor that takes everything and keeps nothing.
type sink struct{}

func (sink) Post(any)            {}
func (sink) Wake(time.Time)      {}
func (sink) Offer(any, int) bool { return true }

// BenchmarkDeliverLanes has as many lanes as processors, with channels of their
// own, and the table's lock between them.
func BenchmarkDeliverLanes(b *testing.B) {
	h := New(Options{Broker: wishes{}, Node: "n1", Life: "n1", Rules: func(string) *Rules { return &Rules{} }, Encoders: []Encoder{Verbatim}})
	h.Attach([]Reactor{sink{}})
	local := h.Local(0, Events{})
	var number atomic.Int64
	var m [64]Member
	for i := range m {
		local.Join(nil, &m[i], fmt.Sprint(i), Wants{})
	}
	payload := bytes.Repeat([]byte("x"), 128)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		n := int(number.Add(1))
		channel := fmt.Append(nil, n%len(m))
		l := h.Lane(link(fmt.Sprint(n)))
		l.Subscribed(string(channel))
		for pb.Next() {
			l.Deliver(channel, payload)
		}
	})
}

// BenchmarkChannel is what a channel with one member costs in memory: B/channel
// is what is live of the table, without the connection and the broker, and
// rss-B/channel what the process has of the machine for it.
func BenchmarkChannel(b *testing.B) {
	const channels = 500_000
	memory := func() (live, rss int) {
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		statm, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := fmt.Sscan(string(statm), &rss, &rss); err != nil { // the second word
			b.Fatal(err)
		}
		return int(m.HeapAlloc), rss * os.Getpagesize()
	}
	for range b.N {
		members := make([]Member, channels)
		clear(members) // so that the machine has given it
		live, rss := memory()
		h := New(Options{Broker: deaf{}, Node: "n1", Life: "n1", Rules: func(string) *Rules { return &Rules{} }, Encoders: []Encoder{Verbatim}})
		h.Attach([]Reactor{sink{}})
		local := h.Local(0, Events{})
		l := h.Lane(link("redis:6379#0"))
		for i := range members {
			name := fmt.Sprintf("channel:%016d", i)
			local.Join(nil, &members[i], name, Wants{})
			l.Subscribed(name)
		}
		liveNow, rssNow := memory()
		b.ReportMetric(float64(liveNow-live)/channels, "B/channel")
		b.ReportMetric(float64(rssNow-rss)/channels, "rss-B/channel")
		b.ReportMetric(float64(unsafe.Sizeof(Member{})), "B/member")
		runtime.KeepAlive(members)
		runtime.KeepAlive(local)
	}
}

// deaf is a broker that keeps nothing.
type deaf struct{}

func (deaf) Subscribe(string)   {}
func (deaf) Unsubscribe(string) {}

func (deaf) History(context.Context, string, pubsub.Position, int, int) (pubsub.History, error) {
	return pubsub.History{}, errors.New("there is no log")
}

func (deaf) HistoryBefore(context.Context, string, pubsub.Position, int) (pubsub.History, error) {
	return pubsub.History{}, errors.New("there is no log")
}

// A panic at one member costs the rest of that run, and nothing that follows.
func TestFanGoesOnAfterAPanic(t *testing.T) {
	b := newBench()
	var broken Member
	b.join(0, &broken, "broken") // sending to a nil connection panics
	for _, channel := range []string{"broken", "gone"} {
		b.Deliver([]byte(channel), []byte("x"))
	}
	b.turn(0)
	fan := func() (more, panicked bool) {
		defer func() { panicked = recover() != nil }()
		return b.locals[0].Fan(), false
	}
	if _, panicked := fan(); !panicked {
		t.Fatal("no panic: the test is wrong")
	}
	for range 3 {
		if _, panicked := fan(); panicked {
			t.Fatal("the same message panics again")
		}
	}
	if len(b.locals[0].queue) != 0 {
		t.Error("messages stay in line")
	}
}

// A message that was kept for a slow member is not sent behind a newer one: its
// socket may be writable again before it has been drained.
func TestKeptMessageIsSuperseded(t *testing.T) {
	b := newBench()
	m := &Member{late: &late{frame: []byte("old")}}
	func() {
		defer func() { _ = recover() }() // sending on a connection without a reactor
		b.locals[0].keepNewest(place{&loop.Conn{}, m}, []byte("new"), []byte("new"), 1)
	}()
	if m.late != nil || b.Stats().Conflated != 1 {
		t.Errorf("%v is still kept, %d conflated", m.late, b.Stats().Conflated)
	}
}

// Whoever wants to know is told, when a channel is heard again, that it may have
// missed something; nobody is told twice, or who came later.
func TestGapsAreTold(t *testing.T) {
	for _, row := range []struct {
		name string
		gap  func(b *bench)
		want string // counted: connection, moved, mailbox, oversize; told
	}{
		{"nothing happens", func(*bench) {}, "0 0 0 0, 0"},
		{"the wish was renewed", func(b *bench) { b.Subscribed("news") }, "0 0 0 0, 0"},
		{"the connection broke", func(b *bench) { b.Interrupted(errors.New("test")); b.Subscribed("news") }, "1 0 0 0, 1"},
		{"and has not come back", func(b *bench) { b.Interrupted(errors.New("test")) }, "0 0 0 0, 0"},
		{"twice", func(b *bench) {
			for range 2 {
				b.Interrupted(errors.New("test"))
				b.Subscribed("news")
				b.turn(0)
			}
		}, "2 0 0 0, 2"},
		{"twice before the reactor looked", func(b *bench) {
			for range 2 {
				b.Interrupted(errors.New("test"))
				b.Subscribed("news")
			}
		}, "2 0 0 0, 1"},
		{"the slot moved away", func(b *bench) { b.Moved("news"); b.Subscribed("news") }, "0 1 0 0, 1"},
		{"another lane has it", func(b *bench) { b.Moved("news"); b.newLane("other").Subscribed("news") }, "0 1 0 0, 1"},
		{"another lane has it before it moved away", func(b *bench) { b.newLane("other").Subscribed("news"); b.Moved("news") }, "0 1 0 0, 1"},
		{"another lane's connection broke", func(b *bench) { b.newLane("other").Interrupted(errors.New("test")); b.Subscribed("news") }, "0 0 0 0, 0"},
		{"a message was too long", func(b *bench) { b.Skipped("news") }, "0 0 0 1, 1"},
		{"the mailbox was full", func(b *bench) {
			b.boxes[0].full = true
			for range 5 {
				b.Deliver([]byte("news"), []byte("hello"))
			}
			b.Delivered()
		}, "0 0 1 0, 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench()
			var curious, calm, later Member
			b.locals[0].Join(nil, &curious, "news", Wants{Gaps: true})
			b.locals[0].Join(nil, &calm, "news", Wants{})
			b.Subscribed("news")
			b.turn(0)
			row.gap(b)
			b.turn(0)
			b.locals[0].Join(nil, &later, "news", Wants{Gaps: true})
			b.turn(0)
			g := b.channels["news"].rules.Load().Gaps
			got := fmt.Sprintf("%d %d %d %d, %d", g.Connection.Load(), g.Moved.Load(), g.Mailbox.Load(), g.Oversize.Load(), b.missed[&curious])
			if got != row.want || b.missed[&calm]+b.missed[&later] != 0 {
				t.Errorf("%s; %d others were told; want %s", got, b.missed[&calm]+b.missed[&later], row.want)
			}
		})
	}
}

// Who joins while a channel is not heard has been promised nothing yet.
func TestGapsAreNotToldToThoseWhoWait(t *testing.T) {
	b := newBench()
	var first, waits Member
	b.locals[0].Join(nil, &first, "news", Wants{Gaps: true})
	b.Subscribed("news")
	b.turn(0)
	b.Interrupted(errors.New("test"))
	b.locals[0].Join(nil, &waits, "news", Wants{Gaps: true})
	b.Subscribed("news")
	b.turn(0)
	if b.missed[&first] != 1 || b.missed[&waits] != 0 || b.told[&waits] != 1 {
		t.Errorf("told of the gap: the first %d times, who waited %d times; of the confirmation %d times", b.missed[&first], b.missed[&waits], b.told[&waits])
	}
}

// What a full mailbox has cost stands in the book, once for each channel and burst.
func TestFullMailboxIsAGap(t *testing.T) {
	b := newBench()
	var m [2]Member
	b.join(0, &m[0], "news")
	b.join(1, &m[1], "news")
	b.boxes[0].full, b.boxes[1].full = true, true
	for range 3 {
		b.Deliver([]byte("news"), []byte("hello"))
	}
	b.Delivered()
	if len(b.gaps) != 1 || b.gaps[0].Channel != "news" || b.gaps[0].Cause != pubsub.CauseMailbox || b.gaps[0].Link != "redis:6379#0" ||
		!b.gaps[0].From.Equal(time.Unix(1, 0)) || b.gaps[0].To.IsZero() {
		t.Errorf("gaps: %+v", b.gaps)
	}
	if n := b.Stats().Lost; n != 6 {
		t.Errorf("%d lost, want 6", n)
	}
}

// What a lane delivers is taken from when it has confirmed the channel until that has moved
// away, or another one has confirmed it: what comes of it else may come of another one, too.
func TestStaleMessagesAreDropped(t *testing.T) {
	news, direct := "news", DirectChannel("n1")
	for _, row := range []struct {
		name string
		then func(old, other *lane, deliver func(l *lane, message string))
		want string
	}{
		{"another lane confirms it", func(old, other *lane, deliver func(*lane, string)) {
			other.Subscribed(news)
			other.Subscribed(direct)
			deliver(old, "2")
			deliver(other, "3")
			old.Moved(news) // it says so late
			old.Moved(direct)
			deliver(other, "4")
		}, "1 3 4"},
		{"it moves away", func(old, other *lane, deliver func(*lane, string)) {
			old.Moved(news)
			old.Moved(direct)
			deliver(old, "2")
			deliver(other, "3")
			other.Subscribed(news)
			other.Subscribed(direct)
			deliver(other, "4")
		}, "1 4"},
		{"and comes back", func(old, _ *lane, deliver func(*lane, string)) {
			old.Moved(news)
			old.Moved(direct)
			old.Subscribed(news)
			old.Subscribed(direct)
			deliver(old, "2")
		}, "1 2"},
		{"a confirmation is overtaken", func(old, other *lane, deliver func(*lane, string)) {
			old.link = oldLink{}
			old.Moved(news)
			old.Moved(direct)
			other.Subscribed(news)
			other.Subscribed(direct)
			deliver(other, "2")
			old.Subscribed(news)
			old.Subscribed(direct)
			deliver(old, "3")
			deliver(other, "4")
		}, "1 2 4"},
		{"the connection breaks", func(old, _ *lane, deliver func(*lane, string)) {
			old.Interrupted(errors.New("test"))
			deliver(old, "2")
			old.Subscribed(news)
			old.Subscribed(direct)
			deliver(old, "3")
		}, "1 3"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench()
			var m Member
			b.join(0, &m, news)
			sent := 0
			deliver := func(l *lane, message string) {
				l.Deliver([]byte(news), []byte(message))
				l.Deliver([]byte(direct), []byte(ConnName("n1", 1)+" "+message))
				sent++
			}
			deliver(b.lane, "1")
			row.then(b.lane, b.newLane("other"), deliver)
			var plain, answers []string
			for _, e := range b.boxes[0].events {
				switch e := e.(type) {
				case *publication:
					plain = append(plain, string(e.as(0)[2:]))
				case *Direct:
					answers = append(answers, string(e.Payload))
				}
			}
			if s := b.Stats(); strings.Join(plain, " ") != row.want || s.Delivered != int64(len(plain)) || s.Stale != int64(2*sent-len(plain)-len(answers)) {
				t.Errorf("delivered %q, stats %+v; want %s", plain, s, row.want)
			}
			if strings.Join(answers, " ") != row.want {
				t.Errorf("delivered to one connection: %q, want %s", answers, row.want)
			}
		})
	}
}

// Before Redis has confirmed a channel, what comes on it is of a subscription that was being given
// up, perhaps with another server.
func TestNothingIsTakenBeforeTheConfirmation(t *testing.T) {
	b := newBench()
	var m Member
	b.locals[0].Join(nil, &m, "news", Wants{})
	b.Deliver([]byte("news"), []byte("hello"))
	if s := b.Stats(); s.Delivered != 0 || s.Stale != 1 || len(b.boxes[0].events) != 0 {
		t.Errorf("%d events, stats %+v", len(b.boxes[0].events), s)
	}
}

// What is published durably comes without what stands in front of it for the nodes,
// and not to the connection that is excluded.
func TestDurableMessages(t *testing.T) {
	b := newBench()
	var m Member
	b.join(0, &m, "news")
	for _, payload := range []string{"\x01sluice 7 5 3\nhello", "\x01sluice 8 7 3 " + ConnName("n1", 42) + "\nhello", "\x01sluice 9 8 3 n2.1\nhello", "\x01 plain"} {
		b.Deliver([]byte("news"), []byte(payload))
	}
	got := ""
	for _, e := range b.boxes[0].events {
		p := e.(*publication)
		got += fmt.Sprintf("%q %v %d, ", p.as(0)[2:], p.excludes, p.exclude)
	}
	if want := `"hello" false 0, "hello" true 42, "hello" false 0, "\x01 plain" false 0, `; got != want {
		t.Errorf("delivered %s, want %s", got, want)
	}
}

// line is what a reactor has been handed, in a line: positions of messages, and gaps.
func (m *mailbox) line() string {
	var words []string
	for _, e := range m.events {
		p, ok := e.(*publication)
		switch {
		case !ok:
			words = append(words, fmt.Sprintf("%T", e))
		case p.gap:
			words = append(words, "gap")
		default:
			words = append(words, identity(p.message))
		}
	}
	return strings.Join(words, " ")
}

// A gap on a channel with a log is told between the messages that it lies between: a
// client that was told of it later would have a position from behind it, and one that
// was told before would take what follows for everything.
func TestGapsInTheirPlace(t *testing.T) {
	for _, row := range []struct {
		name  string
		hears func(b *bench, log *redisLog, hear func(*Message))
		want  string // what the reactor is handed
		told  int    // how often the member is
	}{
		{"a full mailbox", func(b *bench, log *redisLog, hear func(*Message)) {
			hear(log.publish())
			b.boxes[0].full = true
			hear(log.publish())
			hear(log.publish())
			b.boxes[0].full = false
			hear(log.publish())
			b.boxes[0].full = true
			hear(log.publish())
			b.boxes[0].full = false
			hear(log.publish())
		}, "20 gap 50 gap 70", 2},
		{"a log that begins anew", func(b *bench, log *redisLog, hear func(*Message)) {
			hear(log.publish())
			hear(log.publish())
			log.last, log.epoch, log.entries = 35, 35, nil
			hear(log.publish())
			r := b.Hub.log.fills[len(b.Hub.log.fills)-1]
			r.history = log.history(r.since, r.limit)
			b.streamOf(r.channel).fill(b.emitter, r)
			hear(log.publish())
		}, "20 30 gap 40 50", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench()
			var m Member
			b.locals[0].Join(nil, &m, "news", Wants{Gaps: true})
			b.Subscribed("news")
			b.turn(0)
			row.hears(b, newRedisLog(), func(m *Message) {
				b.Deliver([]byte("news"), fmt.Appendf(nil, "\x01sluice %d %d %s\n%s", m.Position, m.Before, m.Epoch, m.Payload))
				b.Delivered()
			})
			if got := b.boxes[0].line(); got != row.want {
				t.Errorf("handed %q, want %q", got, row.want)
			}
			for _, e := range b.boxes[0].events {
				if p, ok := e.(*publication); ok && p.gap { // the messages want a connection to go to
					b.locals[0].Take(e)
				}
			}
			if b.missed[&m] != 0 {
				t.Error("told before its turn")
			}
			for b.locals[0].Fan() {
			}
			if b.missed[&m] != row.told {
				t.Errorf("told %d times, want %d", b.missed[&m], row.told)
			}
		})
	}
}

// A gap behind one that has been told is told, too, even where nothing has come between
// them: who has loaded the state afresh at the first has not what was lost since.
func TestGapBehindGap(t *testing.T) {
	b := newBench()
	var m Member
	b.locals[0].Join(nil, &m, "news", Wants{Gaps: true})
	b.Subscribed("news")
	b.turn(0)
	for i, gaps := range []int{1, 2, 1} { // as many as there are between two turns
		for range gaps {
			b.unfilled(b.channels["news"])
		}
		b.turn(0)
		for b.locals[0].Fan() {
		}
		if b.missed[&m] != i+1 {
			t.Errorf("told %d times, want %d", b.missed[&m], i+1)
		}
	}
}

// Who waits for the log while a gap passes is given nothing from before it, and is told
// of it behind the answer: the log may have been read before, and what comes next does
// not follow that.
func TestGapWhileTheLogIsRead(t *testing.T) {
	b := newBench()
	var m Member
	log := newRedisLog()
	since := log.publish().Position
	b.locals[0].Join(nil, &m, "news", Wants{Gaps: true, Recover: true, Since: since, Limit: 10})
	b.Subscribed("news")
	b.turn(0)
	c := b.channels["news"]
	r := b.Hub.log.queue[0]
	r.history = log.history(since, 10)
	seen := log.publish()
	b.Deliver([]byte("news"), fmt.Appendf(nil, "\x01sluice %d %d %s\n%s", seen.Position, seen.Before, seen.Epoch, seen.Payload))
	b.unfilled(c)
	s := b.streamOf(c)
	s.answer(r, s.chain.doubts, true)
	b.turn(0)
	for b.locals[0].Fan() {
	}
	if b.told[&m] != 1 || b.given[&m].Recovered || len(b.given[&m].Messages) != 0 || b.missed[&m] != 1 {
		t.Errorf("answered %d times, with %+v; told of %d gaps", b.told[&m], b.given[&m], b.missed[&m])
	}
}
