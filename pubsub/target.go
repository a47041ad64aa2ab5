package pubsub

import (
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"sluice/pubsub/redisurl"
)

// target is what the Redis setting names: where to connect, and how.
type target struct {
	*redisurl.Setting
	servers []*redis.Options // of Servers, in the order that shardOf counts them; Sentinel and Cluster: see at
}

// at is the options for the server at addr, host:port, of a Sentinel or
// Cluster target. They are the caller's to change.
func (t *target) at(addr string) *redis.Options {
	o := *t.servers[0]
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
	o.Username, o.Password, o.DB = t.User, t.Password, 0
	return o
}

// serverName is what the certificate of the server at addr must be for: its
// own name; or the URL's, where Redis gave us only an IP address.
func (t *target) serverName(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if own := t.Servers[0].Hostname(); err != nil || net.ParseIP(host) != nil && net.ParseIP(own) == nil {
		return own
	}
	return host
}

// parseTarget makes go-redis' options of the Redis setting. Its errors contain
// no part of the setting.
func parseTarget(text string) (*target, error) {
	s, err := redisurl.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("pubsub: the Redis URL: %w", err)
	}
	if s.Kind == redisurl.Embedded {
		return nil, errors.New("pubsub: the Redis URL names the embedded broker, which has to be started first; give the URL of that one")
	}
	t := &target{Setting: s}
	for i, u := range s.Servers {
		o, err := serverOptions(u)
		switch {
		case err == nil:
			t.servers = append(t.servers, o)
		case len(s.Servers) == 1:
			return nil, fmt.Errorf("pubsub: the Redis URL %w", err)
		default:
			return nil, fmt.Errorf("pubsub: the Redis URL: number %d of its %d URLs %w", i+1, len(s.Servers), err)
		}
	}
	return t, nil
}

// serverOptions is go-redis' options for the server of u, or for those found
// by way of it.
func serverOptions(u *url.URL) (*redis.Options, error) {
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, errors.New("has a parameter after the ? that is unknown, or cannot be read")
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
