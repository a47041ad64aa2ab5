package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"sluice/loadtest/internal/history"
)

// series is several runs, one after the other, with topologies by turns and seeds in
// order. Of one that fails everything is printed.
type series struct {
	runs       int
	topologies []string
	busy       bool // verdicts that depend on time do not count
	out        io.Writer

	sums   map[string]*sum // by topology
	events []outcome
	before history.Followed
}

// sum is what the runs of one topology came to.
type sum struct {
	runs, failed, broken, faults int
	plain                        history.Counts
	durable                      history.Followed
	lost                         int
}

// run makes all of them, or until ctx ends, and returns the exit status.
func (s *series) run(ctx context.Context, o options) int {
	failed := 0
	s.sums = map[string]*sum{}
	began := time.Now()
	for i := range s.runs {
		o.Topology, o.Seed = s.topologies[i%len(s.topologies)], o.Seed+min(1, uint64(i))
		var out bytes.Buffer
		o.Out = &out
		rep, err := run(ctx, o)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			s.sum(o.Topology).broken++
			fmt.Fprintf(s.out, "%s seed %d: no verdict: %v\n%s\n", o.Topology, o.Seed, err, &out)
			failed++
			continue
		}
		verdict := "passed"
		if bad := rep.failed(!s.busy); len(bad) > 0 {
			failed++
			s.sum(o.Topology).failed++
			verdict = "FAILED"
			rep.print(&out)
			fmt.Fprintf(s.out, "%s\n", &out)
		}
		s.add(o.Topology, rep)
		d := rep.Durable.Total
		fmt.Fprintf(s.out, "%s  %d of %d: %s seed %d: %s; %d faults, %d + %d deliveries, %d recovered, %d told, %d violations\n", time.Since(began).Round(time.Second),
			i+1, s.runs, o.Topology, o.Seed, verdict, len(rep.Events), rep.Total.OK, d.Delivered, d.Recovered, d.Resets+d.Gaps, d.Violations())
	}
	s.print()
	if failed > 0 {
		fmt.Fprintf(s.out, "chaos: FAILED, %d of %d runs\n", failed, s.runs)
		return 1
	}
	fmt.Fprintln(s.out, "chaos: passed")
	return 0
}

func (s *series) sum(topology string) *sum {
	if s.sums[topology] == nil {
		s.sums[topology] = &sum{}
	}
	return s.sums[topology]
}

func (s *series) add(topology string, rep *report) {
	t := s.sum(topology)
	t.runs++
	t.faults += len(rep.Events)
	t.plain.Add(rep.Total)
	t.durable.Add(rep.Durable.Total)
	t.lost += rep.Durable.Lost
	s.before.Add(rep.Durable.Before)
	s.events = append(s.events, rep.Events...)
}

// print writes what the runs came to, by topology and by fault.
func (s *series) print() {
	fmt.Fprintln(s.out)
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "durable: with\truns\tfailed\tfaults\tdelivered\tlost by Redis\trecovered\tresets\tgaps\tfor short logs\tneedless\ttwice\tin vain\tviolations\tplain: ok\tlost told\tsilently\tdup\tdisorder\t")
	seen := map[string]bool{}
	for _, name := range s.topologies {
		t := s.sums[name]
		if t == nil || seen[name] {
			continue
		}
		seen[name] = true
		d, p := t.durable, t.plain
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", name, t.runs+t.broken, t.failed+t.broken, t.faults, d.Delivered, t.lost, d.Recovered, d.Resets, d.Gaps,
			d.Trimmed, d.Needless, d.Twice, d.Vain, d.Violations(), p.OK, p.LostTold, p.LostSilently, p.Duplicate, p.OutOfOrder)
	}
	if err := w.Flush(); err != nil {
		fmt.Fprintln(s.out, err)
	}
	fmt.Fprintln(s.out)
	printDurable(s.out, s.before, s.events)
}
