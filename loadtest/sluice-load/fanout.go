package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/proof"
)

// fanoutCmd publishes to many subscribers and proves every delivery.
type fanoutCmd struct {
	common
	envelope
	posting
	URL      string        `name:"url" default:"ws://127.0.0.1:8000/ws?channel={channel}" help:"Where to subscribe; {channel} is replaced."`
	Channel  string        `default:"news" help:"The channel, when there is one."`
	Channels int           `default:"1" help:"Spread subscribers and messages over so many channels: c0, c1 …"`
	Hello    string        `help:"Text message sent first on each connection, for servers that want a subscribe command; {channel} is replaced."`
	Redis    string        `default:"redis://127.0.0.1:6379/0" help:"Where to publish."`
	Prefix   string        `default:"sluice:" help:"Put before the channel's name in Redis."`
	Command  string        `enum:"publish,spublish,durable" default:"publish" help:"How to publish: PUBLISH, SPUBLISH, or FCALL sluice_publish."`
	Quote    bool          `help:"Publish the payload as a JSON string, for servers that take only JSON."`
	Size     int           `default:"128" help:"Payload in bytes, 72 or more."`
	Burst    int           `default:"1" help:"Messages in flight: so many are published at once, and the next ones when every subscriber has all of these."`
	Rate     float64       `default:"0" help:"Publish so many messages per second in place of bursts, whether delivered or not. Latency then counts from the moment a message was due."`
	For      time.Duration `default:"10s" help:"Length of the measured window."`
	Messages int64         `default:"0" help:"End the window after so many messages; 0: only by time."`
	Warmup   time.Duration `default:"1s" help:"Traffic before the measured window."`
	Stalled  int           `default:"0" help:"So many of the subscribers stop reading once all are subscribed; what the others get is judged."`
	Quiet    time.Duration `default:"5s" help:"No delivery for so long means that what is missing is lost."`
}

// Run is the verb.
func (cmd *fanoutCmd) Run(env *outside) error {
	if err := cmd.check(); err != nil {
		return err
	}
	if err := cmd.open(); err != nil {
		return err
	}
	if cmd.Quote {
		cmd.before, cmd.after = append(cmd.before, '"'), append([]byte{'"'}, cmd.after...)
	}
	channels, err := channelNames(cmd.URL, cmd.Channel, cmd.Channels)
	if err != nil {
		return err
	}
	r, err := newRun(env, &cmd.common, "fanout", cmd.URL, channels)
	if err != nil {
		return err
	}
	r.report.Settings = cmd
	out := env.publish
	if out == nil {
		if cmd.Post != "" {
			out, err = newPoster(env.ctx, &cmd.posting)
		} else {
			out, err = newRedisPublisher(env.ctx, cmd.Redis, cmd.Prefix, cmd.Command)
		}
		if err != nil {
			return err
		}
		defer func() { _ = out.close() }() // all was published, or the run failed anyway
	}
	f := newFanout(cmd, r, out)
	if err := r.start(fleet.Options{}, f.script); err != nil {
		return err
	}
	if err := f.measure(); err != nil {
		r.stop()
		return err
	}
	return r.finish()
}

func (cmd *fanoutCmd) check() error {
	switch {
	case cmd.Size < proof.MinSize:
		return fmt.Errorf("--size %d: the proof in each payload takes %d bytes", cmd.Size, proof.MinSize)
	case cmd.Burst < 1 || cmd.Burst > proof.Window:
		return fmt.Errorf("--burst %d: want 1..%d, within which a duplicate can be told from a late message", cmd.Burst, proof.Window)
	case cmd.Channels < 1 || cmd.Channels > cmd.Connections:
		return fmt.Errorf("--channels %d: want 1..%d, at least one subscriber each", cmd.Channels, cmd.Connections)
	case cmd.Stalled < 0 || cmd.Stalled >= cmd.Connections:
		return fmt.Errorf("--stalled %d: want 0 or more, and fewer than the %d connections", cmd.Stalled, cmd.Connections)
	case cmd.Rate < 0:
		return fmt.Errorf("--rate %v: want 0 or more", cmd.Rate)
	}
	return nil
}

// fanout is one such run. Its fields belong to the verb's goroutine, but for what the comment names.
type fanout struct {
	*run
	cmd     *fanoutCmd
	out     publisher
	id      uint32   // of this run, in each payload
	next    []uint64 // by channel: the sequence number to publish next
	subs    []int64  // by channel: its subscribers
	turn    int      // the channel whose turn it is
	due     int64    // deliveries that everything published so far must give, less what was given up
	batch   []publication
	buf     []byte
	lag     *hdrhistogram.Histogram // of publishing, behind its schedule
	tally   *tally                  // shared with the workers
	scripts []*subscribers          // each belongs to its worker
}

