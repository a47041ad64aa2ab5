package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redistest"
)

// counter is a Sink that only counts.
type counter struct{ messages, subscribed atomic.Int64 }

func (c *counter) Deliver(_, _ []byte)              { c.messages.Add(1) }
func (c *counter) Subscribed(string)                { c.subscribed.Add(1) }
func (c *counter) Delivered()                       {}
func (c *counter) Lane(pubsub.Link) pubsub.Receiver { return c }
func (c *counter) Moved(string)                     {}
func (c *counter) Skipped(string)                   {}
func (c *counter) Interrupted(error)                {}

// BenchmarkRedis receives 128-byte messages from a real Redis, which publishes
// them itself in a script, 1000 at a time: so the figure is what Redis sends
// and this package takes on a shared machine.
func BenchmarkRedis(b *testing.B) {
	s := redistest.Start(b)
	broker := open(b, pubsub.Options{URL: s.URL})
	var sink counter
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- broker.Run(ctx, &sink) }()
	defer func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
	}()
	broker.Subscribe("a")
	pubsubtest.Eventually(b, "subscribed", func() bool { return sink.subscribed.Load() == 1 })
	const script = "for i = 1, 1000 do redis.call('PUBLISH', 'sluice:a', ARGV[1]) end"
	payload := make([]byte, 128)
	sent := int64(0)
	for b.Loop() {
		if err := broker.Client("").Eval(ctx, script, nil, payload).Err(); err != nil && err.Error() != "redis: nil" {
			b.Fatal(err)
		}
		sent += 1000
		for sent-sink.messages.Load() > 50_000 { // stay below Redis' output buffer limit
		}
	}
	pubsubtest.Eventually(b, "all arrived", func() bool { return sink.messages.Load() == sent })
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkSubscribe subscribes to channels until Redis has confirmed them.
func BenchmarkSubscribe(b *testing.B) {
	s := redistest.Start(b)
	broker := open(b, pubsub.Options{URL: s.URL})
	var sink counter
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- broker.Run(ctx, &sink) }()
	defer func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
	}()
	n := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		n++
		broker.Subscribe(fmt.Sprintf("channel:%016d", n))
	}
	pubsubtest.Eventually(b, "all are confirmed", func() bool { return sink.subscribed.Load() == n })
}
