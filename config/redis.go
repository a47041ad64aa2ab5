package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const embedded = "embedded" // scheme of the in-process broker

var errNoURL = errors.New("is not a URL; write redis://user:password@host:6379/0, with special characters in the password as %XX")

// checkRedis judges the broker's URL, or its list of them. It says what package pubsub would say, as far as that can
// be known without its library: the parameters that are the library's own are not looked at. Its messages contain no
// part of the setting: where it cannot be read, nobody knows which part of it is the password.
func checkRedis(text string) error {
	list := splitURLs(text)
	if len(list) == 1 {
		_, err := checkBroker(list[0])
		return err
	}
	servers := make([]string, 0, len(list))
	for i, text := range list {
		nth := fmt.Sprintf("number %d of its %d URLs", i+1, len(list))
		u, err := checkBroker(text)
		if err != nil {
			return fmt.Errorf("%s %w", nth, err)
		}
		if u.Scheme != "redis" && u.Scheme != "rediss" {
			return fmt.Errorf("%s stands in a list, which may hold redis:// and rediss:// only; name further servers of a sentinel or cluster with &addr=host:port", nth)
		}
		server := u.Hostname() + " " + portOf(u, "6379")
		if slices.Contains(servers, server) {
			return fmt.Errorf("%s names the same server as one before it; pub/sub knows no databases, so each shard must be a server of its own", nth)
		}
		servers = append(servers, server)
	}
	return nil
}

// between matches what stands between two URLs of a list, and the scheme of the second: a comma alone may be part of
// a password.
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

// checkBroker judges one URL of any scheme.
func checkBroker(text string) (*url.URL, error) {
	u, query, err := readURL(text)
	if err != nil {
		return nil, err
	}
	if hasPlaceholder(u, query) {
		return nil, errors.New("has the password " + redacted + ", which stands for a hidden one in a printed configuration; put the real one in")
	}
	switch u.Scheme {
	case embedded:
		return u, checkEmbedded(u)
	case "redis", "rediss":
		err = checkServer(u, query)
	case "redis+sentinel", "rediss+sentinel":
		err = cmp.Or(checkServer(u, query), checkSentinel(query))
	case "redis+cluster", "rediss+cluster":
		err = cmp.Or(checkServer(u, query), checkCluster(u, query))
	default:
		return nil, errors.New("has an unknown scheme; use redis, rediss (TLS), redis+sentinel, rediss+sentinel, redis+cluster, rediss+cluster or embedded")
	}
	return u, err
}

// readURL checks what is common to all schemes.
func readURL(text string) (*url.URL, url.Values, error) {
	_, rest, ok := strings.Cut(text, "://")
	if !ok {
		return nil, nil, errors.New("has no scheme; write redis://host:6379, rediss:// for TLS, or embedded://127.0.0.1:6380")
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
	return u, query, nil
}

func checkEmbedded(u *url.URL) error {
	if u.Hostname() == "" {
		return errors.New("names no host; write embedded://host:port")
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return errors.New("embedded:// takes host:port and nothing else")
	}
	return checkAddress(u.Host)
}

func checkServer(u *url.URL, query url.Values) error {
	if u.Hostname() == "" {
		return errors.New("names no host; write host:port after the ://")
	}
	if !isPort(portOf(u, "6379")) {
		return errors.New("has a port that is not a number from 1 to 65535")
	}
	if db := strings.Trim(u.Path, "/"); db != "" && !isDatabase(db) {
		return errors.New("has a path that is not a database number, like /0")
	}
	if retries, err := strconv.Atoi(query.Get("max_retries")); err == nil && retries > 0 {
		return errors.New("has max_retries, which would send a message twice when its answer is lost; remove it")
	}
	return nil
}

func checkSentinel(query url.Values) error {
	for _, name := range []string{"master_name", "sentinel_master_name", "sentinel_username", "sentinel_password"} {
		if len(query[name]) > 1 {
			return fmt.Errorf("has more than one %s", name)
		}
	}
	master, alias := query.Get("master_name"), query.Get("sentinel_master_name") // what other programs call it
	switch {
	case master != "" && alias != "":
		return errors.New("names the master twice; remove sentinel_master_name")
	case master == "" && alias == "":
		return errors.New("does not say which master the sentinels watch; add ?master_name= with the name in their sentinel monitor line")
	case query.Get("sentinel_username") != "" && query.Get("sentinel_password") == "":
		return errors.New("has a sentinel_username without a sentinel_password")
	}
	return checkSeeds(query)
}

func checkCluster(u *url.URL, query url.Values) error {
	if len(query["pubsub"]) > 1 {
		return errors.New("has more than one pubsub")
	}
	if how := query.Get("pubsub"); how != "" && how != "sharded" && how != "classic" {
		return errors.New("has a pubsub parameter that is neither sharded nor classic")
	}
	for _, db := range []string{strings.Trim(u.Path, "/"), query.Get("db")} {
		if n, err := strconv.Atoi(db); err == nil && n != 0 {
			return errors.New("names a database, but a Redis Cluster has only number 0")
		}
	}
	return checkSeeds(query)
}

// checkSeeds judges the addr parameters: further sentinels, or servers of a cluster.
func checkSeeds(query url.Values) error {
	for _, addr := range query["addr"] {
		u, err := url.Parse("redis://" + addr)
		if err != nil || u.Host != addr || u.Hostname() == "" || strings.Contains(addr, ",") || !isPort(portOf(u, "6379")) {
			return errors.New("has an addr parameter that is not host:port; give one for each server")
		}
	}
	return nil
}

func portOf(u *url.URL, usual string) string {
	if port := u.Port(); port != "" {
		return port
	}
	return usual
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

func isDatabase(text string) bool {
	_, err := strconv.ParseUint(text, 10, 31)
	return err == nil
}

// hidden says whether the query parameter name may hold a secret.
func hidden(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "pass") || strings.Contains(name, "secret")
}

// hasPlaceholder says whether a secret of the URL is what RedactedRedis writes in its place.
func hasPlaceholder(u *url.URL, query url.Values) bool {
	password, _ := u.User.Password()
	found := password == redacted
	for name, values := range query {
		found = found || hidden(name) && slices.Contains(values, redacted)
	}
	return found
}

// RedactedRedis is the broker's URL, or the list of them, for logs and printed configurations: passwords, and every
// query parameter that may hold one, replaced. What cannot be read is not shown at all.
func (c *Config) RedactedRedis() string {
	list := splitURLs(c.Redis)
	for i, text := range list {
		list[i] = redactedURL(text)
	}
	return strings.Join(list, ",")
}

func redactedURL(text string) string {
	u, _, err := readURL(text)
	if err != nil {
		return "(not a URL, not shown)"
	}
	parameters := strings.Split(u.RawQuery, "&") // as they stand, in their order
	for i, p := range parameters {
		name, _, _ := strings.Cut(p, "=")
		if plain, err := url.QueryUnescape(name); err != nil || hidden(plain) {
			parameters[i] = name + "=" + redacted
		}
	}
	u.RawQuery = strings.Join(parameters, "&")
	return u.Redacted()
}

// Embedded says whether the broker is the in-process one, and on which address it listens.
func (c *Config) Embedded() (address string, ok bool) {
	u, err := url.Parse(strings.TrimSpace(c.Redis))
	if err != nil || u.Scheme != embedded {
		return "", false
	}
	return u.Host, true
}
