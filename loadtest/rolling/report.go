package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"sluice/loadtest/internal/history"
	"sluice/loadtest/internal/meter"
)

// report is a run's figures, and what does not hold.
type report struct {
	Started   time.Time           `json:"started"`
	Machine   meter.Machine       `json:"machine"`
	Clients   int                 `json:"clients"`
	Nodes     int                 `json:"nodes"`
	Fronts    int                 `json:"haproxies"`
	Channels  int                 `json:"channels"`
	Rate      float64             `json:"messages_per_second"`
	Delay     float64             `json:"drain_delay_seconds"`
	Window    float64             `json:"drain_window_seconds"`
	MaxAge    float64             `json:"connections_max_age_seconds"`
	Published int                 `json:"published"`
	Followed  history.Followed    `json:"followed"`
	Oddness   []string            `json:"oddness,omitempty"`
	Drains    []drained           `json:"drains,omitempty"`
	Joined    *join               `json:"joined,omitempty"`
	Away      away                `json:"away"` // of all who came back
	Failed    int                 `json:"tries_in_vain"`
	Lost      int                 `json:"clients_away_at_the_end"`
	Cut       int64               `json:"connections_cut"`
	Ends      map[string]int      `json:"connections_ended_by"`
	Log       []string            `json:"warnings,omitempty"`
	Samples   map[string][]sample `json:"samples"`
	Seconds   []second            `json:"seconds"`

	began int64 // Unix nanoseconds: 0 of all plots
}

// drained is a drain with what the clients saw of it. Times are seconds after the signal.
type drained struct {
	drain
	NotReady float64 `json:"not_ready"` // /readyz was seen to say 503
	First    float64 `json:"first_left"`
	Last     float64 `json:"last_left"`
	LastBack float64 `json:"last_back"`
	Late     float64 `json:"latest"` // of any client: its way back beyond drain.delay, drain.window and its own backoff
	Ended    float64 `json:"ended"`
	Serving  float64 `json:"next_serving"`
	Came     int     `json:"came_back"`
	Away     away    `json:"away"`
	Mean     float64 `json:"reconnects_per_second"`       // from the first to the last
	Peak     float64 `json:"reconnects_in_a_second_most"` // of whole seconds
}

// away is how long clients were, in seconds, and how much of that was no backoff of their own.
type away struct {
	Half, Most99, Most      float64
	NetHalf, Net99, NetMost float64
}

// second is what happened in one.
type second struct {
	Left, Back, Failed, Published, Delivered int
	Half, Most                               float64 // ms from publishing to arrival: half of the messages, 99 of 100; without those that were sent later, to who had been away
}

// report judges. The fleet has ended.
func (r *rig) report() *report {
	c := r.crowd
	logs := r.logs()
	v := history.Follow(logs)
	rep := &report{Started: r.began.UTC(), Machine: meter.Describe(), Clients: r.o.Clients, Nodes: r.o.Nodes, Fronts: len(r.fronts), Channels: r.o.Channels, Rate: r.o.Rate,
		Delay: r.o.Delay.Seconds(), Window: r.o.Window.Seconds(), MaxAge: r.o.MaxAge.Seconds(), Followed: v.Total, Oddness: v.Oddness, Failed: len(c.failed), Ends: c.reasons(),
		Samples: map[string][]sample{}, Lost: r.lost, began: r.began.UnixNano(), Away: awayOf(c.back)}
	for _, l := range logs.Logs {
		rep.Published += len(l.Messages)
	}
	for i, n := range r.nodes {
		n.logMu.Lock()
		rep.Cut += n.cut
		rep.Log = append(rep.Log, n.odd...)
		n.logMu.Unlock()
		w := r.watches[i]
		w.mu.Lock()
		for _, s := range w.samples {
			if s.At <= r.over {
				rep.Samples[n.name] = append(rep.Samples[n.name], s)
			}
		}
		w.mu.Unlock()
	}
	for _, d := range r.drains {
		rep.Drains = append(rep.Drains, r.drained(d, rep.Samples[d.Node]))
	}
	if r.o.Join {
		rep.Joined = &r.joined
	}
	rep.seconds(r, logs)
	return rep
}

