package main

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// service is the backend: it publishes at a rate that rises and falls, and reads what clients say. What Redis does not take while it is away
// is left out.
type service struct {
	redis *redis.Client
	stop  context.CancelFunc
	done  sync.WaitGroup
}

func newService(client *redis.Client) *service {
	redis.SetLogger(quiet{})
	ctx, stop := context.WithCancel(context.Background())
	s := &service{redis: client, stop: stop}
	s.done.Go(func() { s.publish(ctx) })
	s.done.Go(func() { s.work(ctx) })
	return s
}

// publish publishes some 20 to 100 messages a second, half of them durable, in waves of 40 seconds.
func (s *service) publish(ctx context.Context) {
	const every = 100 * time.Millisecond
	began, n := time.Now(), 0
	for hold(ctx, every) == nil {
		count := int(6 - 4*math.Cos(2*math.Pi*time.Since(began).Seconds()/40))
		pipe := s.redis.Pipeline()
		for range count {
			n++
			pipe.Publish(ctx, fmt.Sprintf("sluice:plain:%d", n%channels), "a message of a service")
			pipe.FCall(ctx, "sluice_publish", []string{fmt.Sprintf("sluice:durable:%d", n%channels)}, `{"n":1}`)
		}
		_, _ = pipe.Exec(ctx) // see above
	}
}

// work answers calls, and acknowledges everything.
func (s *service) work(ctx context.Context) {
	const stream, group = "sluice:inbox", "workers"
	for ctx.Err() == nil {
		s.redis.XGroupCreateMkStream(ctx, stream, group, "0") // it may be there
		for {
			streams, err := s.redis.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: "me", Streams: []string{stream, ">"}, Count: 100, Block: time.Second}).Result()
			if err != nil && err != redis.Nil { //nolint:errorlint // as the library says
				_ = hold(ctx, 200*time.Millisecond) // ended: the loop sees it, too
				break
			}
			pipe := s.redis.Pipeline()
			for _, entries := range streams {
				for _, e := range entries.Messages {
					if e.Values["type"] == "rpc" {
						pipe.Publish(ctx, fmt.Sprint(e.Values["reply"]), fmt.Sprintf("%s:%s 2", e.Values["conn"], e.Values["call"]))
					}
					pipe.XAck(ctx, stream, group, e.ID)
				}
			}
			_, _ = pipe.Exec(ctx) // what is not acknowledged stays pending
		}
	}
}

func (s *service) close() {
	s.stop()
	s.done.Wait()
	_ = s.redis.Close() // nothing is under way
}

// quiet keeps the library from writing that Redis is away, which it is meant to be.
type quiet struct{}

// Printf implements the library's logger.
func (quiet) Printf(context.Context, string, ...any) {}
