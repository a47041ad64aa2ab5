package pubsub

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// targetKind is a way of running Redis.
type targetKind int

const (
	standalone  targetKind = iota // one server
	shards                        // several that know nothing of each other; we spread channels over them
	sentinelled                   // sentinels say which server is the master
	clustered                     // Redis Cluster
)

// target is what the Redis setting names: where to connect, and how.
type target struct {
	kind    targetKind
	servers []*redis.Options // standalone: one; shards: two or more, in the order that shardOf counts them

	// The rest is for Sentinel and Cluster.
	seeds    []string       // host:port of sentinels, or of some of the cluster's servers; the URL's own first
	template *redis.Options // for servers that are found on the way, see at
	host     string         // of the URL; what the certificate of an IP address must name
	master   string         // Sentinel: name of the monitored master
	sentinel login          // Sentinel: for the sentinels themselves
	classic  bool           // Cluster: PUBLISH and SUBSCRIBE, instead of SPUBLISH and SSUBSCRIBE
}

type login struct{ user, password string }

// at is the options for the server at addr, host:port, of a Sentinel or
// Cluster target. They are the caller's to change.
func (t *target) at(addr string) *redis.Options {
	o := *t.template
	o.Addr = addr
	o.MaintNotificationsConfig = maintOff()
	if o.TLSConfig != nil {
		o.TLSConfig = o.TLSConfig.Clone()
		o.TLSConfig.ServerName = t.serverName(addr)
	}
	return &o
}

// sentinelAt is the options for the sentinel at addr.
func (t *target) sentinelAt(addr string) *redis.Options {
	o := t.at(addr)
	o.Username, o.Password, o.DB = t.sentinel.user, t.sentinel.password, 0
	return o
}

// serverName is what the certificate of the server at addr must be for: its
// own name; or the URL's, where Redis gave us only an IP address.
func (t *target) serverName(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || net.ParseIP(host) != nil && net.ParseIP(t.host) == nil {
		return t.host
	}
	return host
}

// parseTarget reads the Redis setting:
//
//	redis://[[user]:password@]host[:port][/db][?parameters]     rediss:// with TLS
//	several of these with commas or white space between         shards; their order is part of the meaning
//	redis+sentinel://[user:password@]host[:port][/db]?master_name=name[&addr=host:port …]
//	               [&sentinel_username=…][&sentinel_password=…] rediss+sentinel:// with TLS
//	redis+cluster://[user:password@]host[:port][?addr=host:port …][&pubsub=sharded|classic]
//	                                                            rediss+cluster:// with TLS
//
// All take go-redis' parameters (dial_timeout, pool_size, skip_verify …) too.
// Its errors contain no part of the setting: where it cannot be read, nobody
// knows which part is the password.
func parseTarget(text string) (*target, error) {
	list := splitURLs(text)
	switch {
	case list[0] == "" && len(list) == 1:
		return nil, errors.New("pubsub: no Redis URL given; write it as redis://user:password@host:6379/0")
	case len(list) > 1:
		return parseShards(list)
	}
	t, err := parseOne(list[0])
	if err != nil {
		return nil, fmt.Errorf("pubsub: the Redis URL %w", err)
	}
	return t, nil
}

// between matches what stands between two URLs of a list, and the scheme of
// the second: a comma alone may be part of a password.
var between = regexp.MustCompile(`[,\s]+([A-Za-z][A-Za-z0-9+.-]*://)`)

func splitURLs(text string) (list []string) {
	text = strings.TrimSpace(text)
	from := 0
	for _, m := range between.FindAllStringSubmatchIndex(text, -1) {
		list = append(list, text[from:m[0]])
		from = m[2]
	}
	return append(list, text[from:])
}

func parseShards(list []string) (*target, error) {
	t := &target{kind: shards}
	for i, text := range list {
		one, err := parseOne(text)
		if err == nil && one.kind != standalone {
			err = errors.New("stands in a list, which may hold redis:// and rediss:// only; name further servers of a sentinel or cluster with &addr=host:port")
		}
		if err != nil {
			return nil, fmt.Errorf("pubsub: number %d of the %d Redis URLs %w", i+1, len(list), err)
		}
		o := one.servers[0]
		if slices.ContainsFunc(t.servers, func(other *redis.Options) bool { return other.Addr == o.Addr }) {
			return nil, fmt.Errorf("pubsub: number %d of the %d Redis URLs names the same server as one before it; pub/sub knows no databases, so each shard must be a server of its own", i+1, len(list))
		}
		t.servers = append(t.servers, o)
	}
	return t, nil
}

func parseOne(text string) (*target, error) {
	u, query, err := readURL(text)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "redis", "rediss":
		o, err := serverOptions(u, query)
		return &target{kind: standalone, servers: []*redis.Options{o}}, err
	case "redis+sentinel", "rediss+sentinel":
		return parseSentinel(u, query)
	case "redis+cluster", "rediss+cluster":
		return parseCluster(u, query)
	}
	return nil, errors.New("has an unknown scheme; use redis, rediss (TLS), redis+sentinel, rediss+sentinel, redis+cluster or rediss+cluster")
}

