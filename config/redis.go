package config

import "sluice/pubsub/redisurl"

// RedactedRedis is the broker's URL, or the list of them, for logs and printed configurations: passwords, and every
// query parameter that may hold one, replaced. What cannot be read is not shown at all.
func (c *Config) RedactedRedis() string { return redisurl.Redact(c.Redis) }

// Embedded says whether the broker is the in-process one, and on which address it listens.
func (c *Config) Embedded() (address string, ok bool) {
	s, err := redisurl.Parse(c.Redis)
	if err != nil || s.Kind != redisurl.Embedded {
		return "", false
	}
	return s.Addrs[0], true
}
