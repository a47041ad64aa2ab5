package config

import (
	"strings"
	"testing"
)

func TestDefaultIsValid(t *testing.T) {
	c := Default()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// validation is a change of the default configuration and the one fault that it must give.
type validation struct {
	name   string
	change func(*Config)
	want   string // empty: accepted
}

func testValidate(t *testing.T, tests []validation) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := Default()
			test.change(&c)
			err := c.Validate()
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && err == nil:
				t.Errorf("accepted, want %q", test.want)
			case test.want != "" && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n")):
				t.Errorf("got %q, want only %q", err, test.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	testValidate(t, []validation{
		{"admin off", func(c *Config) { c.Admin = "" }, ""},
		{"listen on a free port", func(c *Config) { c.Listen, c.Admin = "127.0.0.1:0", "127.0.0.1:0" }, ""},
		{"listen on IPv6", func(c *Config) { c.Listen = "[::1]:8000" }, ""},
		{"listen without port", func(c *Config) { c.Listen = "localhost" }, "listen: \"localhost\" is not host:port"},
		{"listen on a big port", func(c *Config) { c.Listen = ":65536" }, "listen: \":65536\" does not end in a port number"},
		{"admin on listen", func(c *Config) { c.Admin = c.Listen }, "admin: :8000 is already the address of listen"},
		{"broker on admin", func(c *Config) { c.Redis = "embedded://" + c.Admin }, "redis: 127.0.0.1:8001 is already the address of admin"},

		{"redis", redisIs("redis://h"), ""},
		{"redis in full", redisIs("rediss://u:p@h:6379/3?dial_timeout=3s"), ""},
		{"redis in no URL", redisIs("redis://u:p#ss%@h"), "redis: is not a URL"},
		{"shards with a printed one", redisIs("redis://a,redis://:xxxxx@b"), "redis: number 2 of its 2 URLs has the password xxxxx"},
		{"embedded on a free port", redisIs("embedded://127.0.0.1:0"), ""},
		{"embedded with a space", redisIs(" embedded://" + Default().Admin), "redis: 127.0.0.1:8001 is already the address of admin"},

		{"prefix with a glob", func(c *Config) { c.Prefix = "a*" }, "prefix: \"a*\" contains '*'"},
		{"prefix with a hash tag", func(c *Config) { c.Prefix = "{a}" }, "prefix: \"{a}\" contains '{'"},
		{"prefix with a line break", func(c *Config) { c.Prefix = "a\n" }, "prefix: \"a\\n\" contains '\\n'"},
		{"prefix in full", func(c *Config) { c.Prefix = "shop/eu-1:" }, ""},
		{"prefix too long", func(c *Config) { c.Prefix = strings.Repeat("a", 65) }, "is longer than 64 bytes"},
		{"stream empty", func(c *Config) { c.Inbox.Stream = "" }, "inbox.stream: is empty"},
		{"node", func(c *Config) { c.Node.ID = strings.Repeat("aZ0_-", 6) }, ""},
		{"node too long", func(c *Config) { c.Node.ID = strings.Repeat("a", 33) }, "node.id: "},

		{"origins", func(c *Config) {
			c.Origins = []string{"https://a.example", "http://localhost:3000", "capacitor://localhost", "https://[::1]:8443"}
		}, ""},
		{"origin with a path", func(c *Config) { c.Origins = []string{"https://a.example/"} }, "write https://a.example"},
		{"origin with its own port", func(c *Config) { c.Origins = []string{"https://a.example:443"} }, "write https://a.example"},
		{"origin with a wildcard", func(c *Config) { c.Origins = []string{"https://*.example"} }, "origins are compared exactly"},
		{"origin null", func(c *Config) { c.Origins = []string{"null"} }, "\"null\" is not scheme://host[:port]"},
		{"protocols", func(c *Config) { c.Protocols = []string{"chat", "v1.chat+x"} }, ""},
		{"protocol with a space", func(c *Config) { c.Protocols = []string{"a b"} }, "protocols: \"a b\" is not a subprotocol name"},

		{"queue below message", func(c *Config) { c.Message.Max = 2 * MiB }, "queue.max: 1MiB is too little for message.max 2MiB"},
		{"mailbox below message", func(c *Config) { c.Queue.MailboxBytes, c.Queue.Max, c.Message.Max = 64*KiB, MiB, 128*KiB }, "queue.mailbox_bytes: 64KiB is too little for message.max 128KiB"},
		{"inbox below message", func(c *Config) { c.Inbox.QueueBytes, c.Message.Max = 64*KiB, 128*KiB }, "inbox.queue_bytes: 64KiB is too little for message.max 128KiB"},
		{"head below line", func(c *Config) { c.Handshake.Head = 2 * KiB }, "handshake.head: 2KiB is too little for handshake.line 4KiB"},
		{"pong as late as the next ping", func(c *Config) { c.Ping.Timeout = c.Ping.Interval }, "ping.interval: 25s is too little for ping.timeout 25s"},
		{"reactors", func(c *Config) { c.Reactors = 257 }, "reactors: 257 is outside 0..256"},
		{"total below queue", func(c *Config) { c.Queue.Total = 512 * KiB }, "queue.total: 512KiB is too little for queue.max 1MiB"},
		{"incomplete below message", func(c *Config) { c.Message.Incomplete, c.Message.Max = 64*KiB, 128*KiB }, "message.incomplete: 64KiB is too little for message.max 128KiB"},
		{"burst below message", func(c *Config) { c.Message.BytesBurst = 32 * KiB }, "message.bytes_burst: 32KiB is too little for message.max 64KiB"},
		{"burst below message without a rate", func(c *Config) { c.Message.BytesBurst, c.Message.BytesRate = 32*KiB, 0 }, ""},
		{"no limits", func(c *Config) { c.Message.Rate, c.Message.BytesRate, c.Message.ControlRate = 0, 0, 0 }, ""},
		{"queue policy", func(c *Config) { c.Queue.Policy = "oldest" }, "queue.policy: \"oldest\" is not one of disconnect, drop, latest"},
		{"queue policy empty", func(c *Config) { c.Queue.Policy = "" }, "queue.policy: is missing; choose one of disconnect, drop, latest"},
		{"anonymous without dev", func(c *Config) { c.Anonymous = true }, ""},
	})
}

func redisIs(url string) func(*Config) { return func(c *Config) { c.Redis = url } }

// warning is a change of a configuration that gives none, and the warnings that it must give, in order.
type warning struct {
	name   string
	change func(*Config)
	want   []string
}

func testWarnings(t *testing.T, tests []warning) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := Default()
			c.Redis, c.Anonymous = "redis://h", true
			test.change(&c)
			got := c.Warnings()
			if len(got) != len(test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			for i := range got {
				if !strings.Contains(got[i], test.want[i]) {
					t.Errorf("got %q, want %q", got[i], test.want[i])
				}
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	testWarnings(t, []warning{
		{"nothing", func(c *Config) {}, nil},
		{"embedded", func(c *Config) { c.Redis = Default().Redis }, []string{"keeps nothing over a restart"}},
		{"embedded for all", func(c *Config) { c.Redis = "embedded://0.0.0.0:6380" }, []string{"keeps nothing", "asks for no password"}},
		{"dev for all", func(c *Config) { c.Dev = true }, []string{"dev: anonymous clients are let in"}},
		{"dev on loopback", func(c *Config) { c.Dev, c.Listen = true, "[::1]:8000" }, nil},
		{"dev on localhost", func(c *Config) { c.Dev, c.Listen = true, "localhost:8000" }, nil},
		{"admin for all", func(c *Config) { c.Admin = "0.0.0.0:8001" }, []string{"admin: 0.0.0.0:8001 is reachable"}},
		{"durable for anybody", func(c *Config) {
			yes := true
			c.Namespaces = []Namespace{{Name: "n", Durable: &yes, Subscribe: AccessAnyone}}
		},
			[]string{"namespaces[0]: anybody can subscribe"}},
		{"durable for some", func(c *Config) {
			yes := true
			c.Namespaces = []Namespace{{Name: "n", Durable: &yes, Subscribe: AccessClaim}}
		}, nil},
		{"relayed into logs by who has a token", func(c *Config) {
			yes := true
			c.Namespaces = []Namespace{{Name: "n", Durable: &yes, Relay: true, Subscribe: AccessClaim}}
		}, []string{"namespaces[0]: clients fill Redis"}},
		{"relayed into logs by who may", func(c *Config) {
			yes := true
			c.Namespaces = []Namespace{{Name: "n", Durable: &yes, Relay: true, Subscribe: AccessClaim, Publish: AccessClaim}}
		}, nil},
		{"relayed and not kept", func(c *Config) { c.Namespaces = []Namespace{{Name: "n", Relay: true}} }, nil},
		{"admin off", func(c *Config) { c.Admin = "" }, nil},
	})
}
