package pubsub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A lane that was good stays so while probes come in time. One that has failed is
// good again when enough of them have come in a row.
func TestVerdict(t *testing.T) {
	const limit = 2500 * time.Millisecond
	type probe struct {
		every, took time.Duration // since the last one was published; until it came back, 0: never
		verdict     string        // then
	}
	in := func(took time.Duration, verdict string) probe { return probe{time.Second, took, verdict} }
	for _, row := range []struct {
		name   string
		probes []probe
	}{
		{"the first is enough", []probe{in(time.Millisecond, "")}},
		{"none comes", []probe{in(0, "no probe has come back yet"), in(0, "no probe has come back yet")}},
		{"the first is too late", []probe{in(3*time.Second, "the last probe that came back is 3s old")}},
		{"one is missed", []probe{in(1, ""), in(0, ""), in(0, ""), in(0, "the last probe that came back is 3s old")}},
		{"twice in a row after that", []probe{
			in(1, ""), in(0, ""), in(0, ""), in(0, "is 3s old"), in(1, "only begun"), in(1, ""), in(1, "")}},
		{"one in a row is not enough", []probe{
			in(1, ""), in(0, ""), in(0, ""), in(0, "is 3s old"), in(1, "only begun"), in(0, "only begun"), in(0, "only begun"), in(0, "is 3s old"), in(1, "only begun")}},
		{"late ones are not in a row", []probe{in(1, ""), in(limit+1, "is 2.5s old"), in(1, "only begun"), in(1, "")}},
		{"just in time", []probe{in(1, ""), {limit - 2, 1, ""}, {limit - 2, 1, ""}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p proof
				for i, probe := range row.probes {
					time.Sleep(probe.every)
					number := p.begin(time.Now())
					if probe.took > 0 {
						time.Sleep(probe.took)
						p.back(number, limit)
					}
					err := p.verdict(time.Now(), limit)
					if probe.verdict == "" && err != nil || probe.verdict != "" && (err == nil || !strings.Contains(err.Error(), probe.verdict)) {
						t.Fatalf("after probe %d: %v, want %q", i, err, probe.verdict)
					}
				}
			})
		})
	}
}

func TestVerdictSaysWhyNothingIsPublished(t *testing.T) {
	var p proof
	p.failed(errors.New("NOPERM"))
	if err := p.verdict(time.Now(), time.Second); err == nil || err.Error() != "no probe could be published yet: NOPERM" {
		t.Error(err)
	}
	p.back(p.begin(time.Now()), time.Second)
	if err := p.verdict(time.Now(), time.Second); err != nil {
		t.Error(err)
	}
	if err := p.verdict(time.Now().Add(2*time.Second), time.Second); err == nil || !strings.Contains(err.Error(), "none can be published: NOPERM") {
		t.Error(err)
	}
	p.failed(nil)
	if err := p.verdict(time.Now().Add(2*time.Second), time.Second); err == nil || strings.Contains(err.Error(), "NOPERM") {
		t.Error(err)
	}
}

// Numbers that are late, twice there or made up prove nothing new.
func TestProbesThatComeBackStrangely(t *testing.T) {
	for _, row := range []struct {
		name  string
		back  []uint64 // of three probes, 1 to 3
		count int64
		has   uint64
	}{
		{"in order", []uint64{1, 2, 3}, 3, 3},
		{"one is skipped", []uint64{1, 3}, 2, 3},
		{"late", []uint64{2, 1, 3}, 2, 3},
		{"twice", []uint64{1, 1, 2, 2}, 2, 2},
		{"never published", []uint64{4, 0, 1 << 63, 1}, 1, 1},
	} {
		var p proof
		for range 3 {
			p.begin(time.Now())
		}
		for _, number := range row.back {
			p.back(number, time.Second)
		}
		if p.count() != row.count || !p.has(row.has) || p.has(row.has+1) || len(p.flying) != 3-int(row.has) {
			t.Errorf("%s: %d came back, the newest is %d, %d fly; want %d, %d, %d", row.name, p.count(), p.newest, len(p.flying), row.count, row.has, 3-row.has)
		}
	}
}

func TestFlyingProbesAreForgotten(t *testing.T) {
	var p proof
	for range 10 * maxProbes {
		p.begin(time.Now())
	}
	if len(p.flying) != maxProbes {
		t.Errorf("%d are remembered", len(p.flying))
	}
	p.back(1, time.Second) // too old to be known
	if p.count() != 0 {
		t.Error("a forgotten one proves something")
	}
}

// prober answers for go-redis, and says what becomes of probes.
type prober struct {
	s  *stage
	mu sync.Mutex

	receivers int64                // guarded by mu
	err       error                // guarded by mu
	deliver   func(message string) // guarded by mu
	published int                  // guarded by mu
}

func (p *prober) publish(_ context.Context, _, wire string, payload any) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published++
	if p.err == nil && p.receivers > 0 && p.deliver != nil {
		p.deliver(message(wire, fmt.Sprint(payload)))
	}
	return p.receivers, p.err
}

