package main

import (
	"encoding/json"
	"fmt"
	"math"

	"sluice/loadtest/internal/meter"
	"sluice/loadtest/internal/plot"
)

// insideOverTime are the server's own figures that are plotted where its page has them.
var insideOverTime = []struct {
	name, title string
	axis        plot.Axis
	factor      float64
}{
	{"sluice_reactor_longest_turn_seconds", "Longest turn of a reactor", plot.Axis{Title: "within the last 15 to 30 s", Unit: plot.Micros}, 1e6},
	{"sluice_backlog_bytes", "Waiting for clients with full sockets", plot.Axis{Title: "sluice_backlog_bytes", Unit: plot.Bytes}, 1},
	{"go_memstats_heap_alloc_bytes", "Heap", plot.Axis{Title: "allocated, with what is not collected yet", Unit: plot.Bytes}, 1},
	{"go_goroutines", "Goroutines", plot.Axis{Title: "goroutines"}, 1},
	{"go_gc_duration_seconds_count", "Garbage collections", plot.Axis{Title: "since the server started"}, 1},
}

func overTime() (names []string) {
	for _, f := range insideOverTime {
		names = append(names, f.name)
	}
	return names
}

// insideSpreads are the histograms of times on a server's page.
var insideSpreads = []struct{ name, what string }{
	{"go_sched_pauses_total_gc_seconds", "GC pauses"},
	{"go_gc_pauses_seconds", "GC pauses"},
	{"go_sched_latencies_seconds", "waits for a processor"}, // of goroutines that could run
	{"sluice_reactor_turn_seconds", "reactor turns"},
	{"sluice_reactor_lag_seconds", "reactor lag"},
	{"sluice_delivery_seconds", "Redis to last write"},
	{"sluice_handshake_seconds", "handshakes"},
}

// insideCounts are counters whose growth says what the server did.
var insideCounts = []struct{ name, what string }{
	{"go_gc_duration_seconds_count", "garbage collections"},
	{"go_cpu_classes_gc_total_cpu_seconds_total", "GC, CPU seconds"},
	{"sluice_sends_total", "writes to sockets"},
	{"sluice_blocked_sends_total", "writes to full sockets"},
	{"sluice_slow_consumers_total", "slow clients closed"},
	{"sluice_dropped_total", "missed, policy drop"},
	{"sluice_conflated_total", "missed, policy latest"},
	{"sluice_lost_total", "lost, reactor behind"},
	{"sluice_reactor_stalls_total", "reactor stalls > 0.1 s"},
	{"sluice_accept_errors_total", "accepts that failed"},
	{"sluice_dropped_connections_total", "sockets dropped unanswered"},
}

// Figure is a number, or null in JSON where there is none: beyond the last bucket of a histogram, or of no values.
type Figure float64

// MarshalJSON implements json.Marshaler.
func (f Figure) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

// Inside is what the server says of itself, of the measured window where there is one, else of the whole run.
type Inside struct {
	Spreads     []InsideSpread     `json:"spreads,omitempty"`
	Counts      map[string]float64 `json:"counts,omitempty"`
	LongestTurn float64            `json:"longest_turn_us,omitempty"` // of a reactor; Sluice keeps it for 15 to 30 s
}

// InsideSpread is a histogram of times. Percentiles are the upper bounds of buckets, µs.
type InsideSpread struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
	Mean  Figure `json:"mean_us"`
	P50   Figure `json:"p50_us"`
	P99   Figure `json:"p99_us"`
	P999  Figure `json:"p999_us"`
	Max   Figure `json:"max_us"`
	Bound Figure `json:"bound_us"` // the greatest bound up to 1 ms
	Above int64  `json:"above"`    // how many are above it
}

// lookInside begins to count what the server says of itself anew. Without --metrics nothing is asked.
func (r *run) lookInside() error {
	if r.o.Metrics == "" {
		return nil
	}
	page, err := meter.ReadPage(r.ctx, r.o.Metrics)
	if err != nil {
		return err
	}
	r.inside = page
	return nil
}

// sumUpInside puts what the server said since lookInside into the report.
func (r *run) sumUpInside() error {
	if r.o.Metrics == "" || r.inside == nil {
		return nil
	}
	now, err := meter.ReadPage(r.ctx, r.o.Metrics)
	if err != nil {
		return err
	}
	in := &Inside{Counts: map[string]float64{}}
	for _, f := range insideSpreads {
		if s, ok := now.Since(r.inside, f.name); ok && s.Count > 0 {
			at := func(q float64) Figure { return Figure(s.AtMost(q) * 1e6) }
			bound, above := s.Above(1e-3)
			in.Spreads = append(in.Spreads, InsideSpread{f.name, int64(s.Count), Figure(s.Sum / s.Count * 1e6), at(0.5), at(0.99), at(0.999), at(1), Figure(bound * 1e6), int64(above)})
		}
	}
	for _, f := range insideCounts {
		if v, ok := now.Value(f.name); ok {
			before, _ := r.inside.Value(f.name) // a counter that has not counted may be missing
			in.Counts[f.name] = v - before
		}
	}
	longest, _ := now.Value("sluice_reactor_longest_turn_seconds") // of another server: none
	in.LongestTurn = longest * 1e6
	r.report.Inside = in
	return nil
}

// rows are for people.
func (in *Inside) rows(row func(string, string, ...any)) {
	row("the server of itself", "")
	for _, f := range insideSpreads {
		for _, s := range in.Spreads {
			if s.Name == f.name {
				row("  "+f.what, "%d: p50 ≤ %s, p99 ≤ %s, p99.9 ≤ %s, longest %s; %d above %s", s.Count, s.P50, s.P99, s.P999, s.atMost(), s.Above, s.Bound)
			}
		}
	}
	if in.LongestTurn > 0 {
		row("  longest reactor turn", "%s within its last 15 to 30 s", duration(in.LongestTurn))
	}
	for _, f := range insideCounts {
		if v, ok := in.Counts[f.name]; ok && v != 0 {
			row("  "+f.what, "%.6g", v)
		}
	}
}

// String is a bound for people.
func (f Figure) String() string {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return "–"
	}
	return duration(float64(f))
}

// atMost says where the longest is, also when it is beyond the last bound.
func (s *InsideSpread) atMost() string {
	if math.IsInf(float64(s.Max), 0) {
		return "beyond the last bucket"
	}
	return fmt.Sprintf("≤ %s", s.Max)
}
