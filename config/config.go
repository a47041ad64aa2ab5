package config

import (
	"reflect"
	"time"
)

// Config is one node's configuration. The field tags are the single source of every setting's name, help and
// bounds: flags, environment names, the YAML file, validation and the printed documentation are all read from them.
//
//	yaml    name inside its section; section and name joined by a dot are the setting's key
//	help    what it means, and what to do with it; no trailing full stop
//	range   inclusive bounds, in the setting's own notation; checked by Validate
//	oneof   the only accepted values, separated by |; one that is empty stands for a value left out
//	example a list's items as one YAML line, for the documentation
//	prefix, group, embed, name    are kong's: the flag's prefix, its group in --help, its name where it differs
//
// A slice of structs is a list that the file alone can hold; the tags of its struct describe each item in the same way.
//
// A Config is a plain value: copy it freely. It is safe for concurrent reading once loaded.
type Config struct {
	Listen string `yaml:"listen" help:"Address of the public listener: WebSocket, event streams, /healthz and /readyz, as host:port; no host means every interface"`
	Admin  string `yaml:"admin" help:"Address of the admin listener: /metrics, /healthz, /readyz, pprof, console, HTTP API; but for that it has no login, keep it private; empty switches it off"`
	Redis  string `yaml:"redis" help:"The broker: redis://[user:password@]host:port[/db], or rediss:// for TLS; several of them with commas between, over which channels are spread; redis+sentinel://host:port?master_name=name; redis+cluster://host:port; or embedded://host:port for an in-process one that is this node's alone and not persistent"`
	Prefix string `yaml:"prefix" help:"What every Redis channel and key of this installation begins with; clients can reach nothing outside it"`

	Dev       bool `yaml:"dev" help:"For a laptop: lets anonymous clients in, pages of any loopback origin, and serves /echo; durable channels are on, and it ends without drain.window, where nothing else is said"`
	Anonymous bool `live:"yes" yaml:"anonymous" help:"Lets clients in without a token; a token that one shows must be valid all the same where keys are configured"`
	Personal  bool `live:"yes" yaml:"personal" help:"Subscribes every connection of a user to the user's own channel when it connects, so that what is published on #42 reaches user 42 wherever that is; otherwise clients that want it ask for it"`
	Echo      bool `live:"yes" yaml:"echo" help:"Serves /echo, which sends every message back: for conformance suites and load tests"`

	Origins   []string `live:"yes" yaml:"origins" help:"Exact origins of the web pages that may connect, each scheme://host[:port] as the browser sends it; empty lets any page in, or with dev only those of this machine"`
	Protocols []string `live:"yes" yaml:"protocols" help:"Subprotocols that may be answered to a client that offers some; * answers the first one offered"`
	Reactors  int      `yaml:"reactors" range:"0..256" help:"Event loops that own the connections; 0 means one per CPU"`

	Node        Node        `yaml:"node" embed:"" prefix:"node-" group:"Node"`
	Connections Connections `yaml:"connections" embed:"" prefix:"connections-" group:"Connections"`
	Proxy       Proxy       `yaml:"proxy" embed:"" prefix:"proxy-" group:"Proxies in front"`
	TLS         TLS         `yaml:"tls" embed:"" prefix:"tls-" group:"TLS"`
	Auth        Auth        `live:"yes" yaml:"auth" embed:"" prefix:"auth-" group:"Tokens"`
	API         API         `yaml:"api" embed:"" prefix:"api-" group:"HTTP API"`
	Namespaces  []Namespace `live:"yes" yaml:"namespaces" kong:"-" group:"Namespaces" help:"Who may do what on which channels: an item rules the channels whose name begins with its own name and a colon; the item with the empty name rules all that no other one does, names without a colon among them" example:"- {name: inbox, subscribe: user, publish: nobody}"`
	Message     Message     `live:"yes" yaml:"message" embed:"" prefix:"message-" group:"Messages from clients"`
	Queue       Queue       `yaml:"queue" embed:"" prefix:"queue-" group:"Queues to clients"`
	Deflate     Deflate     `live:"yes" yaml:"deflate" embed:"" prefix:"deflate-" group:"Compression"`
	Handshake   Handshake   `live:"yes" yaml:"handshake" embed:"" prefix:"handshake-" group:"Handshake"`
	Ping        Ping        `live:"yes" yaml:"ping" embed:"" prefix:"ping-" group:"Keep-alive"`
	Close       Close       `live:"yes" yaml:"close" embed:"" prefix:"close-" group:"Closing"`
	PubSub      PubSub      `yaml:"pubsub" embed:"" prefix:"pubsub-" group:"Redis pub/sub"`
	Inbox       Inbox       `yaml:"inbox" embed:"" prefix:"inbox-" group:"Inbox, from clients to services"`
	RPC         RPC         `live:"yes" yaml:"rpc" embed:"" prefix:"rpc-" group:"Calls from clients to services"`
	Recovery    Recovery    `live:"yes" yaml:"recovery" embed:"" prefix:"recovery-" group:"Resuming"`
	Drain       Drain       `live:"yes" yaml:"drain" embed:"" prefix:"drain-" group:"Draining"`
	Shutdown    Shutdown    `live:"yes" yaml:"shutdown" embed:"" prefix:"shutdown-" group:"Shutdown"`
	Log         Log         `yaml:"log" embed:"" prefix:"log-" group:"Log"`

	from map[string]origin // by key: where the value was set; absent for defaults. Never changed after Load
}

