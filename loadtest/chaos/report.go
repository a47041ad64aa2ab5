package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sluice/loadtest/internal/history"
)

// report is everything that a run found.
type report struct {
	Seed     uint64         `json:"seed"`
	Topology string         `json:"topology"`
	Nodes    int            `json:"nodes"`
	Total    history.Counts `json:"total"`
	Quiet    history.Counts `json:"quiet"`
	Events   []outcome      `json:"events"`
	Samples  int            `json:"readiness_samples"`
	Lies     []string       `json:"readiness_lies"`
	Dropped  []string       `json:"dropped_connections"`
	Oddness  []string       `json:"oddness"`
	Broken   []string       `json:"broken"` // what never got well again
	Windows  int            `json:"windows"`
	Doubted  float64        `json:"doubted_percent"`      // of the nodes' time that lies in windows for all channels
	Idly     float64        `json:"doubted_idly_percent"` // of their time without a fault
	// Gaps are the windows as the nodes told them, by life.
	Gaps     map[string][]gapRecord `json:"gaps"`
	NoGaps   bool                   `json:"no_gap_reports"` // no node has /api/gaps
	Durable  followed               `json:"durable"`
	Verdicts []verdict              `json:"verdicts"`
}

// outcome is an event with what came of it. Times are milliseconds, by node;
// those of nodes that it did not concern are left out.
type outcome struct {
	event
	Resume   map[string]float64 `json:"resume_ms"`   // from the first message acked by a Redis that serves again to the first one delivered
	Silence  map[string]float64 `json:"silence_ms"`  // the longest without any delivery
	NotReady map[string]float64 `json:"notready_ms"` // from the beginning to the first 503
	Ready    map[string]float64 `json:"ready_ms"`    // from the first message acked to the first 200 after a 503
	Counts   history.Counts     `json:"counts"`
	Followed history.Followed   `json:"durable"` // from its beginning to that of the next one
}

// verdict is one of the things required.
type verdict struct {
	What   string `json:"what"`
	Holds  bool   `json:"holds"`
	Timing bool   `json:"timing"` // it depends on how busy the machine is
	Detail string `json:"detail"`
}

const (
	resumeWithin = 200 * time.Millisecond
	noticeWithin = 2 * time.Second
)

func (r *rig) judge() *report {
	h := r.history()
	v := history.Judge(h)
	rep := &report{Seed: r.o.Seed, Topology: r.o.Topology, Nodes: r.o.Nodes, Total: v.Total, Quiet: v.Quiet, Oddness: v.Oddness,
		Dropped: r.crowd.dropped, Broken: r.faults, Windows: len(h.Windows), Gaps: map[string][]gapRecord{}, NoGaps: true}
	for _, n := range r.nodes {
		for _, l := range n.lives() {
			rep.NoGaps = rep.NoGaps && l.watch.silent
			rep.Gaps[l.key] = slices.SortedFunc(maps.Values(l.watch.windows), func(a, b gapRecord) int { return a.From.Compare(b.From) })
			t := r.testimony(h, l)
			lies, judged := t.lies()
			rep.Lies = append(rep.Lies, lies...)
			rep.Samples += judged
		}
	}
	for i, e := range r.events {
		o := r.outcome(h, e)
		o.Counts = v.ByFault[i]
		rep.Events = append(rep.Events, o)
	}
	rep.Doubted, rep.Idly = r.doubted(h)
	r.judgeDurable(rep, h.Faults)
	rep.verdicts()
	return rep
}

// doubted is how much of the nodes' time their windows take: a node that doubts
// everything always has told every loss, and is of no use. idly is how much of the
// time in which no fault was being made. A window reaches back to when the node
// last knew that all was well: what lies before the window was told is not idle.
func (r *rig) doubted(h *history.History) (all, idly float64) {
	var lived, quiet, doubted, idle int64
	for _, n := range r.nodes {
		for _, l := range n.lives() {
			end := l.died
			if end == 0 {
				end = now()
			}
			lived += end - l.born
			quiet += outside(span{l.born, end}, h.Faults)
			var windows, late []span
			for _, w := range h.Windows {
				if w.Node != l.key || w.Channel != "" {
					continue
				}
				if w.To == 0 {
					w.To = end
				}
				windows = append(windows, span{max(w.From, l.born), min(w.To, end)})
				late = append(late, span{w.Seen, min(w.To, end)})
			}
			for _, s := range union(windows) {
				doubted += s.to - s.from
			}
			for _, s := range union(late) {
				idle += outside(s, h.Faults)
			}
		}
	}
	return float64(doubted*1000/max(1, lived)) / 10, float64(idle*1000/max(1, quiet)) / 10
}

