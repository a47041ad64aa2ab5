package redisurl

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

var errNoURL = errors.New("is not a URL; write redis://user:password@host:6379/0, with special characters in the password as %XX")

// readURL takes text apart, of whatever scheme it is.
func readURL(text string) (*url.URL, error) {
	const usual = "write redis://host:6379, rediss:// for TLS, or embedded://127.0.0.1:6380"
	_, rest, ok := strings.Cut(text, "://")
	switch {
	case text == "":
		return nil, errors.New("is empty; " + usual)
	case !ok:
		return nil, errors.New("has no scheme; " + usual)
	}
	authority, _, _ := strings.Cut(rest, "/")
	authority, _, _ = strings.Cut(authority, "?")
	if strings.Contains(authority[strings.LastIndexByte(authority, '@')+1:], ",") {
		return nil, errors.New("has a comma in its host; write shards as redis://a:6379,redis://b:6379, and further servers of a sentinel or cluster as &addr=host:port")
	}
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" {
		return nil, errNoURL
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errNoURL
	}
	for name := range query {
		if strings.Contains(name, "@") { // it began in a password with a ?
			return nil, errNoURL
		}
	}
	return u, nil
}

// readSetting is what one URL says.
func readSetting(u *url.URL) (*Setting, error) {
	query := u.Query()
	server := *u
	server.Scheme, _, _ = strings.Cut(u.Scheme, "+")
	s := &Setting{Servers: []*url.URL{&server}}
	var err error
	switch u.Scheme {
	case "redis", "rediss":
		s.Addrs, err = []string{withPort(u, "6379")}, checkServer(u, query)
	case "redis+sentinel", "rediss+sentinel":
		s.Kind = Sentinel
		err = cmp.Or(checkServer(u, query), s.takeSentinel(query), s.takeAddrs(u, query, "26379"))
	case "redis+cluster", "rediss+cluster":
		s.Kind = Cluster
		err = cmp.Or(checkServer(u, query), s.takeCluster(u, query), s.takeAddrs(u, query, "6379"))
	case "embedded":
		s.Kind, s.Addrs = Embedded, []string{u.Host}
		err = checkEmbedded(u)
	default:
		err = errors.New("has an unknown scheme; use redis, rediss (TLS), redis+sentinel, rediss+sentinel, redis+cluster, rediss+cluster or embedded")
	}
	server.RawQuery = query.Encode()
	return s, err
}

func checkEmbedded(u *url.URL) error {
	switch {
	case u.Hostname() == "":
		return errors.New("names no host; write embedded://host:port")
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return errors.New("embedded:// takes host:port and nothing else")
	case u.Port() == "":
		return errors.New("names no port; write embedded://host:port, with port 0 for any that is free")
	case u.Port() != "0" && !isPort(u.Port()):
		return errors.New("has a port that is not a number from 0 to 65535")
	}
	return nil
}

func checkServer(u *url.URL, query url.Values) error {
	if u.Hostname() == "" {
		return errors.New("names no host; write host:port after the ://")
	}
	if u.Port() != "" && !isPort(u.Port()) {
		return errors.New("has a port that is not a number from 1 to 65535")
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if _, err := strconv.ParseUint(db, 10, 31); err != nil {
			return errors.New("has a path that is not a database number, like /0")
		}
	}
	for _, text := range query["max_retries"] {
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			return errors.New("has max_retries, which would send a message twice when its answer is lost; remove it")
		}
	}
	return nil
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

func (s *Setting) takeSentinel(query url.Values) error {
	master, err := takeOne(query, "master_name")
	alias, err2 := takeOne(query, "sentinel_master_name") // what other programs call it
	user, err3 := takeOne(query, "sentinel_username")
	password, err4 := takeOne(query, "sentinel_password")
	if err = cmp.Or(err, err2, err3, err4); err != nil {
		return err
	}
	s.Master, s.User, s.Password = cmp.Or(master, alias), user, password
	switch {
	case master != "" && alias != "":
		return errors.New("names the master twice; remove sentinel_master_name")
	case s.Master == "":
		return errors.New("does not say which master the sentinels watch; add ?master_name= with the name in their sentinel monitor line")
	case user != "" && password == "":
		return errors.New("has a sentinel_username without a sentinel_password")
	}
	return nil
}

func (s *Setting) takeCluster(u *url.URL, query url.Values) error {
	how, err := takeOne(query, "pubsub")
	switch {
	case err != nil:
		return err
	case how != "" && how != "sharded" && how != "classic":
		return errors.New("has a pubsub parameter that is neither sharded nor classic")
	case slices.ContainsFunc(append(query["db"], u.Path), func(db string) bool { return strings.Trim(db, "/0") != "" }):
		return errors.New("names a database, but a Redis Cluster has only number 0")
	}
	s.Classic = how == "classic"
	return nil
}

// takeAddrs is the URL's own address and the addr parameters, which it removes from query.
func (s *Setting) takeAddrs(u *url.URL, query url.Values, port string) error {
	s.Addrs = []string{withPort(u, port)}
	for _, addr := range query["addr"] {
		one, err := url.Parse("redis://" + addr)
		if err != nil || one.Host != addr || one.Hostname() == "" || strings.Contains(addr, ",") || one.Port() != "" && !isPort(one.Port()) {
			return errors.New("has an addr parameter that is not host:port; give one for each server")
		}
		if addr := withPort(one, port); !slices.Contains(s.Addrs, addr) {
			s.Addrs = append(s.Addrs, addr)
		}
	}
	query.Del("addr")
	return nil
}

func withPort(u *url.URL, usual string) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), usual))
}

// takeOne removes name from query and returns its value.
func takeOne(query url.Values, name string) (string, error) {
	values := query[name]
	query.Del(name)
	if len(values) > 1 {
		return "", fmt.Errorf("has more than one %s", name)
	}
	return strings.Join(values, ""), nil
}
