package hub

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"sluice/loop"
	"sluice/pubsub"
)

// redisLog is a model of a channel's log as functions.lua keeps it: it may forget its
// beginning, go back to an older copy of itself, and lose everything. Its clock may
// go back then, too.
type redisLog struct {
	clock, last, epoch pubsub.Position
	entries            []pubsub.Durable
}

// tick is how far the clock goes between two messages; so clocks that differ by less
// give different positions.
const tick = 10

func newRedisLog() *redisLog { return &redisLog{clock: 10, last: 10, epoch: 10} }

func (l *redisLog) publish() *Message {
	l.clock += tick
	d := pubsub.Durable{Position: max(l.clock, l.last+1), Before: l.last, Epoch: fmt.Sprint(l.epoch)}
	d.Payload = fmt.Append(nil, d.Position)
	l.last = d.Position
	l.entries = append(l.entries, d)
	return message("news", &d)
}

// history is sluice_history.
func (l *redisLog) history(since pubsub.Position, limit int) pubsub.History {
	var after []pubsub.Durable
	for _, e := range l.entries {
		if e.Position > since {
			after = append(after, e)
		}
	}
	h := pubsub.History{Last: l.last, Epoch: fmt.Sprint(l.epoch), Entries: after[:min(len(after), limit)], More: len(after) > limit}
	newest := since
	h.Proven = since != 0
	for _, e := range h.Entries {
		h.Proven = h.Proven && e.Before == newest
		newest = e.Position
	}
	h.Proven = h.Proven && newest == l.last
	return h
}

func (l *redisLog) copy() *redisLog {
	c := *l
	c.entries = slices.Clone(l.entries)
	return &c
}

func identity(m *Message) string { return strconv.FormatUint(uint64(m.Position), 10) }

// TestChain has a channel's messages come live over a connection that loses some,
// while the log forgets, goes back and cannot be read. Nothing is handed on twice or
// out of order, and between two messages with no gap told there was none published.
func TestChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := newRedisLog()
		snapshot := log.copy()
		var wire []*Message // on their way
		type ask struct {
			since pubsub.Position
			asked uint32
		}
		var asks []ask
		c := &chain{name: "news"}
		var handed []*Message // since the last gap
		was := map[string]bool{}
		restarts := pubsub.Position(0)
		gaveUp := false // the log could not be read for long

		carryOut := func(v verdict) {
			for _, m := range v.emit {
				if m == nil {
					handed = nil
					continue
				}
				if n := len(handed); n > 0 && (m.Before != handed[n-1].Position || m.Position <= handed[n-1].Position) {
					t.Fatalf("%d, which follows %d, came after %d, and no gap was told", m.Position, m.Before, handed[n-1].Position)
				}
				id := identity(m) + m.Epoch
				gaveUp = gaveUp || c.unsure
				if was[id] && !gaveUp {
					t.Fatalf("%d came twice", m.Position)
				}
				if string(m.Payload) != identity(m) || m.Channel != "news" {
					t.Fatalf("%d of %s says %s", m.Position, m.Channel, m.Payload)
				}
				was[id] = true
				handed = append(handed, m)
			}
			if v.ask {
				asks = append(asks, ask{c.last, c.asked})
			}
		}
		live := func(m *Message) {
			if c.follows(m) {
				carryOut(verdict{emit: []*Message{m}})
			} else {
				carryOut(c.live(m))
			}
		}
		reconnect := func() { // what was on its way is gone, and whether it came is in doubt
			wire = nil
			v, covered := c.doubt()
			if !covered {
				handed = nil // it is told
			}
			carryOut(v)
		}
		readLog := func(fails bool) {
			if len(asks) == 0 {
				return
			}
			a := asks[0]
			asks = asks[1:]
			if fails {
				carryOut(c.filled(a.asked, pubsub.History{}, errors.New("no answer")))
				return
			}
			carryOut(c.filled(a.asked, log.history(a.since, 3), nil))
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(*rapid.T) { wire = append(wire, log.publish()) },
			"arrive": func(*rapid.T) {
				if len(wire) > 0 {
					live(wire[0])
					wire = wire[1:]
				}
			},
			"lose": func(*rapid.T) {
				if len(wire) > 1 { // the last one's loss would show with the next, or with a doubt
					wire = wire[1:]
				}
			},
			"repeat": func(*rapid.T) {
				if len(wire) > 0 {
					live(wire[0])
				}
			},
			"reconnect": func(*rapid.T) { reconnect() },
			"read":      func(*rapid.T) { readLog(false) },
			"fail":      func(*rapid.T) { readLog(true) },
			"forget": func(*rapid.T) {
				if len(log.entries) > 0 {
					log.entries = log.entries[1:]
				}
			},
			"save": func(*rapid.T) { snapshot = log.copy() },
			"restart from the copy": func(t *rapid.T) {
				if restarts == tick-1 {
					t.Skip("a clock that is not used yet is needed")
				}
				restarts++
				clock := log.clock
				if rapid.Bool().Draw(t, "on a machine whose clock is behind") {
					clock = snapshot.clock
				}
				*log = *snapshot.copy()
				log.clock = clock/tick*tick + restarts
				reconnect()
			},
			"flush": func(*rapid.T) {
				ahead := max(log.clock, log.last) + tick
				*log = redisLog{clock: ahead, last: ahead, epoch: ahead}
				reconnect()
			},
		})
		// In the end everything comes to rest, and what was published last is there.
		for len(wire) > 0 {
			live(wire[0])
			wire = wire[1:]
		}
		for range 50 {
			readLog(false)
		}
		if c.asking || len(asks) > 0 || c.held != nil {
			t.Fatalf("it never comes to rest: asking %v, %d askings, %d held", c.asking, len(asks), len(c.held))
		}
		last := log.publish()
		live(last)
		for range 50 {
			readLog(false)
		}
		if !was[identity(last)+last.Epoch] {
			t.Fatalf("the last message was not handed on; chain at %d %s, message %d after %d %s", c.last, c.epoch, last.Position, last.Before, last.Epoch)
		}
	})
}

