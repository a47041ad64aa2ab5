package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"sluice/pubsub/redisproc"
)

var underSentinel, inCluster = []string{"sentinel"}, []string{"cluster"}

// groupFaults make another server take over.
var groupFaults = []fault{
	{"failover", underSentinel, func(_ context.Context, r *rig, _ *rand.Rand, e *event) error {
		e.begin("SENTINEL FAILOVER")
		_, err := r.backend.sentinel.Failover()
		e.From = now()
		e.Over = e.From
		e.heal()
		return err
	}},
	{"failover-kill", underSentinel, func(_ context.Context, r *rig, _ *rand.Rand, e *event) error {
		master, err := r.backend.sentinel.Master()
		if err != nil {
			return err
		}
		e.begin("kill -9 of the master %s", master.Addr)
		return r.takeOver(master, e, master.Kill, func() error { return master.Restart() })
	}},
	{"failover-freeze", underSentinel, func(_ context.Context, r *rig, _ *rand.Rand, e *event) error {
		master, err := r.backend.sentinel.Master()
		if err != nil {
			return err
		}
		e.begin("SIGSTOP of the master %s", master.Addr)
		return r.takeOver(master, e, func() { _ = master.Pause() }, master.Resume) // it was running a moment ago
	}},
	{"failover", inCluster, func(_ context.Context, r *rig, random *rand.Rand, e *event) error {
		master := r.victim(random, e)
		e.begin("CLUSTER FAILOVER of %s", master.Addr)
		_, err := r.backend.cluster.Failover(master)
		e.From = now()
		e.Over = e.From
		e.heal()
		return err
	}},
	{"failover-kill", inCluster, func(_ context.Context, r *rig, random *rand.Rand, e *event) error {
		master := r.victim(random, e)
		e.begin("kill -9 of the master %s", master.Addr)
		return r.takeOver(master, e, master.Kill, func() error { return master.Restart() })
	}},
	{"failover-freeze", inCluster, func(_ context.Context, r *rig, random *rand.Rand, e *event) error {
		master := r.victim(random, e)
		e.begin("SIGSTOP of the master %s", master.Addr)
		return r.takeOver(master, e, func() { _ = master.Pause() }, master.Resume) // it was running a moment ago
	}},
	{"migrate", inCluster, func(_ context.Context, r *rig, random *rand.Rand, e *event) error {
		from := r.victim(random, e)
		masters, err := r.backend.cluster.Masters()
		if err != nil {
			return err
		}
		to := masters[random.IntN(len(masters))]
		if to == from {
			for _, m := range masters {
				if m != from {
					to = m
				}
			}
		}
		e.Channels = e.Channels[:min(len(e.Channels), 1+random.IntN(4))]
		e.begin("slots of %v from %s to %s", e.Channels, from.Addr, to.Addr)
		for _, channel := range e.Channels {
			slot, err := r.backend.cluster.Slot(prefix + channel)
			if err != nil {
				return err
			}
			if err := r.backend.cluster.Migrate(slot, to); err != nil {
				return err
			}
		}
		e.From = now()
		e.heal()
		return nil
	}},
}

// takeOver takes a master away, waits until another one serves, and brings it
// back as whatever it then is.
func (r *rig) takeOver(master *redisproc.Server, e *event, away func(), back func() error) error {
	var heir *redisproc.Server
	if r.backend.cluster != nil {
		var err error
		if heir, err = r.backend.cluster.Replica(master); err != nil {
			return err
		}
	}
	away()
	e.From = now()
	var err error
	switch {
	case r.backend.sentinel != nil:
		_, err = r.backend.sentinel.AwaitMaster(master)
	case master.Running():
		err = r.awaitOwner(heir, e)
	default:
		err = r.backend.cluster.AwaitMaster(heir)
	}
	e.Over = now()
	err = errors.Join(err, back())
	e.heal()
	return err
}

// awaitOwner waits until a server takes the event's channels: of a Cluster one of
// whose servers is frozen, not all can be asked.
func (r *rig) awaitOwner(s *redisproc.Server, e *event) error {
	for end := time.Now().Add(redisproc.Patience); ; time.Sleep(20 * time.Millisecond) {
		_, err := s.Do("GET", prefix+e.Channels[0])
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
