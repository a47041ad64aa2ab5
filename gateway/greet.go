package main

import (
	"fmt"
	"io"
	"net"
	"strings"

	"sluice/config"
	"sluice/pubsub/redisurl"
)

// greet prints what a newcomer can do next, in lines that can be pasted.
func (a *App) greet(w io.Writer) {
	redis, defaults := a.config.Redis, config.Default()
	if a.embedded != nil {
		redis = "embedded://" + a.embedded.Addr() // as bound: the port may have been left to the system
	}
	publish := "bin/sluice publish"
	if redis != defaults.Redis {
		publish += " --redis " + word(redisurl.Redact(redis))
	}
	if a.config.Prefix != defaults.Prefix {
		publish += " --prefix " + word(a.config.Prefix)
	}
	const payload = `'{"hello":"browser"}'`
	push, hear := onTerminal(redis, word(a.config.Prefix+"news")+" "+payload, word(a.config.Prefix+a.config.Inbox.Stream))
	var b strings.Builder
	line := func(what, how string) {
		if how != "" {
			fmt.Fprintf(&b, "  %-15s  %s\n", what, how)
		}
	}
	b.WriteByte('\n')
	if a.admin != nil {
		line("Console", "http://"+a.Admin().String()+"/")
	}
	line("Clients connect", fmt.Sprintf("ws://localhost:%d/ws?channel=news", a.Public().(*net.TCPAddr).Port))
	line("Services push", publish+" news "+payload)
	line("", push)
	line("and hear", hear)
	b.WriteByte('\n')
	_, _ = io.WriteString(w, b.String()) // where standard output is closed nobody reads it
}

// onTerminal is how message, a channel and what to publish there, is published by
// redis-cli, and how stream is read, without the secrets of redis, the setting. push
// is "" where redis-cli does not know which server carries a channel.
func onTerminal(redis, message, stream string) (push, hear string) {
	read := "XREAD COUNT 10 STREAMS " + stream + " 0"
	s, err := redisurl.Parse(redis)
	if err != nil {
		return "", ""
	}
	server := *s.Servers[0]
	if db := server.Query().Get("db"); db != "" {
		server.Path = "/" + db
	}
	server.RawQuery = ""
	cli := "redis-cli -u " + word(server.Redacted())
	switch s.Kind {
	case redisurl.Standalone:
	case redisurl.Embedded:
		cli = "redis-cli -p " + server.Port()
	case redisurl.Sentinel:
		server.Host, server.User, server.Path = s.Addrs[0], nil, "" // login and database are the master's
		return "", read + " at the master, which is\n" + strings.Repeat(" ", 19) + "redis-cli -u " + word(server.String()) +
			" SENTINEL GET-MASTER-ADDR-BY-NAME " + word(s.Master)
	case redisurl.Cluster:
		cli = "redis-cli -c -u " + word(server.Redacted())
		if !s.Classic {
			return cli + " SPUBLISH " + message, cli + " " + read
		}
	case redisurl.Shards:
		return "", cli + " " + read
	}
	return cli + " PUBLISH " + message, cli + " " + read
}

// word is s as a shell takes it for one word.
func word(s string) string {
	for _, r := range s {
		if !strings.ContainsRune("%+,-./:=@_", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
	}
	return s
}
