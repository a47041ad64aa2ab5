package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"sluice/pubsub/redisproc"
)

// dataFaults take from Redis what it has said yes to, or what it knows of durable
// channels.
var dataFaults = []fault{
	{"rollback", alone, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		s := r.victim(random, e)
		if _, err := s.Do("SAVE"); err != nil {
			return err
		}
		hold(ctx, between(random, 200*time.Millisecond, 2*time.Second))
		e.away = true
		e.begin("kill -9 of %s, which comes back with a snapshot from before", s.Addr)
		s.Kill()
		e.From = now()
		hold(ctx, between(random, 50*time.Millisecond, time.Second))
		err := r.backend.restartFromSnapshot(s)
		e.heal()
		return err
	}},
	{"flush", nil, func(_ context.Context, r *rig, random *rand.Rand, e *event) error {
		s := r.logVictim(random, e)
		e.begin("FLUSHALL on %s", s.Addr)
		_, err := s.Do("FLUSHALL")
		e.heal()
		return err
	}},
	{"del", nil, func(_ context.Context, r *rig, random *rand.Rand, e *event) error {
		l, err := r.durable.any(random)
		if err != nil {
			return err
		}
		s, err := r.backend.carrier(l.channel)
		if err != nil {
			return err
		}
		key := "{" + prefix + l.channel + "}"
		keys := [][]any{{key + ".log"}, {key + ".meta"}, {key + ".log", key + ".meta"}}[random.IntN(3)]
		e.Channels = []string{}
		e.begin("DEL of %v", keys)
		_, err = s.Do(append([]any{"DEL"}, keys...)...)
		e.heal()
		return err
	}},
	// The master keeps nothing, and comes back before anybody has taken its place: its replicas follow it.
	{"restart", []string{"sentinel", "cluster"}, func(_ context.Context, r *rig, random *rand.Rand, e *event) error {
		s := r.logVictim(random, e)
		e.begin("kill -9 and restart of the master %s, which keeps nothing", s.Addr)
		s.Kill()
		err := s.Restart()
		e.From = now()
		e.heal()
		return err
	}},
	{"failover-lossy", []string{"sentinel", "cluster"}, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		master := r.logVictim(random, e)
		replicas := r.backend.replicas(master)
		e.begin("kill -9 of the master %s, which its replicas have not heard of any more", master.Addr)
		err := errors.Join(cutReplicas(master, replicas), r.waited(ctx, between(random, 100*time.Millisecond, time.Second)))
		if err == nil {
			err = r.takeOver(master, e, master.Kill, func() error { return errors.Join(r.backend.joinReplicas(replicas), master.Restart()) })
		}
		return err
	}},
	{"asleep", nil, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		n := r.nodes[random.IntN(len(r.nodes))]
		s := r.logVictim(random, e)
		e.stopped = true
		e.begin("%s is stopped while %s loses everything, or is succeeded", n.name, s.Addr)
		return n.stopped(func() error {
			err := r.succeed(s, e)
			hold(ctx, between(random, 10*time.Millisecond, time.Second))
			return err
		}, e)
	}},
	{"migrate-log", inCluster, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		l, err := r.durable.any(random)
		if err != nil {
			return err
		}
		slot, err := r.backend.cluster.Slot(prefix + l.channel)
		if err != nil {
			return err
		}
		from, err := r.backend.carrier(l.channel)
		if err != nil {
			return err
		}
		masters, err := r.backend.cluster.Masters()
		if err != nil {
			return err
		}
		to := masters[random.IntN(len(masters))]
		for to == from {
			to = masters[random.IntN(len(masters))]
		}
		e.Channels = []string{}
		e.begin("the slot of %s from %s to %s", l.channel, from.Addr, to.Addr)
		pause := between(random, 10*time.Millisecond, 300*time.Millisecond)
		err = r.backend.cluster.MigrateSlowly(slot, to, func() { hold(ctx, pause) })
		e.heal()
		return err
	}},
}

// succeed has another server take over from one, or, where there is none, has it lose
// everything.
func (r *rig) succeed(s *redisproc.Server, e *event) (err error) {
	switch {
	case r.backend.sentinel != nil:
		_, err = r.backend.sentinel.Failover()
		e.Over = now()
	case r.backend.cluster != nil:
		_, err = r.backend.cluster.Failover(s)
		e.Over = now()
	default:
		_, err = s.Do("FLUSHALL")
	}
	return err
}

// logVictim is a server that carries a durable channel. The channels that it
// carries are the event's.
func (r *rig) logVictim(random *rand.Rand, e *event) *redisproc.Server {
	l, err := r.durable.any(random)
	if err != nil {
		return r.victim(random, e)
	}
	s, err := r.backend.carrier(l.channel)
	if err != nil {
		s = r.backend.servers[0] // as in victim
	}
	r.carriedBy(s, e)
	return s
}

// waited is hold, with an error where the run was interrupted.
func (r *rig) waited(ctx context.Context, d time.Duration) error {
	hold(ctx, d)
	return ctx.Err()
}

// restartFromSnapshot starts a server with what its last SAVE has written, which it
// does not find again the next time.
func (b *backend) restartFromSnapshot(s *redisproc.Server) error {
	s.Reconfigure("--appendonly", "no")
	defer s.Reconfigure(b.args...)
	if err := s.Restart(); err != nil {
		return err
	}
	reply, err := s.Do("CONFIG", "GET", "dir")
	if err != nil {
		return err
	}
	dir, ok := reply.(map[any]any)["dir"].(string)
	if !ok {
		return fmt.Errorf("CONFIG GET dir on %s answers %v", s.Addr, reply)
	}
	if err := os.Remove(filepath.Join(dir, "dump.rdb")); err != nil {
		return err
	}
	if b.topology == "aof" {
		_, err = s.Do("CONFIG", "SET", "appendonly", "yes")
	}
	return err
}

// replicas are the servers that follow a master, as it knows them.
func (b *backend) replicas(master *redisproc.Server) (list []*redisproc.Server) {
	for _, s := range b.servers {
		reply, err := s.Do("ROLE")
		if role, ok := reply.([]any); err == nil && ok && len(role) > 2 && role[0] == "slave" && fmt.Sprintf("%v:%v", role[1], role[2]) == master.Addr {
			list = append(list, s)
		}
	}
	return list
}

// cutReplicas has replicas hear nothing from their master any more: the connection
// is closed, and with a password that it does not take they get no other one.
func cutReplicas(master *redisproc.Server, replicas []*redisproc.Server) error {
	for _, s := range replicas {
		if _, err := s.Do("CONFIG", "SET", "masterauth", "wrong"); err != nil {
			return err
		}
	}
	_, err := master.Do("CLIENT", "KILL", "TYPE", "replica")
	return err
}

func (b *backend) joinReplicas(replicas []*redisproc.Server) error {
	var errs []error
	for _, s := range replicas {
		_, err := s.Do("CONFIG", "SET", "masterauth", "")
		if err == nil && b.sentinel != nil { // it has had the password written to the file from which the server starts
			_, err = s.Do("CONFIG", "REWRITE")
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
