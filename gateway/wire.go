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
	"sluice/gateway/gaps"
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
		Pings:            session.Pings,
		Closing:          session.Closing,
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

func brokerOptions(c *config.Config, url, node string, book *gaps.Log, log *zap.Logger) pubsub.Options {
	at := func(addr string) zap.Field { return zap.String("redis", addr) }
	return pubsub.Options{
		URL:          url,
		Prefix:       c.Prefix,
		First:        hub.DirectChannel(node),
		ClientName:   "sluice-" + node,
		Lanes:        c.PubSub.Lanes,
		ProbeEvery:   c.PubSub.ProbeInterval,
		ProbeTimeout: c.PubSub.ProbeTimeout,
		Functions:    true,
		Events: pubsub.Events{
			Connected: func(addr string) { log.Info("connected to Redis", at(addr)) },
			Lost: func(addr string, err error, retryIn time.Duration) {
				log.Warn("no connection to Redis: nothing arrives until it is back", at(addr), zap.Error(err), zap.Duration("retry_in", retryIn))
			},
			Silent: func(addr string, since time.Duration) {
				log.Warn("Redis says nothing: waiting for it, and trying another connection", at(addr), zap.Duration("since", since))
			},
			Restoring: func(addr string, done, channels int) {
				log.Info("channels are being subscribed", at(addr), zap.Int("done", done), zap.Int("channels", channels))
			},
			Restored: func(addr string, channels int, took time.Duration) {
				log.Info("channels subscribed", at(addr), zap.Int("channels", channels), zap.Duration("took", took))
			},
			Layout: func(addrs []string) {
				log.Info("the masters of Redis are known, or have changed, or what they carry has", zap.Strings("masters", addrs))
			},
			NoFunctions: func(addr string, err error) {
				log.Warn("Redis has not taken the functions: services cannot call them there; load them with `sluice functions`, see --help", at(addr), zap.Error(err))
			},
			Gap: noteGap(book, log),
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

// noteGap puts a gap into the book, and into the log when it has ended.
func noteGap(book *gaps.Log, log *zap.Logger) func(pubsub.Gap) {
	return func(g pubsub.Gap) {
		book.Note(g)
		if g.To.IsZero() || g.Cause == pubsub.CauseOversize { // which has a line of its own
			return
		}
		log.Warn("messages may have been missed: "+string(g.Cause), zap.String("link", g.Link), zap.String("channel", g.Channel),
			zap.Time("from", g.From), zap.Time("to", g.To), zap.Int("channels", g.Channels))
	}
}

// inboxOptions are for writers of all streams; life is this node's, by its lease.
func inboxOptions(c *config.Config, life string, log *zap.Logger) pubsub.InboxesOptions {
	o := pubsub.InboxesOptions{Parts: c.Inbox.Streams, Trimmed: func(s pubsub.StreamLag, g pubsub.GroupLag) {
		fields := []zap.Field{zap.String("stream", s.Stream), zap.String("group", g.Name), zap.Int64("unread", g.Lag),
			zap.Int64("length", s.Length), zap.Int64("inbox.maxlen", s.MaxLen)}
		if n := s.Trimmed(g); n > 0 {
			log.Error("inbox entries were trimmed before a consumer group had read them: add workers, or raise inbox.maxlen", append(fields, zap.Int64("lost", n))...)
			return
		}
		log.Warn("a consumer group is so far behind that inbox entries will be trimmed before it reads them: add workers, or raise inbox.maxlen", fields...)
	}}
	for _, name := range c.InboxStreams() {
		o.Streams = append(o.Streams, c.Prefix+name)
	}
	o.InboxOptions = pubsub.InboxOptions{
		Life:         life,
		Stream:       c.Prefix + c.Inbox.Stream,
		MaxLen:       int64(c.Inbox.MaxLen),
		QueueEntries: c.Inbox.Queue,
		QueueBytes:   int64(c.Inbox.QueueBytes),
		Owing: func(err error) {
			log.Warn("Redis refuses connect and disconnect entries, which are tried again: sluice doctor says whether this node may write them", zap.Error(err))
		},
		Down: func(err error) {
			log.Warn("Redis takes no inbox entries: clients that send are told to send again", zap.Error(err))
		},
		Up: func(after time.Duration) {
			log.Info("Redis takes inbox entries again", zap.Duration("after", after))
		},
	}
	return o
}

func leaseOptions(c *config.Config, self pubsub.Peer, log *zap.Logger) pubsub.LeaseOptions {
	who := func(p pubsub.Peer) []zap.Field {
		return []zap.Field{zap.String("peer", p.ID), zap.String("life", p.Life), zap.String("address", p.Address)}
	}
	return pubsub.LeaseOptions{
		Prefix:  c.Prefix,
		Self:    self,
		TTL:     c.Node.LeaseTTL,
		Timeout: min(c.Node.LeaseTTL*3/10, 2*time.Second), // a node that ends waits no longer for Redis
		LeaseEvents: pubsub.LeaseEvents{
			Joined: func(p pubsub.Peer) {
				if p.ID == self.ID {
					log.Warn("another node has this node's id, or this one was restarted", who(p)...)
					return
				}
				log.Info("another node is there", who(p)...)
			},
			Left: func(p pubsub.Peer) { log.Info("another node has left", who(p)...) },
			Died: func(p pubsub.Peer) { log.Warn("another node has died", who(p)...) },
			Lapsed: func(was, now pubsub.Peer) {
				log.Error("the other nodes have taken this one for dead, because its lease had run out: it goes on under another life",
					zap.String("was", was.Life), zap.String("life", now.Life))
			},
			Forgotten: func() { log.Warn("Redis has lost its data: this node has registered again") },
			Down: func(err error) {
				log.Warn("this node's lease is not renewed: if that lasts, the other nodes take it for dead", zap.Error(err))
			},
			Up: func(after time.Duration) {
				log.Info("this node's lease is renewed again", zap.Duration("after", after))
			},
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

// rules is what the hub has to know of a channel's namespace. tallies has the counters
// of each namespace, by its name.
func rules(c *config.Config, tallies map[string]*tally) func(channel string) *hub.Rules {
	policies := map[config.QueuePolicy]hub.Policy{
		config.QueueDisconnect: hub.Disconnect, config.QueueDrop: hub.Drop, config.QueueLatest: hub.Latest,
	}
	of := map[string]*hub.Rules{}
	for name, t := range tallies {
		n := c.Namespace(name + ":")
		r := &hub.Rules{Policy: policies[n.Policy], Gaps: &t.gaps, Usage: &t.usage, Recovery: int(c.Queue.Max)}
		if *n.Deflate {
			r.MinDeflate = max(1, int(c.Deflate.Min))
		}
		of[name] = r
	}
	return func(channel string) *hub.Rules { return of[c.Namespace(channel).Name] }
}

// policy is who may connect. Its faults are the operator's.
func (a *App) policy(c *config.Config, tokens *auth.Verifier) (session.Policy, error) {
	trust, err := peer.ParseTrust(c.Proxy.Trust)
	if err != nil {
		return session.Policy{}, fmt.Errorf("proxy.trust: %w", err)
	}
	header, err := peer.ParseHeader(c.Proxy.Header)
	if err != nil {
		return session.Policy{}, fmt.Errorf("proxy.header: %w", err)
	}
	p := session.Policy{
		Revoked:     func(who *auth.Identity) bool { return a.revoked.Has(who, time.Now()) },
		Namespace:   c.Namespace,
		Inbox:       func(channel string) string { return c.Prefix + c.Namespace(channel).Inbox },
		Trust:       trust,
		Header:      header,
		PerAddress:  c.Connections.PerAddress,
		PerUser:     c.Connections.PerUser,
		Patience:    c.Handshake.Timeout,
		Ping:        c.Ping.Interval,
		Grace:       c.Auth.Grace,
		Dev:         c.Dev,
		Anonymous:   c.Anonymous || c.Dev,
		Personal:    c.Personal,
		Echo:        c.Echo || c.Dev,
		Origins:     c.Origins,
		Protocols:   c.Protocols,
		MaxChannels: c.Connections.Channels,
		MaxAge:      c.Connections.MaxAge,
		MaxRecovery: c.Recovery.Max,
		MaxReply:    int(c.Queue.Max),
		MaxCalls:    c.RPC.Pending,
		CallTimeout: c.RPC.Timeout,
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