// TestChainGivesUp: what waits is bounded, and a log that cannot be read does not
// hold messages back for ever.
func TestChainGivesUp(t *testing.T) {
	log := newRedisLog()
	first := log.publish()
	for _, row := range []struct {
		name string
		do   func(c *chain) verdict
		n    int // handed on
	}{
		{"too many wait", func(c *chain) (v verdict) {
			for range maxHeld + 1 {
				if v = c.live(log.publish()); v.emit != nil {
					return v
				}
			}
			return v
		}, maxHeld + 1},
		{"too much waits", func(c *chain) (v verdict) {
			for range 9 {
				m := log.publish()
				m.Payload = make([]byte, 1<<20)
				if v = c.live(m); v.emit != nil {
					return v
				}
			}
			return v
		}, 9},
		{"the log cannot be read", func(c *chain) (v verdict) {
			v = c.live(log.publish())
			for i := 0; v.ask; i++ {
				if i > 100 {
					t.Fatal("it is asked for ever")
				}
				v = c.filled(c.asked, pubsub.History{}, errors.New("no answer"))
			}
			return v
		}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := new(chain)
			if !c.follows(first) {
				t.Fatal("the first does not follow")
			}
			log.publish() // is lost
			v := row.do(c)
			if len(v.emit) != 1+row.n || v.emit[0] != nil || c.asking || c.held != nil {
				t.Errorf("a gap and %d handed on, asking %v, %d held", len(v.emit)-1, c.asking, len(c.held))
			}
			if !c.follows(log.publish()) {
				t.Error("the next one does not follow")
			}
		})
	}
}

// Where the log has begun anew since it was read, the client goes on with what is live,
// in the epoch of that.
func TestMergeBeginsAnew(t *testing.T) {
	log := newRedisLog()
	log.publish()
	h := log.history(10, 10)
	log.last, log.epoch, log.entries = 45, 45, nil
	seen := []*Message{log.publish(), log.publish(), log.publish()}
	m := merge(&h, "news", seen, 1<<20)
	if m.recovered || m.epoch != "45" || m.position != log.last || !slices.Equal(m.messages, seen) {
		t.Errorf("%+v", m)
	}
}

