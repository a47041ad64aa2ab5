package pubsub

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

// wishesModel drives wishes as a session does, against a model of Redis: the
// commands in flight, and what Redis would hold after those it has processed.
type wishesModel struct {
	w      *wishes
	wanted map[string]bool // the wishes that stand
	owed   map[string]bool // Subscribe was called and not announced since
	flight []flight        // sent, not answered; oldest first
	redis  map[string]bool // subscribed, after the answered commands
	online bool            // a connection is there
}

type flight struct {
	name string
	sub  bool
}

func (m *wishesModel) inFlight(name string) (subs, unsubs int) {
	for _, f := range m.flight {
		if f.name == name {
			subs += count(f.sub)
			unsubs += count(!f.sub)
		}
	}
	return subs, unsubs
}

func (m *wishesModel) flush(t *rapid.T, limit, room int) {
	sub, unsub, since, _ := m.w.take(limit, room, 7)
	if len(sub)+len(unsub) > limit {
		t.Fatalf("took %d + %d names, at most %d are allowed", len(sub), len(unsub), limit)
	}
	if (len(sub)+len(unsub) > 0) == since.IsZero() {
		t.Fatalf("took %d + %d names, queued at %v", len(sub), len(unsub), since)
	}
	for _, name := range unsub {
		m.flight = append(m.flight, flight{name, false})
	}
	for _, name := range sub {
		m.flight = append(m.flight, flight{name, true})
	}
	for _, name := range append(sub, unsub...) {
		if s, u := m.inFlight(name); s+u > 1 {
			t.Fatalf("%d SUBSCRIBE and %d UNSUBSCRIBE of %q in flight", s, u, name)
		}
	}
}

func (m *wishesModel) lose() {
	m.w.lost()
	m.online, m.flight = false, nil
	clear(m.redis)
	for n := range m.wanted {
		m.owed[n] = true
	}
}

func (m *wishesModel) restart(t *rapid.T) {
	m.online = true
	if n := m.w.restart(""); n != len(m.wanted) {
		t.Fatalf("%d names to restore, want %d", n, len(m.wanted))
	}
}

func (m *wishesModel) answer(t *rapid.T) {
	if len(m.flight) == 0 {
		return
	}
	f := m.flight[0]
	m.flight = m.flight[1:]
	if !f.sub {
		delete(m.redis, f.name)
		m.w.unsubscribed(f.name)
		return
	}
	m.redis[f.name] = true
	if announced := m.w.subscribed(f.name); announced != m.wanted[f.name] {
		t.Fatalf("announced %q: %v, wished for: %v", f.name, announced, m.wanted[f.name])
	}
	if _, unsubs := m.inFlight(f.name); unsubs > 0 {
		t.Fatalf("an UNSUBSCRIBE of %q is in flight while it is announced", f.name)
	}
	delete(m.owed, f.name)
}

func (m *wishesModel) settle(t *rapid.T) {
	for m.flush(t, 1000, 1<<20); len(m.flight) > 0; {
		m.answer(t)
		m.flush(t, 1000, 1<<20)
	}
	if !maps.Equal(m.redis, m.wanted) {
		t.Fatalf("Redis has %v, wished for is %v", m.redis, m.wanted)
	}
	for name := range m.owed {
		t.Fatalf("%q was wished for and never announced", name)
	}
	if len(m.w.set) != len(m.wanted) || m.w.wished != len(m.wanted) || m.w.confirmed != len(m.wanted) || m.w.refused != 0 {
		t.Fatalf("%d known, %d wished, %d confirmed, %d refused; want %d",
			len(m.w.set), m.w.wished, m.w.confirmed, m.w.refused, len(m.wanted))
	}
	if c := m.w.count(); c.queued != 0 || c.flying != 0 || !c.oldest.IsZero() {
		t.Fatalf("%d still queued, since %v, %d in flight", c.queued, c.oldest, c.flying)
	}
}

func TestWishesAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &wishesModel{w: newWishes(), wanted: map[string]bool{}, owed: map[string]bool{}, redis: map[string]bool{}}
		name := rapid.Map(rapid.IntRange(0, 4), func(i int) string { return fmt.Sprint("c", i) })
		t.Repeat(map[string]func(*rapid.T){
			"subscribe": func(t *rapid.T) {
				n := name.Draw(t, "name")
				m.w.want(n)
				m.wanted[n], m.owed[n] = true, true
			},
			"unsubscribe": func(t *rapid.T) {
				n := name.Draw(t, "name")
				m.w.drop(n)
				delete(m.wanted, n)
				delete(m.owed, n)
			},
			"flush": func(t *rapid.T) {
				m.flush(t, rapid.IntRange(1, 4).Draw(t, "limit"), rapid.IntRange(1, 200).Draw(t, "room"))
			},
			"answer": m.answer,
			"settle": func(t *rapid.T) {
				if !m.online {
					m.restart(t)
				}
				m.settle(t)
			},
			"lose the connection": func(t *rapid.T) {
				m.lose()
				if c := m.w.count(); c.queued+c.confirmed+c.refused != 0 {
					t.Fatalf("without a connection: %+v", c)
				}
			},
			"reconnect": func(t *rapid.T) {
				m.lose()
				m.restart(t)
			},
			"a SUBSCRIBE fails with others": func(t *rapid.T) {
				if len(m.flight) > 0 && m.flight[0].sub {
					m.w.retry([]string{m.flight[0].name})
					m.flight = m.flight[1:]
				}
			},
			"a SUBSCRIBE is refused, and the user is allowed to later": func(t *rapid.T) {
				if len(m.flight) == 0 || !m.flight[0].sub {
					return
				}
				n := m.flight[0].name
				m.flight = m.flight[1:]
				m.w.refuse(n, fmt.Errorf("NOPERM"))
				delete(m.redis, n)
				if m.w.set[n].told == refusedSubscribed && m.w.count().refused == 0 && m.wanted[n] {
					t.Fatalf("%q is refused and not counted", n)
				}
				m.w.retryRefused(100)
				if m.wanted[n] {
					m.owed[n] = true
				}
			},
			"": func(t *rapid.T) {
				if got := m.w.count().flying; got != len(m.flight) {
					t.Fatalf("%d are said to be in flight, %d are", got, len(m.flight))
				}
			},
		})
		m.lose()
		if len(m.w.set) > 5 {
			t.Fatalf("%d names are remembered", len(m.w.set))
		}
		m.restart(t)
		m.settle(t)
		for n := range maps.Clone(m.wanted) {
			m.w.drop(n)
			delete(m.wanted, n)
		}
		m.settle(t)
	})
}

// Wishes that come and go while Redis is down leave nothing behind.
func TestWishesOffline(t *testing.T) {
	w := newWishes()
	for range 2 {
		for i := range 10_000 {
			w.want(fmt.Sprint(i))
			w.drop(fmt.Sprint(i))
		}
		if len(w.set) != 0 || cap(w.queue) != 0 {
			t.Errorf("%d names and %d queue entries are remembered", len(w.set), cap(w.queue))
		}
		w.restart("")
		w.lost()
	}
}

func TestWishesQueueIsTrimmed(t *testing.T) {
	w := newWishes()
	w.restart("")
	for i := range 100_000 {
		w.want(fmt.Sprint(i))
	}
	for {
		sub, _, _, _ := w.take(1000, 1<<20, 0)
		if len(sub) == 0 {
			break
		}
		for _, name := range sub {
			w.subscribed(name)
		}
	}
	if cap(w.queue) > 4096 {
		t.Errorf("the empty queue still holds room for %d names", cap(w.queue))
	}
	if size := unsafe.Sizeof(wish{}); size > 5 {
		t.Errorf("a wish takes %d bytes besides its name, want 5 at most", size)
	}
}

