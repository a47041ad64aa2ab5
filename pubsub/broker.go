package pubsub

import "context"

// Broker carries messages from Redis pub/sub into this node: at most once, per
// channel in the order Redis sent them. Channel names are without the prefix.
// All methods may be called from any goroutine; Subscribe and Unsubscribe
// record a wish and return at once.
type Broker interface {
	// Publish hands payload to Redis (PUBLISH) and returns how many
	// subscriptions it reached, this node's own included. It is never sent
	// twice: an error after it was sent means that the outcome is unknown.
	// Publish keeps nothing of payload.
	Publish(ctx context.Context, channel string, payload []byte) (receivers int64, err error)
	// Subscribe wishes for channel; Run carries the wish out, now or after a
	// reconnect. Sink.Subscribed is called at least once for every Subscribe
	// that is not withdrawn.
	Subscribe(channel string)
	// Unsubscribe withdraws the wish. Messages that were under way may still
	// be delivered.
	Unsubscribe(channel string)
	// Run connects, subscribes, receives, and reconnects by itself for ever.
	// It returns ctx.Err() when ctx ends, and by then nothing of it runs any
	// more.
	Run(ctx context.Context, sink Sink) error
	// Ready is nil while messages can be expected to arrive; otherwise it
	// says in words for an operator why not.
	Ready() error
}

// Sink receives what a Broker hears. All methods are called from Broker.Run's
// receive loop, one at a time and in the order of the connection, and must not
// block: while one runs, nothing is read from Redis. They may call Subscribe
// and Unsubscribe.
type Sink interface {
	// Deliver hands over one message. Both slices are valid only during the
	// call (they are the reader's buffer): copy what you keep.
	Deliver(channel, payload []byte)
	// Delivered says that everything which Redis had sent has been delivered,
	// before the receive loop waits for more: the moment to act on a burst as
	// a whole.
	Delivered()
	// Subscribed says that Redis has confirmed the SUBSCRIBE, that the wish
	// still stands, and that no UNSUBSCRIBE is in flight: what is published
	// from now on will be delivered. It is called again for every channel
	// after each reconnect, and when a wish was withdrawn and renewed.
	Subscribed(channel string)
	// Interrupted says that the subscribe connection broke: messages may have
	// been missed on every channel until Subscribed is called for it again.
	// It is not called when Run ends because its context did.
	Interrupted(err error)
}
