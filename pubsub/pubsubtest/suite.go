// Package pubsubtest is the meaning of pubsub.Broker as a test suite: every
// broker passes it. It is imported by tests only.
//
//	pubsubtest.Run(t, func(t *testing.T) pubsubtest.Fixture {
//		s := redistest.Start(t)
//		return pubsubtest.Fixture{Open: func(t *testing.T, prefix string) pubsub.Broker { … }}
//	})
package pubsubtest

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"

	"sluice/pubsub"
)

// Fixture is a Redis and how to reach it.
type Fixture struct {
	// Open returns a new broker on the fixture's Redis, with prefix (never
	// empty), closed by t.Cleanup.
	Open func(t *testing.T, prefix string) pubsub.Broker
}

// Run runs the suite. setup is called once per test.
func Run(t *testing.T, setup func(t *testing.T) Fixture) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Fixture)
	}{
		{"ready", testReady},
		{"order", testOrder},
		{"payloads", testPayloads},
		{"largest", testLarge},
		{"subscribed means subscribed", testSubscribed},
		{"unsubscribed means silent", testUnsubscribe},
		{"subscribing again is announced again", testAgain},
		{"many channels", testMany},
		{"flapping", testFlapping},
		{"receivers", testReceivers},
		{"concurrent publishers", testPublishers},
		{"prefixes are apart", testPrefixes},
		{"wishes before Run", testBeforeRun},
		{"the sink may subscribe", testSinkSubscribes},
		{"Run again", testRunAgain},
		{"shutdown leaves nothing", testShutdown},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, setup(t)) })
	}
}

// Start opens a broker, runs it with a Recorder until the test ends, and waits
// until it is ready.
func Start(t *testing.T, f Fixture, prefix string) (pubsub.Broker, *Recorder) {
	t.Helper()
	b := f.Open(t, prefix)
	sink := NewRecorder()
	Background(t, b, sink)
	if !eventually(func() bool { return b.Ready() == nil }) {
		t.Fatalf("it never became ready: %v", b.Ready())
	}
	return b, sink
}

// Background runs b until stop is called, or the test ends; both wait for the
// end and check what Run returns.
func Background(t *testing.T, b pubsub.Broker, sink pubsub.Sink) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, sink) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("Run returned %v, not %v", err, context.Canceled)
		}
	})
	t.Cleanup(stop)
	return stop
}

// subscribe subscribes and waits for the announcement.
func subscribe(t *testing.T, b pubsub.Broker, sink *Recorder, channel string) {
	t.Helper()
	before := sink.Announced(channel)
	b.Subscribe(channel)
	Eventually(t, "Subscribed is called for "+channel, func() bool { return sink.Announced(channel) > before })
}

// publish publishes and checks how many heard it.
func publish(t *testing.T, b pubsub.Broker, channel, payload string, receivers int64) {
	t.Helper()
	n, err := b.Publish(context.Background(), channel, []byte(payload))
	if err != nil || n != receivers {
		t.Fatalf("Publish(%q, %d bytes) = %d, %v; want %d receivers", channel, len(payload), n, err, receivers)
	}
}

func awaitMessages(t *testing.T, sink *Recorder, channel string, want ...string) {
	t.Helper()
	Eventually(t, fmt.Sprintf("%d messages on %s", len(want), channel), func() bool { return len(sink.Messages(channel)) >= len(want) })
	if got := sink.Messages(channel); !slices.Equal(got, want) {
		t.Fatalf("on %s came %.200q, want %.200q", channel, got, want)
	}
}

func testReady(t *testing.T, f Fixture) {
	b := f.Open(t, "t:")
	if b.Ready() == nil {
		t.Error("ready before Run")
	}
	stop := Background(t, b, NewRecorder())
	Eventually(t, "the broker is ready", func() bool { return b.Ready() == nil })
	stop()
	if b.Ready() == nil {
		t.Error("ready after Run")
	}
}

func testOrder(t *testing.T, f Fixture) {
	b, sink := Start(t, f, "t:")
	subscribe(t, b, sink, "a")
	subscribe(t, b, sink, "b")
	var want []string
	for i := range 1000 {
		want = append(want, fmt.Sprint(i))
		publish(t, b, "a", want[i], 1)
		publish(t, b, "b", want[i], 1)
	}
	awaitMessages(t, sink, "a", want...)
	awaitMessages(t, sink, "b", want...)
}

func testPayloads(t *testing.T, f Fixture) {
	b, sink := Start(t, f, "t:")
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	want := []string{"", "x", "\r\n", "\x00", "$3\r\nabc\r\n", "*3\r\n$7\r\nmessage\r\n", "PONG", "\r", "\n\n", string(all[:])}
	for _, channel := range []string{"a", "grüße/世界", "#42", "$-1", "a:b:c"} {
		subscribe(t, b, sink, channel)
		for _, payload := range want {
			publish(t, b, channel, payload, 1)
		}
		awaitMessages(t, sink, channel, want...)
	}
}

