package main

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"sluice/loadtest/internal/plot"
)

// draw writes the page, and the figures that README files show, into a directory.
func (rep *report) draw(dir string) error {
	figures := rep.figures()
	page := plot.Page{Title: rep.title(), Lead: rep.lead(), Facts: rep.facts(),
		Sections: []plot.Section{{Title: "Over time", Text: "Grey: a node drains, from SIGTERM until its process has ended."}}}
	for _, f := range figures {
		page.Sections[0].Blocks = append(page.Sections[0].Blocks, f.figure)
	}
	if rows := rep.drainRows(); len(rows) > 0 {
		page.Sections = append(page.Sections, plot.Section{Title: "The drains", Text: "Seconds after SIGTERM.",
			Blocks: []plot.Block{plot.Table{Head: rows[0], Rows: rows[1:]}}})
	}
	if err := page.WriteFile(filepath.Join(dir, rep.name()+".html")); err != nil {
		return err
	}
	for _, f := range figures {
		if f.name == "" {
			continue
		}
		if err := plot.WriteSVG(filepath.Join(dir, rep.name()+"-"+f.name+".svg"), f.figure); err != nil {
			return err
		}
	}
	return rep.save(filepath.Join(dir, rep.name()+".json"))
}

func (rep *report) name() string {
	if rep.Joined != nil {
		return "joining"
	}
	return "rolling"
}

func (rep *report) title() string {
	if rep.Joined != nil {
		return fmt.Sprintf("A node joins %d others, %d clients", rep.Nodes-1, rep.Clients)
	}
	return fmt.Sprintf("%d nodes replaced under %d clients", rep.Nodes, rep.Clients)
}

func (rep *report) lead() string {
	return fmt.Sprintf("%d clients follow %d durable channels through %d HAProxy, while %.0f messages a second are published. drain.delay %.0f s, drain.window %.0f s, connections.max_age %.0f s. "+
		"%d cores (%s), Linux %s, everything on one machine, %s.",
		rep.Clients, rep.Channels, rep.Fronts, rep.Rate, rep.Delay, rep.Window, rep.MaxAge, rep.Machine.Cores, rep.Machine.CPU, rep.Machine.Kernel, rep.Started.Format("2 January 2006"))
}

func (rep *report) facts() []plot.Fact {
	f := &rep.Followed
	facts := []plot.Fact{
		{Name: "durable messages lost", Value: fmt.Sprint(f.Undetected + f.FalseRecovered + f.Stuck), Bad: f.Undetected+f.FalseRecovered+f.Stuck > 0},
		{Name: "twice or out of order", Value: fmt.Sprint(f.Duplicate + f.OutOfOrder), Bad: f.Duplicate+f.OutOfOrder > 0},
		{Name: "told to load afresh", Value: fmt.Sprint(f.Resets + f.Gaps), Bad: f.Resets+f.Gaps > 0},
		{Name: "delivered", Value: plot.Number.Format(float64(f.Delivered))},
		{Name: "connections cut", Value: fmt.Sprint(rep.Cut), Bad: rep.Cut > 0},
		{Name: "away, half of the clients", Value: fmt.Sprintf("%.2f s", rep.Away.Half)},
		{Name: "away, at most", Value: fmt.Sprintf("%.2f s", rep.Away.Most)},
	}
	if j := rep.Joined; j != nil && j.Even != 0 {
		facts = append([]plot.Fact{{Name: "until it had its share", Value: fmt.Sprintf("%.0f s", seconds(j.Even-j.At))}}, facts...)
	}
	return facts
}

// drawing is a figure, and what its file is called; "": it has none.
type drawing struct {
	name   string
	figure plot.Figure
}

func (rep *report) figures() []drawing {
	marks := rep.marks()
	lines := func(title, y string, series ...plot.Series) plot.Lines {
		return plot.Lines{Title: title, X: plot.Axis{Title: "time", Unit: plot.Seconds}, Y: plot.Axis{Title: y, Unit: plot.Number}, Series: series, Marks: marks}
	}
	ages := lines("From publishing to arrival, of who is there", "ms", rep.perSecond("half", func(s *second) float64 { return s.Half }), rep.perSecond("99 of 100", func(s *second) float64 { return s.Most }))
	return []drawing{
		{"connections", lines("Clients on each node", "subscribed clients", rep.perNode(func(s *sample) float64 { return float64(s.Connections) })...)},
		{"reconnects", lines("Clients that come back", "a second", rep.perSecond("", func(s *second) float64 { return float64(s.Back) }))},
		{"", lines("Nodes that are ready", "/readyz says 200", rep.ready())},
		{"", lines("Deliveries", "a second", rep.perSecond("delivered", func(s *second) float64 { return float64(s.Delivered) }), rep.perSecond("published", func(s *second) float64 { return float64(s.Published) }))},
		{"", ages},
		{"", lines("Tries in vain", "a second", rep.perSecond("", func(s *second) float64 { return float64(s.Failed) }))},
	}
}

func (rep *report) marks() (marks []plot.Mark) {
	for _, d := range rep.Drains {
		marks = append(marks, plot.Mark{From: seconds(d.Signal - rep.began), To: seconds(d.drain.Ended - rep.began), Text: d.Node})
	}
	if j := rep.Joined; j != nil && j.At != 0 {
		marks = append(marks, plot.Mark{From: seconds(j.At - rep.began), To: seconds(cmp.Or(j.Even, j.At) - rep.began), Text: j.Node + " joins, until all are even"})
	}
	return marks
}

// perSecond is a line with a value for each second.
func (rep *report) perSecond(name string, value func(*second) float64) plot.Series {
	s := plot.Series{Name: name}
	for i := range rep.Seconds {
		s.X, s.Y = append(s.X, float64(i)), append(s.Y, value(&rep.Seconds[i]))
	}
	return s
}

// perNode is a line for each node.
func (rep *report) perNode(value func(*sample) float64) (all []plot.Series) {
	for _, name := range slices.Sorted(maps.Keys(rep.Samples)) {
		s := plot.Series{Name: name}
		for i := 0; i < len(rep.Samples[name]); i += int(time.Second / sampleEvery) {
			one := &rep.Samples[name][i]
			s.X, s.Y = append(s.X, seconds(one.At-rep.began)), append(s.Y, value(one))
		}
		all = append(all, s)
	}
	return all
}

// ready is how many nodes are ready, twice a second.
func (rep *report) ready() plot.Series {
	s := plot.Series{}
	for half := range 2 * len(rep.Seconds) {
		at, n := rep.began+int64(half)*5e8, 0.0
		for _, list := range rep.Samples {
			i, _ := slices.BinarySearchFunc(list, at, func(s sample, at int64) int { return cmp.Compare(s.At, at) })
			if i > 0 && list[i-1].State == stateReady {
				n++
			}
		}
		s.X, s.Y = append(s.X, float64(half)/2), append(s.Y, n)
	}
	return s
}
