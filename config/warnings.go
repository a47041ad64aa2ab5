package config

import (
	"fmt"
	"net"
)

// Warnings are the things that are allowed, and that an operator should hear once at start.
func (c *Config) Warnings() []string {
	var warnings []string
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }

	if c.Dev && !isLoopback(c.Listen) {
		warn("%s: anonymous clients are let in and /echo is served, and %s %s is reachable from other machines; use %s for this one only",
			c.typed("dev"), c.typed("listen"), c.Listen, loopbackOf(c.Listen))
	}
	if c.Admin != "" && !isLoopback(c.Admin) {
		warn("%s: %s is reachable from other machines and has no login; keep it behind a firewall", c.typed("admin"), c.Admin)
	}
	if address, ok := c.Embedded(); ok {
		warn("%s: the embedded broker is this node's alone and keeps nothing over a restart; with more than one node, or for real use, name a Redis", c.typed("redis"))
		if !isLoopback(address) {
			warn("%s: the embedded broker on %s is reachable from other machines and asks for no password; use %s", c.typed("redis"), address, loopbackOf(address))
		}
	}
	for i := range c.Namespaces {
		n := c.Namespace(c.Namespaces[i].Name + ":")
		if *n.Durable && n.Relay && (n.Publish == AccessAnyone || n.Publish == AccessAuthenticated) && !c.Dev {
			warn("%s: clients fill Redis, for what is relayed goes into the log of a durable channel, and they can name as many channels as they like: let %s say who may",
				c.typed(itemPath("namespaces", i)), c.typed(itemPath("namespaces", i)+".publish"))
		}
		if *n.Durable && n.Subscribe == AccessAnyone && !c.Dev {
			warn("%s: anybody can subscribe, and Redis keeps some 150 bytes for a month of every durable channel that is named: let %s say who may",
				c.typed(itemPath("namespaces", i)), c.typed(itemPath("namespaces", i)+".subscribe"))
		}
	}
	c.warnAuth(warn)
	c.warnProxies(warn)
	return warnings
}

// isLoopback says whether address can be reached from this machine only. Names other than localhost are not looked
// up, and count as reachable.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

func loopbackOf(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "127.0.0.1"
	}
	return net.JoinHostPort("127.0.0.1", port)
}
