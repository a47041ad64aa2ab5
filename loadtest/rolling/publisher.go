package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/loadtest/internal/history"
)

// channelLog is one durable channel with what was published on it.
type channelLog struct {
	name     string
	messages []history.Published // belongs to the publisher until it has ended
}

// publisher is a service that publishes on all channels in turn, at a steady rate. It belongs to one goroutine.
type publisher struct {
	client *redis.Client
	logs   []*channelLog
	rate   float64 // messages a second
	next   int     // the channel whose turn it is

	mu   sync.Mutex
	made []int64 // guarded by mu; when each message was taken by Redis
}

const publishEvery = 10 * time.Millisecond

// run publishes until quit is closed, and then once more on each channel: who has got that has had its chance of all others.
func (p *publisher) run(ctx context.Context, quit <-chan struct{}) error {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	began, done := time.Now(), 0
	for {
		select {
		case <-tick.C:
			due := int(time.Since(began).Seconds() * p.rate)
			if err := p.publish(ctx, min(due-done, 1000)); err != nil {
				return err
			}
			done = max(done, min(due, done+1000))
		case <-quit:
			p.next = 0
			return p.publish(ctx, len(p.logs))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// publish publishes n messages, in one pipeline.
func (p *publisher) publish(ctx context.Context, n int) error {
	if n <= 0 {
		return nil
	}
	pipe := p.client.Pipeline()
	logs, answers := make([]*channelLog, n), make([]*redis.Cmd, n)
	sent := time.Now().UnixNano()
	for i := range n {
		l := p.logs[p.next]
		p.next = (p.next + 1) % len(p.logs)
		logs[i] = l
		payload := messageText(l.name, len(l.messages))
		l.messages = append(l.messages, history.Published{Sent: sent, Calls: 1})
		answers[i] = pipe.FCall(ctx, "sluice_publish", []string{prefix + l.name}, payload, "size", 10_000)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	acked := time.Now().UnixNano()
	taken := map[*channelLog]int{} // a channel may have several of them
	for i := len(answers) - 1; i >= 0; i-- {
		l := logs[i]
		taken[l]++
		at, err := answers[i].Slice()
		if err != nil || len(at) != 2 {
			return fmt.Errorf("sluice_publish answered %v, %w", at, err)
		}
		m := &l.messages[len(l.messages)-taken[l]]
		position, ok := at[0].(int64)
		if !ok {
			return fmt.Errorf("sluice_publish answered the position %v", at[0])
		}
		m.Acked, m.Position, m.Epoch = acked, uint64(position), fmt.Sprint(at[1])
	}
	p.mu.Lock()
	for range n {
		p.made = append(p.made, acked)
	}
	p.mu.Unlock()
	return nil
}

const prefix = "sluice:" // what nodes put before channel names

// messageText is the payload of a message: its channel and number, and filler up to 100 bytes. It is no JSON, so that sluice.v1
// has it as text.
func messageText(channel string, number int) string {
	s := channel + " " + strconv.Itoa(number) + " "
	return s + strings.Repeat(".", max(0, 100-len(s)))
}

// messageNumber is the reverse; false for what nobody sent there.
func messageNumber(channel, text string) (int, bool) {
	rest, ok := strings.CutPrefix(text, channel+" ")
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(digits)
	return n, err == nil && messageText(channel, n) == text
}
