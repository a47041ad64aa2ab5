package pubsub

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// gapsModel is a sink that knows what was published, and holds the broker to its
// word: what is published while a channel is wished for and announced is delivered,
// once and in order, or falls into a gap.
type gapsModel struct {
	c     *fakeCluster
	b     *Redis
	mu    sync.Mutex
	names map[string]*heard // by channel; guarded by mu
	gaps  map[uint64]Gap    // guarded by mu; by ID
	fault string            // guarded by mu; the first
}

// heard is what a sink knows of a channel.
type heard struct {
	wanted    bool
	announced bool // since it was wished for
	ear       *ear // where it was confirmed last
	sent      []sent
	newest    int // number of the newest message that was delivered
}

type sent struct {
	at                 time.Time
	expected, received bool
}

// ear is the receiver of one lane.
type ear struct{ m *gapsModel }

func (m *gapsModel) Lane(Link) Receiver { return &ear{m} }

func (e *ear) Delivered()        {}
func (e *ear) Interrupted(error) {}
func (e *ear) Moved(string)      {}
func (e *ear) Skipped(string)    {}

func (e *ear) Subscribed(channel string) {
	e.m.mu.Lock()
	defer e.m.mu.Unlock()
	h := e.m.names[channel]
	h.ear, h.announced = e, h.wanted
}

func (e *ear) Deliver(channel, payload []byte) {
	e.m.mu.Lock()
	defer e.m.mu.Unlock()
	h, number := e.m.names[string(channel)], 0
	if _, err := fmt.Sscan(string(payload), &number); err != nil || h.ear != nil && h.ear != e {
		return // stale, as in hub
	}
	if number <= h.newest && h.wanted {
		e.m.fault = fmt.Sprintf("%s: %d came after %d", channel, number, h.newest)
	}
	h.newest = max(h.newest, number)
	h.sent[number].received = true
}

func (m *gapsModel) gap(g Gap) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.gaps[g.ID]; ok && !old.To.IsZero() {
		m.fault = fmt.Sprintf("gap %d is told of after its end", g.ID)
	}
	m.gaps[g.ID] = g
}

func (m *gapsModel) want(name string, wanted bool) {
	m.mu.Lock()
	h := m.names[name]
	if h.wanted != wanted {
		h.wanted, h.announced, h.ear = wanted, false, nil
		// What is under way may be lost together with its connection, which nobody needs to be told.
		for i := range h.sent {
			h.sent[i].expected = h.sent[i].expected && (wanted || time.Since(h.sent[i].at) > 50*lag)
		}
	}
	m.mu.Unlock()
	if wanted {
		m.b.Subscribe(name)
	} else {
		m.b.Unsubscribe(name)
	}
}

func (m *gapsModel) publish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, h := range m.names {
		m.c.publish(m.b.opts.Prefix+name, fmt.Sprint(len(h.sent)))
		h.sent = append(h.sent, sent{at: time.Now(), expected: h.announced})
	}
}

// check holds the broker to its word when all is well again.
func (m *gapsModel) check() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault != "" {
		return errors.New(m.fault)
	}
	for _, g := range m.gaps {
		if g.To.IsZero() {
			return fmt.Errorf("all is well, and gap %+v is open", g)
		}
	}
	standing := m.b.standing()
	for name, h := range m.names {
		for number, s := range h.sent {
			if s.expected && !s.received && !m.told(s.at) {
				return fmt.Errorf("%s: message %d, published %v ago, was lost, and nobody was told; gaps: %+v", name, number, time.Since(s.at), m.gaps)
			}
		}
		lanes, owner := standing[name], m.c.has(m.b.opts.Prefix+name)
		switch {
		case h.wanted && !h.announced:
			return fmt.Errorf("%s is wished for and not announced; it stands in %v", name, lanes)
		case len(lanes) != count(h.wanted), h.wanted && !strings.HasPrefix(lanes[0], owner):
			return fmt.Errorf("%s, which %s has, stands in %v; wished for: %v", name, owner, lanes, h.wanted)
		}
	}
	return nil
}

// told says whether there was a gap then. m.mu is held.
func (m *gapsModel) told(at time.Time) bool {
	for _, g := range m.gaps {
		if !at.Before(g.From) && !at.After(g.To) {
			return true
		}
	}
	return false
}

// step is something that happens, and pauses after it.
type step struct {
	action, channel, server string
	between                 time.Duration // where the action is two
	pauses                  []time.Duration
}