func testLarge(t *testing.T, f Fixture) {
	b, sink := Start(t, f, "t:")
	subscribe(t, b, sink, "a")
	big := string(bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)) // 1 MiB
	for range 3 {
		publish(t, b, "a", big, 1)
		publish(t, b, "a", "small", 1)
	}
	awaitMessages(t, sink, "a", big, "small", big, "small", big, "small")
}

func testSubscribed(t *testing.T, f Fixture) {
	b, sink := Start(t, f, "t:")
	for i := range 200 {
		channel := fmt.Sprint("c", i)
		subscribe(t, b, sink, channel)
		publish(t, b, channel, "first", 1) // nothing between: it must not be missed
	}
	for i := range 200 {
		awaitMessages(t, sink, fmt.Sprint("c", i), "first")
	}
}

// awaitReceivers waits until as many subscriptions hear channel. What it
// publishes for that are empty messages.
func awaitReceivers(t *testing.T, b pubsub.Broker, channel string, receivers int64) {
	t.Helper()
	Eventually(t, fmt.Sprintf("%s has %d receivers", channel, receivers), func() bool {
		n, err := b.Publish(context.Background(), channel, nil)
		return err == nil && n == receivers
	})
}

func testUnsubscribe(t *testing.T, f Fixture) {
	b, sink := Start(t, f, "t:")
	subscribe(t, b, sink, "a")
	subscribe(t, b, sink, "fence")
	b.Unsubscribe("a")
	awaitReceivers(t, b, "a", 0)
	publish(t, b, "a", "nobody hears this", 0)
	publish(t, b, "fence", "end", 1)
	awaitMessages(t, sink, "fence", "end")
	for _, m := range sink.Messages("a") {
		if m != "" {
			t.Errorf("%q came after UNSUBSCRIBE", m)
		}
	}
	b.Unsubscribe("a")     // twice
	b.Unsubscribe("never") // not subscribed at all
	subscribe(t, b, sink, "a")
	publish(t, b, "a", "again", 1)
	Eventually(t, "the message after subscribing again", func() bool { return slices.Contains(sink.Messages("a"), "again") })
}

func testAgain(t *testing.T, f Fixture) {
	b, sink := Start(t, f, "t:")
	subscribe(t, b, sink, "a")
	for range 100 { // withdrawn and renewed before anything can be sent, mostly
		before := sink.Announced("a")
		b.Unsubscribe("a")
		b.Subscribe("a")
		Eventually(t, "the renewed wish is announced", func() bool { return sink.Announced("a") > before })
	}
	publish(t, b, "a", "x", 1)
	awaitMessages(t, sink, "a", "x")
}

func testMany(t *testing.T, f Fixture) {
	const channels = 20_000
	b, sink := Start(t, f, "t:")
	name := func(i int) string { return fmt.Sprint("many:", i) }
	for i := range channels {
		b.Subscribe(name(i))
	}
	Eventually(t, "every channel is announced", func() bool { return sink.Channels() == channels })
	for i := 0; i < channels; i += 97 {
		publish(t, b, name(i), "x", 1)
	}
	Eventually(t, "every message", func() bool { return sink.Count() == (channels+96)/97 })
	for i := range channels {
		b.Unsubscribe(name(i))
	}
	Eventually(t, "nothing is pending", func() bool { return b.Ready() == nil })
	awaitReceivers(t, b, name(0), 0)
	awaitReceivers(t, b, name(channels-1), 0)
}

func testFlapping(t *testing.T, f Fixture) {
	const channels, rounds = 20, 300
	b, sink := Start(t, f, "t:")
	var wg sync.WaitGroup
	for c := range channels {
		wg.Go(func() {
			for r := range rounds {
				b.Subscribe(fmt.Sprint(c))
				if r < rounds-1 || c%2 == 1 {
					b.Unsubscribe(fmt.Sprint(c))
				}
			}
		})
	}
	wg.Wait()
	for c := range channels {
		awaitReceivers(t, b, fmt.Sprint(c), int64(1-c%2))
	}
	for c := 0; c < channels; c += 2 {
		channel := fmt.Sprint(c)
		Eventually(t, "the last wish is announced", func() bool { return sink.Announced(channel) > 0 })
		publish(t, b, channel, "end", 1)
		Eventually(t, "a message on "+channel, func() bool { return slices.Contains(sink.Messages(channel), "end") })
	}
}

