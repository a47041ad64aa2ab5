package main

import (
	"time"

	"go.uber.org/zap"

	"sluice/pubsub"
)

// This file is what nodes do about presence: each other's when one dies, their own when
// Redis may have lost it.

func (a *App) presenceOptions(life string) pubsub.PresenceOptions {
	return pubsub.PresenceOptions{
		Prefix:    a.config.Prefix,
		Life:      life,
		Announces: func(channel string) bool { return a.now.Load().config.Namespace(channel).JoinLeave },
		Down: func(err error) {
			a.log.Warn("Redis does not take presence: it shows who was there before, until it does", zap.Error(err))
		},
		Up: func(after time.Duration) {
			a.log.Info("Redis takes presence again", zap.Duration("after", after))
		},
	}
}

// resyncing has all presence written again when a Redis was connected to: it may have
// been started anew, or be another one.
func (a *App) resyncing(o pubsub.Options) pubsub.Options {
	say := o.Events.Connected
	o.Events.Connected = func(addr string) {
		say(addr)
		a.presence.Resync()
	}
	return o
}

// keepingPresence completes what a lease tells with what presence has to do about it.
func (a *App) keepingPresence(o pubsub.LeaseOptions) pubsub.LeaseOptions {
	lapsed, forgotten := o.Lapsed, o.Forgotten
	o.Lapsed = func(was, now pubsub.Peer) {
		lapsed(was, now)
		a.presence.Reborn(now.Life)
	}
	o.Forgotten = func() {
		forgotten()
		a.presence.Resync()
	}
	return o
}