// drained adds what the clients saw.
func (r *rig) drained(d drain, samples []sample) drained {
	since := func(at int64) float64 { return seconds(at - d.Signal) }
	out := drained{drain: d, Ended: since(d.Ended), Serving: since(d.Again)}
	for _, s := range samples {
		if s.At >= d.Signal && s.State != stateReady {
			out.NotReady = since(s.At)
			break
		}
	}
	var these []comeback
	for _, b := range r.crowd.back {
		if b.Left >= d.Signal && b.Left <= d.Again {
			these = append(these, b)
		}
	}
	if len(these) == 0 {
		return out
	}
	slices.SortFunc(these, func(a, b comeback) int { return int(a.Back - b.Back) })
	out.Came, out.Away = len(these), awayOf(these)
	out.First, out.LastBack = since(these[0].Left), since(these[len(these)-1].Back)
	bySecond := map[int64]int{}
	for _, b := range these {
		out.First, out.Last = min(out.First, since(b.Left)), max(out.Last, since(b.Left))
		out.Late = max(out.Late, since(b.Back-b.Waited)-r.o.Delay.Seconds()-r.o.Window.Seconds())
		bySecond[(b.Back-these[0].Back)/int64(time.Second)]++
	}
	for _, n := range bySecond {
		out.Peak = max(out.Peak, float64(n))
	}
	out.Mean = float64(len(these)) / max(seconds(these[len(these)-1].Back-these[0].Back), 1)
	return out
}

func awayOf(list []comeback) (a away) {
	if len(list) == 0 {
		return a
	}
	var all, net []int64
	for _, b := range list {
		all, net = append(all, b.Back-b.Left), append(net, b.Back-b.Left-b.Waited)
	}
	a.Half, a.Most99, a.Most = percentiles(all)
	a.NetHalf, a.Net99, a.NetMost = percentiles(net)
	return a
}

// percentiles are the median, the 99th and the most, in seconds. list is sorted by it.
func percentiles(list []int64) (half, most99, most float64) {
	slices.Sort(list)
	n := len(list)
	return seconds(list[n/2]), seconds(list[n*99/100]), seconds(list[n-1])
}

// seconds counts what happened in each second of the run.
func (rep *report) seconds(r *rig, logs *history.Logs) {
	rep.Seconds = make([]second, 1+(r.over-rep.began)/int64(time.Second))
	ages := make([][]int64, len(rep.Seconds))
	index := func(ns int64) int { return max(0, min(len(ages)-1, int((ns-rep.began)/int64(time.Second)))) }
	at := func(ns int64) *second {
		if ns > r.over {
			return new(second)
		}
		return &rep.Seconds[index(ns)]
	}
	for _, b := range r.crowd.back {
		at(b.Left).Left++
		at(b.Back).Back++
	}
	for _, f := range r.crowd.failed {
		at(f).Failed++
	}
	for _, l := range logs.Logs {
		for _, m := range l.Messages {
			at(m.Acked).Published++
		}
	}
	for _, f := range logs.Followers {
		var back int64
		for _, h := range f.Heard {
			if h.Kind != history.HeardMessage {
				back = h.At
				continue
			}
			at(h.At).Delivered++
			if sent := logs.Logs[f.Log].Messages[h.Number].Sent; sent > back && h.At <= r.over {
				ages[index(h.At)] = append(ages[index(h.At)], h.At-sent)
			}
		}
	}
	for i, list := range ages {
		if len(list) > 0 {
			half, most, _ := percentiles(list)
			rep.Seconds[i].Half, rep.Seconds[i].Most = 1000*half, 1000*most
		}
	}
}

