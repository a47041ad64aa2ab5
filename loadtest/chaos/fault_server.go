package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"sluice/pubsub/redisproc"
)

// alone are the topologies where nobody takes over from a server that fails.
var alone = []string{"standalone", "aof", "shards"}

// serverFaults happen to one redis-server.
var serverFaults = []fault{
	{"kill", alone, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		s := r.victim(random, e)
		e.away = true
		e.begin("kill -9 and restart of %s, which keeps %s", s.Addr, r.backend.kept())
		s.Kill()
		e.From = now()
		hold(ctx, r.length(random))
		defer e.heal()
		return s.Restart()
	}},
	{"kill-aof", []string{"standalone", "shards"}, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		s := r.victim(random, e)
		if err := persist(s); err != nil {
			return err
		}
		e.away = true
		e.begin("kill -9 and restart of %s, which loads 300,000 keys from its append-only file", s.Addr)
		s.Kill()
		e.From = now()
		s.Reconfigure("--appendonly", "yes")
		defer s.Reconfigure()
		hold(ctx, between(random, 100*time.Millisecond, time.Second))
		err := s.Restart()
		e.heal()
		if err == nil {
			_, err = s.Do("CONFIG", "SET", "appendonly", "no")
		}
		if err == nil {
			_, err = s.Do("FLUSHALL", "ASYNC")
		}
		return err
	}},
	{"freeze", alone, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		s := r.victim(random, e)
		e.away = true
		d := r.length(random)
		e.begin("SIGSTOP and SIGCONT of %s, %v", s.Addr, d.Round(time.Millisecond))
		if err := s.Pause(); err != nil {
			return err
		}
		hold(ctx, d)
		e.From = now()
		defer e.heal()
		return s.Resume()
	}},
	{"client-kill", nil, func(_ context.Context, r *rig, random *rand.Rand, e *event) error {
		s := r.victim(random, e)
		e.begin("CLIENT KILL of subscribers of %s", s.Addr)
		_, err := s.Do("CLIENT", "KILL", "TYPE", "pubsub")
		e.From = now()
		e.heal()
		return err
	}},
	{"sleep", alone, func(ctx context.Context, r *rig, random *rand.Rand, e *event) error {
		s := r.victim(random, e)
		d := r.length(random)
		e.away = true
		e.begin("DEBUG SLEEP of %s, %v", s.Addr, d.Round(time.Millisecond))
		c, err := dialWire(ctx, s.Addr, time.Minute)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.do("DEBUG", "SLEEP", fmt.Sprint(d.Seconds()))
		e.From = now()
		e.heal()
		return err
	}},
}

// victim is a server that carries channels, those are the event's.
func (r *rig) victim(random *rand.Rand, e *event) *redisproc.Server {
	chosen := r.streams[random.IntN(len(r.streams))].channel
	s, err := r.backend.carrier(chosen)
	if err != nil {
		return r.backend.servers[0] // it is whole before each fault; were it not, any server is as good
	}
	r.carriedBy(s, e)
	return s
}

// carriedBy makes the channels of a server the event's.
func (r *rig) carriedBy(s *redisproc.Server, e *event) {
	e.Channels = nil
	for _, channel := range r.channels {
		if c, err := r.backend.carrier(channel); err == nil && c == s {
			e.Channels = append(e.Channels, channel)
		}
	}
}

// persist gives a server an append-only file with something in it.
func persist(s *redisproc.Server) error {
	if _, err := s.Do("DEBUG", "POPULATE", 300_000, "filler"); err != nil {
		return err
	}
	if _, err := s.Do("CONFIG", "SET", "appendonly", "yes"); err != nil {
		return err
	}
	for end := time.Now().Add(redisproc.Patience); ; time.Sleep(10 * time.Millisecond) {
		info, err := s.Do("INFO", "persistence")
		if err != nil {
			return err
		}
		text := fmt.Sprint(info)
		if strings.Contains(text, "aof_rewrite_in_progress:0") && strings.Contains(text, "aof_rewrite_scheduled:0") && strings.Contains(text, "aof_last_bgrewrite_status:ok") {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("the append-only file was not written in time:\n" + text)
		}
	}
}
