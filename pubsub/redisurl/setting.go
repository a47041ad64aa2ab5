package redisurl

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Kind is a way of running Redis.
type Kind int

// The kinds of a setting.
const (
	Standalone Kind = iota // one server
	Shards                 // several that know nothing of each other
	Sentinel               // sentinels say which server is the master
	Cluster                // Redis Cluster
	Embedded               // the broker inside the node
)

// Setting is what the text names.
type Setting struct {
	Kind Kind
	// Servers are one URL, of Shards two or more in their order: redis:// or rediss:// with
	// login, database and the parameters that are go-redis'. Of Sentinel and Cluster it holds
	// for servers that are found on the way; its host is then what the certificate of an IP
	// address must name.
	Servers []*url.URL
	// Addrs are host:port of each server; of sentinels; or of some of a cluster's servers, each
	// once, the URL's own first. Embedded: where it listens, port 0 being any that is free.
	Addrs []string

	Master   string // Sentinel: name of the monitored master
	User     string // Sentinel: for the sentinels themselves
	Password string // Sentinel: likewise
	Classic  bool   // Cluster: PUBLISH and SUBSCRIBE, instead of SPUBLISH and SSUBSCRIBE
}

// Parse reads the setting. Its errors are for operators, and say what is wrong and what to
// write. They go on after a name of the setting ("has no scheme; …"), and contain no part
// of it: where it cannot be read, nobody knows which part is the password.
func Parse(text string) (*Setting, error) {
	list := split(text)
	if len(list) == 1 {
		return parseOne(list[0])
	}
	all := &Setting{Kind: Shards}
	for i, text := range list {
		one, err := parseOne(text)
		if err == nil {
			err = all.add(one)
		}
		if err != nil {
			return nil, fmt.Errorf("number %d of its %d URLs %w", i+1, len(list), err)
		}
	}
	return all, nil
}

// add makes one a shard of s.
func (s *Setting) add(one *Setting) error {
	if one.Kind != Standalone {
		return errors.New("stands in a list, which may hold redis:// and rediss:// only; name further servers of a sentinel or cluster with &addr=host:port")
	}
	if slices.Contains(s.Addrs, one.Addrs[0]) {
		return errors.New("names the same server as one before it; pub/sub knows no databases, so each shard must be a server of its own")
	}
	s.Addrs, s.Servers = append(s.Addrs, one.Addrs...), append(s.Servers, one.Servers...)
	return nil
}

func parseOne(text string) (*Setting, error) {
	u, err := readURL(text)
	if err != nil {
		return nil, err
	}
	s, err := readSetting(u)
	if err != nil {
		return nil, err
	}
	if hasPlaceholder(u) {
		return nil, errors.New("has the password " + placeholder + ", which stands for a hidden one in a printed configuration; put the real one in")
	}
	return s, nil
}

// between matches what stands between two URLs of a list, and the scheme of
// the second: a comma alone may be part of a password.
var between = regexp.MustCompile(`[,\s]+([A-Za-z][A-Za-z0-9+.-]*://)`)

func split(text string) (list []string) {
	text = strings.TrimSpace(text)
	from := 0
	for _, m := range between.FindAllStringSubmatchIndex(text, -1) {
		list = append(list, text[from:m[0]])
		from = m[2]
	}
	return append(list, text[from:])
}