// failed is what does not hold. What is about time is left out where the machine has other work.
func (rep *report) failed(busy bool) (list []string) {
	no := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if n := rep.Followed.Violations(); n > 0 {
		no("%d durable messages were lost, came twice or out of order: %+v", n, rep.Followed)
	}
	if n := rep.Followed.Resets + rep.Followed.Gaps; n > 0 {
		no("clients were told %d times to load afresh, and Redis had everything", n)
	}
	if rep.Lost > 0 {
		no("%d clients did not come back", rep.Lost)
	}
	if rep.Cut > 0 {
		no("%d connections were cut", rep.Cut)
	}
	for _, d := range rep.Drains {
		if int64(d.Came) < d.Held {
			no("%s had %d clients, and only %d left it and came back", d.Node, d.Held, d.Came)
		}
		if !busy && d.Peak > flat*d.Mean+10 {
			no("the clients of %s came back unevenly: %.0f in a second, %.0f on the average", d.Node, d.Peak, d.Mean)
		}
		if !busy && d.Late > tardy {
			no("a client of %s was back %.1f s later than drain.delay, drain.window and its own backoff explain", d.Node, d.Late)
		}
	}
	if j := rep.Joined; j != nil && j.Even == 0 {
		no("%s did not get its share", j.Node)
	}
	return list
}

const (
	flat  = 2.0 // a second's reconnects, of their mean, at the most
	tardy = 5.0 // seconds
)

func (rep *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%d clients, %d nodes, %d HAProxy, %d durable channels, %d messages published, %d delivered\n",
		rep.Clients, rep.Nodes, rep.Fronts, rep.Channels, rep.Published, rep.Followed.Delivered)
	fmt.Fprintf(w, "durable messages: %d missing, %d twice, %d out of order, %d altered; %d resumed, %d told to load afresh\n",
		rep.Followed.Undetected+rep.Followed.FalseRecovered+rep.Followed.Stuck, rep.Followed.Duplicate, rep.Followed.OutOfOrder, rep.Followed.Altered+rep.Followed.Misplaced,
		rep.Followed.Recovered, rep.Followed.Resets+rep.Followed.Gaps)
	fmt.Fprintf(w, "clients were away for %.2f s (half), %.2f s (99 of 100), %.2f s (at most); without their own backoff %.2f, %.2f, %.2f s; %d tries in vain, %d connections cut\n",
		rep.Away.Half, rep.Away.Most99, rep.Away.Most, rep.Away.NetHalf, rep.Away.Net99, rep.Away.NetMost, rep.Failed, rep.Cut)
	for _, row := range rep.drainRows() {
		fmt.Fprintln(w, strings.Join(row, "  "))
	}
	if j := rep.Joined; j != nil && j.Even != 0 {
		fmt.Fprintf(w, "%s had its share after %.1f s, with connections.max_age %.0fs\n", j.Node, seconds(j.Even-j.At), rep.MaxAge)
	}
	ends := make([]string, 0, len(rep.Ends))
	for why, n := range rep.Ends {
		ends = append(ends, fmt.Sprintf("%d × %s", n, why))
	}
	slices.Sort(ends)
	for _, e := range ends {
		fmt.Fprintln(w, "ended:", e)
	}
	for _, l := range rep.Log[:min(len(rep.Log), 10)] {
		fmt.Fprintln(w, "log:", l)
	}
	for _, o := range rep.Oddness[:min(len(rep.Oddness), 10)] {
		fmt.Fprintln(w, "odd:", o)
	}
}

var drainHead = []string{"", "clients", "/readyz 503", "first leaves", "last leaves", "last is back", "process ends", "next one serves", "back a second, mean", "most"}

func (rep *report) drainRows() (rows [][]string) {
	for _, d := range rep.Drains {
		row := []string{d.Node, fmt.Sprint(d.Came)}
		for _, s := range []float64{d.NotReady, d.First, d.Last, d.LastBack, d.Ended, d.Serving} {
			row = append(row, fmt.Sprintf("%.1f s", s))
		}
		rows = append(rows, append(row, fmt.Sprintf("%.0f", d.Mean), fmt.Sprintf("%.0f", d.Peak)))
	}
	if len(rows) > 0 {
		rows = append([][]string{drainHead}, rows...)
	}
	return rows
}

func (rep *report) save(file string) error {
	b, err := json.MarshalIndent(rep, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o666)
}
