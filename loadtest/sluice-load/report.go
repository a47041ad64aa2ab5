package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"sluice/loadtest/internal/meter"
	"sluice/loadtest/internal/proof"
)

// Report is what a run found out, as it is written to --json.
type Report struct {
	Scenario    string           `json:"scenario"`
	URL         string           `json:"url"`
	Started     time.Time        `json:"started"`
	Server      string           `json:"server,omitempty"` // the command's name
	Settings    any              `json:"settings"`
	Machine     meter.Machine    `json:"machine"`
	Connections *Connections     `json:"connections,omitempty"`
	Memory      *Memory          `json:"memory,omitempty"`
	Traffic     *Traffic         `json:"traffic,omitempty"`
	Resume      *Resume          `json:"resume,omitempty"`
	Stall       *Stall           `json:"stall,omitempty"`
	Storm       *Storm           `json:"storm,omitempty"`
	Churn       *Churn           `json:"churn,omitempty"`
	Inside      *Inside          `json:"inside,omitempty"` // with --metrics
	Timeline    Timeline         `json:"timeline"`
	Pings       int64            `json:"pings_answered"`
	Lost        int64            `json:"ended_unasked"` // connections
	Errors      map[string]int64 `json:"errors"`        // by kind
	Faults      []string         `json:"faults"`        // what makes the run a failure
}

// Connections is how the connections were opened.
type Connections struct {
	Asked        int64   `json:"asked"`
	Opened       int64   `json:"opened"`
	Failed       int64   `json:"failed"`
	Resumed      int64   `json:"tls_resumed,omitempty"` // TLS handshakes that a ticket made short
	PerSecond    float64 `json:"per_second"`
	ServerMicros float64 `json:"server_cpu_us_per_handshake"`
	Handshake    Latency `json:"handshake"` // connect(2) to the whole 101
	Cost         Cost    `json:"cost"`
}

// Memory is what idle connections hold.
type Memory struct {
	Before  meter.Usage `json:"before"`              // the server, no connection of this run
	Opened  meter.Usage `json:"opened"`              // right after the last handshake
	Held    meter.Usage `json:"held"`                // after --for
	HeldFor float64     `json:"held_s"`              // s
	PerConn float64     `json:"anon_per_connection"` // (Held.RSSAnon - Before.RSSAnon) / open connections, bytes

	IdleCPU float64 `json:"server_cpu_while_held_s"` // pings of its own and their answers among it
	Open    int64   `json:"open"`                    // at the end
	Pings   int64   `json:"pings_while_held"`        // from the server, answered

	MetricsBefore map[string]float64 `json:"metrics_before,omitempty"`
	MetricsHeld   map[string]float64 `json:"metrics_held,omitempty"`
}

// Traffic is what was delivered in the measured window, and the verdict over the whole run, warm-up included.
type Traffic struct {
	Published    int64        `json:"published"` // in the window
	Deliveries   int64        `json:"deliveries"`
	PerSecond    float64      `json:"per_second"`
	ServerMicros float64      `json:"server_cpu_us_per_delivery"` // the same number as CPU s per million
	Latency      Latency      `json:"latency"`
	Stalled      int64        `json:"stalled,omitempty"`     // subscribers that did not read
	Cut          int64        `json:"stalled_ended"`         // of these, ended by the server by the end of the window
	Maximum      *Maximum     `json:"maximum,omitempty"`     // where the rate was a share of it
	PublishLag   *Latency     `json:"publish_lag,omitempty"` // open loop: how late the generator itself was
	Cost         Cost         `json:"cost"`
	Proof        proof.Counts `json:"proof"`
}

// Churn is what came of connections that open and close.
type Churn struct {
	Opened       int64       `json:"opened"`
	Closed       int64       `json:"closed"`       // as wanted
	CloseFrames  int64       `json:"close_frames"` // answered with a close frame
	PerSecond    float64     `json:"per_second"`
	ServerMicros float64     `json:"server_cpu_us_per_life"`
	Handshake    Latency     `json:"handshake"`
	Before       meter.Usage `json:"before"`
	After        meter.Usage `json:"after"` // all connections gone
	Cost         Cost        `json:"cost"`
}

