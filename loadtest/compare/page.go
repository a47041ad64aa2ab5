package main

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"sluice/loadtest/internal/plot"
)

// bars is a figure of some rows of the table, which the names of series are the keys of.
func (r *Result) bars(title, axis string, unit plot.Unit, series ...plot.BarSeries) plot.Bars {
	b := plot.Bars{Title: title, Axis: plot.Axis{Title: axis, Unit: unit}, Highlight: r.Peers[0].Name}
	for _, o := range r.Peers {
		b.Groups = append(b.Groups, o.Name)
	}
	for _, s := range series {
		key := s.Name
		s = plot.BarSeries{}
		for _, o := range r.Peers {
			s.Values = append(s.Values, o.median(key))
		}
		b.Series = append(b.Series, s)
	}
	return b
}

// figure is a plot with the name of its file in docs.
type figure struct {
	file  string
	plot  plot.Bars
	brief bool // beside the short table, too
}

// figures are the plots, in the order of the page.
func (r *Result) figures() []figure {
	p := &r.Plan
	n := grouped(p.Subscribers)
	one := func(key string) plot.BarSeries { return plot.BarSeries{Name: key} } // bars puts the figures in place of the key
	all := []figure{
		{"compare-burst", r.bars("Fan-out to "+n+" subscribers in bursts of 32", "deliveries a second, one core: more is better", plot.Number, one("burst-rate")), true},
		{"compare-one", r.bars("Fan-out to "+n+" subscribers, one message at a time", "CPU per delivery: less is better", plot.Micros, one("one")), false},
		{"compare-memory", r.bars("Memory of "+n+" idle connections", "user-space memory per connection: less is better", plot.Bytes, one("memory")), true},
		{"compare-p99", r.bars(fmt.Sprintf("Latency of %s deliveries a second", grouped(int(p.Rate*float64(p.Crowd)))), "p99 from publishing to the subscriber: less is better", plot.Micros, one("common-p99")), false},
		{"compare-echo", r.bars("Echo, 16 messages in flight", "CPU per message: less is better", plot.Micros, one("echo16")), false},
		{"compare-handshake", r.bars("Handshake and subscription", "CPU per connection: less is better", plot.Micros, one("handshake")), false},
		{"compare-stalled", r.bars(fmt.Sprintf("%d of %s readers stall", p.Stalled, grouped(p.Crowd)), "growth of the server's memory: less is better", plot.Bytes, one("stalled-growth")), false},
	}
	return slices.DeleteFunc(all, func(f figure) bool {
		return !slices.ContainsFunc(f.plot.Series[0].Values, func(v float64) bool { return !math.IsNaN(v) })
	})
}

// page is the whole result as one HTML file.
func (r *Result) page() *plot.Page {
	plain := func(s string) string { return s + " ◂" }
	table := r.cells(false, plain)
	page := &plot.Page{Title: "Sluice compared", Lead: r.where() + "\n\nThe best of a row is marked ◂, with all within 5 % of it. A bare C loop is the floor of this machine, and wins nothing."}
	var blocks []plot.Block
	for _, f := range r.figures() {
		blocks = append(blocks, f.plot)
	}
	how := plot.Table{Title: "How each is run", Head: []string{"", "version", ""}}
	for _, o := range r.Peers {
		how.Rows = append(how.Rows, []string{o.Name, o.Version, o.Style})
	}
	notes := plot.Table{Title: "What went wrong", Head: []string{"", ""}}
	for _, o := range r.Peers {
		for _, f := range o.Failed {
			notes.Rows = append(notes.Rows, []string{o.Name, oneLine(f)})
		}
		for why, n := range o.Errors {
			notes.Rows = append(notes.Rows, []string{o.Name, fmt.Sprintf("%d connections: %s", n, oneLine(why))})
		}
	}
	for _, a := range r.Absent {
		notes.Rows = append(notes.Rows, []string{a.Name, oneLine(a.Why)})
	}
	page.Sections = []plot.Section{{Blocks: blocks}, {Title: "All figures", Blocks: []plot.Block{plot.Table{Head: table[0], Rows: table[1:]}, how}}}
	if len(notes.Rows) > 0 {
		page.Sections = append(page.Sections, plot.Section{Blocks: []plot.Block{notes}})
	}
	return page
}

// publish writes what the READMEs show: the tables between their marks, and the plots in docs.
func (r *Result) publish() error {
	err := errors.Join(replaceBlock("README.md", r.markdown(true)), replaceBlock(filepath.Join("loadtest", "compare", "README.md"), r.markdown(false)))
	for _, f := range r.figures() {
		err = errors.Join(err, plot.WriteSVG(filepath.Join("docs", f.file+".svg"), f.plot))
	}
	return err
}
