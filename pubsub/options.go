package pubsub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Options configure Open. A zero field means its default.
type Options struct {
	// URL is where Redis is: one redis://[[user]:password@]host[:port][/db] or
	// rediss:// for TLS, several of them as shards, redis+sentinel:// or
	// redis+cluster://; see package redisurl.
	URL string
	// Prefix stands before every channel name on the wire. Names in this
	// package's API are without it. Default "sluice:".
	Prefix string
	// First is a channel that is subscribed before all others after a reconnect: the
	// one by which this node is answered, so that no client speaks before it can be.
	First string
	// Lanes is how many subscribe connections each server has. Its channels are
	// spread over them. 1..64, default 1.
	Lanes int
	// Functions has Run load the library of Redis Functions into each server that
	// allows it.
	Functions bool
	// ClientName is what CLIENT LIST shows for subscribe connections.
	// Default "sluice-sub".
	ClientName string

	MaxMessage int // bytes of one payload; a longer one is skipped and counted. Default 16 MiB
	ReadBuffer int // bytes, usual size of the receive buffer; it grows to MaxMessage when it must. Default 64 KiB

	FlushInterval time.Duration // least time between two flushes of wishes; the first goes at once. Default 2 ms
	ChunkNames    int           // names in one SUBSCRIBE, 1..1000: Redis serves nobody else meanwhile, 2 µs a name. Default 100
	ChunkBytes    int           // bytes of expected confirmations outstanding on a server, over all its lanes: Redis takes at once what it finds. Default 128 KiB

	DialTimeout  time.Duration // TCP and TLS. Default: the URL's dial_timeout, or 5 s
	WriteTimeout time.Duration // one write to the subscribe connection. Default 5 s
	ReplyTimeout time.Duration // a command unanswered for so long, while other things arrive, ends the connection. Default 10 s
	PingEvery    time.Duration // between PINGs on a subscribe connection. Default 5 s
	PongTimeout  time.Duration // nothing at all arrives for so long after a PING: dead, or doubted. Default 1 s
	ReadyLag     time.Duration // a wish unconfirmed for so long makes Ready fail. Default 2 s
	ProbeEvery   time.Duration // between probes of a lane, five times as often while none comes back; negative: none. Default 1 s
	ProbeTimeout time.Duration // a probe is late after this; one that is ProbeEvery older makes Ready fail. Default 750 ms
	RefreshEvery time.Duration // between looks at the layout of a Sentinel group or a Cluster, while all is well. Default 1 s
	MoveTimeout  time.Duration // how long Publish waits for the server that a Cluster sent it to. Default 2 s
	RefusedRetry time.Duration // between attempts for channels that Redis refuses. Default 10 s

	Events Events

	fakes
}

// fakes are what tests put in place of the network. nil: the network.
type fakes struct {
	dial    func(ctx context.Context, addr string) (net.Conn, error)                               // a subscribe connection
	publish func(ctx context.Context, addr, wire string, payload any) (receivers int64, err error) // go-redis
	look    func(ctx context.Context) (found, error)                                               // the layout's discovery
	reigns  func(addr string) bool                                                                 // an old master's answer
}

// Events are what an operator should hear. Any may be nil. They are called
// from Run's goroutines, of which each lane has its own, and must not block.
type Events struct {
	Connected   func(addr string)                                   // a subscribe connection answered its first PING
	Lost        func(addr string, err error, retryIn time.Duration) // it broke, or an attempt failed; the next comes after retryIn
	Silent      func(addr string, since time.Duration)              // it says nothing: either Redis stands still or the connection is dead, which is being found out
	Restoring   func(addr string, done, channels int)               // of the wishes that stood at Connected so many are confirmed; every second
	Restored    func(addr string, channels int, took time.Duration) // all are
	NoFunctions func(addr string, err error)                        // the functions could not be loaded there: services cannot call them
	Layout      func(addrs []string)                                // masters, or their slots, are others now
	Gap         func(Gap)                                           // messages may have been missed: told when that begins, To zero, and when it ends
	Refused     func(channel string, err error)                     // Redis refuses this channel (ACL), once more at every RefusedRetry
	Oversize    func(channel string, bytes int64)                   // a message was skipped because it is longer than MaxMessage
	Unexpected  func(channel string)                                // a message came on a channel outside the prefix, and was dropped
}

func (o Options) withDefaults() Options {
	def(&o.Prefix, "sluice:")
	def(&o.ClientName, "sluice-sub")
	def(&o.MaxMessage, 16<<20)
	def(&o.ReadBuffer, 64<<10)
	def(&o.FlushInterval, 2*time.Millisecond)
	def(&o.ChunkNames, 100)
	def(&o.ChunkBytes, 128<<10)
	def(&o.WriteTimeout, 5*time.Second)
	def(&o.ReplyTimeout, 10*time.Second)
	def(&o.PingEvery, 5*time.Second)
	def(&o.PongTimeout, time.Second)
	def(&o.Lanes, 1)
	def(&o.ProbeEvery, time.Second)
	def(&o.ProbeTimeout, 750*time.Millisecond)
	def(&o.RefreshEvery, time.Second)
	def(&o.MoveTimeout, 2*time.Second)
	def(&o.ReadyLag, 2*time.Second)
	def(&o.RefusedRetry, 10*time.Second)
	return o
}

func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func (o Options) validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("pubsub: "+format, args...))
		}
	}
	need(!strings.ContainsAny(o.Prefix, "{}*?[]\\ \r\n"), "prefix %q must not contain spaces or any of { } * ? [ ] \\", o.Prefix)
	need(len(o.Prefix) <= MaxChannel, "prefix is %d bytes long, at most %d are allowed", len(o.Prefix), MaxChannel)
	need(!strings.ContainsAny(o.ClientName, " \r\n"), "client name %q must not contain spaces", o.ClientName)
	need(o.Lanes >= 1 && o.Lanes <= 64, "subscribe connections per server must be 1 to 64, is %d", o.Lanes)
	need(o.MaxMessage > 0, "largest message must be positive, is %d", o.MaxMessage)
	need(o.ReadBuffer >= minReadBuffer, "read buffer must be at least %d bytes, is %d", minReadBuffer, o.ReadBuffer)
	need(o.ChunkNames >= 1 && o.ChunkNames <= 1000, "names per SUBSCRIBE must be 1 to 1000, is %d", o.ChunkNames)
	need(o.ChunkBytes >= 1, "outstanding confirmations must be positive, is %d", o.ChunkBytes)
	for name, d := range map[string]time.Duration{
		"flush interval": o.FlushInterval, "dial timeout": o.DialTimeout, "write timeout": o.WriteTimeout,
		"reply timeout": o.ReplyTimeout, "ping interval": o.PingEvery, "pong timeout": o.PongTimeout,
		"ready lag": o.ReadyLag, "probe timeout": o.ProbeTimeout, "refresh interval": o.RefreshEvery, "move timeout": o.MoveTimeout, "retry of refused channels": o.RefusedRetry,
	} {
		need(d >= 0, "%s must not be negative, is %v", name, d)
	}
	need(o.ProbeEvery < 0 || o.ProbeEvery >= leastProbeEvery, "probe interval must be at least %v, or negative, is %v", leastProbeEvery, o.ProbeEvery)
	return errors.Join(errs...)
}

// leastProbeEvery keeps probes from being a load of their own.
const leastProbeEvery = 10 * time.Millisecond