func (p *prober) change(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// onProbedStage is onStage where probes come back.
func onProbedStage(t *testing.T, answer func([]string) string, test func(s *stage, p *prober)) {
	t.Helper()
	p := &prober{receivers: 1}
	p.deliver = func(message string) { p.s.fake.push(message) }
	var mu sync.Mutex
	started := false
	o := Options{fakes: fakes{publish: func(ctx context.Context, addr, wire string, payload any) (int64, error) {
		mu.Lock()
		ok := started
		mu.Unlock()
		if !ok {
			return 0, errors.New("not yet")
		}
		return p.publish(ctx, addr, wire, payload)
	}}}
	onStage(t, o, answer, func(s *stage) {
		p.s = s
		mu.Lock()
		started = true
		mu.Unlock()
		s.after(2 * time.Second)
		s.ready("")
		test(s, p)
	})
}

func TestProbesComeBack(t *testing.T) {
	onProbedStage(t, polite, func(s *stage, p *prober) {
		s.after(time.Minute)
		s.ready("")
		if n := s.Stats().Probes; n < 59 || n > 65 {
			t.Errorf("%d probes came back in a minute", n)
		}
		s.heard("")
		if lost, _ := s.losses(); len(lost) != 0 {
			t.Errorf("lost: %q", lost)
		}
	})
}

// A connection on which PINGs are answered and messages are not delivered is
// replaced, and the node is not ready until the new one has proven itself.
func TestDeafToProbes(t *testing.T) {
	onProbedStage(t, polite, func(s *stage, p *prober) {
		s.Subscribe("a")
		s.after(0)
		s.heard("subscribed a")
		p.change(func() { p.deliver = nil })
		for range 35 { // ProbeEvery, ProbeTimeout
			if lost, _ := s.losses(); len(lost) == 0 {
				s.after(50 * time.Millisecond)
			}
		}
		s.lostOnce("has published a probe and not delivered it")
		s.after(500 * time.Millisecond) // it is back, and its next probe is not late yet
		s.heard("interrupted, subscribed a")
		s.after(time.Minute)
		if s.Ready() == nil { // the reason is one of two: there is no connection at the moment, or no proof on it
			t.Error("ready, though no probe comes back")
		}
		lost, _ := s.losses()
		if n := len(lost); n < 20 || n > 90 {
			t.Errorf("the connection was replaced %d times in a minute", n)
		}
		p.change(func() { p.deliver = func(message string) { s.fake.push(message) } })
		s.after(3 * time.Second)
		s.ready("")
	})
}

// Where the whole node is slow, or Redis is, the probe comes late and so does the
// answer to the PING: that is no reason to leave.
func TestProbesComeLate(t *testing.T) {
	var mu sync.Mutex
	slow := false
	var held strings.Builder // what a slow Redis will have sent, in order
	pinged := false
	hold := func(text string) string {
		mu.Lock()
		defer mu.Unlock()
		if !slow {
			return text
		}
		held.WriteString(text)
		return ""
	}
	onProbedStage(t, func(command []string) string {
		mu.Lock()
		silent := slow && (command[0] != "PING" || pinged) // another connection, which is not answered
		pinged = slow
		mu.Unlock()
		if silent {
			return ""
		}
		return hold(polite(command))
	}, func(s *stage, p *prober) {
		p.change(func() {
			p.deliver = func(message string) {
				if now := hold(message); now != "" {
					s.fake.pushOn(0, now)
				}
			}
		})
		mu.Lock()
		slow = true
		mu.Unlock()
		s.after(5 * time.Second)
		s.ready("is not proven to deliver: the last probe that came back is")
		mu.Lock()
		slow = false
		text := held.String()
		mu.Unlock()
		s.fake.pushOn(0, text)
		s.after(5 * time.Second)
		s.ready("")
		if lost, _ := s.losses(); len(lost) != 0 {
			t.Errorf("lost: %q", lost)
		}
	})
}

func TestNobodyHearsTheProbe(t *testing.T) {
	onProbedStage(t, polite, func(s *stage, p *prober) {
		p.change(func() { p.receivers = 0 })
		s.after(time.Minute)
		lost, _ := s.losses()
		if n := len(lost); n < 60 || n > 300 || !strings.Contains(lost[0], "says that nobody hears this node's probes") {
			t.Errorf("the connection was replaced %d times in a minute, because: %s", n, lost)
		}
		p.change(func() { p.receivers = 1 })
		s.after(3 * time.Second)
		s.ready("")
	})
}

// That nothing can be published says nothing about what is heard.
func TestProbeCannotBePublished(t *testing.T) {
	onProbedStage(t, polite, func(s *stage, p *prober) {
		p.change(func() { p.err = errors.New("connection pool timeout") })
		s.after(time.Minute)
		s.ready("none can be published: connection pool timeout")
		if lost, _ := s.losses(); len(lost) != 0 {
			t.Errorf("lost: %q", lost)
		}
		p.change(func() { p.err = nil })
		s.after(2 * time.Second)
		s.ready("")
	})
}

// A probe whose channel is given up meanwhile is not waited for.
func TestProbeChannelChanges(t *testing.T) {
	onProbedStage(t, polite, func(s *stage, p *prober) {
		late := ""
		p.change(func() { p.deliver = func(message string) { late = message } })
		for underWay := false; !underWay; {
			s.after(10 * time.Millisecond)
			p.change(func() { underWay = late != "" })
		}
		s.lane0().setProbe("{probe:another}")
		p.change(func() { p.deliver = func(message string) { s.fake.push(message) } })
		s.after(0)
		s.fake.push(late)
		s.after(10 * time.Second)
		s.ready("")
		if lost, _ := s.losses(); len(lost) != 0 {
			t.Errorf("lost: %q", lost)
		}
	})
}
