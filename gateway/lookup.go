package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"sluice/config"
	"sluice/gateway/admin"
	"sluice/gateway/session"
	"sluice/pubsub"
)

// This file is how the console looks up channels and connections, and follows channels.

// channel is what is known of a channel. Where Redis does not tell, it says so in Fault.
func (a *App) channel(ctx context.Context, name string) (admin.Channel, error) {
	n := a.now.Load().config.Namespace(name)
	c := admin.Channel{Name: name, Rules: rulesOf(&n)}
	c.Members, c.Heard = a.hub.Look(name)
	var faults []error
	if c.Rules.Durable {
		log, err := a.logOf(ctx, name)
		c.Log, faults = log, append(faults, err)
	}
	if n.Presence {
		who, err := a.whoIsOn(ctx, name)
		c.Who, faults = who, append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		c.Fault = err.Error()
	}
	return c, nil
}

func rulesOf(n *config.Namespace) admin.Rules {
	r := admin.Rules{
		Namespace: n.Name, Subscribe: string(n.Subscribe), Publish: string(n.Publish), Policy: string(n.Policy), Inbox: n.Inbox,
		Durable: n.Durable != nil && *n.Durable, LastValue: n.LastValue, HistorySize: n.HistorySize, HistoryTTL: n.HistoryTTL.Seconds(),
		Presence: n.Presence, JoinLeave: n.JoinLeave, Relay: n.Relay,
	}
	return r
}

// logOf is where a channel's log stands.
func (a *App) logOf(ctx context.Context, name string) (*admin.Log, error) {
	h, err := a.broker.HistoryBefore(ctx, name, 0, 1)
	if err != nil {
		return nil, err
	}
	l := &admin.Log{Last: strconv.FormatUint(uint64(h.Last), 10), Epoch: h.Epoch}
	if len(h.Entries) > 0 {
		at := positionsBegan.Add(time.Duration(h.Entries[0].Position) * time.Microsecond)
		l.Newest = &at
	}
	key := "{" + a.config.Prefix + name + "}.log"
	client := a.broker.Client(key)
	if client == nil {
		return l, errors.New("the server that has the log is not known at the moment")
	}
	l.Entries, err = client.XLen(ctx, key).Result()
	return l, err
}

// positionsBegan is when positions count from: they are microseconds since then, or a few
// more (functions.lua).
var positionsBegan = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// shownPresent is how many of those who are present are listed, about.
const shownPresent = 50

func (a *App) whoIsOn(ctx context.Context, name string) (*admin.Who, error) {
	there, err := a.broker.Attendance(ctx, name, shownPresent, "")
	if err != nil {
		return nil, err
	}
	w := &admin.Who{Connections: there.Connections, Users: there.Users, Some: make([]admin.Present, 0, len(there.Attendees))}
	for _, one := range there.Attendees {
		w.Some = append(w.Some, admin.Present{Conn: one.Conn, User: one.User, Since: one.Since})
	}
	return w, nil
}

// conns asks all reactors for connections.
func (a *App) conns(ctx context.Context, q admin.Query) (admin.Conns, error) {
	reactors := a.engine.Reactors()
	answers := make(chan session.Found, len(reactors))
	for _, r := range reactors {
		r.Post(&session.Search{User: q.User, Channel: q.Channel, Conn: q.Conn, Most: admin.MaxConns, Channels: admin.MaxChannels, Answer: answers})
	}
	var found admin.Conns
	for range reactors {
		select {
		case <-ctx.Done():
			return found, fmt.Errorf("a reactor does not answer: %w", ctx.Err())
		case f := <-answers:
			found.Total += f.Total
			for _, c := range f.Conns[:min(len(f.Conns), admin.MaxConns-len(found.Conns))] {
				found.Conns = append(found.Conns, admin.Conn{Conn: c.Name, User: c.User, Dialect: c.Dialect, Remote: c.Remote, Channels: c.Channels, More: c.More})
			}
		}
	}
	if q.Channel != "" { // reactors have not counted them
		members, _ := a.hub.Look(q.Channel)
		found.Total = max(members, len(found.Conns))
	}
	return found, nil
}

// tail follows channels as a service does, through a connection of its own: what this node
// does for its clients is not touched by it.
func (a *App) tail(ctx context.Context, channels []string, to *admin.Tailed) error {
	url := a.config.Redis
	if a.embedded != nil {
		url = a.embedded.URL()
	}
	broker, err := pubsub.Open(pubsub.Options{URL: url, Prefix: a.config.Prefix, ClientName: "sluice-console", Events: pubsub.Events{
		Lost: func(_ string, err error, retryIn time.Duration) {
			to.Note("no connection to Redis, trying again in " + retryIn.Round(time.Millisecond).String() + ": " + err.Error())
		},
	}})
	if err != nil {
		return err
	}
	for _, name := range channels {
		broker.Subscribe(name)
	}
	err = broker.Run(ctx, consoleSink{to})
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, broker.Close())
}

// consoleSink hands on what a tail hears. It implements pubsub.Sink and pubsub.Receiver.
type consoleSink struct{ to *admin.Tailed }

func (s consoleSink) Lane(pubsub.Link) pubsub.Receiver { return s }

func (s consoleSink) Subscribed(channel string) { s.to.Note("listening on " + channel) }

func (consoleSink) Delivered() {}

func (s consoleSink) Interrupted(error) {
	s.to.Note("the connection to Redis broke: messages may be missing")
}

func (s consoleSink) Moved(channel string) {
	s.to.Note("another Redis carries " + channel + " now: messages may be missing")
}

func (s consoleSink) Skipped(channel string) {
	s.to.Note("a message on " + channel + " is longer than a node takes, and is not shown")
}

func (s consoleSink) Deliver(channel, payload []byte) {
	if d, ok := pubsub.ParseDurable(payload); ok {
		s.to.Add(channel, d.Payload, uint64(d.Position))
		return
	}
	if c, ok := pubsub.ParseComing(payload); ok {
		who := "anonymous, " + c.Conn
		if c.User != "" {
			who = "user " + c.User + ", " + c.Conn
		}
		s.to.Come(channel, c.Came, who)
		return
	}
	s.to.Add(channel, payload, 0)
}
