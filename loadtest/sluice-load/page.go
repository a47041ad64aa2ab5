package main

import (
	"fmt"
	"strconv"
	"strings"

	"sluice/loadtest/internal/plot"
)

// Page is the report with plots.
func (r *Report) Page() *plot.Page {
	p := &plot.Page{Title: "sluice-load " + r.Scenario,
		Lead: fmt.Sprintf("%s %s, %s. %d cores, %s, Linux %s.", r.URL, r.Server, r.Started.Format("2 January 2006, 15:04 MST"), r.Machine.Cores, r.Machine.CPU, r.Machine.Kernel)}
	p.Facts = r.facts()
	if curves := r.curves(); len(curves.Blocks) > 0 {
		p.Sections = append(p.Sections, curves)
	}
	if plots := r.Timeline.plots(); len(plots) > 0 {
		p.Sections = append(p.Sections, plot.Section{Title: "Over time", Blocks: plots})
	}
	table := plot.Table{}
	r.rows(func(label, format string, args ...any) {
		if name := strings.TrimLeft(label, " "); name != label {
			label = "\u2003" + name
		}
		table.Rows = append(table.Rows, []string{label, fmt.Sprintf(format, args...)})
	})
	p.Sections = append(p.Sections, plot.Section{Title: "All figures", Blocks: []plot.Block{table}})
	return p
}

// facts are what a reader looks for first.
func (r *Report) facts() (facts []plot.Fact) {
	add := func(name, value string) { facts = append(facts, plot.Fact{Name: name, Value: value}) }
	if c := r.Connections; c != nil {
		add("connections", plot.Number.Format(float64(c.Opened)))
	}
	if t := r.Traffic; t != nil {
		add("deliveries a second", plot.Number.Format(t.PerSecond))
		add("latency p50", plot.Micros.Format(t.Latency.P50))
		add("p99", plot.Micros.Format(t.Latency.P99))
		add("p99.9", plot.Micros.Format(t.Latency.P999))
		if t.Cost.Server != nil {
			add("server CPU per delivery", fmt.Sprintf("%.3g µs", t.ServerMicros))
		}
	} else if c := r.Connections; c != nil {
		add("connected a second", plot.Number.Format(c.PerSecond))
		add("handshake p99", plot.Micros.Format(c.Handshake.P99))
	}
	if s := r.Storm; s != nil {
		add("all connected after", fmt.Sprintf("%.2f s", s.All))
	}
	if s := r.Stall; s != nil {
		add("others keep of their rate", fmt.Sprintf("%.1f %%", 100*s.Kept))
		add("stalled that were ended", fmt.Sprintf("%d of %d", s.Cut, s.Stalled))
	}
	if m := r.Memory; m != nil && m.PerConn > 0 {
		add("memory per connection", plot.Bytes.Format(m.PerConn))
	}
	if c := r.Churn; c != nil {
		add("lives a second", plot.Number.Format(c.PerSecond))
		add("handshake p99", plot.Micros.Format(c.Handshake.P99))
	}
	if b := r.Resume; b != nil {
		add("everybody back after", fmt.Sprintf("%.2f s", b.Seconds))
	}
	if in := r.Inside; in != nil {
		for _, s := range in.Spreads {
			if strings.Contains(s.Name, "pauses") {
				add("longest GC pause", s.atMost())
				break
			}
		}
	}
	return append(facts, plot.Fact{Name: "faults found", Value: strconv.Itoa(len(r.Faults)), Bad: len(r.Faults) > 0})
}

// curves are all distributions of the report.
func (r *Report) curves() plot.Section {
	s := plot.Section{Title: "Latency"}
	add := func(title string, named ...any) {
		p := plot.Percentiles{Title: title}
		for i := 0; i < len(named); i += 2 {
			if l, _ := named[i+1].(*Latency); l != nil {
				if h := l.histogram(); h != nil && h.TotalCount() > 0 {
					p.Curves = append(p.Curves, plot.NewCurve(named[i].(string), h, 1e3))
				}
			}
		}
		if len(p.Curves) > 0 {
			s.Blocks = append(s.Blocks, p)
		}
	}
	if st := r.Stall; st != nil {
		add("Those that go on reading", "before", &st.Without.Latency, "meanwhile", &st.With.Latency)
	} else if t := r.Traffic; t != nil {
		if t.PublishLag != nil {
			add("Deliveries", "delivery", &t.Latency, "generator", t.PublishLag)
		} else {
			add("Deliveries", "", &t.Latency)
		}
	}
	if c := r.Connections; c != nil {
		add("Handshakes", "", &c.Handshake)
	}
	if c := r.Churn; c != nil {
		add("Handshakes", "", &c.Handshake)
	}
	if b := r.Resume; b != nil {
		add("Coming back", "", &b.Comeback)
	}
	return s
}