// readURL checks what is common to all schemes.
func readURL(text string) (*url.URL, url.Values, error) {
	_, rest, ok := strings.Cut(text, "://")
	if !ok {
		return nil, nil, errors.New("has no scheme; write redis://host:6379, or rediss:// for TLS")
	}
	authority, _, _ := strings.Cut(rest, "/")
	authority, _, _ = strings.Cut(authority, "?")
	if strings.Contains(authority[strings.LastIndexByte(authority, '@')+1:], ",") {
		return nil, nil, errors.New("has a comma in its host; write shards as redis://a:6379,redis://b:6379, and further servers of a sentinel or cluster as &addr=host:port")
	}
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" {
		return nil, nil, errNoURL
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, nil, errNoURL
	}
	if u.Hostname() == "" {
		return nil, nil, errors.New("names no host; write host:port after the ://")
	}
	if port := u.Port(); port != "" && !isPort(port) {
		return nil, nil, errors.New("has a port that is not a number from 1 to 65535")
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if _, err := strconv.ParseUint(db, 10, 31); err != nil {
			return nil, nil, errors.New("has a path that is not a database number, like /0")
		}
	}
	return u, query, nil
}

var errNoURL = errors.New("is not a URL; write redis://user:password@host:6379/0, with special characters in the password as %XX")

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

func parseSentinel(u *url.URL, query url.Values) (*target, error) {
	t := &target{kind: sentinelled, host: u.Hostname()}
	var err error
	if t.seeds, err = takeSeeds(u, query, "26379"); err != nil {
		return nil, err
	}
	master, err := takeOne(query, "master_name")
	alias, err2 := takeOne(query, "sentinel_master_name") // what other programs call it
	user, err3 := takeOne(query, "sentinel_username")
	password, err4 := takeOne(query, "sentinel_password")
	if err = cmp.Or(err, err2, err3, err4); err != nil {
		return nil, err
	}
	t.master, t.sentinel = cmp.Or(master, alias), login{user, password}
	switch {
	case master != "" && alias != "":
		return nil, errors.New("names the master twice; remove sentinel_master_name")
	case t.master == "":
		return nil, errors.New("does not say which master the sentinels watch; add ?master_name= with the name in their sentinel monitor line")
	case user != "" && password == "":
		return nil, errors.New("has a sentinel_username without a sentinel_password")
	}
	t.template, err = serverOptions(u, query)
	return t, err
}

func parseCluster(u *url.URL, query url.Values) (*target, error) {
	t := &target{kind: clustered, host: u.Hostname()}
	var err error
	if t.seeds, err = takeSeeds(u, query, "6379"); err != nil {
		return nil, err
	}
	how, err := takeOne(query, "pubsub")
	if err != nil {
		return nil, err
	}
	switch how {
	case "", "sharded":
	case "classic":
		t.classic = true
	default:
		return nil, errors.New("has a pubsub parameter that is neither sharded nor classic")
	}
	if t.template, err = serverOptions(u, query); err == nil && t.template.DB != 0 {
		err = errors.New("names a database, but a Redis Cluster has only number 0")
	}
	return t, err
}

// takeSeeds is the URL's own address and the addr parameters, which it removes
// from query.
func takeSeeds(u *url.URL, query url.Values, port string) ([]string, error) {
	seeds := []string{withPort(u, port)}
	for _, addr := range query["addr"] {
		one, err := url.Parse("redis://" + addr)
		if err != nil || one.Host != addr || one.Hostname() == "" || strings.Contains(addr, ",") || one.Port() != "" && !isPort(one.Port()) {
			return nil, errors.New("has an addr parameter that is not host:port; give one for each server")
		}
		if seed := withPort(one, port); !slices.Contains(seeds, seed) {
			seeds = append(seeds, seed)
		}
	}
	query.Del("addr")
	return seeds, nil
}

func withPort(u *url.URL, port string) string {
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// takeOne removes name from query and returns its value.
func takeOne(query url.Values, name string) (string, error) {
	values := query[name]
	query.Del(name)
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", fmt.Errorf("has more than one %s", name)
}

// serverOptions is go-redis' options for the server of u, or for those found
// by way of it. query is what is left for go-redis.
func serverOptions(u *url.URL, query url.Values) (*redis.Options, error) {
	plain := *u
	plain.Scheme, _, _ = strings.Cut(u.Scheme, "+")
	plain.RawQuery = query.Encode()
	o, err := redis.ParseURL(plain.String())
	if err != nil {
		return nil, errors.New("has a parameter after the ? that is unknown, or cannot be read")
	}
	if o.MaxRetries > 0 {
		return nil, errors.New("has max_retries, which would send a message twice when its answer is lost; remove it")
	}
	o.MaxRetries = -1   // off: PUBLISH and XADD are not idempotent
	o.DialerRetries = 1 // a dead Redis is reported after one dial timeout, not five
	o.ContextTimeoutEnabled = true
	o.MaintNotificationsConfig = maintOff()
	return o, nil
}

func maintOff() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}
