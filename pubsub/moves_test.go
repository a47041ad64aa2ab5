package pubsub_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redistest"
)

// follower is a Sink that hears one channel as hub does: what a lane delivers after
// another one has confirmed the channel is stale.
type follower struct {
	mu   sync.Mutex
	ear  *followerEar          // that confirmed last; guarded by mu
	got  []int                 // guarded by mu
	told int                   // how often it was told that something may be missed; guarded by mu
	gaps map[uint64]pubsub.Gap // guarded by mu
}

type followerEar struct{ f *follower }

func (f *follower) Lane(pubsub.Link) pubsub.Receiver { return &followerEar{f} }

func (f *follower) gap(g pubsub.Gap) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gaps[g.ID] = g
}

func (e *followerEar) Delivered()     {}
func (e *followerEar) Skipped(string) {}

func (e *followerEar) Subscribed(string) {
	e.f.mu.Lock()
	defer e.f.mu.Unlock()
	e.f.ear = e
}

func (e *followerEar) Interrupted(error) { e.Moved("") }

func (e *followerEar) Moved(string) {
	e.f.mu.Lock()
	defer e.f.mu.Unlock()
	if e.f.ear == e {
		e.f.told++
	}
}

func (e *followerEar) Deliver(_, payload []byte) {
	number, err := strconv.Atoi(string(payload))
	e.f.mu.Lock()
	defer e.f.mu.Unlock()
	if err == nil && (e.f.ear == nil || e.f.ear == e) {
		e.f.got = append(e.f.got, number)
	}
}

// newest is the newest number that was heard.
func (f *follower) newest() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.got) == 0 {
		return -1
	}
	return f.got[len(f.got)-1]
}

// followed runs a broker, on whose channel "news" numbers are published without
// end, while things happen to Redis.
type followed struct {
	*pubsub.Redis
	t    *testing.T
	sink *follower

	// A replica of a Cluster has been promoted. It gets from its master what that
	// delivers, over the bus, and delivers it itself if it is the master when it
	// comes: some messages are heard again, and late.
	promoted bool

	mu   sync.Mutex
	sent []sentNumber // guarded by mu; by number
}

type sentNumber struct {
	began, ended time.Time
	err          error
}

func follow(t *testing.T, o pubsub.Options) *followed {
	t.Helper()
	f := &followed{t: t, sink: &follower{gaps: map[uint64]pubsub.Gap{}}}
	o.Events.Gap = f.sink.gap
	f.Redis = open(t, o)
	pubsubtest.Background(t, f.Redis, f.sink)
	f.Subscribe("news")
	pubsubtest.Eventually(t, "the broker is ready", func() bool { return f.Ready() == nil })
	ctx, cancel := context.WithCancel(context.Background())
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for ctx.Err() == nil {
			one := sentNumber{began: time.Now()}
			within, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			f.mu.Lock()
			number := len(f.sent)
			f.sent = append(f.sent, one)
			f.mu.Unlock()
			_, one.err = f.Publish(within, "news", []byte(strconv.Itoa(number)))
			cancel()
			one.ended = time.Now()
			f.mu.Lock()
			f.sent[number] = one
			f.mu.Unlock()
		}
	})
	t.Cleanup(func() { cancel(); publishing.Wait() })
	f.goesOn()
	return f
}

// goesOn waits until what is published from now on is heard.
func (f *followed) goesOn() {
	f.t.Helper()
	f.mu.Lock()
	number := len(f.sent)
	f.mu.Unlock()
	pubsubtest.Eventually(f.t, "messages go on", func() bool { return f.sink.newest() > number+50 })
}

