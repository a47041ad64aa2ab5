package session

import (
	"context"
	"errors"
	"time"

	"sluice/loop"
	"sluice/pubsub"
)

// errReserved is for what would be taken for a durable message, with a position of the
// client's choice.
var errReserved = errors.New("session: a relayed message must not begin as durable messages do on their way to the nodes")

// relays says whether what clients publish in a channel goes to its subscribers at
// once, and not to the inbox.
func (p *Policy) relays(channel string) bool { return p.Namespace(channel).Relay }

// relay publishes what a client says in a channel whose namespace has that relayed:
// with sluice_publish where it is durable. done, if any, is called as errand says.
func (h *Handler) relay(c *loop.Conn, channel string, data []byte, done func(error)) {
	n := h.node.Policy.Namespace(channel)
	h.errand(c, func(ctx context.Context, b Broker) error {
		if n.Durable != nil && *n.Durable {
			_, _, err := b.PublishDurable(ctx, channel, data, pubsub.DurableOptions{Size: n.HistorySize, TTL: int(n.HistoryTTL / time.Second)})
			return err
		}
		if pubsub.IsReserved(data) {
			return errReserved
		}
		_, err := b.Publish(ctx, channel, data)
		return err
	}, done)
}
