package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// publication is one message on its way to the server.
type publication struct {
	channel string
	payload []byte // valid until publish returns
}

// publisher hands messages to the server under test. publish returns when all of batch, in its order, has been accepted.
type publisher interface {
	publish(ctx context.Context, batch []publication) error
	close() error
}

// answerWithin is how long Redis may take to answer, where the URL says nothing of it: a crowded machine is no failure.
const answerWithin = 30 * time.Second

// redisPublisher publishes through Redis, a batch in one pipeline.
type redisPublisher struct {
	client  *redis.Client
	prefix  string
	command string // PUBLISH, SPUBLISH or FCALL
}

// newRedisPublisher takes a redis:// URL and checks that it answers. command is publish, spublish or durable.
func newRedisPublisher(ctx context.Context, url, prefix, command string) (*redisPublisher, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	o.DisableIdentity = true
	o.MaxRetries = -1 // what is sent again comes twice, and would be the server's fault
	if o.ReadTimeout == 0 {
		o.ReadTimeout, o.WriteTimeout = answerWithin, answerWithin
	}
	p := &redisPublisher{client: redis.NewClient(o), prefix: prefix, command: command}
	if err := p.client.Ping(ctx).Err(); err != nil {
		_ = p.close() // it never worked
		return nil, fmt.Errorf("no answer from Redis at %s: %w", url, err)
	}
	return p, nil
}

func (p *redisPublisher) publish(ctx context.Context, batch []publication) error {
	pipe := p.client.Pipeline()
	for _, m := range batch {
		switch p.command {
		case "durable":
			pipe.Do(ctx, "FCALL", "sluice_publish", 1, p.prefix+m.channel, m.payload)
		case "spublish":
			pipe.SPublish(ctx, p.prefix+m.channel, m.payload)
		default:
			pipe.Publish(ctx, p.prefix+m.channel, m.payload)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("publishing %d messages with %s: %w", len(batch), strings.ToUpper(p.command), err)
	}
	return nil
}

func (p *redisPublisher) close() error { return p.client.Close() }

// helloFor makes the first message of each connection; nil without text.
func helloFor(text string, channels []string) func(id int) []byte {
	if text == "" {
		return nil
	}
	return func(id int) []byte {
		return []byte(strings.ReplaceAll(text, "{channel}", channels[id%len(channels)]))
	}
}
