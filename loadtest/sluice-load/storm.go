package main

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/meter"
)

// stormCmd connects everybody at once, as after a restart.
type stormCmd struct {
	common
	URL     string        `name:"url" default:"ws://127.0.0.1:8000/ws?channel={channel}" help:"Where to connect; {channel} is replaced."`
	Channel string        `default:"news" help:"The channel."`
	Rate    float64       `default:"0" help:"New connections per second; 0: all at once."`
	Sources int           `default:"16" help:"Local addresses that they come from, in turn: 127.0.0.1, 127.0.0.2 … or from --source on. Elsewhere than on IPv4 loopback without --source: the kernel's choice."`
	For     time.Duration `default:"1s" help:"How long they must stay."`
	Hello   string        `help:"Text message sent first on each connection; {channel} is replaced."`
}

// Storm is how long it took until so many were connected.
type Storm struct {
	Sources  int     `json:"sources"`
	Half     float64 `json:"half_s"` // from the first connect(2) until half of them were connected
	Most     float64 `json:"p99_s"`  // until 99 of 100 were
	All      float64 `json:"all_s"`
	Complete bool    `json:"complete"`   // all were, and stayed
	Refused  int64   `json:"queue_full"` // times that the kernel turned one away because the server's queue was full; it came again after a second or more
}

// Run is the verb.
func (cmd *stormCmd) Run(env *outside) error {
	channels, err := channelNames(cmd.URL, cmd.Channel, 1)
	if err != nil {
		return err
	}
	if cmd.Sources < 1 || cmd.Sources > 250 {
		return fmt.Errorf("--sources %d: want 1..250", cmd.Sources)
	}
	r, err := newRun(env, &cmd.common, "storm", cmd.URL, channels)
	if err != nil {
		return err
	}
	r.report.Settings = cmd
	cmd.Concurrency = r.own
	o := fleet.Options{Rate: cmd.Rate}
	if err := cmd.addresses(&o); err != nil {
		return err
	}
	hello := helloFor(cmd.Hello, channels)
	scripts := make([]*arrivals, 0, cmd.Workers)
	err = r.start(o, func(int) fleet.Script {
		s := &arrivals{quiet: quiet{hello}, at: fleet.NewHistogram()}
		scripts = append(scripts, s)
		return s
	})
	if err != nil {
		return err
	}
	if cmd.Part > 0 {
		return r.serve(func(o order, a *answer) {
			switch o.Do {
			case doOpen:
				r.fleet.Each(func(w *fleet.Worker) { scripts[w.Index()].begun = o.Begun })
			case doSum:
				a.Arrivals = latency(arrived(r, scripts)).HDR
			}
		})
	}
	if err := cmd.measure(r, scripts, max(len(o.Sources), 1)); err != nil {
		r.stop()
		return err
	}
	return r.finish()
}

// addresses has each connection come from another address than the one before.
func (cmd *stormCmd) addresses(o *fleet.Options) error {
	target, err := fleet.NewTarget(cmd.URL, nil)
	if err != nil {
		return err
	}
	dest, first := target.Addr().Addr(), netip.Addr{}
	if cmd.Source != "" {
		if first, err = netip.ParseAddr(cmd.Source); err != nil {
			return fmt.Errorf("--source: %w", err)
		}
	} else if !dest.Is4() || !dest.IsLoopback() {
		return nil
	}
	o.PerSource = 1
	o.Sources, err = fleet.Sources(dest, cmd.Sources, 1, first)
	return err
}

func (cmd *stormCmd) measure(r *run, scripts []*arrivals, sources int) error {
	refused, err := meter.ListenOverflows()
	if err != nil {
		return err
	}
	begun := fleet.Now()
	r.fleet.Each(func(w *fleet.Worker) { scripts[w.Index()].begun = begun })
	if err := r.connect(); err != nil {
		return err
	}
	refusedNow, err := meter.ListenOverflows()
	if err != nil {
		return err
	}
	before, err := r.mark()
	if err != nil {
		return err
	}
	if err := r.hold(cmd.For); err != nil {
		return err
	}
	after, err := r.mark()
	if err != nil {
		return err
	}
	r.span(before, after, "held")
	all := arrived(r, scripts)
	for _, a := range r.crew.ask(order{Do: doSum}) {
		merge(all, a.Arrivals)
	}
	at := func(q float64) float64 { return float64(all.ValueAtQuantile(q)) / 1e9 }
	r.report.Storm = &Storm{Sources: sources, Half: at(50), Most: at(99), All: at(100), Complete: r.stats().Open == int64(cmd.Connections), Refused: refusedNow - refused}
	return nil
}

// arrivals is the Script of connections of which only matters when they are there. It belongs to its worker.
type arrivals struct {
	quiet
	begun int64
	at    *hdrhistogram.Histogram // ns from the first connect(2) of all
}

func (s *arrivals) Opened(c *fleet.Conn) {
	fleet.Record(s.at, fleet.Now()-s.begun)
	s.quiet.Opened(c)
}

// arrived is when this process' connections were there.
func arrived(r *run, scripts []*arrivals) *hdrhistogram.Histogram {
	all := fleet.NewHistogram()
	var mu sync.Mutex
	r.fleet.Each(func(w *fleet.Worker) {
		mu.Lock()
		defer mu.Unlock()
		all.Merge(scripts[w.Index()].at)
	})
	return all
}

// rows are for people.
func (s *Storm) rows(row func(string, string, ...any)) {
	row("storm", "from %d addresses: half connected after %.3f s, 99 %% after %.3f s, all after %.3f s", s.Sources, s.Half, s.Most, s.All)
	if s.Refused > 0 {
		row("  listen queue full", "%d times, and the client came again after a second or more: accept faster, or raise net.core.somaxconn", s.Refused)
	}
	if !s.Complete {
		row("  not complete", "some did not connect, or did not stay")
	}
}
