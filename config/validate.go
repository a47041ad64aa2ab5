package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sluice/pubsub/redisurl"
)

// Validate returns every fault at once, joined, each under the name that the operator typed; nil when the
// configuration can be used. It changes nothing and opens nothing.
func (c *Config) Validate() error { return c.validate(nil) }

// validate leaves out what is already known to be unreadable: its value in c is the default, so that judging it would
// blame the operator for something he did not write.
func (c *Config) validate(unreadable map[string]bool) error {
	v := validator{config: c, broken: maps.Clone(unreadable)}
	if v.broken == nil {
		v.broken = map[string]bool{}
	}
	for _, s := range entries() {
		v.entry(s)
	}
	v.address("listen", c.Listen)
	if c.Admin != "" {
		v.address("admin", c.Admin)
	}
	_, err := redisurl.Parse(c.Redis)
	v.fault("redis", err)
	v.fault("prefix", checkName(c.Prefix))
	v.fault("inbox.stream", checkName(c.Inbox.Stream))
	if c.Node.ID != "" && !nodeID.MatchString(c.Node.ID) {
		v.fault("node.id", fmt.Errorf("%q is not 1 to 32 of A-Z a-z 0-9 _ -", c.Node.ID))
	}
	for _, origin := range c.Origins {
		v.fault("origins", checkOrigin(origin))
	}
	for _, protocol := range c.Protocols {
		if !token.MatchString(protocol) {
			v.fault("protocols", fmt.Errorf("%q is not a subprotocol name: letters, digits and !#$%%&'*+-.^_`|~ only", protocol))
		}
	}
	v.proxy()
	v.tls()
	v.auth()
	v.api()
	v.namespaces()
	v.inboxStreams()
	v.crossChecks()
	return errors.Join(v.faults...)
}

var (
	nodeID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)
	token  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110 §5.6.2
)

// crossChecks are the rules between two settings.
func (v *validator) crossChecks() {
	c := v.config
	v.atLeast("queue.max", int64(c.Queue.Max), "message.max", int64(c.Message.Max),
		"a client could not be sent what another may send")
	v.atLeast("queue.total", int64(c.Queue.Total), "queue.max", int64(c.Queue.Max),
		"one slow client would fill it")
	v.atLeast("queue.mailbox_bytes", int64(c.Queue.MailboxBytes), "message.max", int64(c.Message.Max),
		"one message would not fit")
	v.atLeast("inbox.queue_bytes", int64(c.Inbox.QueueBytes), "message.max", int64(c.Message.Max),
		"one message would not fit")
	v.atLeast("message.incomplete", int64(c.Message.Incomplete), "message.max", int64(c.Message.Max),
		"one message would not fit")
	if c.Message.BytesRate > 0 && !v.broken["message.bytes_rate"] {
		v.atLeast("message.bytes_burst", int64(c.Message.BytesBurst), "message.max", int64(c.Message.Max),
			"the longest message could not be sent at once")
	}
	v.atLeast("handshake.head", int64(c.Handshake.Head), "handshake.line", int64(c.Handshake.Line),
		"the head contains the line")
	v.atLeast("ping.interval", int64(c.Ping.Interval), "ping.timeout", int64(c.Ping.Timeout)+1,
		"the answer to a ping must be due before the next ping")
	v.distinct("admin", c.Admin, "listen", c.Listen)
	if address, ok := c.Embedded(); ok {
		v.distinct("redis", address, "listen", c.Listen)
		v.distinct("redis", address, "admin", c.Admin)
	}
}

type validator struct {
	config *Config
	broken map[string]bool // by key: settings whose value means nothing, so that nothing is said about it
	faults []error
}

// fault records err, if there is one, under the name of key as it was typed.
func (v *validator) fault(key string, err error) {
	if err != nil && !v.broken[key] {
		v.faults = append(v.faults, fmt.Errorf("%s: %w", v.config.typed(key), err))
	}
}

// entry checks one setting's tags, or those of every item of a list.
func (v *validator) entry(s setting) {
	if s.item == nil {
		v.limits(v.config, s.key, s)
		return
	}
	for i, item := range s.items(v.config) {
		path := itemPath(s.key, i)
		for _, leaf := range s.item {
			if !v.broken[path] {
				v.limits(item, path+"."+leaf.key, leaf)
			}
		}
	}
}

