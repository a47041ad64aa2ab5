package main

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"sluice/codec"
	"sluice/config"
	"sluice/gateway/auth"
	"sluice/gateway/hub"
	"sluice/gateway/peer"
	"sluice/gateway/session"
	"sluice/loop"
	"sluice/pubsub"
)

// This file is the one place where the configuration becomes the options of the
// parts, which do not know it.

func loopOptions(c *config.Config, log *zap.Logger) (loop.Options, error) {
	proxied, version, err := proxied(c)
	return loop.Options{
		Proxied:          proxied,
		ProxyVersion:     version,
		AcceptRate:       c.Connections.AcceptRate,
		Reactors:         c.Reactors,
		Request:          codec.RequestLimits{Line: int(c.Handshake.Line), Head: int(c.Handshake.Head), Headers: c.Handshake.Headers},
		Decoder:          codec.DecoderOptions{MaxMessage: uint64(c.Message.Max), MaxFragments: c.Message.Fragments},
		HandshakeTimeout: c.Handshake.Timeout,
		PingInterval:     c.Ping.Interval,
		PingTimeout:      c.Ping.Timeout,
		MessageTimeout:   c.Message.Timeout,
		CloseTimeout:     c.Close.Timeout,
		MaxConnections:   c.Connections.Max,
		MessageRate:      c.Message.Rate,
		MessageBurst:     c.Message.Burst,
		ByteRate:         int(c.Message.BytesRate),
		ByteBurst:        int(c.Message.BytesBurst),
		ControlRate:      c.Message.ControlRate,
		ControlBurst:     2 * c.Message.ControlRate,
		MaxIncomplete:    int(c.Message.Incomplete),
		MinDeflate:       minDeflate(c),
		Vital:            session.Vital,
		MaxQueue:         int(c.Queue.Max),
		MaxUnsent:        int(c.Queue.Kernel),
		MaxBacklog:       int(c.Queue.Total),
		MaxMailbox:       c.Queue.Mailbox,
		MaxMailboxSize:   int(c.Queue.MailboxBytes),
		Log:              log,
	}, err
}

func brokerOptions(c *config.Config, url, node string, log *zap.Logger) pubsub.Options {
	return pubsub.Options{
		URL:        url,
		Prefix:     c.Prefix,
		First:      hub.DirectChannel(node),
		ClientName: "sluice-" + node,
		Events: pubsub.Events{
			Connected: func(addr string) { log.Info("connected to Redis", zap.String("redis", addr)) },
			Lost: func(err error, retryIn time.Duration) {
				log.Warn("no connection to Redis: nothing arrives until it is back", zap.Error(err), zap.Duration("retry_in", retryIn))
			},
			Restored: func(channels int, took time.Duration) {
				log.Info("channels subscribed", zap.Int("channels", channels), zap.Duration("took", took))
			},
			Refused: func(channel string, err error) {
				log.Warn("Redis refuses a channel: its clients wait in vain, check the ACL of this node's Redis user",
					zap.String("channel", channel), zap.Error(err))
			},
			Oversize: func(channel string, bytes int64) {
				log.Warn("a message was lost: it is longer than this node takes from Redis", zap.String("channel", channel), zap.Int64("bytes", bytes))
			},
			Unexpected: func(channel string) {
				log.Warn("a message was dropped: its channel is outside the prefix", zap.String("channel", channel))
			},
		},
	}
}

func inboxOptions(c *config.Config, log *zap.Logger) pubsub.InboxOptions {
	return pubsub.InboxOptions{
		Stream:       c.Prefix + c.Inbox.Stream,
		MaxLen:       int64(c.Inbox.MaxLen),
		QueueEntries: c.Inbox.Queue,
		QueueBytes:   int64(c.Inbox.QueueBytes),
		Down: func(err error) {
			log.Warn("Redis takes no inbox entries: clients that send are told to send again", zap.Error(err))
		},
		Up: func(after time.Duration) {
			log.Info("Redis takes inbox entries again", zap.Duration("after", after))
		},
	}
}

// minDeflate is the shortest payload that is deflated, 0 where none are.
func minDeflate(c *config.Config) int {
	if !c.Deflate.Enabled {
		return 0
	}
	return max(1, int(c.Deflate.Min))
}

// rules is what the hub has to know of a channel's namespace.
func rules(c *config.Config) func(channel string) hub.Rules {
	policies := map[config.QueuePolicy]hub.Policy{
		config.QueueDisconnect: hub.Disconnect, config.QueueDrop: hub.Drop, config.QueueLatest: hub.Latest,
	}
	return func(channel string) hub.Rules {
		n := c.Namespace(channel)
		r := hub.Rules{Policy: policies[n.Policy]}
		if *n.Deflate {
			r.MinDeflate = max(1, int(c.Deflate.Min))
		}
		return r
	}
}

// policy is who may connect. Its faults are the operator's.
func policy(c *config.Config, tokens *auth.Verifier) (session.Policy, error) {
	trust, err := peer.ParseTrust(c.Proxy.Trust)
	if err != nil {
		return session.Policy{}, fmt.Errorf("proxy.trust: %w", err)
	}
	header, err := peer.ParseHeader(c.Proxy.Header)
	if err != nil {
		return session.Policy{}, fmt.Errorf("proxy.header: %w", err)
	}
	p := session.Policy{
		Namespace:   c.Namespace,
		Trust:       trust,
		Header:      header,
		PerAddress:  c.Connections.PerAddress,
		PerUser:     c.Connections.PerUser,
		Dev:         c.Dev,
		Anonymous:   c.Anonymous || c.Dev,
		Echo:        c.Echo || c.Dev,
		Origins:     c.Origins,
		Protocols:   c.Protocols,
		MaxChannels: c.Connections.Channels,
		Deflate:     c.Deflate.Enabled || slices.ContainsFunc(c.Namespaces, func(n config.Namespace) bool { return n.Deflate != nil && *n.Deflate }),
	}
	if tokens != nil {
		p.Tokens = tokens
	}
	return p, nil
}

// proxied says whose connections begin with a PROXY header, nil for nobody's.
func proxied(c *config.Config) (func(netip.Addr) bool, loop.ProxyVersion, error) {
	versions := map[string]loop.ProxyVersion{config.ProxyV1: loop.ProxyV1, config.ProxyV2: loop.ProxyV2, config.ProxyAny: loop.ProxyAny}
	if c.Proxy.Protocol == config.ProxyOff {
		return nil, loop.ProxyAny, nil
	}
	from, err := peer.ParseTrust(c.Proxy.From)
	if err != nil {
		return nil, loop.ProxyAny, fmt.Errorf("proxy.from: %w", err)
	}
	return from.Contains, versions[c.Proxy.Protocol], nil
}