// TestMerge: for any log, any position in it and any place in which the live stream
// begins and the log is read, who resumes is given everything or told that it may
// not be.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := newRedisLog()
		var all []*Message
		publish := func(label string) {
			for range rapid.IntRange(0, 4).Draw(t, label) {
				all = append(all, log.publish())
			}
		}
		publish("before the client left")
		since := log.last
		if rapid.IntRange(0, 9).Draw(t, "stranger") == 0 {
			since = pubsub.Position(rapid.IntRange(0, 40*tick).Draw(t, "since"))
		}
		left := len(all)
		publish("while it was away")
		begun := len(all) // the live stream, which may begin with what is under way
		begun -= min(rapid.IntRange(0, 2).Draw(t, "under way"), begun)
		publish("before the log is read")
		forgotten := rapid.IntRange(0, len(log.entries)).Draw(t, "forgotten")
		log.entries = log.entries[forgotten:]
		limit := rapid.IntRange(0, 6).Draw(t, "limit")
		h := log.history(since, limit)
		publish("after it was read")
		seen := slices.Clone(all[begun:])
		if rapid.Bool().Draw(t, "plain") {
			seen = slices.Insert(seen, rapid.IntRange(0, len(seen)).Draw(t, "where"), &Message{Channel: "news", Payload: []byte("plain")})
		}
		hole := len(seen) > 0 && rapid.IntRange(0, 4).Draw(t, "hole") == 0
		if hole {
			i := rapid.IntRange(0, len(seen)-1).Draw(t, "which")
			seen = slices.Delete(seen, i, i+1)
		}
		m := merge(&h, "news", seen, 1<<20)

		var got []pubsub.Position
		for _, e := range m.messages {
			if e.Position != 0 {
				got = append(got, e.Position)
			}
		}
		for i := 1; i < len(got); i++ {
			if got[i] <= got[i-1] {
				t.Fatalf("out of order: %v", got)
			}
		}
		if m.recovered {
			var want []pubsub.Position
			for _, e := range all[left:] {
				if e.Position > since && e.Position <= m.position {
					want = append(want, e.Position)
				}
			}
			for i, e := range all[:left] { // where since is a stranger's
				if e.Position > since {
					want = nil
					for _, e := range all[i:] {
						if e.Position <= m.position {
							want = append(want, e.Position)
						}
					}
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("recovered from %d to %d with %v, published were %v", since, m.position, got, want)
			}
		}
		if !hole && forgotten == 0 && limit == 6 && since == log.since(left, all) && len(all)-left <= 6 && !m.recovered {
			t.Fatalf("not recovered from %d, although nothing is missing", since)
		}
		if want := log.last; !hole && m.position != want {
			t.Fatalf("at %d, the log at %d", m.position, want)
		}
	})
}

// since is the position after the first n of all.
func (l *redisLog) since(n int, all []*Message) pubsub.Position {
	if n == 0 {
		return l.epoch
	}
	return all[n-1].Position
}

// Two readings of a log are under way. Where nothing has come live yet, the newer one
// says from where on that counts, and the older one, whose members would miss what is
// between the two, is read again.
func TestOlderReadingIsReadAgain(t *testing.T) {
	b := newBench()
	log := newRedisLog()
	var m [2]Member
	for i := range m {
		b.locals[i].Join(nil, &m[i], "news", Wants{Recover: true, Since: 10, Limit: 10})
	}
	b.Subscribed("news")
	c := m[0].channel
	log.publish()
	older := &reading{readingKey: readingKey{c, 10, 10, false}, history: log.history(10, 10)}
	log.publish()
	newer := &reading{readingKey: readingKey{c, 20, 10, false}, history: log.history(20, 10)}
	s := b.streamOf(c)
	if !s.answer(newer, 0, false) {
		t.Fatal("the newer reading is not taken")
	}
	if s.chain.last != log.last {
		t.Fatalf("the chain is at %d, the log at %d", s.chain.last, log.last)
	}
	if s.answer(older, 0, false) {
		t.Error("the older reading is taken")
	}
}

