package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

// errReserved is for what would be taken for a durable message, with a position of the
// client's choice.
var errReserved = errors.New("session: a relayed message must not begin as durable messages do on their way to the nodes")

// relays says whether what clients say in a channel goes to its subscribers at once, and
// not to the inbox.
func (p *Policy) relays(channel string) bool { return p.Namespace(channel).Relay }

// relaysAny says that of channels, which are put together with spaces.
func (p *Policy) relaysAny(channels string) bool {
	for channel := range strings.FieldsSeq(channels) {
		if p.relays(channel) {
			return true
		}
	}
	return false
}

// say passes on what a client says through e.Channel, one channel or several with spaces
// between, or none: to the subscribers of those whose namespace has that relayed, and for
// the others to the inbox. done, if any, is called as tell says, when all have it.
func (h *Handler) say(c *loop.Conn, g *guest, e pubsub.Entry, done func(error)) {
	if !h.node.InForce().relaysAny(e.Channel) {
		h.tell(c, g, e, done)
		return
	}
	var rest []string
	waiting := 0
	var worst error
	one := func(err error) {
		if err != nil {
			worst = err
		}
		if waiting--; waiting == 0 && done != nil {
			done(worst)
		}
	}
	for channel := range strings.FieldsSeq(e.Channel) {
		if !h.node.InForce().relays(channel) {
			rest = append(rest, channel)
			continue
		}
		waiting++
		h.relay(c, g, channel, &e, one)
	}
	if len(rest) > 0 {
		waiting++
		e.Channel = strings.Join(rest, " ")
		h.tell(c, g, e, one)
	}
}

// relay publishes what a client says in a channel, with sluice_publish where that is
// durable. There an ID keeps it from being published twice.
func (h *Handler) relay(c *loop.Conn, g *guest, channel string, e *pubsub.Entry, done func(error)) {
	n := h.node.InForce().Namespace(channel)
	data := e.Data
	o := pubsub.DurableOptions{Size: n.HistorySize, TTL: int(n.HistoryTTL / time.Second)}
	if e.ID != "" { // shortened, and fit for a key, whatever stands in the user's name
		sum := sha256.Sum256([]byte(scopedID(g, hub.ConnName(h.node.Life, c.ID()), e.ID)))
		o.ID = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	durable := n.Durable != nil && *n.Durable
	if !durable && pubsub.IsReserved(data) {
		h.r.Post(outcome{c.ID(), errReserved, done})
		return
	}
	h.pass(c, len(data), func(ctx context.Context, b Broker) error {
		if durable {
			_, _, err := b.PublishDurable(ctx, channel, data, o)
			return err
		}
		_, err := b.Publish(ctx, channel, data)
		return err
	}, done)
}