// Resume is what came of connections that came back to durable channels.
type Resume struct {
	Channels   int     `json:"channels"`
	Missed     int     `json:"missed"`      // messages of each channel while everybody was away
	Seconds    float64 `json:"seconds"`     // from the first connect(2) until everybody had everything
	Complete   int64   `json:"complete"`    // connections that were told that they are, and got all
	Reset      int64   `json:"reset"`       // that were told to load afresh
	Wrong      int64   `json:"wrong"`       // messages that came twice or in another order, or not at all though recovered
	Comeback   Latency `json:"comeback"`    // from the first connect(2) of all, by connection
	Calls      int64   `json:"redis_calls"` // of functions meanwhile: readings of logs
	CallMicros float64 `json:"redis_us_per_call"`
	Cost       Cost    `json:"cost"`
}

// Latency are percentiles in µs.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_us"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p999_us"`
	Max   float64 `json:"max_us"`
	HDR   string  `json:"hdr,omitempty"` // all of it, ns, as HdrHistogram's V2 encoding, compressed, in base64
}

func latency(h *hdrhistogram.Histogram) Latency {
	at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e3 }
	l := Latency{h.TotalCount(), h.Mean() / 1e3, at(50), at(90), at(99), at(99.9), float64(h.Max()) / 1e3, ""}
	if text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase); err == nil { // only where memory cannot be written to
		l.HDR = string(text)
	}
	return l
}

// histogram is all of l; nil where only the percentiles are known.
func (l *Latency) histogram() *hdrhistogram.Histogram {
	h, err := hdrhistogram.Decode([]byte(l.HDR))
	if err != nil {
		return nil
	}
	return h
}

func (l Latency) String() string {
	text := ""
	for _, p := range []struct {
		name string
		us   float64
	}{{"p50", l.P50}, {"p90", l.P90}, {"p99", l.P99}, {"p99.9", l.P999}, {"max", l.Max}} {
		text += p.name + " " + duration(p.us) + "  "
	}
	return strings.TrimSpace(text)
}

// duration is µs with a fitting unit.
func duration(us float64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%.0f µs", us)
	case us < 1e6:
		return fmt.Sprintf("%.2f ms", us/1e3)
	}
	return fmt.Sprintf("%.2f s", us/1e6)
}

// fault adds one reason why the run failed.
func (r *Report) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// WriteFile writes the report as JSON.
func (r *Report) WriteFile(name string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}

// Table writes the report for people.
func (r *Report) Table(out io.Writer) {
	r.rows(func(label, format string, args ...any) {
		fmt.Fprintf(out, "%-26s %s\n", label, fmt.Sprintf(format, args...))
	})
}

// rows gives each line of the table to row. A label that begins with blanks belongs to the one above.
func (r *Report) rows(row func(label, format string, args ...any)) {
	row("scenario", "%s of %s %s", r.Scenario, r.URL, r.Server)
	row("machine", "%d cores, %s, Linux %s", r.Machine.Cores, r.Machine.CPU, r.Machine.Kernel)
	if c := r.Connections; c != nil {
		row("connections", "%d of %d opened in %.2f s, %.0f/s", c.Opened, c.Asked, c.Cost.Seconds, c.PerSecond)
		row("  handshake", "%v", c.Handshake)
		if c.Resumed > 0 {
			row("  of TLS", "%d with a ticket, %d whole", c.Resumed, c.Opened-c.Resumed)
		}
		c.Cost.table(row, "handshake", c.ServerMicros)
	}
	if r.Storm != nil {
		r.Storm.rows(row)
	}
	if m := r.Memory; m != nil {
		m.table(row)
	}
	if r.Stall != nil {
		r.Stall.rows(row)
	}
	if t := r.Traffic; t != nil {
		if m := t.Maximum; m != nil {
			row("maximum", "%.0f messages/s, %.0f deliveries/s with %d in flight; the following at %.0f %% of it", m.Published, m.Delivered, m.Burst, 100*m.Share)
		}
		row("published", "%d in %.2f s", t.Published, t.Cost.Seconds)
		row("deliveries", "%d, %.0f/s", t.Deliveries, t.PerSecond)
		row("  latency", "%v", t.Latency)
		if t.PublishLag != nil {
			row("  generator's own delay", "%v", *t.PublishLag)
		}
		if t.Stalled > 0 && r.Stall == nil {
			row("  stalled", "%d subscribers, %d of them ended by the server", t.Stalled, t.Cut)
			if t.Cost.Server != nil {
				row("  growth of RssAnon", "%.1f MiB in the window", float64(t.Cost.Server.RSSAnon)/(1<<20))
			}
		}
		t.Cost.table(row, "delivery", t.ServerMicros)
		p := t.Proof
		row("proof", "%d delivered, %d missing, %d duplicates, %d out of order, %d stale, %d corrupt, %d misrouted, %d foreign",
			p.Delivered, p.Missing, p.Duplicates, p.OutOfOrder, p.Stale, p.Corrupt, p.Misrouted, p.Foreign)
	}
	if b := r.Resume; b != nil {
		row("came back", "%d of %d channels, with %d messages missed on each: %d complete, %d told to load afresh, %d messages wrong", b.Complete+b.Reset, b.Channels, b.Missed, b.Complete, b.Reset, b.Wrong)
		row("  all complete after", "%.2f s", b.Seconds)
		row("  by connection", "%v", b.Comeback)
		row("  Redis", "%d readings of logs, %.1f µs each", b.Calls, b.CallMicros)
		b.Cost.table(row, "comeback", b.Cost.perUnit(b.Complete+b.Reset))
	}
	if c := r.Churn; c != nil {
		row("lives", "%d opened, %d closed as wanted, %.0f/s", c.Opened, c.Closed, c.PerSecond)
		row("  close frames answered", "%d", c.CloseFrames)
		row("  handshake", "%v", c.Handshake)
		c.Cost.table(row, "life", c.ServerMicros)
		if c.Cost.Server != nil {
			row("  server before, after", "RSS %s, %s; descriptors %d, %d; threads %d, %d",
				size(c.Before.RSS), size(c.After.RSS), c.Before.Files, c.After.Files, c.Before.Threads, c.After.Threads)
		}
	}
	if r.Inside != nil {
		r.Inside.rows(row)
	}
	kinds := make([]string, 0, len(r.Errors))
	for kind := range r.Errors {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		row("error", "%d × %s", r.Errors[kind], kind)
	}
	for _, fault := range r.Faults {
		row("FAULT", "%s", fault)
	}
	if len(r.Faults) == 0 {
		row("verdict", "no fault found")
	}
}