// What came by a subscription that was being given up does not stand for what the
// channel's new one has missed in between.
func TestNewSubscriptionIsDoubted(t *testing.T) {
	b := newBench()
	log := newRedisLog()
	var m Member
	b.locals[0].Join(nil, &m, "news", Wants{})
	first := log.publish()
	b.Deliver([]byte("news"), fmt.Appendf(nil, "\x01sluice %d %d %s\nx", first.Position, first.Before, first.Epoch))
	b.Subscribed("news")
	if s := b.streamOf(m.channel); !s.chain.asking || s.chain.last != first.Position {
		t.Errorf("asking %v, at %d", s.chain.asking, s.chain.last)
	}
}

// What a client would have to take at once is bounded in bytes, too.
func TestMergeIsBounded(t *testing.T) {
	log := newRedisLog()
	since := log.last
	for range 3 {
		log.publish()
	}
	h := log.history(since, 10)
	for _, row := range []struct {
		most, messages int
		recovered      bool
	}{{size(&h), 3, true}, {size(&h) - 1, 0, false}} {
		m := merge(&h, "news", nil, row.most)
		if m.recovered != row.recovered || len(m.messages) != row.messages || m.position != log.last {
			t.Errorf("%d bytes at most: recovered %v, %d messages, at %d", row.most, m.recovered, len(m.messages), m.position)
		}
	}
}

// A message that a reactor could not take while members of it wait for the log is
// missing, whatever the log proves.
func TestGapWhileResuming(t *testing.T) {
	for _, since := range []pubsub.Position{0, 10} {
		b := newBench()
		var got *Recovery
		gaps := 0
		local := b.Local(0, Events{
			Confirmed: func(_ *loop.Conn, _ *Member, r *Recovery) { got = r },
			Gap:       func(*loop.Conn, *Member) { gaps++ },
		})
		log := newRedisLog()
		var m Member
		local.Join(nil, &m, "news", Wants{Recover: true, Since: since, Limit: 10, Gaps: true})
		b.Subscribed("news")
		turn := func() {
			for _, e := range b.boxes[0].events {
				local.Take(e)
			}
			b.boxes[0].events = nil
			for local.Fan() {
			}
		}
		turn() // it asks
		r := b.log.first()
		r.history = log.history(since, 10)
		b.boxes[0].full = true
		lost := log.publish()
		b.Deliver([]byte("news"), fmt.Appendf(nil, "\x01sluice %d %d %s\nx", lost.Position, lost.Before, lost.Epoch))
		b.Delivered()
		b.boxes[0].full = false
		b.streamOf(m.channel).answer(r, 0, true)
		turn()
		switch {
		case got == nil || got.Err != nil:
			t.Fatalf("since %d: %+v", since, got)
		case since != 0 && got.Recovered:
			t.Errorf("since %d: recovered, although %d is lost", since, lost.Position)
		case since == 0 && gaps != 1:
			t.Errorf("since 0: told of %d gaps", gaps)
		}
	}
}

// A reading that nobody waits for any more is not made; that of a chain comes before
// those of members.
func TestReadingsInLine(t *testing.T) {
	b := newBench()
	var m [3]Member
	for i := range m {
		b.locals[0].Join(nil, &m[i], "news", Wants{Recover: true, Since: pubsub.Position(i + 1)})
	}
	b.Subscribed("news")
	b.turn(0)
	b.locals[0].Leave(&m[0])
	b.log.want(&reading{readingKey: readingKey{channel: m[1].channel}, fills: true})
	var got []pubsub.Position
	for r := b.log.first(); r != nil; r = b.log.first() {
		got = append(got, r.since)
	}
	if want := []pubsub.Position{0, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("read from %v, want %v", got, want)
	}
}

// Who resumes where a chain has given up is not told without the log that nothing was
// missed.
func TestNothingIsKnownAfterGivingUp(t *testing.T) {
	log := newRedisLog()
	s := &stream{}
	s.chain.follows(log.publish())
	key := readingKey{since: s.chain.last, limit: 10}
	if s.keptFor(key) == nil {
		t.Fatal("the log has to be read for what the chain knows")
	}
	if v, covered := s.chain.doubt(); !v.ask || !covered {
		t.Fatal("it does not ask")
	}
	for range maxTries + 1 {
		s.chain.filled(s.chain.asked, pubsub.History{}, errors.New("no answer"))
	}
	if s.chain.asking || s.keptFor(key) != nil {
		t.Errorf("asking %v; it knows that nothing was missed", s.chain.asking)
	}
}