// Node is this process among its equals.
type Node struct {
	ID string `yaml:"id" help:"Name of this node in Redis and in the log: 1 to 32 of A-Z a-z 0-9 _ -, unique among the nodes; empty means random at each start"`

	LeaseTTL time.Duration `yaml:"lease_ttl" range:"1s..5m" help:"How long the other nodes wait for a sign of life before they take this node for dead, which they then notice within one and a half times that; the same on all nodes"`
}

// Connections bounds what the node takes on.
type Connections struct {
	Max        int `yaml:"max" range:"0..10000000" help:"Client connections this node holds at most; 0 means as many as the file descriptor limit allows"`
	PerAddress int `live:"yes" yaml:"per_address" range:"0..10000000" help:"Connections that one client address may hold on this node; 0 means no limit, because a whole company or a load balancer may be one address: set proxy.protocol or proxy.trust first if there is one in front"`
	PerUser    int `live:"yes" yaml:"per_user" range:"0..10000000" help:"Connections that one user, the sub of a token, may hold on this node; 0 means no limit"`
	AcceptRate int `yaml:"accept_rate" range:"0..1000000" help:"New connections a second that this node takes; further ones wait; 0 means no limit"`
	Channels   int `live:"yes" yaml:"channels" range:"1..10000" help:"Channels one connection may be subscribed to"`

	MaxAge time.Duration `live:"yes" yaml:"max_age" range:"0s..8784h" help:"How long a connection lasts, by a fifth more or less at random, before its client is told to come back (1012), so that new nodes fill up; 0 means for as long as the client wants"`
}

// Message bounds what one client sends, message by message and in a second.
type Message struct {
	Max       Size `yaml:"max" range:"128B..256MiB" help:"Longest message accepted from a client, after reassembly; longer ones close the connection with 1009"`
	Fragments int  `yaml:"fragments" range:"1..1048576" help:"Most frames one message may be cut into"`

	Timeout time.Duration `yaml:"timeout" range:"100ms..1h" help:"Time from the first byte of a message to its last"`

	Rate        int  `yaml:"rate" range:"0..1000000" help:"Messages a second that one connection may send over time; more close it with 1008; 0 means no limit"`
	Burst       int  `yaml:"burst" range:"1..1000000" help:"Messages that one connection may send at once, above message.rate"`
	BytesRate   Size `yaml:"bytes_rate" range:"0B..1GiB" help:"Bytes a second that one connection may send over time, frame headers included, and of deflated messages what they inflate to; more close it with 1008; 0 means no limit"`
	BytesBurst  Size `yaml:"bytes_burst" range:"128B..384MiB" help:"Bytes that one connection may send at once, above message.bytes_rate; at least message.max"`
	ControlRate int  `yaml:"control_rate" range:"0..1000" help:"Pings and pongs a second that one connection may send over time, and twice as many at once; more close it with 1008; 0 means no limit"`
	Incomplete  Size `yaml:"incomplete" range:"64KiB..1024GiB" help:"Bytes of incomplete messages that this node holds for all its clients together; a client that sends more of one is closed with 1013; at least message.max"`
}