// Wishes change while a session comes up.
func TestWishesChangeDuringRestart(t *testing.T) {
	const names = 20_000
	w := newWishes()
	for i := range names {
		w.want(fmt.Sprint(i))
	}
	var flapping sync.WaitGroup
	for round := range 3 {
		for part := range 4 {
			flapping.Go(func() {
				for i := part; i < names; i += 4 {
					w.drop(fmt.Sprint(i))
					if i%3 != round {
						w.want(fmt.Sprint(i))
					}
				}
			})
		}
		w.lost()
		w.restart("")
		flapping.Wait()
	}
	m := &wishesModel{w: w, wanted: map[string]bool{}, redis: map[string]bool{}}
	for i := range names {
		if i%3 != 2 {
			m.wanted[fmt.Sprint(i)] = true
		}
	}
	for {
		sub, unsub, _, _ := w.take(1000, 1<<20, 0)
		for _, name := range sub {
			m.redis[name] = w.subscribed(name)
		}
		for _, name := range unsub {
			delete(m.redis, name)
			w.unsubscribed(name)
		}
		if len(sub)+len(unsub) == 0 {
			break
		}
	}
	if !maps.Equal(m.redis, m.wanted) || len(w.set) != len(m.wanted) {
		t.Errorf("Redis has %d, %d are known, %d are wished for", len(m.redis), len(w.set), len(m.wanted))
	}
}

func TestAppendCommand(t *testing.T) {
	for _, c := range []struct {
		word, prefix string
		args         []string
		want         string
	}{
		{"PING", "", nil, "*1\r\n$4\r\nPING\r\n"},
		{"AUTH", "", []string{"me", ""}, "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$0\r\n\r\n"},
		{"SUBSCRIBE", "s:", []string{"a", "ü"}, "*3\r\n$9\r\nSUBSCRIBE\r\n$3\r\ns:a\r\n$4\r\ns:ü\r\n"},
	} {
		if got := string(appendCommand(nil, c.word, c.prefix, c.args)); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.word, c.args, got, c.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	before := time.Duration(0)
	for outage := 10 * time.Millisecond; outage < time.Hour; outage *= 2 {
		low, high := backoff(outage), backoff(outage)
		for range 1000 {
			d := backoff(outage)
			low, high = min(low, d), max(high, d)
		}
		if low == high || low < firstRetry/2 || high > longestWait || high > max(outage/20, firstRetry) {
			t.Errorf("after %v: %v to %v", outage, low, high)
		}
		if high < before*3/4 {
			t.Errorf("after %v %v, less than before", outage, high)
		}
		before = high
	}
	if before < longestWait*3/4 {
		t.Errorf("it does not grow to %v: %v", longestWait, before)
	}
}

// The channel by which a node is answered is the first that is subscribed again.
func TestRestartBeginsWithTheFirst(t *testing.T) {
	w := newWishes()
	for i := range 1000 {
		w.want(strconv.Itoa(i))
	}
	w.restart("500")
	sub, _, _, _ := w.take(1, 1<<20, 0)
	if len(sub) != 1 || sub[0] != "500" {
		t.Errorf("%q is first", sub)
	}
	rest, _, _, _ := w.take(1000, 1<<20, 0)
	if len(rest) != 999 || slices.Contains(rest, "500") {
		t.Errorf("%d others follow", len(rest))
	}
}

// BenchmarkWish is what a subscribed channel costs in memory, without its name,
// which the owner of the wish has anyway: B/channel is live, peak-B/channel while
// all of them wait to be subscribed again.
func BenchmarkWish(b *testing.B) {
	const channels = 500_000
	names := make([]string, channels)
	for i := range names {
		names[i] = fmt.Sprintf("channel:%016d", i)
	}
	live := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for range b.N {
		before := live()
		w := newWishes()
		for _, name := range names {
			w.want(name)
		}
		w.restart("")
		peak := live()
		for {
			sub, _, _, _ := w.take(100, 1<<20, 0)
			if len(sub) == 0 {
				break
			}
			for _, name := range sub {
				w.subscribed(name)
			}
		}
		b.ReportMetric((live()-before)/channels, "B/channel")
		b.ReportMetric((peak-before)/channels, "peak-B/channel")
		if n := w.count().confirmed; n != channels {
			b.Fatalf("%d are confirmed", n)
		}
	}
	runtime.KeepAlive(names)
}