// union is the same time in spans that do not meet, in order.
func union(spans []span) (list []span) {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for _, s := range spans {
		if last := len(list) - 1; last >= 0 && s.from <= list[last].to {
			list[last].to = max(list[last].to, s.to)
		} else if s.from < s.to {
			list = append(list, s)
		}
	}
	return list
}

// outside is how much of a span lies in none of the faults, of which there is one
// at a time.
func outside(s span, faults []history.Fault) int64 {
	left := s.to - s.from
	for _, f := range faults {
		left -= max(0, min(s.to, f.End)-max(s.from, f.Begin))
	}
	return left
}

// testimony is what a life's readiness is held against.
func (r *rig) testimony(h *history.History, l *life) *testimony {
	t := &testimony{node: l.key, deposed: r.deposed, samples: l.watch.samples, delivered: map[string][]int64{}, published: map[string][]history.Message{}}
	for _, s := range h.Streams {
		if s.Channel != bigChannel {
			if t.published[s.Channel] == nil {
				t.published[s.Channel], t.delivered[s.Channel] = s.Messages, nil
			}
			if last := len(s.Messages) - 1; last >= 0 && (t.held.to == 0 || s.Messages[last].Sent < t.held.to) {
				t.held.to = s.Messages[last].Sent
			}
		}
	}
	opened := map[string]int64{}
	for _, s := range h.Subscriptions {
		if s.Node != l.key || s.Channel == bigChannel {
			continue
		}
		if was, ok := opened[s.Channel]; !ok || s.Opened < was {
			opened[s.Channel] = s.Opened
		}
		for _, a := range s.Arrivals {
			t.delivered[s.Channel] = append(t.delivered[s.Channel], a.At)
		}
	}
	for _, at := range opened {
		t.held.from = max(t.held.from, at)
	}
	if l.died != 0 {
		t.held.to = min(t.held.to, l.died)
	}
	for _, e := range r.events {
		if e.hits(l.node) {
			t.hit = append(t.hit, span{e.Begin, e.Healed})
			if e.away {
				t.away = append(t.away, span{e.Begin, e.Healed})
			}
			if e.stopped {
				t.stopped = append(t.stopped, span{e.Begin, e.Healed})
			}
		}
	}
	return t
}

// outcome measures one event.
func (r *rig) outcome(h *history.History, e *event) outcome {
	o := outcome{event: *e, Resume: map[string]float64{}, Silence: map[string]float64{}, NotReady: map[string]float64{}, Ready: map[string]float64{}}
	able := r.able(h, e)
	for _, n := range r.nodes {
		if !e.hits(n.index) {
			continue
		}
		l := n.livingAt(e.Healed)
		if l == nil {
			continue
		}
		if first := firstArrival(h, e, l.key, able); able.Acked != 0 && first != 0 {
			o.Resume[n.name] = millis(max(0, first-able.Acked))
		}
		if s := silence(h, l.key, e); s > 0 {
			o.Silence[n.name] = millis(s)
		}
		noticed := int64(0)
		for _, s := range l.watch.samples {
			switch {
			case s.At < e.Begin:
			case noticed == 0 && !s.Ready && s.At <= e.End:
				noticed = s.At
				o.NotReady[n.name] = millis(s.At - e.Begin)
			case noticed != 0 && s.Ready && able.Acked != 0 && s.At >= able.Acked:
				if _, done := o.Ready[n.name]; !done {
					o.Ready[n.name] = millis(s.At - able.Acked)
				}
			}
		}
	}
	return o
}

// able is the first message by which Redis showed that it serves again.
func (r *rig) able(h *history.History, e *event) (able history.Message) {
	for _, s := range h.Streams {
		if !e.concerns(s.Channel) {
			continue
		}
		for _, m := range s.Messages {
			if m.Sent >= e.From && m.Acked != 0 && (able.Acked == 0 || m.Acked < able.Acked) && !vain(r.deposed, s.Channel, m) {
				able = m
			}
		}
	}
	return able
}