func testReceivers(t *testing.T, f Fixture) {
	one, sinkOne := Start(t, f, "t:")
	two, sinkTwo := Start(t, f, "t:")
	publish(t, one, "a", "x", 0)
	subscribe(t, one, sinkOne, "a")
	publish(t, two, "a", "y", 1)
	subscribe(t, two, sinkTwo, "a")
	publish(t, one, "a", "z", 2)
	awaitMessages(t, sinkOne, "a", "y", "z")
	awaitMessages(t, sinkTwo, "a", "z")
}

func testPublishers(t *testing.T, f Fixture) {
	const publishers, each = 8, 200
	b, sink := Start(t, f, "t:")
	subscribe(t, b, sink, "a")
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				if _, err := b.Publish(context.Background(), "a", fmt.Appendf(nil, "%d %d", p, i)); err != nil {
					t.Errorf("Publish: %v", err)
				}
			}
		})
	}
	wg.Wait()
	Eventually(t, "every message", func() bool { return sink.Count() >= publishers*each })
	next := [publishers]int{}
	for _, m := range sink.Messages("a") {
		var p, i int
		if _, err := fmt.Sscan(m, &p, &i); err != nil || i != next[p] {
			t.Fatalf("%q came when %d was next: %v", m, next[p], err)
		}
		next[p]++
	}
}

func testPrefixes(t *testing.T, f Fixture) {
	one, sinkOne := Start(t, f, "one:")
	two, sinkTwo := Start(t, f, "two:")
	subscribe(t, one, sinkOne, "a")
	subscribe(t, two, sinkTwo, "a")
	publish(t, one, "a", "for one", 1)
	publish(t, two, "a", "for two", 1)
	awaitMessages(t, sinkOne, "a", "for one")
	awaitMessages(t, sinkTwo, "a", "for two")
}

func testBeforeRun(t *testing.T, f Fixture) {
	b := f.Open(t, "t:")
	b.Subscribe("kept")
	b.Subscribe("withdrawn")
	b.Unsubscribe("withdrawn")
	sink := NewRecorder()
	Background(t, b, sink)
	Eventually(t, "the wish is announced", func() bool { return sink.Announced("kept") == 1 })
	publish(t, b, "kept", "x", 1)
	publish(t, b, "withdrawn", "x", 0)
	awaitMessages(t, sink, "kept", "x")
	if sink.Announced("withdrawn") != 0 {
		t.Error("a withdrawn wish is announced")
	}
}

// chain subscribes to the next channel from inside Subscribed, and withdraws
// the last one.
type chain struct {
	*Recorder
	b pubsub.Broker
}

func (c chain) Lane(link pubsub.Link) pubsub.Receiver {
	c.Recorder.Lane(link)
	return c
}

func (c chain) Subscribed(channel string) {
	c.Recorder.Subscribed(channel)
	if len(channel) < 10 {
		c.b.Subscribe(channel + "x")
		c.b.Unsubscribe(channel)
	}
}

func testSinkSubscribes(t *testing.T, f Fixture) {
	b := f.Open(t, "t:")
	sink := chain{NewRecorder(), b}
	Background(t, b, sink)
	b.Subscribe("x")
	Eventually(t, "the end of the chain", func() bool { return sink.Announced("xxxxxxxxxx") == 1 })
	awaitReceivers(t, b, "xxxxxxxxx", 0)
}

func testRunAgain(t *testing.T, f Fixture) {
	b := f.Open(t, "t:")
	b.Subscribe("a")
	for range 3 {
		sink := NewRecorder()
		stop := Background(t, b, sink)
		Eventually(t, "the wish is announced", func() bool { return sink.Announced("a") == 1 })
		publish(t, b, "a", "x", 1)
		awaitMessages(t, sink, "a", "x")
		if err := b.Run(context.Background(), sink); err == nil {
			t.Error("a second Run at the same time returned nil")
		}
		stop()
		if n := len(sink.Interruptions()); n != 0 {
			t.Errorf("%d interruptions, though Run was ended", n)
		}
		awaitReceivers(t, b, "a", 0)
	}
}

func testShutdown(t *testing.T, f Fixture) {
	b := f.Open(t, "t:")
	publish(t, b, "warm", "the command pool has a connection now", 0)
	for range 3 {
		// What is started inside has the label, so that other tests may run meanwhile.
		pprof.Do(t.Context(), pprof.Labels(shutdownLabel, t.Name()), func(context.Context) {
			sink := NewRecorder()
			stop := Background(t, b, sink)
			subscribe(t, b, sink, "a")
			stop()
		})
		Eventually(t, "nothing that was started runs any more", func() bool { return labelled(t.Name()) == 0 })
	}
	awaitReceivers(t, b, "a", 0)
}

const shutdownLabel = "sluice-shutdown"

// labelled is how many goroutines have that value of the label.
func labelled(value string) int {
	var profile strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		panic(err) // a Builder takes everything
	}
	return strings.Count(profile.String(), fmt.Sprintf("%q:%q", shutdownLabel, value))
}
