package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"sluice/loadtest/internal/history"
)

// followed is what a run found out about durable channels.
type followed struct {
	Total   history.Followed `json:"total"`
	Before  history.Followed `json:"before_faults"`
	Lost    int              `json:"lost_by_redis"` // of what Redis had said yes to, on logs that are not kept short
	Oddness []string         `json:"oddness"`
	Refused map[string]int   `json:"visits_ended_early"` // why, how often
}

// judgeDurable judges the durable channels, and gives each event its share.
func (r *rig) judgeDurable(rep *report, faults []history.Fault) {
	h := r.durable.history(faults)
	v := history.Follow(h)
	rep.Durable = followed{Total: v.Total, Before: v.Before, Oddness: v.Oddness, Refused: r.durable.refused}
	for i := range rep.Events {
		rep.Events[i].Followed = v.ByFault[i]
	}
	for _, l := range h.Logs {
		for _, m := range l.Messages {
			if m.Lost != 0 && !l.Trimmed {
				rep.Durable.Lost++
			}
		}
	}
}

// durableVerdicts are what is required on durable channels.
func (rep *report) durableVerdicts() {
	t := rep.Durable.Total
	rep.add(false, t.Undetected == 0, "durable: no undetected gap", "%d; %d lost by Redis; %d resets, %d gap notices, %d of them for logs that are kept short, %d needless", t.Undetected, rep.Durable.Lost, t.Resets, t.Gaps, t.Trimmed, t.Needless)
	rep.add(false, t.FalseRecovered == 0, "durable: recovered:true is true", "%d were not, of %d", t.FalseRecovered, t.Recovered)
	rep.add(false, t.Duplicate == 0, "durable: no duplicates", "%d; %d of what Redis has published twice itself", t.Duplicate, t.Twice)
	rep.add(false, t.OutOfOrder == 0, "durable: in order", "%d of %d", t.OutOfOrder, t.Delivered)
	rep.add(false, rep.spoiled() || t.Altered+t.Misplaced == 0, "durable: unaltered, at the position that the service was told", "%d altered, %d elsewhere", t.Altered, t.Misplaced)
	rep.add(false, t.Stuck == 0, "durable: everybody comes to the last message", "%d did not", t.Stuck)
}

// spoiled says whether bytes were being corrupted.
func (rep *report) spoiled() bool {
	return slices.ContainsFunc(rep.Events, func(o outcome) bool { return o.spoils })
}

// printDurable writes the table of durable channels, by fault.
func printDurable(out io.Writer, before history.Followed, events []outcome) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "durable: after\tn\tdelivered\trecovered\tresets\tgaps\tfor short logs\tneedless\ttwice\tin vain\tundetected\tfalse\tdup\tdisorder\tother\t")
	line := func(name string, n int, f history.Followed) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", name, n, f.Delivered, f.Recovered, f.Resets, f.Gaps, f.Trimmed, f.Needless, f.Twice, f.Vain,
			f.Undetected, f.FalseRecovered, f.Duplicate, f.OutOfOrder, f.Altered+f.Misplaced+f.Stuck)
	}
	sums, made := map[string]history.Followed{}, map[string]int{}
	for _, e := range events {
		sum := sums[e.Fault]
		sum.Add(e.Followed)
		sums[e.Fault], made[e.Fault] = sum, made[e.Fault]+1
	}
	line("nothing", 0, before)
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		line(name, made[name], sums[name])
	}
	if err := w.Flush(); err != nil {
		fmt.Fprintln(out, err)
	}
}
