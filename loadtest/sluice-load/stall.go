package main

import (
	"fmt"
	"sync"
	"sync/atomic"

	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/proof"
)

// stallCmd measures what subscribers get while others have stopped reading, against what they got before.
type stallCmd struct{ fanoutCmd }

// Stall is what readers that stall do to the others, and what the server does with them.
type Stall struct {
	Stalled int64       `json:"stalled"`
	Others  int64       `json:"others"`
	Without OthersShare `json:"without"` // while everybody reads
	With    OthersShare `json:"with"`
	Kept    float64     `json:"kept"` // of the others' rate, 1: all

	MemoryBefore int64 `json:"rss_anon_before"` // bytes; 0 without --pid
	MemoryMost   int64 `json:"rss_anon_most"`   // while some stalled, and after they had read again

	Cut  int64 `json:"ended"` // stalled connections that the server ended
	Open int64 `json:"open"`  // those that are open at the end

	// Late is what came when they read again. Missing is of those that are open at the end.
	Late proof.Counts `json:"late"`
}

// OthersShare is what those get that do not stall.
type OthersShare struct {
	PerSecond float64 `json:"per_second"` // messages, to each of them
	Latency   Latency `json:"latency"`
	Cost      Cost    `json:"cost"`
}

// Run is the verb.
func (cmd *stallCmd) Run(env *outside) error {
	if err := cmd.alone("stall"); err != nil {
		return err
	}
	if cmd.Stalled == 0 {
		cmd.Stalled = cmd.Connections / 4
	}
	if cmd.Stalled == 0 {
		return fmt.Errorf("-n %d: want 4 subscribers or more, of which some stall", cmd.Connections)
	}
	return cmd.run(env, "stall", func(f *fanout) error { return f.stalling() })
}

// stalling is the whole run on a started fleet.
func (f *fanout) stalling() error {
	if err := f.connect(); err != nil {
		return err
	}
	if err := f.subscribed(); err != nil {
		return err
	}
	if err := f.warmUp(); err != nil {
		return err
	}
	s := &Stall{Stalled: int64(f.cmd.Stalled), Others: int64(f.cmd.Connections - f.cmd.Stalled)}
	without, err := f.window("all read")
	if err != nil {
		return err
	}
	s.Without = without.share()
	if without.Cost.Server != nil {
		u, err := f.server.Brief()
		if err != nil {
			return err
		}
		s.MemoryBefore = u.RSSAnon
	}
	f.peak.Store(0) // from here on
	f.stall()
	with, err := f.window(fmt.Sprintf("%d do not", s.Stalled))
	if err != nil {
		return err
	}
	s.With = with.share()
	if s.Without.PerSecond > 0 {
		s.Kept = s.With.PerSecond / s.Without.PerSecond
	}
	f.report.Traffic = with
	f.report.Stall = s
	f.moment("they read again")
	if err := f.readAgain(s); err != nil {
		return err
	}
	s.Cut = f.fleet.Stats().Cut
	s.MemoryMost = max(s.MemoryBefore, f.peak.Load())
	f.verdict()
	return nil
}

// share is the window as one subscriber that reads saw it: what is published it gets.
func (t *Traffic) share() OthersShare {
	return OthersShare{float64(t.Published) / t.Cost.Seconds, t.Latency, t.Cost}
}

// readAgain lets those that stalled read what is there for them, and counts what they have missed.
func (f *fanout) readAgain(s *Stall) error {
	f.fleet.Each(func(w *fleet.Worker) {
		script := f.scripts[w.Index()]
		script.late = &proof.Counts{}
		w.Conns(func(c *fleet.Conn) { c.Resume() })
	})
	silent := newSilence(-1, f.cmd.Quiet)
	err := f.until(func() bool {
		return f.caughtUp() || silent.look(f.fleet.Stats().Bytes) > f.cmd.Quiet
	})
	var mu sync.Mutex
	f.fleet.Each(func(w *fleet.Worker) {
		mu.Lock()
		defer mu.Unlock()
		script := f.scripts[w.Index()]
		w.Conns(func(c *fleet.Conn) {
			if f.stalls(c) {
				s.Open++
				script.late.Close(&script.trackers[script.index(c)], f.next[c.ID%len(f.channels)])
			}
		})
		s.Late.Add(*script.late)
	})
	return err
}

// caughtUp says that nothing is missing to those that have read again and are still there.
func (f *fanout) caughtUp() bool {
	var behind atomic.Int64
	f.fleet.Each(func(w *fleet.Worker) {
		script := f.scripts[w.Index()]
		w.Conns(func(c *fleet.Conn) {
			if f.stalls(c) && script.trackers[script.index(c)].Next() < f.next[c.ID%len(f.channels)] {
				behind.Add(1)
			}
		})
	})
	return behind.Load() == 0
}

// stalls says that c is one of those that stop reading: the first ones, which the server has spread over its threads.
func (f *fanout) stalls(c *fleet.Conn) bool { return c.ID < f.cmd.Stalled }

// rows are for people.
func (s *Stall) rows(row func(string, string, ...any)) {
	row("stalled", "%d subscribers stop reading, %d go on", s.Stalled, s.Others)
	row("  the others, before", "%.1f messages/s each, %v", s.Without.PerSecond, s.Without.Latency)
	row("  the others, meanwhile", "%.1f messages/s each, %v", s.With.PerSecond, s.With.Latency)
	row("  they keep", "%.1f %% of their rate", 100*s.Kept)
	if s.MemoryBefore > 0 {
		row("  RssAnon of the server", "%s before, %s at most", size(s.MemoryBefore), size(s.MemoryMost))
	}
	row("  ended by the server", "%d of the %d", s.Cut, s.Stalled)
	row("  when they read again", "%d messages were there for them", s.Late.Delivered)
	if s.Open > 0 {
		row("  missed for good", "%d messages, by the %d that stay", s.Late.Missing, s.Open)
	}
}
