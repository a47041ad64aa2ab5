package pubsub

import (
	"context"
	"time"
)

// Broker carries messages from Redis pub/sub into this node: at most once, per
// channel in the order Redis sent them. Channel names are without the prefix.
// All methods may be called from any goroutine; Subscribe and Unsubscribe
// record a wish and return at once.
type Broker interface {
	// Publish hands payload to the Redis that the channel belongs to (PUBLISH,
	// or SPUBLISH in a Cluster) and returns how many subscriptions it reached
	// there, this node's own included. It is never executed twice: an error
	// after it was sent means that the outcome is unknown. Publish keeps
	// nothing of payload.
	Publish(ctx context.Context, channel string, payload []byte) (receivers int64, err error)
	// Subscribe wishes for channel; Run carries the wish out, now or after a
	// reconnect. Receiver.Subscribed is called at least once for every
	// Subscribe that is not withdrawn.
	Subscribe(channel string)
	// Unsubscribe withdraws the wish. Messages that were under way may still
	// be delivered.
	Unsubscribe(channel string)
	// Run connects, subscribes, receives, and reconnects by itself for ever.
	// It returns ctx.Err() when ctx ends, and by then nothing of it runs any
	// more.
	Run(ctx context.Context, sink Sink) error
	// Ready is nil while messages are proven to arrive; otherwise it says in
	// words for an operator why not.
	Ready() error
}

// Sink receives what a Broker hears. A Broker hears over one or more lanes, each
// a subscribe connection with its own receive loop; every channel belongs to
// one lane at a time.
type Sink interface {
	// Lane returns the receiver of a lane that is about to begin. It may be
	// called from any goroutine, and must not call Subscribe or Unsubscribe.
	Lane(Link) Receiver
}

// Link is what a Receiver may ask of its lane, from any goroutine.
type Link interface {
	// Name is the server's address, and the number of the lane there.
	Name() string
	// Sound is a time before which nothing was published that has been missed
	// since the last gap ended.
	Sound() time.Time
	// Carries says whether the lane is the one that brings a channel, and is asked to. It may be
	// called under a lock under which the Receiver calls Subscribe and Unsubscribe.
	Carries(channel string) bool
}

// Receiver is a Sink's end of one lane. Its methods are called from the lane's
// receive loop, one at a time and in the order of the connection, and must not
// block: while one runs, nothing is read from that connection. They may call
// Subscribe and Unsubscribe.
//
// A channel moves to another lane where its server is another one now: the slot
// has moved, or there was a failover. Then Moved is called for it, from another
// goroutine, before the new lane asks Redis for it. What the old lane still delivers
// after Moved is to be dropped: its server may be a replica of the new one's by now, and say
// again what that says, or late. The old lane may have been about to call Subscribed then, which
// is to be ignored: Carries of its Link tells.
type Receiver interface {
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
	// been missed on every channel of the lane until Subscribed is called for
	// it again. It is not called when Run ends because its context did.
	Interrupted(err error)
	// Moved is Interrupted for a single channel that is not this lane's any more,
	// and means nothing where it is another's already. It may be called from any
	// goroutine.
	Moved(channel string)
	// Skipped says that one message on channel was not delivered, because it
	// is longer than Options.MaxMessage.
	Skipped(channel string)
}

// Cause is why messages may have been missed. It is fit for a metric label.
type Cause string

// The causes of gaps.
const (
	CauseConnection Cause = "connection" // a subscribe connection broke, or was proven deaf
	CauseMoved      Cause = "moved"      // a Cluster moved slots to another master
	CauseMailbox    Cause = "mailbox"    // a reactor was too far behind
	CauseOversize   Cause = "oversize"   // a message was longer than this node takes
	CauseLog        Cause = "log"        // the log of a channel does not hold what did not come live
)

// Gap is a stretch of time in which messages may have been missed. What was
// published outside of all gaps has been delivered.
type Gap struct {
	ID       uint64    // of this gap, unique while the process lives
	Link     string    // the lane
	Channel  string    // the one channel that it is about; "" means any of the lane's
	Cause    Cause     //
	From     time.Time // when the last probe that came back was published, or later
	To       time.Time // when the last channel was subscribed again; zero: not yet
	Channels int       // how many may have missed something
}