func (e *event) concerns(channel string) bool {
	return e.Channels == nil || slices.Contains(e.Channels, channel)
}

// livingAt is the life that there was at a moment; nil: none.
func (n *node) livingAt(at int64) *life {
	for _, l := range n.lives() {
		if l.born <= at && (l.died == 0 || l.died > at) {
			return l
		}
	}
	return nil
}

// firstArrival is when the first message came that was sent no earlier than able.
func firstArrival(h *history.History, e *event, life string, able history.Message) (first int64) {
	for _, s := range h.Subscriptions {
		if s.Node != life || !e.concerns(s.Channel) {
			continue
		}
		for _, a := range s.Arrivals {
			if m := h.Streams[a.Stream].Messages[a.Number]; m.Sent >= able.Sent && (first == 0 || a.At < first) {
				first = a.At
			}
		}
	}
	return first
}

// silence is the longest time in the event without a delivery at a life, on the
// event's channels.
func silence(h *history.History, life string, e *event) (longest int64) {
	var at []int64
	for _, s := range h.Subscriptions {
		if s.Node != life || !e.concerns(s.Channel) {
			continue
		}
		for _, a := range s.Arrivals {
			if a.At >= e.Begin-int64(time.Second) && a.At <= e.End+int64(time.Second) {
				at = append(at, a.At)
			}
		}
	}
	slices.Sort(at)
	for i := 1; i < len(at); i++ {
		if at[i] >= e.Begin && at[i-1] <= e.End {
			longest = max(longest, at[i]-at[i-1])
		}
	}
	return longest
}

func millis(ns int64) float64 { return float64(ns/1e4) / 100 }

func (rep *report) add(timing, holds bool, what, format string, args ...any) {
	rep.Verdicts = append(rep.Verdicts, verdict{what, holds, timing, fmt.Sprintf(format, args...)})
}

// verdicts are what is required of a node.
func (rep *report) verdicts() {
	t := rep.Total
	rep.add(false, t.OK > 0 && len(rep.Broken) == 0, "all is well again after every fault", "%d faults, %d deliveries", len(rep.Events), t.OK)
	rep.add(false, t.LostQuietly == 0, "nothing lost while no fault is active", "%d", t.LostQuietly)
	rep.add(false, t.Duplicate == 0, "no duplicates", "%d; %d that came through two servers of a Cluster while their channel moved", t.Duplicate, t.Echoed)
	rep.add(false, t.OutOfOrder == 0, "in order per channel and publisher", "%d", t.OutOfOrder)
	rep.add(false, t.LostSilently == 0, "every loss inside a window that the node reported", "%d lost and told, %d lost silently, %d windows over %.1f %% of the nodes' time, %.1f %% of that without a fault", t.LostTold, t.LostSilently, rep.Windows, rep.Doubted, rep.Idly)
	rep.add(false, rep.altered() == 0, "no message altered but by a corrupting network", "%d", t.Altered)
	rep.durableVerdicts()
	rep.add(false, len(rep.Dropped) == 0, "no client dropped by a node that lives", "%d", len(rep.Dropped))
	var resumes, notices, again []float64
	for _, e := range rep.Events {
		for _, ms := range e.Resume {
			if e.Fault != "node-kill" { // there the clients have to come back first
				resumes = append(resumes, ms)
			}
		}
		if e.away && e.Healed-e.Begin > int64(noticeWithin+tardy) {
			for node := range rep.Nodes {
				if !e.hits(node) {
					continue
				}
				name := fmt.Sprintf("n%d", node+1)
				ms, noticed := e.NotReady[name]
				if !noticed {
					ms = millis(e.Healed - e.Begin)
				}
				notices = append(notices, ms)
				if ms, ok := e.Ready[name]; ok {
					again = append(again, ms)
				}
			}
		}
	}
	if median, worst := medianWorst(resumes); len(resumes) > 0 {
		rep.add(true, median <= millis(int64(resumeWithin)), fmt.Sprintf("delivery resumes within %v of Redis serving again (median)", resumeWithin), "median %.1f ms, worst %.1f ms of %d", median, worst, len(resumes))
	}
	if median, worst := medianWorst(notices); len(notices) > 0 {
		// The question that finds it out is asked up to sampleEvery later, and answered.
		back, latest := medianWorst(again)
		rep.add(true, worst <= millis(int64(noticeWithin+2*sampleEvery)), fmt.Sprintf("a Redis that is frozen or gone is noticed within %v", noticeWithin), "median %.0f ms, worst %.0f ms of %d, asked every 50 ms; ready again median %.0f ms, worst %.0f ms after it serves", median, worst, len(notices), back, latest)
	}
	rep.add(true, len(rep.Lies) == 0, "readiness told the truth at every sample", "%d lies in %d samples", len(rep.Lies), rep.Samples)
}

