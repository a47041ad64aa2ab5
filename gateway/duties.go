package main

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"sluice/gateway/session"
	"sluice/pubsub"
)

// This file is what nodes owe each other: who dies leaves things behind in Redis that
// another one clears up, and who was only taken for dead states anew what it has.

// withDuties completes what a lease tells with what this node does about it.
func (a *App) withDuties(o pubsub.LeaseOptions) pubsub.LeaseOptions {
	o.Bury = a.bury
	o.BuryFailed = func(dead pubsub.Peer, err error) {
		a.log.Warn("what a dead node has left behind is not cleared up: it is tried again", zap.String("peer", dead.ID), zap.String("life", dead.Life), zap.Error(err))
	}
	say := o.Lapsed
	o.Lapsed = func(was, now pubsub.Peer) {
		say(was, now)
		a.lapsed(now)
	}
	return o
}

// bury clears up what a dead node has left behind. Each part of it bears being
// repeated, and is done whatever becomes of the others.
func (a *App) bury(ctx context.Context, dead pubsub.Peer) error {
	return errors.Join(
		a.buryInbox(ctx, dead),
		a.presence.Bury(ctx, dead),
	)
}

func (a *App) buryInbox(ctx context.Context, dead pubsub.Peer) error {
	wrote, err := a.inbox.Bury(ctx, dead)
	if wrote > 0 {
		a.log.Info("disconnect entries were written for a dead node", zap.String("peer", dead.ID), zap.String("life", dead.Life), zap.Int("entries", wrote))
	}
	return err
}

// lapsed states what this node has under its new life.
func (a *App) lapsed(now pubsub.Peer) {
	a.inbox.SetLife(now.Life)
	a.restate()
}

// restate has all connections reported to the inbox again.
func (a *App) restate() {
	for _, r := range a.engine.Reactors() {
		r.Post(session.Restate{})
	}
}

// checkRecorded has the reactors look which of the connections that Redis says are
// open have ended.
func (a *App) checkRecorded(list []pubsub.Recorded) {
	reactors := a.engine.Reactors()
	for i, of := range a.node.RecordedBy(list) {
		if i < len(reactors) {
			reactors[i].Post(of)
		}
	}
}

// settleTime is what this node takes to clear up behind itself.
const settleTime = 2 * time.Second

// settle clears up what this node leaves behind, when its clients have gone. What it
// cannot, others do: it ends without leaving, and they take it for dead.
func (a *App) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	if err := a.bury(ctx, a.lease.Self()); err != nil {
		a.log.Warn("this node could not clear up behind itself: others will, when its lease has run out", zap.Error(err))
		a.lease.Desert()
	}
}