func newFanout(cmd *fanoutCmd, r *run, out publisher) *fanout {
	n := len(r.channels)
	return &fanout{run: r, cmd: cmd, out: out, id: uint32(time.Now().UnixNano()), tally: newTally(),
		next: make([]uint64, n), subs: make([]int64, n), lag: fleet.NewHistogram()}
}

// script makes one worker's Script.
func (f *fanout) script(worker int) fleet.Script {
	n := f.cmd.Connections/f.cmd.Workers + 1
	s := &subscribers{f: f, hello: helloFor(f.cmd.Hello, f.channels), latency: fleet.NewHistogram(),
		trackers: make([]proof.Tracker, n), live: make([]bool, n)}
	f.scripts = append(f.scripts, s)
	return s
}

// measure is the whole run on a started fleet.
func (f *fanout) measure() error {
	if err := f.connect(); err != nil {
		return err
	}
	if err := f.subscribed(); err != nil {
		return err
	}
	f.stall()
	stop := f.progress(func(s, last fleet.Stats, seconds float64) string {
		return fmt.Sprintf("%.0f deliveries/s, %d subscribers, %d ended unasked", float64(s.Messages-last.Messages)/seconds, s.Open, s.Lost)
	})
	err := f.traffic()
	stop()
	if err != nil {
		return err
	}
	f.verdict()
	return nil
}

// traffic runs the warm-up and the measured window.
func (f *fanout) traffic() error {
	send := f.bursts
	if f.cmd.Rate > 0 {
		send = f.schedule
	}
	if err := send(f.cmd.Warmup, 0); err != nil {
		return err
	}
	f.fleet.Each(func(w *fleet.Worker) { f.scripts[w.Index()].latency.Reset() })
	f.lag.Reset()
	if err := f.lookInside(); err != nil {
		return err
	}
	before, err := f.mark()
	if err != nil {
		return err
	}
	delivered, published := f.tally.delivered.Load(), f.published()
	if err := send(f.cmd.For, f.cmd.Messages); err != nil {
		return err
	}
	after, err := f.mark()
	if err != nil {
		return err
	}
	if err := f.sumUpInside(); err != nil {
		return err
	}
	f.span(before, after, "measured")
	t := &Traffic{Published: f.published() - published, Deliveries: f.tally.delivered.Load() - delivered, Cost: after.since(before)}
	t.PerSecond = float64(t.Deliveries) / t.Cost.Seconds
	t.ServerMicros = t.Cost.perUnit(t.Deliveries)
	all := fleet.NewHistogram()
	var mu sync.Mutex
	f.fleet.Each(func(w *fleet.Worker) {
		mu.Lock()
		defer mu.Unlock()
		all.Merge(f.scripts[w.Index()].latency)
	})
	t.Latency = latency(all)
	if f.cmd.Rate > 0 {
		lag := latency(f.lag)
		t.PublishLag = &lag
	}
	t.Stalled, t.Cut = int64(f.cmd.Stalled), f.fleet.Stats().Cut
	f.report.Traffic = t
	return nil
}

// stall lets the first subscribers stop reading.
func (f *fanout) stall() {
	if f.cmd.Stalled == 0 {
		return
	}
	f.fleet.Each(func(w *fleet.Worker) {
		s := f.scripts[w.Index()]
		w.Conns(func(c *fleet.Conn) {
			if c.ID < f.cmd.Stalled {
				s.Closed(c, "") // nothing is expected of it any more
				c.Stall()
			}
		})
	})
	f.count()
}

func (f *fanout) published() (n int64) {
	for _, next := range f.next {
		n += int64(next)
	}
	return n
}

// verdict adds up what every subscriber saw, against what was published.
func (f *fanout) verdict() {
	var mu sync.Mutex
	p := &f.report.Traffic.Proof
	f.fleet.Each(func(w *fleet.Worker) {
		mu.Lock()
		defer mu.Unlock()
		p.Add(f.scripts[w.Index()].settle(w))
	})
	if !p.Clean() {
		f.report.fault("deliveries: %d missing, %d duplicates, %d out of order, %d stale, %d corrupt, %d misrouted",
			p.Missing, p.Duplicates, p.OutOfOrder, p.Stale, p.Corrupt, p.Misrouted)
	}
	if f.report.Traffic.Deliveries == 0 {
		f.report.fault("nothing was delivered in the measured window")
	}
}