// altered is how many messages came altered although no byte had been.
func (rep *report) altered() int64 {
	if rep.spoiled() {
		return 0
	}
	return rep.Total.Altered
}

func medianWorst(ms []float64) (median, worst float64) {
	if len(ms) == 0 {
		return 0, 0
	}
	slices.Sort(ms)
	return ms[len(ms)/2], ms[len(ms)-1]
}

// failed are the verdicts that do not hold.
func (rep *report) failed(timing bool) (list []verdict) {
	for _, v := range rep.Verdicts {
		if !v.Holds && (timing || !v.Timing) {
			list = append(list, v)
		}
	}
	return list
}

// print writes the report for people.
func (rep *report) print(out io.Writer) {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "fault\tn\tresume ms\tworst\tsilence ms\tworst\t503 ms\tworst\t200 ms\tworst\tok\tlost told\tsilently\tspoiled\tunknown\tdup\tdisorder\t")
	names := map[string][]outcome{}
	var order []string
	for _, e := range rep.Events {
		if names[e.Fault] == nil {
			order = append(order, e.Fault)
		}
		names[e.Fault] = append(names[e.Fault], e)
	}
	slices.Sort(order)
	for _, name := range order {
		var c history.Counts
		columns := make([][]float64, 4)
		for _, e := range names[name] {
			c.Add(e.Counts)
			for i, m := range []map[string]float64{e.Resume, e.Silence, e.NotReady, e.Ready} {
				for _, ms := range m {
					columns[i] = append(columns[i], ms)
				}
			}
		}
		fmt.Fprintf(w, "%s\t%d\t", name, len(names[name]))
		for _, ms := range columns {
			if median, worst := medianWorst(ms); len(ms) > 0 {
				fmt.Fprintf(w, "%.0f\t%.0f\t", median, worst)
			} else {
				fmt.Fprint(w, "-\t-\t")
			}
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", c.OK, c.LostTold, c.LostSilently, c.Spoiled, c.Unknown, c.Duplicate, c.OutOfOrder)
	}
	q := rep.Quiet
	fmt.Fprintf(w, "no fault\t\t\t\t\t\t\t\t\t\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", q.OK, q.LostTold, q.LostSilently, q.Spoiled, q.Unknown, q.Duplicate, q.OutOfOrder)
	if err := w.Flush(); err != nil {
		fmt.Fprintln(out, err)
	}
	fmt.Fprintln(out)
	printDurable(out, rep.Durable.Before, rep.Events)
	fmt.Fprintln(out)
	for reason, n := range rep.Durable.Refused {
		fmt.Fprintf(out, "durable: a follower's visit ended early, %d times: %s\n", n, reason)
	}
	for _, group := range []struct {
		title string
		lines []string
	}{{"not well again", rep.Broken}, {"what was odd", rep.Oddness}, {"durable", rep.Durable.Oddness}, {"dropped", rep.Dropped}, {"readiness lied", rep.Lies}} {
		for i, line := range group.lines {
			if i == 12 {
				fmt.Fprintf(out, "%s: … %d in all\n", group.title, len(group.lines))
				break
			}
			fmt.Fprintf(out, "%s: %s\n", group.title, strings.TrimSpace(line))
		}
	}
	if rep.NoGaps {
		fmt.Fprintln(out, "no node has /api/gaps: nothing was told")
	}
	for _, v := range rep.Verdicts {
		word := "holds   "
		if !v.Holds {
			word = "VIOLATED"
		}
		fmt.Fprintf(out, "%s  %s: %s\n", word, v.What, v.Detail)
	}
}