// check checks that nothing is doubled or out of order, and that what was missed
// was told.
func (f *followed) check() {
	f.t.Helper()
	f.goesOn()
	pubsubtest.Eventually(f.t, "all gaps have ended", func() bool {
		f.sink.mu.Lock()
		defer f.sink.mu.Unlock()
		for _, g := range f.sink.gaps {
			if g.To.IsZero() {
				return false
			}
		}
		return true
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sink.mu.Lock()
	defer f.sink.mu.Unlock()
	told := func(number int) bool {
		for _, g := range f.sink.gaps {
			if s := f.sent[number]; !s.ended.Before(g.From) && !s.began.After(g.To) {
				return true
			}
		}
		return false
	}
	heard, last := map[int]bool{}, -1
	for _, number := range f.sink.got {
		switch {
		case number > last:
			last = number
		case f.sent[number].err != nil:
			// Nobody knew whether Redis would take it, and it did so late.
		case f.promoted && told(number):
		case heard[number]:
			f.t.Fatalf("%d came twice", number)
		default:
			f.t.Fatalf("%d came after %d", number, last)
		}
		heard[number] = true
	}
	missed := 0
	for number, s := range f.sent[:last] {
		if s.err != nil || heard[number] {
			continue
		}
		missed++
		if !told(number) {
			f.t.Errorf("%d, published at %v, was missed and nobody was told; gaps: %+v", number, s.ended, f.sink.gaps)
		}
	}
	if missed > 0 && f.sink.told == 0 {
		f.t.Error("the sink was never told")
	}
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	g := redistest.StartSentinel(t)
	g.Bear(patience) // nobody takes over unless this test says so
	f := follow(t, pubsub.Options{URL: g.URL})
	g.Failover()
	f.check()
	g.AwaitOK()
	old := g.Master()
	old.Kill()
	g.Bear(time.Second)
	g.AwaitMaster(old)
	g.Bear(patience)
	f.check()
}

func TestClusterMoves(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	c.Bear(patience) // nobody takes over unless this test says so
	f := follow(t, pubsub.Options{URL: c.URL})
	other := func(s *redistest.Server) *redistest.Server {
		for _, m := range c.Masters() {
			if m.Addr != s.Addr {
				return m
			}
		}
		t.Fatal("there is only one master")
		return nil
	}
	news := c.Slot("sluice:news")
	for range 2 {
		c.Migrate(news, other(c.Owner(news)))
		f.check()
	}
	f.promoted = true
	c.Failover(c.Owner(news))
	f.check()

	// The inbox follows its stream: nothing is lost, doubled or out of order.
	inbox, _ := runInbox(t, f.Redis, pubsub.InboxOptions{})
	var added, good atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var adding sync.WaitGroup
	adding.Go(func() {
		for ctx.Err() == nil {
			e := pubsub.Entry{Type: "message", ID: strconv.FormatInt(added.Load(), 10), Done: func(err error) {
				if err != nil {
					t.Errorf("an entry: %v", err)
				}
				good.Add(1)
			}}
			if inbox.Add(e) == nil {
				added.Add(1)
			}
			time.Sleep(time.Millisecond) // a client's pace
		}
	})
	stream := c.Slot("sluice:inbox")
	pubsubtest.Eventually(t, "entries are taken", func() bool { return good.Load() > 10 })
	c.Migrate(stream, other(c.Owner(stream)))
	then := good.Load()
	pubsubtest.Eventually(t, "entries are taken again", func() bool { return good.Load() > then+100 })
	cancel()
	adding.Wait()
	pubsubtest.Eventually(t, "all entries are settled", func() bool { return good.Load() == added.Load() })
	entries, err := f.Client("sluice:inbox").XRange(t.Context(), "sluice:inbox", "-", "+").Result()
	if err != nil || int64(len(entries)) != added.Load() {
		t.Fatalf("%d entries in the stream, %d added: %v", len(entries), added.Load(), err)
	}
	for i, e := range entries {
		if e.Values["id"] != fmt.Sprint(i) {
			t.Fatalf("entry %d is number %v", i, e.Values["id"])
		}
	}

	replica := c.Replica(c.Owner(news))
	c.Owner(news).Kill()
	c.Bear(time.Second)
	c.AwaitMaster(replica)
	f.check()
}
