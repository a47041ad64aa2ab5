package pubsub

import (
	"sync/atomic"
	"time"
)

// Stats is a snapshot of a Redis broker. Counters start at zero with Open and
// only grow.
type Stats struct {
	Messages int64 // delivered to the sink
	Bytes    int64 // of their payloads

	Oversize      int64 // messages longer than Options.MaxMessage: skipped, lost
	OversizeBytes int64 // of their payloads

	Connects   int64 // subscribe connections that came up
	Losses     int64 // of those, how many broke: each is one Sink.Interrupted
	FailedDial int64 // attempts that never came up

	Wished    int // channels wished for now
	Confirmed int // of those, confirmed by Redis on this connection
	Pending   int // SUBSCRIBEs and UNSUBSCRIBEs that wait to be sent or confirmed
	Refused   int // channels whose SUBSCRIBE Redis refuses (ACL)

	Connected      bool
	ConnectedSince time.Time     // zero while not connected
	RoundTrip      time.Duration // of the last PING, at least; includes what was queued before it
	LastError      string        // why the last connection or attempt failed; "" if none ever did
	LastErrorAt    time.Time
}

// counters are what the receive loop and the connector count.
type counters struct {
	messages, bytes         atomic.Int64
	oversize, oversizeBytes atomic.Int64
	connects, losses, fails atomic.Int64
	roundTrip               atomic.Int64 // ns
}
