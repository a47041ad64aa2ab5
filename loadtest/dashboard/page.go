package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"sluice/loadtest/grafana"
	"sluice/loadtest/internal/plot"
	"sluice/loadtest/prometheus"
)

// unit is how Grafana's units are drawn: what an axis counts, what it says, and how many of these one of Grafana's is.
type unit struct {
	unit   plot.Unit
	title  string
	factor float64
}

var units = map[string]unit{
	"short":       {plot.Number, "", 1},
	"ops":         {plot.Number, "a second", 1},
	"bytes":       {plot.Bytes, "", 1},
	"Bps":         {plot.Bytes, "a second", 1},
	"s":           {plot.Micros, "", 1e6},
	"percentunit": {plot.Percent, "", 100},
}

// draw asks for every panel and writes the page.
func (r *rig) draw(ctx context.Context, board *grafana.Dashboard, file string) error {
	page := plot.Page{Title: board.Title, Wide: true, Lead: fmt.Sprintf("deploy/grafana/dashboard.json, drawn from a Prometheus that asked two nodes every %v for %v, on %s, while these things happened: %s.",
		scrapeEvery, r.o.For, r.began.UTC().Format("2 January 2006"), r.names())}
	for _, row := range board.Rows {
		section := plot.Section{Title: row.Title, Columns: grafana.Columns}
		for i := range row.Panels {
			figure, err := r.figure(ctx, &row.Panels[i])
			if err != nil {
				return err
			}
			place := row.Panels[i].Place
			section.Blocks = append(section.Blocks, plot.Placed{Figure: figure, Column: place.X, Columns: place.W})
		}
		page.Sections = append(page.Sections, section)
	}
	if err := page.WriteFile(file); err != nil {
		return err
	}
	r.say("%s is written", file)
	return nil
}

func (r *rig) names() (all string) {
	for i, m := range r.marks {
		if i > 0 {
			all += ", "
		}
		all += fmt.Sprintf("%s (%.0f s)", m.name, m.from.Seconds())
	}
	return all
}

// figure is a panel as Grafana would draw it.
func (r *rig) figure(ctx context.Context, p *grafana.Panel) (plot.Lines, error) {
	u, ok := units[p.Unit]
	if !ok {
		return plot.Lines{}, fmt.Errorf("%s: nobody knows the unit %q", p.Title, p.Unit)
	}
	lines := plot.Lines{Title: p.Title, Y: plot.Axis{Title: u.title, Unit: u.unit}, Until: r.o.For.Seconds()}
	for _, m := range r.marks {
		lines.Marks = append(lines.Marks, plot.Mark{From: m.from.Seconds(), To: m.until.Seconds()})
	}
	for _, t := range p.Targets {
		query, err := t.Query(grafana.Variables{"instance": ".*", "__rate_interval": (4 * scrapeEvery).String()})
		if err != nil {
			return lines, err
		}
		all, err := r.graph.Range(ctx, query, r.began, r.began.Add(r.o.For), scrapeEvery)
		if err != nil {
			return lines, fmt.Errorf("%s: %w", p.Title, err)
		}
		for _, s := range all {
			if line := r.line(s, u); len(line.X) > 0 {
				line.Name = t.Name(s.Labels)
				lines.Series = append(lines.Series, line)
			}
		}
	}
	if len(lines.Series) == 0 {
		lines.Y.Title = "no data"
	}
	return lines, nil
}

// line is a series as a line: of what can be drawn, with a gap where there is nothing for longer than a scrape.
func (r *rig) line(s prometheus.Series, u unit) (line plot.Series) {
	began := float64(r.began.UnixMilli()) / 1000
	for i, v := range s.Values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		x := s.Times[i] - began
		if n := len(line.X); n > 0 && x-line.X[n-1] > 1.5*float64(scrapeEvery)/float64(time.Second) {
			line.X, line.Y = append(line.X, line.X[n-1]+0.001), append(line.Y, math.NaN())
		}
		line.X, line.Y = append(line.X, x), append(line.Y, v*u.factor)
	}
	return line
}
