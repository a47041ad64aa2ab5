package main

import (
	"time"

	"go.uber.org/zap"

	"sluice/gateway/auth"
	"sluice/gateway/session"
	"sluice/pubsub"
)

// This file is how what services tell all nodes reaches this one's clients.

func (a *App) steeringOptions() pubsub.SteeringOptions {
	return pubsub.SteeringOptions{
		Apply: a.steer,
		Missed: func() {
			a.log.Warn("Redis has lost what services told the nodes to do about their clients, or may have: what was revoked since is not known here")
		},
		Down: func(err error) {
			a.log.Warn("it cannot be read what services want done about clients: nobody is disconnected or revoked by them until it can", zap.Error(err))
		},
		Up: func(after time.Duration) {
			a.log.Info("what services want done about clients can be read again", zap.Duration("after", after))
		},
	}
}

// steer carries out commands: what is revoked is not let in any more before the
// reactors look who is in.
func (a *App) steer(commands []pubsub.Command) {
	kept := true
	for _, k := range commands {
		switch {
		case k.Do != pubsub.DoRevoke:
		case k.Token != "":
			kept = a.revoked.Token(k.Token, k.Till) && kept
		default:
			kept = a.revoked.User(k.User, k.Before, k.Till) && kept
		}
	}
	if !kept {
		a.log.Error("a token is not refused although it was revoked: there are too many revocations", zap.Int("most", auth.MostRevoked))
	}
	for _, r := range a.engine.Reactors() {
		r.Post(session.Steer(commands))
	}
}

// forgetEvery is how often revocations are dropped that are over, in seconds.
const forgetEvery = 600