var (
	stepActions = []string{"subscribe", "subscribe", "unsubscribe", "renew", "move", "move", "move", "uncover", "kill", "kill", "crash", "start", "start", "blind", "see", "see", "old", "nothing"}
	stepServers = []string{home, "b:1", "c:1"}
	stepNames   = []string{"c0", "c1", "c2", "c3"}
	stepPauses  = []time.Duration{0, lag, lag, 3 * lag, 10 * lag, 40 * lag, 300 * lag, 3 * time.Second}
)

var steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
	return step{
		action:  rapid.SampledFrom(stepActions).Draw(t, "action"),
		channel: rapid.SampledFrom(stepNames).Draw(t, "channel"),
		server:  rapid.SampledFrom(stepServers).Draw(t, "server"),
		between: rapid.SampledFrom(stepPauses[:4]).Draw(t, "between"),
		pauses:  rapid.SliceOfN(rapid.SampledFrom(stepPauses), 1, 3).Draw(t, "pauses"),
	}
}), 1, 40)

// do lets a step happen.
func (m *gapsModel) do(s step) {
	wire := m.b.opts.Prefix + s.channel
	switch s.action {
	case "subscribe":
		m.want(s.channel, true)
	case "unsubscribe":
		m.want(s.channel, false)
	case "renew":
		m.want(s.channel, false)
		time.Sleep(s.between)
		m.want(s.channel, true)
	case "move":
		m.c.give(wire, s.server)
	case "uncover":
		m.c.give(wire, "")
	case "kill":
		m.c.kill(s.server)
	case "crash":
		m.c.set(func() { m.c.down[s.server] = true })
		m.c.kill(s.server)
	case "start":
		m.c.set(func() { m.c.down[s.server] = false })
	case "blind":
		m.c.set(func() { m.c.blind = true })
	case "see":
		m.c.set(func() { m.c.blind, m.c.stale = false, nil })
	case "old": // news do not come through
		m.c.set(func() { f := m.c.truth(); m.c.stale = &f })
	}
	for _, pause := range s.pauses {
		m.publish()
		time.Sleep(pause)
	}
}

// recover makes all well, and waits until the broker has seen that.
func (m *gapsModel) recover() {
	m.c.set(func() {
		m.c.blind, m.c.stale = false, nil
		clear(m.c.down)
	})
	for name := range m.names {
		wire := m.b.opts.Prefix + name
		if m.c.has(wire) == "" {
			m.c.give(wire, home)
		}
	}
	time.Sleep(10 * time.Second)
	m.publish()
	time.Sleep(time.Second)
}

