package api

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"sluice/config"
	"sluice/pubsub"
)

// message is what publish and broadcast have in common.
type message struct {
	Data           json.RawMessage   `json:"data"`    // published as the JSON text stands in the request
	B64Data        []byte            `json:"b64data"` // in its place, any bytes
	SkipHistory    bool              `json:"skip_history"`
	IdempotencyKey string            `json:"idempotency_key"`
	Tags           map[string]string `json:"tags"`
}

type publishParams struct {
	Channel string `json:"channel"`
	message
}

// published is where a message stands in its channel's log; zero where none is kept.
type published struct {
	Offset uint64 `json:"offset,omitempty"`
	Epoch  string `json:"epoch,omitempty"`
}

func (a *API) publish(ctx context.Context, p *publishParams) (published, error) {
	payload, err := p.payload()
	if err != nil {
		return published{}, err
	}
	return a.publishOn(ctx, p.Channel, payload, &p.message)
}

// payload is what is published, after a look at what is not possible.
func (m *message) payload() ([]byte, error) {
	switch {
	case len(m.Tags) > 0:
		return nil, &Error{CodeNotAvailable, "tags: a message is its payload and nothing else; put them into the data"}
	case m.B64Data != nil && len(m.Data) > 0:
		return nil, badRequest("data and b64data are both given; one is needed")
	case m.B64Data != nil:
		return m.B64Data, nil
	case len(m.Data) == 0:
		return nil, badRequest("data is missing")
	}
	return m.Data, nil
}

func (a *API) publishOn(ctx context.Context, channel string, payload []byte, m *message) (published, error) {
	if err := checkChannel(channel); err != nil {
		return published{}, err
	}
	n := a.opts.Namespace(channel)
	if !isDurable(n) || m.SkipHistory {
		if m.IdempotencyKey != "" {
			return published{}, &Error{CodeNotAvailable, "idempotency_key: only durable channels remember keys, and only of what goes into their log"}
		}
		if pubsub.IsReserved(payload) {
			return published{}, badRequest("data: a message must not begin as durable ones do on their way to the nodes")
		}
		_, err := a.opts.Broker.Publish(ctx, channel, payload)
		return published{}, err
	}
	if len(m.IdempotencyKey) > maxKey || strings.ContainsFunc(m.IdempotencyKey, func(r rune) bool { return r <= ' ' || r == 0x7F }) {
		return published{}, badRequest("idempotency_key: it has at most %d bytes, without spaces", maxKey)
	}
	at, epoch, err := a.opts.Broker.PublishDurable(ctx, channel, payload, pubsub.DurableOptions{
		Size: n.HistorySize, TTL: int(n.HistoryTTL / time.Second), ID: m.IdempotencyKey,
	})
	return published{uint64(at), epoch}, err
}

// maxKey is the longest idempotency key, bytes.
const maxKey = 128

func isDurable(n config.Namespace) bool { return n.Durable != nil && *n.Durable }

type broadcastParams struct {
	Channels []string `json:"channels"`
	message
}

type broadcastResult struct {
	Responses []reply `json:"responses"`
}

// maxChannels is how many channels one broadcast may have, and broadcasters how many
// are published on at a time.
const (
	maxChannels  = 1000
	broadcasters = 16
)

// broadcast publishes on many channels. Each has an answer of its own.
func (a *API) broadcast(ctx context.Context, p *broadcastParams) (broadcastResult, error) {
	payload, err := p.payload()
	if err != nil {
		return broadcastResult{}, err
	}
	if len(p.Channels) == 0 || len(p.Channels) > maxChannels {
		return broadcastResult{}, badRequest("channels: 1 to %d are possible, there are %d", maxChannels, len(p.Channels))
	}
	responses := make([]reply, len(p.Channels))
	next := make(chan int)
	var publishing sync.WaitGroup
	for range min(broadcasters, len(p.Channels)) {
		publishing.Go(func() {
			for i := range next {
				result, err := a.publishOn(ctx, p.Channels[i], payload, &p.message)
				if err != nil {
					responses[i].Error = asError(err)
				} else {
					responses[i].Result = result
				}
			}
		})
	}
	for i := range p.Channels {
		next <- i
	}
	close(next)
	publishing.Wait()
	return broadcastResult{responses}, nil
}
