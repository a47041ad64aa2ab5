package config

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

const embedded = "embedded" // scheme of the in-process broker

// checkRedis judges the broker's URL. Its messages never contain the URL: where it cannot be read, nobody knows
// which part of it is the password.
func checkRedis(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("is not a URL; write redis://user:password@host:6379/0, with special characters in the password as %XX")
	}
	switch u.Scheme {
	case "redis", "rediss", embedded:
	case "redis+sentinel", "redis+cluster":
		return fmt.Errorf("%s:// is not yet supported; use redis:// or rediss:// with one server", u.Scheme)
	case "":
		return errors.New("has no scheme; write redis://host:6379, rediss:// for TLS, or embedded://127.0.0.1:6380")
	default:
		return fmt.Errorf("scheme %q is not known; use redis, rediss or embedded", u.Scheme)
	}
	if u.Hostname() == "" {
		return fmt.Errorf("names no host; write %s://host:port", u.Scheme)
	}
	if password, _ := u.User.Password(); password == redacted {
		return errors.New("has the password " + redacted + ", which stands for a hidden one in a printed configuration; put the real one in")
	}
	if u.Scheme == embedded {
		if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return errors.New("embedded:// takes host:port and nothing else")
		}
		return checkAddress(u.Host)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errors.New("its port is not a number from 1 to 65535")
		}
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if _, err := strconv.ParseUint(db, 10, 31); err != nil {
			return errors.New("its path must be a database number, like /0")
		}
	}
	return nil
}

// RedactedRedis is the broker's URL for logs and printed configurations: the password, and every query parameter that
// may hold one, replaced. An unreadable URL is not shown at all.
func (c *Config) RedactedRedis() string {
	u, err := url.Parse(c.Redis)
	if err != nil {
		return "(not a URL, not shown)"
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(strings.ToLower(name), "pass") || strings.Contains(strings.ToLower(name), "secret") {
			query.Set(name, redacted)
			u.RawQuery = query.Encode()
		}
	}
	return u.Redacted()
}

// Embedded says whether the broker is the in-process one, and on which address it listens.
func (c *Config) Embedded() (address string, ok bool) {
	u, err := url.Parse(c.Redis)
	if err != nil || u.Scheme != embedded {
		return "", false
	}
	return u.Host, true
}