// Queue bounds what waits on its way to clients.
type Queue struct {
	Max          Size        `live:"yes" yaml:"max" range:"16KiB..1GiB" help:"Bytes that may wait for one slow client before queue.policy decides; a burst may be sixteen times as big if the client takes it within a second; at least message.max"`
	Policy       QueuePolicy `live:"yes" yaml:"policy" oneof:"disconnect|drop|latest" help:"What becomes of a message when the client's queue is full: disconnect closes the connection with 1013, drop loses the message, latest keeps only the newest message of each channel; a namespace may say otherwise"`
	Kernel       Size        `yaml:"kernel" range:"4KiB..16MiB" help:"Unsent bytes that the kernel takes for one client, TCP_NOTSENT_LOWAT; by itself it would swallow some 4 MB for one that stalls, before queue.max could notice"`
	Total        Size        `live:"yes" yaml:"total" range:"16KiB..1024GiB" help:"Bytes that may wait for all slow clients of this node together; beyond it the queue of each of them counts as full; at least queue.max"`
	Mailbox      int         `yaml:"mailbox" range:"16..16777216" help:"Messages that may wait for one reactor"`
	MailboxBytes Size        `yaml:"mailbox_bytes" range:"64KiB..64GiB" help:"Bytes that may wait for one reactor; at least message.max"`
}

// QueuePolicy says what becomes of a message to a client whose queue is full.
type QueuePolicy string

// The queue policies.
const (
	QueueDisconnect QueuePolicy = "disconnect" // the connection is closed with 1013
	QueueDrop       QueuePolicy = "drop"       // the message is lost, and counted
	QueueLatest     QueuePolicy = "latest"     // of each channel only the newest message is kept
)

// Deflate is compression of what is sent to clients that offer it, permessage-deflate of RFC 7692.
type Deflate struct {
	Enabled bool `yaml:"enabled" help:"Compresses messages for clients that offer permessage-deflate; it costs CPU time and some memory, and saves bandwidth; a namespace may say otherwise"`
	Min     Size `yaml:"min" range:"0B..1GiB" help:"Shortest payload that is compressed; shorter ones gain nothing"`
}

// Handshake bounds the HTTP request that opens a connection.
type Handshake struct {
	Timeout time.Duration `yaml:"timeout" range:"10ms..5m" help:"Time from the connection to the answer of its opening request, in which the client has to finish that and Redis to confirm its channels"`
	Line    Size          `yaml:"line" range:"128B..1MiB" help:"Longest request line, the URL in it included; longer ones get 414"`
	Head    Size          `yaml:"head" range:"256B..1MiB" help:"Longest request head, the request line included; longer ones get 431; at least handshake.line"`
	Headers int           `yaml:"headers" range:"8..1000" help:"Most header fields in a request; more get 431"`
}

// Ping keeps idle connections open through proxies and finds the dead ones.
type Ping struct {
	Interval time.Duration `yaml:"interval" range:"10ms..24h" help:"Longest silence of a client before it is pinged, which may come from half of it on; keep it well below the idle timeout of every proxy on the way, 60s in many"`
	Timeout  time.Duration `yaml:"timeout" range:"1ms..1h" help:"Time a client has to answer a ping before it is taken for dead; below ping.interval"`
}

// Close is the closing handshake.
type Close struct {
	Timeout time.Duration `yaml:"timeout" range:"1ms..5m" help:"Time a client has to answer a close frame before its socket is closed"`
}

// PubSub is how messages come from Redis.
type PubSub struct {
	Lanes         int           `yaml:"lanes" range:"1..64" help:"Subscribe connections to each Redis server; channels are spread over them, each keeps its order; more than one pays where a node has processors to spare and one connection is busy all the time"`
	ProbeInterval time.Duration `yaml:"probe_interval" range:"100ms..1m" help:"How often each subscribe connection is proven, by a message through Redis and back"`
	ProbeTimeout  time.Duration `yaml:"probe_timeout" range:"50ms..1m" help:"How late a probe may come; then the node is not ready, and the connection is made anew if Redis had delivered"`
}

// Inbox is the Redis Stream that services read what clients send from.
type Inbox struct {
	Stream     string `yaml:"stream" help:"Name of the Redis Stream that client messages go to; its key is prefix and name together"`
	Streams    int    `yaml:"streams" range:"1..64" help:"Redis Streams that each inbox stream is made of, where one Redis server or one reader is not enough: with more than 1 their keys end in .0, .1 and so on, the entries of a connection go to one of them, and services read all of them; with several servers in redis they are spread over these; the same on all nodes"`
	MaxLen     int    `yaml:"maxlen" name:"maxlen" range:"1000..1000000000" help:"Entries kept in the stream, about; older ones are trimmed, read or not"`
	Queue      int    `yaml:"queue" range:"16..16777216" help:"Client messages that may wait for Redis on this node; further ones are refused with an error"`
	QueueBytes Size   `yaml:"queue_bytes" range:"64KiB..64GiB" help:"Bytes of client messages that may wait for Redis on this node; at least message.max"`
}

