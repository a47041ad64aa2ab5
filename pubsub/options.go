package pubsub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options configure Open. A zero field means its default.
type Options struct {
	// URL is redis://[[user]:password@]host[:port][/db] or rediss:// for TLS,
	// with go-redis' query parameters (skip_verify, dial_timeout, pool_size …).
	URL string
	// Prefix stands before every channel name on the wire. Names in this
	// package's API are without it. Default "sluice:".
	Prefix string
	// First is a channel that is subscribed before all others after a reconnect: the
	// one by which this node is answered, so that no client speaks before it can be.
	First string
	// ClientName is what CLIENT LIST shows for the subscribe connection.
	// Default "sluice-sub".
	ClientName string

	MaxMessage int // bytes of one payload; a longer one is skipped and counted. Default 16 MiB
	ReadBuffer int // bytes, usual size of the receive buffer; it grows to MaxMessage when it must. Default 64 KiB

	FlushInterval time.Duration // least time between two flushes of wishes; the first goes at once. Default 2 ms
	ChunkNames    int           // names in one SUBSCRIBE, 1..1000. Default 1000
	ChunkBytes    int           // bytes of expected confirmations outstanding. Default 1 MiB

	DialTimeout  time.Duration // TCP and TLS. Default: the URL's dial_timeout, or 5 s
	WriteTimeout time.Duration // one write to the subscribe connection. Default 5 s
	ReplyTimeout time.Duration // a command unanswered for so long, while other things arrive, ends the connection. Default 10 s
	PingEvery    time.Duration // between PINGs on the subscribe connection. Default 5 s
	PongTimeout  time.Duration // nothing at all arrives for so long after a PING: dead. Default 3 s
	ReadyLag     time.Duration // a wish unconfirmed for so long makes Ready fail. Default 2 s
	RefusedRetry time.Duration // between attempts for channels that Redis refuses. Default 10 s

	Events Events

	dial func(ctx context.Context) (net.Conn, error) // tests put a fake server here
}

// Events are what an operator should hear. Any may be nil. They are called
// from Run's goroutines, one at a time each, and must not block.
type Events struct {
	Connected  func(addr string)                      // the subscribe connection answered its first PING
	Lost       func(err error, retryIn time.Duration) // it broke, or an attempt failed; the next comes after retryIn
	Restored   func(channels int, took time.Duration) // every wish that stood at Connected is confirmed
	Refused    func(channel string, err error)        // Redis refuses this channel (ACL), once more at every RefusedRetry
	Oversize   func(channel string, bytes int64)      // a message was skipped because it is longer than MaxMessage
	Unexpected func(channel string)                   // a message came on a channel outside the prefix, and was dropped
}

func (o Options) withDefaults() Options {
	def(&o.Prefix, "sluice:")
	def(&o.ClientName, "sluice-sub")
	def(&o.MaxMessage, 16<<20)
	def(&o.ReadBuffer, 64<<10)
	def(&o.FlushInterval, 2*time.Millisecond)
	def(&o.ChunkNames, 1000)
	def(&o.ChunkBytes, 1<<20)
	def(&o.WriteTimeout, 5*time.Second)
	def(&o.ReplyTimeout, 10*time.Second)
	def(&o.PingEvery, 5*time.Second)
	def(&o.PongTimeout, 3*time.Second)
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
	need(o.MaxMessage > 0, "largest message must be positive, is %d", o.MaxMessage)
	need(o.ReadBuffer >= minReadBuffer, "read buffer must be at least %d bytes, is %d", minReadBuffer, o.ReadBuffer)
	need(o.ChunkNames >= 1 && o.ChunkNames <= 1000, "names per SUBSCRIBE must be 1 to 1000, is %d", o.ChunkNames)
	need(o.ChunkBytes >= 1, "outstanding confirmations must be positive, is %d", o.ChunkBytes)
	for name, d := range map[string]time.Duration{
		"flush interval": o.FlushInterval, "dial timeout": o.DialTimeout, "write timeout": o.WriteTimeout,
		"reply timeout": o.ReplyTimeout, "ping interval": o.PingEvery, "pong timeout": o.PongTimeout,
		"ready lag": o.ReadyLag, "retry of refused channels": o.RefusedRetry,
	} {
		need(d >= 0, "%s must not be negative, is %v", name, d)
	}
	return errors.Join(errs...)
}

// parseURL turns the URL into go-redis' options. Its errors never contain the
// URL: it may hold a password.
func parseURL(url string) (*redis.Options, error) {
	scheme, _, ok := strings.Cut(url, "://")
	switch {
	case url == "":
		return nil, errors.New("pubsub: no Redis URL given; write it as redis://user:password@host:6379/0")
	case !ok:
		return nil, errors.New("pubsub: the Redis URL has no scheme; write it as redis://user:password@host:6379/0")
	case scheme == "redis+sentinel" || scheme == "redis+cluster":
		return nil, fmt.Errorf("pubsub: %s:// is not supported by this version; use redis:// or rediss:// with the address of one Redis", scheme)
	case scheme != "redis" && scheme != "rediss":
		return nil, fmt.Errorf("pubsub: unknown scheme %q in the Redis URL; use redis:// or rediss:// (TLS)", scheme)
	}
	o, err := redis.ParseURL(url)
	if err != nil {
		// The parser's error repeats parts of the URL, which may be parts of a
		// password with an unescaped / or #.
		return nil, errors.New("pubsub: the Redis URL cannot be parsed; write it as redis://user:password@host:6379/0" +
			" with special characters of user and password percent-encoded, and only go-redis' parameters after the ?")
	}
	if o.MaxRetries > 0 {
		return nil, errors.New("pubsub: max_retries in the Redis URL would send a message twice when its answer is lost; remove it")
	}
	o.MaxRetries = -1   // off: PUBLISH and XADD are not idempotent
	o.DialerRetries = 1 // a dead Redis is reported after one dial timeout, not five
	o.ContextTimeoutEnabled = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}
