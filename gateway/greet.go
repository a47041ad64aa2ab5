package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"sluice/config"
)

// greet prints what a newcomer can do next, in lines that can be pasted.
func (a *App) greet(w io.Writer) {
	redis, defaults := a.config.RedactedRedis(), config.Default()
	if a.embedded != nil {
		redis = "embedded://" + a.embedded.Addr() // as bound: the port may have been left to the system
	}
	publish := "bin/sluice publish"
	if redis != defaults.Redis {
		publish += " --redis " + word(redis)
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
// redis-cli, and how stream is read. redis is the setting, without secrets. push
// is "" where redis-cli does not know which server carries a channel.
func onTerminal(redis, message, stream string) (push, hear string) {
	read := "XREAD COUNT 10 STREAMS " + stream + " 0"
	first, _, shards := strings.Cut(redis, ",redis")
	u, err := url.Parse(first)
	if err != nil {
		return "", ""
	}
	query := u.Query()
	scheme, kind, _ := strings.Cut(u.Scheme, "+")
	server := url.URL{Scheme: scheme, User: u.User, Host: u.Host, Path: u.Path}
	if db := query.Get("db"); db != "" {
		server.Path = "/" + db
	}
	cli := "redis-cli -u " + word(server.String())
	switch {
	case u.Scheme == "embedded":
		cli = "redis-cli -p " + u.Port()
	case kind == "sentinel":
		if u.Port() == "" {
			server.Host += ":26379"
		}
		server.User, server.Path = nil, "" // they are the master's
		return "", read + " at the master, which is\n" + strings.Repeat(" ", 19) + "redis-cli -u " + word(server.String()) +
			" SENTINEL GET-MASTER-ADDR-BY-NAME " + word(query.Get("master_name")+query.Get("sentinel_master_name"))
	case kind == "cluster":
		cli = "redis-cli -c -u " + word(server.String())
		if query.Get("pubsub") != "classic" {
			return cli + " SPUBLISH " + message, cli + " " + read
		}
	case shards:
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
