package loop

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"sluice/codec"
)

// Options of an Engine. Zero fields take the value of DefaultOptions.
type Options struct {
	Reactors int // event loops, 1..256; 0 = one per CPU

	Request codec.RequestLimits  // bounds of an upgrade request
	Decoder codec.DecoderOptions // bounds of a message; shared, read-only once the engine runs

	HandshakeTimeout time.Duration // from accept to the end of the handshake
	PingInterval     time.Duration // without a byte from the client, at most, before it is pinged
	PingTimeout      time.Duration // from the ping to any byte from the client
	Pings            [][]byte      // whole frames with which connections may be pinged in place of a ping frame, by Conn.SetPing; never changed
	MessageTimeout   time.Duration // from the first byte of a message to its last
	CloseTimeout     time.Duration // from our close frame to the end of the connection

	// Closing chooses the code and reason of a close frame that this package or its
	// handler sends, where a connection's dialect has others for the same. nil: they stay.
	Closing func(c *Conn, code codec.StatusCode, reason string) (codec.StatusCode, string)

	MinDeflate int // bytes: shorter answers are not deflated; 0: none are

	// What a client may send before it is closed with 1008: so many a second, and
	// so many at once. 0 = no limit.
	MessageRate, MessageBurst int // data messages
	ByteRate, ByteBurst       int // bytes, framing included
	ControlRate, ControlBurst int // pings and pongs

	// Proxied says whose connections begin with a PROXY header, of the versions
	// that ProxyVersion takes. nil: nobody's do.
	Proxied      func(peer netip.Addr) bool
	ProxyVersion ProxyVersion

	AcceptRate int // connections accepted a second, the others wait in the kernel; 0 = no limit

	// Vital says which requests are answered also when there are MaxConnections:
	// a full node is healthy. nil: none are.
	Vital func(r *codec.Request) bool

	MaxConnections int // connections served at once; more are answered 503. 0 = what the fd limit allows
	MaxQueue       int // bytes waiting for one connection, the kernel's own queue not counted
	MaxUnsent      int // bytes that the kernel takes for one connection before it can send them; it would swallow some 4 MB by itself
	MaxBacklog     int // bytes waiting for all connections whose sockets are full
	MaxIncomplete  int // bytes of all messages that are not complete
	MaxMailbox     int // messages waiting for one reactor
	MaxMailboxSize int // bytes of those messages

	// TLS has all connections begin with a TLS handshake, behind a PROXY header where there
	// is one; nil: none do. It is never changed; its GetCertificate may say something new.
	TLS                  *tls.Config
	Handshakes           int // of TLS, at once; further ones wait for those
	HandshakesPerAddress int // those that wait included; further ones are refused. 0 = no limit

	Name func(ConnID) string // what a connection is called in the log; nil: its number

	Log *zap.Logger // must not block its caller: reactors write to it
}

// ProxyVersion is which versions of the PROXY protocol are taken.
type ProxyVersion uint8

// The choices.
const (
	ProxyAny ProxyVersion = iota
	ProxyV1               // text
	ProxyV2               // binary
)

func (v ProxyVersion) takes(version uint8) bool { return v == ProxyAny || uint8(v) == version }

// DefaultOptions are the figures used where an option is zero.
func DefaultOptions() Options {
	return Options{
		Request:          codec.DefaultRequestLimits,
		Decoder:          codec.DecoderOptions{MaxMessage: 64 << 10, MaxFragments: 1024},
		HandshakeTimeout: 5 * time.Second,
		PingInterval:     25 * time.Second,
		PingTimeout:      8 * time.Second,
		MessageTimeout:   time.Minute,
		CloseTimeout:     5 * time.Second,
		MaxQueue:         1 << 20,
		MaxUnsent:        16 << 10,
		MaxBacklog:       1 << 30,
		MaxIncomplete:    256 << 20,
		MaxMailbox:       1 << 16,
		MaxMailboxSize:   64 << 20,
		Handshakes:       1024,
		Log:              zap.NewNop(),
	}
}

// maxQueue bounds what may wait for one connection, so that 32 bits count it.
const maxQueue = 1 << 30

// withDefaults fills the zero fields of o.
func (o Options) withDefaults() Options {
	d := DefaultOptions()
	orElse(&o.Request.Line, d.Request.Line)
	orElse(&o.Request.Head, d.Request.Head)
	orElse(&o.Request.Headers, d.Request.Headers)
	orElse(&o.Decoder.MaxMessage, d.Decoder.MaxMessage)
	orElse(&o.Decoder.MaxFragments, d.Decoder.MaxFragments)
	orElse(&o.HandshakeTimeout, d.HandshakeTimeout)
	orElse(&o.PingInterval, d.PingInterval)
	orElse(&o.PingTimeout, d.PingTimeout)
	orElse(&o.MessageTimeout, d.MessageTimeout)
	orElse(&o.CloseTimeout, d.CloseTimeout)
	orElse(&o.MaxQueue, d.MaxQueue)
	orElse(&o.MaxUnsent, d.MaxUnsent)
	orElse(&o.MaxBacklog, d.MaxBacklog)
	orElse(&o.MaxIncomplete, d.MaxIncomplete)
	orElse(&o.MaxMailbox, d.MaxMailbox)
	orElse(&o.MaxMailboxSize, d.MaxMailboxSize)
	orElse(&o.Handshakes, d.Handshakes)
	orElse(&o.Log, d.Log)
	return o
}

// check refuses what no default could mend.
func (o *Options) check() error {
	for _, bound := range []struct {
		name  string
		value int64
	}{
		{"MaxConnections", int64(o.MaxConnections)},
		{"MaxQueue", int64(o.MaxQueue)},
		{"MaxUnsent", int64(o.MaxUnsent)},
		{"MaxBacklog", int64(o.MaxBacklog)},
		{"MaxIncomplete", int64(o.MaxIncomplete)},
		{"MessageRate", int64(o.MessageRate)},
		{"MessageBurst", int64(o.MessageBurst)},
		{"ByteRate", int64(o.ByteRate)},
		{"ByteBurst", int64(o.ByteBurst)},
		{"ControlRate", int64(o.ControlRate)},
		{"ControlBurst", int64(o.ControlBurst)},
		{"AcceptRate", int64(o.AcceptRate)},
		{"Handshakes", int64(o.Handshakes)},
		{"HandshakesPerAddress", int64(o.HandshakesPerAddress)},
		{"MaxMailbox", int64(o.MaxMailbox)},
		{"MaxMailboxSize", int64(o.MaxMailboxSize)},
		{"HandshakeTimeout", int64(o.HandshakeTimeout)},
		{"PingInterval", int64(o.PingInterval)},
		{"PingTimeout", int64(o.PingTimeout)},
		{"MessageTimeout", int64(o.MessageTimeout)},
		{"CloseTimeout", int64(o.CloseTimeout)},
	} {
		if bound.value < 0 {
			return fmt.Errorf("loop: %s is %d: it must not be negative", bound.name, bound.value)
		}
	}
	if o.MaxQueue > maxQueue {
		return fmt.Errorf("loop: MaxQueue is %d: it must not be above %d", o.MaxQueue, maxQueue)
	}
	if o.Reactors < 1 || o.Reactors > maxReactors {
		return fmt.Errorf("loop: %d reactors: must be 1 to %d", o.Reactors, maxReactors)
	}
	return nil
}

func orElse[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}