func (m *Memory) table(row func(string, string, ...any)) {
	row("memory of the server", "")
	if m.Before.RSS > 0 { // without --pid there are only its own figures
		m.tableProcess(row)
	}
	for _, name := range meter.Wanted {
		if held, ok := m.MetricsHeld[name]; ok {
			row("  "+name, "%.0f → %.0f", m.MetricsBefore[name], held)
		}
	}
}

func (m *Memory) tableProcess(row func(string, string, ...any)) {
	for _, at := range []struct {
		name string
		u    meter.Usage
	}{{"before", m.Before}, {"opened", m.Opened}, {fmt.Sprintf("held %.0f s", m.HeldFor), m.Held}} {
		row("  "+at.name, "RSS %s, RssAnon %s, %d threads, %d descriptors", size(at.u.RSS), size(at.u.RSSAnon), at.u.Threads, at.u.Files)
	}
	row("  per connection", "%.0f B of user-space memory (growth of RssAnon from before to held, by connection; kernel socket memory is not in it)", m.PerConn)
	if m.HeldFor > 0 {
		row("  CPU while held", "%.2f s: %.2f %% of a core, %.3g µs a second for each connection", m.IdleCPU, 100*m.IdleCPU/m.HeldFor, 1e6*m.IdleCPU/m.HeldFor/float64(max(m.Open, 1)))
		row("  pings while held", "%d answered, %.1f a second", m.Pings, float64(m.Pings)/m.HeldFor)
	}
}

// noisy is how many cores others may use on a machine without an idle one before the reader is told.
const noisy = 0.5

// table writes c's rows; unit is what the server's CPU time was divided by.
func (c *Cost) table(row func(string, string, ...any), unit string, micros float64) {
	if c.Server != nil {
		row("  server", "%.2f CPU s (user %.2f, system %.2f): %.3g µs per %s", c.Server.CPU().Seconds(),
			c.Server.User.Seconds(), c.Server.System.Seconds(), micros, unit)
	}
	note := ""
	if c.Worker > 0.9 {
		note = " – THE BOTTLENECK: use more --workers, on more cores"
	}
	row("  generator", "%.2f CPU s, busiest receiver %.0f %% of a core%s", c.Self, c.Worker*100, note)
	note = ""
	if c.Idle < 0.1 && c.Others+c.Stolen > noisy*c.Seconds {
		note = " – NOISY: latencies and rates are those of a crowded machine"
	}
	row("  rest of the machine", "%.2f CPU s used by others (Redis among them), %.2f stolen, %.2f cores idle%s", c.Others, c.Stolen, c.Idle, note)
}

// size is a number of bytes with a fitting unit.
func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