// Whatever happens to a Cluster and to the connections, nothing is lost outside of
// gaps, and none stays open when all is well.
func TestGapsAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		lanes, plan := rapid.IntRange(1, 2).Draw(rt, "lanes"), steps.Draw(rt, "steps")
		var err error
		synctest.Test(t, func(t *testing.T) {
			c := newFakeCluster()
			m := &gapsModel{c: c, names: map[string]*heard{}, gaps: map[uint64]Gap{}}
			for _, name := range stepNames {
				m.names[name] = &heard{newest: -1}
			}
			o := c.options()
			o.Lanes, o.Events.Gap = lanes, m.gap
			b, stop := c.run(t, o, m)
			defer stop()
			m.b = b
			for _, s := range plan {
				m.do(s)
			}
			m.recover()
			err = m.check()
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// When one forbidden channel spoils a SUBSCRIBE, the others are asked for again: the
// gap lasts until they are confirmed.
func TestGapOutlastsRefusals(t *testing.T) {
	var forbidden bool
	var s *stage
	o := Options{Events: Events{Gap: func(g Gap) {
		if s != nil && !g.To.IsZero() {
			s.tape.add("gap ends")
		}
	}}}
	onStage(t, o, func(command []string) string {
		if forbidden && command[0] == "SUBSCRIBE" && slices.Contains(command, "sluice:7") {
			return "-NOPERM no permissions\r\n"
		}
		return polite(command)
	}, func(on *stage) {
		s = on
		const channels = 40
		for i := range channels {
			s.Subscribe(fmt.Sprint(i))
		}
		s.after(10 * time.Second)
		s.tape.take()
		forbidden = true
		s.fake.hangUp()
		s.after(time.Second)
		heard := strings.Split(s.tape.take(), ", ")
		if heard[len(heard)-1] != "gap ends" || len(heard) != 1+channels-1+1 {
			t.Errorf("%d things were heard, %q; the end of the gap is to be last", len(heard), heard)
		}
	})
}

// A fence waits for a wish that was renewed while its UNSUBSCRIBE was in flight.
func TestFenceWaitsForRenewedWishes(t *testing.T) {
	var mute bool
	onStage(t, Options{}, func(command []string) string {
		if mute && command[0] != "PING" {
			return ""
		}
		return polite(command)
	}, func(s *stage) {
		s.Subscribe("a")
		s.after(time.Second)
		mute = true
		s.Unsubscribe("a")
		s.after(time.Second)
		s.Subscribe("a")
		passed := false
		s.lane0().fence(func() { passed = true })
		s.fake.push(confirmation("unsubscribe", "sluice:a", 0))
		s.after(time.Second)
		if passed || len(s.fake.sent("SUBSCRIBE")) != 2 {
			t.Errorf("passed: %v, before the renewed wish is confirmed; %d SUBSCRIBE", passed, len(s.fake.sent("SUBSCRIBE")))
		}
		s.fake.push(confirmation("subscribe", "sluice:a", 1))
		s.after(0)
		if !passed {
			t.Error("it does not pass")
		}
	})
}

// A channel that nobody has keeps the gap open, until somebody has it or it is not
// wished for any more.
func TestGapWhileNobodyHasTheSlot(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func(c *fakeCluster, b *Redis)
		want string
	}{
		{"nothing happens", func(*fakeCluster, *Redis) {}, "[moved open]"},
		{"somebody takes it", func(c *fakeCluster, _ *Redis) { c.give("sluice:x", "b:1") }, "[moved ended]"},
		{"somebody takes it who cannot be reached", func(c *fakeCluster, _ *Redis) { c.set(func() { c.down["b:1"] = true }); c.give("sluice:x", "b:1") }, "[moved open]"},
		{"the wish is withdrawn", func(_ *fakeCluster, b *Redis) { b.Unsubscribe("x") }, "[moved ended]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newFakeCluster()
				var mu sync.Mutex
				last := map[uint64]string{}
				o := c.options()
				o.Events.Gap = func(g Gap) {
					mu.Lock()
					defer mu.Unlock()
					last[g.ID] = fmt.Sprint(g.Cause, " open")
					if !g.To.IsZero() {
						last[g.ID] = fmt.Sprint(g.Cause, " ended")
					}
				}
				b, stop := c.run(t, o, &tape{})
				defer stop()
				b.Subscribe("x")
				time.Sleep(3 * time.Second)
				c.give("sluice:x", "")
				time.Sleep(3 * time.Second)
				row.end(c, b)
				time.Sleep(3 * time.Second)
				mu.Lock()
				defer mu.Unlock()
				var got []string
				for _, text := range last {
					got = append(got, text)
				}
				if fmt.Sprint(got) != row.want {
					t.Errorf("gaps: %v, want %s", got, row.want)
				}
			})
		})
	}
}

// Redis answers an UNSUBSCRIBE that crosses the slot's move twice: by itself, and
// with MOVED. That is no reason to leave.
func TestUnsubscribeCrossesAMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFakeCluster()
		var sink tape
		b, stop := c.run(t, c.options(), &sink)
		defer stop()
		b.Subscribe("x")
		time.Sleep(time.Second)
		c.give("sluice:y", "b:1") // so that there is a b
		time.Sleep(3 * time.Second)
		b.Unsubscribe("x")
		synctest.Wait()
		c.give("sluice:x", "b:1") // before the command is executed
		time.Sleep(3 * time.Second)
		if st := b.Stats(); st.Losses != 0 {
			t.Errorf("the connection was left: %s", st.LastError)
		}
	})
}

// A deadline that is met long after it had passed shows that this process stood
// still: the answer may have come.
func TestStandingStillIsNoReasonToLeave(t *testing.T) {
	onStage(t, Options{PingEvery: time.Hour}, func(command []string) string {
		if command[0] == "SUBSCRIBE" {
			return ""
		}
		return polite(command)
	}, func(s *stage) {
		s.Subscribe("a")
		s.after(time.Second)
		session := s.lane0().state.session
		sent := session.sent[session.head].sent
		if err := session.dead(s.t.Context(), sent.Add(session.opts.ReplyTimeout+time.Minute)); err != nil {
			t.Errorf("after a minute: %v", err)
		}
		session.headSince = sent
		if err := session.dead(s.t.Context(), sent.Add(session.opts.ReplyTimeout)); err == nil {
			t.Error("in time: no error")
		}
	})
}

// A doubt that begins as something comes ends at once: nothing may come that would
// end it later.
func TestDoubtThatBeginsTooLate(t *testing.T) {
	onStage(t, Options{}, polite, func(s *stage) {
		session := s.lane0().state.session // it has just read the answer to a PING
		session.startDoubt(s.t.Context())
		if session.doubted() {
			t.Error("it is doubted")
		}
		s.after(time.Second)
		if lost, _ := s.losses(); len(lost) != 0 {
			t.Errorf("lost: %q", lost)
		}
	})
}