// limits checks the range and oneof tags of the setting s in holder; key is its full one.
func (v *validator) limits(holder any, key string, s setting) {
	field := s.field(holder)
	if s.choices != nil {
		for _, text := range textsOf(field) {
			v.choice(key, s, text)
		}
	}
	if s.bounds == "" {
		return
	}
	low, high := s.limits()
	if n := field.Int(); n < low || n > high {
		v.fault(key, fmt.Errorf("%s is outside %s", s.text(holder), s.bounds))
		v.broken[key] = true
	}
}

func (v *validator) choice(key string, s setting, text string) {
	switch {
	case slices.Contains(s.choices, text):
		return
	case text == "":
		v.fault(key, fmt.Errorf("is missing; choose one of %s", s.choiceList()))
	default:
		v.fault(key, fmt.Errorf("%q is not one of %s", text, s.choiceList()))
	}
	v.broken[key] = true
}

// limits reads the range tag. Ranges are constants of this package, proved readable by its tests.
func (s setting) limits() (low, high int64) {
	from, to, _ := strings.Cut(s.bounds, "..")
	lowest, errLow := parse(s.kind, from)
	highest, errHigh := parse(s.kind, to)
	if err := errors.Join(errLow, errHigh); err != nil {
		panic(fmt.Sprintf("config: range tag of %s: %v", s.key, err))
	}
	return lowest.Int(), highest.Int()
}

// atLeast checks big ≥ small, and says why it must be so.
func (v *validator) atLeast(bigKey string, big int64, smallKey string, small int64, why string) {
	if big >= small || v.broken[smallKey] {
		return
	}
	bigSetting, _ := lookup(bigKey)
	smallSetting, _ := lookup(smallKey)
	v.fault(bigKey, fmt.Errorf("%s is too little for %s %s: %s", bigSetting.text(v.config),
		v.config.typed(smallKey), smallSetting.text(v.config), why))
}

// distinct refuses two listeners on one fixed address; port 0 is a free port each time.
func (v *validator) distinct(key, address, otherKey, other string) {
	if address == other && address != "" && !strings.HasSuffix(address, ":0") && !v.broken[otherKey] {
		v.fault(key, fmt.Errorf("%s is already the address of %s; give it a port of its own", address, v.config.typed(otherKey)))
	}
}

func (v *validator) address(key, address string) { v.fault(key, checkAddress(address)) }

// checkAddress accepts host:port with a numeric port; the host may be empty.
func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not host:port; write one like :8000 or 127.0.0.1:8000", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q does not end in a port number from 0 to 65535", address)
	}
	return nil
}

// checkName guards what becomes part of every Redis key and channel name: nothing that a pattern, a hash tag or a
// log line would read as its own.
func checkName(name string) error {
	if name == "" {
		return errors.New("is empty; without it clients could reach every key in Redis")
	}
	if len(name) > 64 {
		return fmt.Errorf("%q is longer than 64 bytes", name)
	}
	for _, r := range name {
		if r <= ' ' || r > '~' || strings.ContainsRune(`*?[]\^{}`, r) {
			return fmt.Errorf("%q contains %q; use printable ASCII without spaces and without * ? [ ] ^ \\ { }", name, r)
		}
	}
	return nil
}

// checkOrigin accepts an Origin exactly as a browser serialises it (RFC 6454 §6.2): the comparison is by bytes, so
// anything else would never match.
func checkOrigin(origin string) error {
	if strings.Contains(origin, "*") {
		return fmt.Errorf("%q contains *; origins are compared exactly, so that nobody's page slips through: list each one", origin)
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Opaque != "" {
		return fmt.Errorf("%q is not scheme://host[:port]; list each page's origin, like https://example.com", origin)
	}
	plain := url.URL{Scheme: u.Scheme, Host: u.Host}
	if plain.String() != origin {
		return fmt.Errorf("%q is more than an origin, or not lower case; write %s", origin, strings.ToLower(plain.String()))
	}
	if strings.ToLower(origin) != origin {
		return fmt.Errorf("%q must be lower case, as browsers send it; write %s", origin, strings.ToLower(origin))
	}
	if (u.Scheme == "https" && u.Port() == "443") || (u.Scheme == "http" && u.Port() == "80") {
		return fmt.Errorf("%q names the scheme's own port, which browsers leave out; write %s://%s", origin, u.Scheme, u.Hostname())
	}
	return nil
}
