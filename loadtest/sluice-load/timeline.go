package main

import (
	"slices"
	"sync"
	"time"

	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/meter"
	"sluice/loadtest/internal/plot"
)

// sampleEvery is how often a run is looked at; its server's metrics are read every second time.
const sampleEvery = 500 * time.Millisecond

// Timeline is how a run went.
type Timeline struct {
	Samples []Sample    `json:"samples"`
	Marks   []plot.Mark `json:"marks"` // seconds since the run began
}

// Sample is one moment of a run.
type Sample struct {
	At       float64            `json:"at_s"` // since the run began
	Open     int64              `json:"open"`
	Opened   int64              `json:"opened"`   // since the run began
	Messages int64              `json:"messages"` // received since the run began
	CPU      float64            `json:"server_cpu_s,omitempty"`
	RSSAnon  int64              `json:"rss_anon_bytes,omitempty"`
	Metrics  map[string]float64 `json:"metrics,omitempty"`
}

// watch samples one fleet until it is ended. Its samples belong to its goroutine until then.
type watch struct {
	r       *run
	before  Sample // of an earlier fleet of the same run: its last
	samples []Sample
	done    chan struct{}
	looking sync.WaitGroup
}

// startWatch begins to sample r's fleet.
func (r *run) startWatch() {
	w := &watch{r: r, done: make(chan struct{})}
	if n := len(r.report.Timeline.Samples); n > 0 {
		w.before = r.report.Timeline.Samples[n-1]
	}
	w.looking.Go(w.loop)
	r.watching = w
}

// endWatch puts what was sampled into the report.
func (r *run) endWatch() {
	if w := r.watching; w != nil {
		close(w.done)
		w.looking.Wait()
		r.report.Timeline.Samples = append(r.report.Timeline.Samples, w.samples...)
		r.watching = nil
	}
}

func (w *watch) loop() {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for n := 0; ; n++ {
		w.samples = append(w.samples, w.sample(n%2 == 0))
		select {
		case <-w.done:
			w.samples = append(w.samples, w.sample(false))
			return
		case <-ticker.C:
		}
	}
}

// sample is now. What cannot be read is missing from it: a run does not fail for that.
func (w *watch) sample(inside bool) Sample {
	stats := w.r.stats()
	s := Sample{At: w.r.seconds(fleet.Now()), Open: stats.Open, Opened: w.before.Opened + stats.Opened, Messages: w.before.Messages + stats.Messages}
	if w.r.server != nil {
		if u, err := w.r.server.Brief(); err == nil {
			s.CPU, s.RSSAnon = u.CPU().Seconds(), u.RSSAnon
			w.r.peak.Store(max(w.r.peak.Load(), u.RSSAnon))
		}
	}
	if inside && w.r.o.Metrics != "" && (w.r.o.JSON != "" || w.r.o.HTML != "") { // else nobody would see them, and the server is left in peace
		if page, err := meter.ReadPage(w.r.ctx, w.r.o.Metrics); err == nil {
			s.Metrics = page.Pick(overTime())
		}
	}
	return s
}

// seconds is a moment of Now's clock in seconds since the run began.
func (r *run) seconds(at int64) float64 { return float64(at-r.began) / 1e9 }

// moment gives now a name in the report's plots.
func (r *run) moment(text string) {
	r.report.Timeline.Marks = append(r.report.Timeline.Marks, plot.Mark{From: r.seconds(fleet.Now()), Text: text})
}

// span gives the time between two marks a name.
func (r *run) span(from, to mark, text string) {
	r.report.Timeline.Marks = append(r.report.Timeline.Marks, plot.Mark{From: r.seconds(from.at), To: r.seconds(to.at), Text: text})
}

// lines is a figure of the samples from figure on; nil where no sample has it.
func (t *Timeline) lines(title string, y plot.Axis, figure func(before, s *Sample) (float64, bool)) plot.Block {
	line := plot.Series{}
	for i := range t.Samples {
		before := &Sample{}
		if i > 0 {
			before = &t.Samples[i-1]
		}
		if v, ok := figure(before, &t.Samples[i]); ok {
			line.X, line.Y = append(line.X, t.Samples[i].At), append(line.Y, v)
		}
	}
	if len(line.X) < 2 || slices.Max(line.Y) == 0 {
		return nil
	}
	return plot.Lines{Title: title, Y: y, Series: []plot.Series{line}, Marks: t.Marks}
}

// rate makes a figure of a count: its growth per second.
func rate(count func(*Sample) float64) func(before, s *Sample) (float64, bool) {
	return func(before, s *Sample) (float64, bool) {
		dt := s.At - before.At
		if before.At == 0 || dt < sampleEvery.Seconds()/4 {
			return 0, false // the last look can follow the one before at once
		}
		return max(0, (count(s)-count(before))/dt), true
	}
}

// plots are all figures that the samples have.
func (t *Timeline) plots() (blocks []plot.Block) {
	add := func(b plot.Block) {
		if b != nil {
			blocks = append(blocks, b)
		}
	}
	some := func(v func(*Sample) float64) bool {
		for i := range t.Samples {
			if v(&t.Samples[i]) > 0 {
				return true
			}
		}
		return false
	}
	if messages := func(s *Sample) float64 { return float64(s.Messages) }; some(messages) {
		add(t.lines("Deliveries", plot.Axis{Title: "messages received a second"}, rate(messages)))
	}
	add(t.lines("Connections", plot.Axis{Title: "open"}, func(_, s *Sample) (float64, bool) { return float64(s.Open), true }))
	if cpu := func(s *Sample) float64 { return s.CPU }; some(cpu) {
		percent := rate(func(s *Sample) float64 { return 100 * s.CPU })
		add(t.lines("Processor time of the server", plot.Axis{Title: "% of a core", Unit: plot.Percent}, func(before, s *Sample) (float64, bool) {
			v, ok := percent(before, s)
			return v, ok && s.CPU > 0 && before.CPU > 0
		}))
		add(t.lines("Memory of the server", plot.Axis{Title: "RssAnon", Unit: plot.Bytes}, func(_, s *Sample) (float64, bool) {
			return float64(s.RSSAnon), s.RSSAnon > 0
		}))
	}
	for _, f := range insideOverTime {
		add(t.lines(f.title, f.axis, func(_, s *Sample) (float64, bool) {
			v, ok := s.Metrics[f.name]
			return v * f.factor, ok
		}))
	}
	return blocks
}
