package main

import (
	"context"
	"fmt"
	"strings"

	"sluice/gateway/admin"
	"sluice/gateway/hub"
	"sluice/gateway/session"
	"sluice/gateway/story"
	"sluice/loop"
)

// This file is how an operator's question for a connection reaches the reactor that knows.

// maxQuestions is how many are on their way to the reactors at once: what is posted to them is bounded by who posts it.
const maxQuestions = 4

// tell tells of one connection, by its name, or of all that a user has or had here.
func (a *App) tell(ctx context.Context, conn, user string) ([]story.Story, error) {
	var id loop.ConnID
	reactors := a.engine.Reactors()
	if conn != "" {
		var ok bool
		if id, ok = hub.ParseConn(a.node.Life, conn); !ok {
			return nil, a.elsewhere(conn)
		}
		if id.Reactor() >= len(reactors) {
			return nil, fmt.Errorf("this node has never had a connection %q: %w", conn, admin.ErrNotHere)
		}
		reactors = reactors[id.Reactor():][:1]
	}
	select {
	case a.questions <- struct{}{}:
		defer func() { <-a.questions }()
	case <-ctx.Done():
		return nil, fmt.Errorf("too many ask at once: %w", ctx.Err())
	}
	answers := make(chan []story.Story, len(reactors))
	for _, r := range reactors {
		r.Post(session.Question{Conn: id, User: user, Answers: answers})
	}
	var all []story.Story
	for range reactors {
		select {
		case some := <-answers:
			all = append(all, some...)
		case <-ctx.Done():
			return nil, fmt.Errorf("a reactor has not answered in time: %w", ctx.Err())
		}
	}
	if conn != "" && len(all) == 0 {
		return nil, fmt.Errorf("connection %q has ended, and is not among the last %d of its reactor any more; the log may have it, at log.level debug every one: %w", conn, story.Kept, admin.ErrNotHere)
	}
	return all, nil
}

// elsewhere says whose connection it is.
func (a *App) elsewhere(conn string) error {
	at := strings.LastIndexByte(conn, '.')
	if at <= 0 || conn[:at] == a.node.Life {
		return fmt.Errorf("%q is no connection's name: these stand in the inbox and in the log as conn: %w", conn, admin.ErrNotHere)
	}
	life := conn[:at]
	for _, p := range a.lease.Peers() {
		if p.Life == life {
			return fmt.Errorf("connection %q is on node %s, which serves at %s: ask its admin port: %w", conn, p.ID, p.Address, admin.ErrNotHere)
		}
	}
	return fmt.Errorf("connection %q was on a node, or a life of one, that has ended (%s); only its log and the inbox have it: %w", conn, life, admin.ErrNotHere)
}