// RPC is calls that clients make and services answer.
type RPC struct {
	Timeout time.Duration `yaml:"timeout" range:"100ms..10m" help:"Time that services have to answer a client's call; then the client is told that nobody has"`
	Pending int           `yaml:"pending" range:"1..10000" help:"Calls of one connection that may wait for an answer; further ones are refused with an error"`
}

// Recovery is what clients get that come back to durable channels.
type Recovery struct {
	Max int `yaml:"max" range:"1..10000" help:"Messages that a client which comes back to a durable channel is sent of those that it has missed; where it has missed more it is told to load its state anew, and is sent none"`
}

// Drain is how clients are sent elsewhere after SIGTERM.
type Drain struct {
	Delay  time.Duration `yaml:"delay" range:"0s..1h" help:"Time from SIGTERM, when /readyz begins to say 503, until the node takes no more clients: as long as the load balancer needs to notice, where it does not try another node when one refuses"`
	Window time.Duration `yaml:"window" range:"0s..24h" help:"Time over which the clients are told to come back, at an even pace, so that they do not come to the other nodes all at once; with dev it is 0s where nothing is said"`
}

// Shutdown is the end of a drain.
type Shutdown struct {
	Timeout time.Duration `yaml:"timeout" range:"0s..24h" help:"Time that the last clients have to take their last messages and their goodbye, after drain.window, before they are cut; give the supervisor the sum of drain.delay, drain.window and this, and some seconds more, before it kills"`
}

// Log is the process log, on standard error.
type Log struct {
	Level  string `live:"yes" yaml:"level" oneof:"debug|info|warn|error" help:"Lowest level that is written"`
	Format string `yaml:"format" oneof:"json|console" help:"json for machines, console for people"`
}

// Default returns the configuration of a node that nobody configured. It is valid, and, with defaultItem, the only
// place with default numbers.
func Default() Config {
	return Config{
		Listen:      ":8000",
		Admin:       "127.0.0.1:8001",
		Redis:       "embedded://127.0.0.1:6380",
		Prefix:      "sluice:",
		Origins:     []string{},
		Protocols:   []string{"*"},
		Node:        Node{LeaseTTL: 5 * time.Second},
		Connections: Connections{Channels: 128},
		Proxy:       Proxy{Protocol: ProxyOff, From: []string{}, Trust: []string{}, Header: ForwardedFor},
		TLS:         TLS{Pairs: []Pair{}, Min: "1.2", Handshakes: 1024},
		Auth:        Auth{Leeway: 30 * time.Second, Grace: 25 * time.Second, RequireExp: true, Keys: []Key{}, JWKS: []JWKS{}},
		Namespaces:  []Namespace{},
		Message: Message{Max: 64 * KiB, Fragments: 1024, Timeout: time.Minute, Rate: 100, Burst: 200,
			BytesRate: 1 * MiB, BytesBurst: 4 * MiB, ControlRate: 20, Incomplete: 256 * MiB},
		Queue:     Queue{Max: 1 * MiB, Kernel: 16 * KiB, Policy: QueueDisconnect, Total: 1 * GiB, Mailbox: 65536, MailboxBytes: 64 * MiB},
		Deflate:   Deflate{Min: 256 * B},
		Handshake: Handshake{Timeout: 5 * time.Second, Line: 4 * KiB, Head: 8 * KiB, Headers: 64},
		Ping:      Ping{Interval: 25 * time.Second, Timeout: 8 * time.Second},
		Close:     Close{Timeout: 5 * time.Second},
		PubSub:    PubSub{Lanes: 1, ProbeInterval: time.Second, ProbeTimeout: 750 * time.Millisecond},
		Inbox:     Inbox{Stream: "inbox", Streams: 1, MaxLen: 1_000_000, Queue: 65536, QueueBytes: 64 * MiB},
		RPC:       RPC{Timeout: 10 * time.Second, Pending: 64},
		Recovery:  Recovery{Max: 300},
		Drain:     Drain{Window: 30 * time.Second},
		Shutdown:  Shutdown{Timeout: 10 * time.Second},
		Log:       Log{Level: "info", Format: "json"},
	}
}

// defaultItem is an item of a list in which the file sets nothing.
func defaultItem(kind reflect.Type) reflect.Value {
	if kind == reflect.TypeFor[JWKS]() {
		return reflect.ValueOf(JWKS{Algs: []string{"RS256", "ES256", "EdDSA"}, Refresh: time.Hour})
	}
	return reflect.Zero(kind)
}
