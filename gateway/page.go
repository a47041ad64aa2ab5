package main

import (
	"context"
	"io"
	"log"
	"net"
	"strconv"
	"time"

	"go.uber.org/zap"

	"sluice/gateway/admin"
	"sluice/pubsub"
)

// adminOptions is what the admin port knows of the node.
func (a *App) adminOptions() admin.Options {
	o := admin.Options{
		Info:         a.info,
		Ready:        a.Ready,
		Inbox:        a.latest,
		Gaps:         a.gapsNow,
		Metrics:      a.metricsHandler(),
		CheckChannel: pubsub.CheckChannel,
		Alive:        a.engine.Alive,
		Hosts:        a.adminHosts(),
		API:          a.api,
		Stories:      a.tell,
		Channel:      a.channel,
		Conns:        a.conns,
		Tail:         a.tail,
	}
	if a.acts() == admin.ActsOpen {
		o.Open = a.api.Open()
	}
	o.Watch = admin.NewWatch(o, (&lookout{app: a}).overview)
	a.watch = o.Watch
	return o
}

// acts says who may publish and disconnect by way of the admin port. On a laptop whoever
// reaches it may, as whoever reaches the embedded Redis can.
func (a *App) acts() string {
	switch {
	case a.api.HasKey():
		return admin.ActsKey
	case a.config.Dev:
		return admin.ActsOpen
	}
	return admin.ActsOff
}

// complaints is the log for libraries that want one of the standard library's.
func (a *App) complaints() *log.Logger {
	l, err := zap.NewStdLogAt(a.log.With(zap.String("port", "admin")), zap.WarnLevel)
	if err != nil { // only for a level that does not exist
		return log.New(io.Discard, "", 0)
	}
	return l
}

// adminHosts are the names by which the admin port may be called, beyond those
// that every machine has: what the operator called it.
func (a *App) adminHosts() []string {
	host, _, err := net.SplitHostPort(a.config.Admin)
	if err != nil || host == "" {
		return nil
	}
	return []string{host}
}

func (a *App) info() admin.Info {
	h := a.hub.Stats()
	endpoints := []admin.Endpoint{{Path: "/ws", Dialect: "plain"}, {Path: "/sse", Dialect: "events"}}
	if a.node.InForce().Echo {
		endpoints = append(endpoints, admin.Endpoint{Path: "/echo", Dialect: "echo"})
	}
	var nodes []admin.Node
	for _, p := range a.lease.Peers() {
		nodes = append(nodes, admin.Node{ID: p.ID, Life: p.Life, Address: p.Address, Started: time.UnixMilli(p.Started), Age: p.Age.Seconds()})
	}
	redis := admin.Redis{URL: a.config.RedactedRedis(), OK: true, State: "delivering"}
	if a.embedded != nil {
		redis.URL = "embedded://" + a.embedded.Addr() // as bound: the port may have been left to the system
	}
	if err := a.broker.Ready(); err != nil {
		redis.OK, redis.State = false, err.Error()
	}
	return admin.Info{
		Version:       version,
		Node:          a.node.ID,
		Life:          a.node.Life,
		Started:       a.started,
		Dev:           a.config.Dev,
		Prefix:        a.config.Prefix,
		Listen:        a.Public().String(),
		TLS:           a.certificates != nil,
		Endpoints:     endpoints,
		Redis:         redis,
		Acts:          a.acts(),
		Connections:   a.engine.Stats().Connections,
		Subscriptions: h.Subscriptions,
		Channels:      h.Channels,
		Nodes:         nodes,
	}
}

// gapsNow is when messages may have been missed, as far as that is remembered.
func (a *App) gapsNow() admin.Gaps {
	list, forgotten := a.gaps.List()
	gaps := admin.Gaps{Node: a.node.ID, Forgotten: forgotten}
	for _, g := range list {
		one := admin.Gap{Link: g.Link, Channel: g.Channel, Cause: string(g.Cause), From: g.From, Channels: g.Channels}
		if !g.To.IsZero() {
			one.To = &g.To
		}
		gaps.Gaps = append(gaps.Gaps, one)
	}
	return gaps
}

// latest reads the end of the inbox, newest first.
func (a *App) latest(ctx context.Context, count int) ([]admin.InboxEntry, error) {
	messages, err := a.inbox.Latest(ctx, count)
	if err != nil {
		return nil, err
	}
	entries := make([]admin.InboxEntry, 0, len(messages))
	for _, m := range messages {
		field := func(name string) string {
			s, _ := m.Values[name].(string) // "" where the entry has no such field
			return s
		}
		e := admin.InboxEntry{
			Stream: m.ID, Type: field("type"), ID: field("id"), Conn: field("conn"), User: field("user"), Channel: field("channel"),
			Call: field("call"), Method: field("method"), Node: field("node"), Data: []byte(field("data")),
		}
		if ms, err := strconv.ParseInt(field("time"), 10, 64); err == nil { // else it was not we who wrote it
			e.Time = time.UnixMilli(ms)
		}
		entries = append(entries, e)
	}
	return entries, nil
}
