package main

import (
	"errors"
	"fmt"
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
	Rate     pace          `default:"0" placeholder:"NUMBER|PERCENT" help:"Publish so many messages per second in place of bursts, whether delivered or not; as 50%: that share of the most there can be, which is measured first. Latency then counts from the moment a message was due."`
	For      time.Duration `default:"10s" help:"Length of the measured window."`
	Messages int64         `default:"0" help:"End the window after so many messages; 0: only by time."`
	Warmup   time.Duration `default:"1s" help:"Traffic before the measured window."`
	Stalled  int           `default:"0" help:"So many of the subscribers stop reading once all are subscribed; what the others get is judged."`
	Quiet    time.Duration `default:"5s" help:"No delivery for so long means that what is missing is lost."`
}

// Run is the verb.
func (cmd *fanoutCmd) Run(env *outside) error {
	return cmd.run(env, "fanout", func(f *fanout) error { return f.measure() })
}

// run is a scenario with subscribers: all but what is measured.
func (cmd *fanoutCmd) run(env *outside, scenario string, measure func(*fanout) error) error {
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
	r, err := newRun(env, &cmd.common, scenario, cmd.URL, channels)
	if err != nil {
		return err
	}
	r.report.Settings = cmd
	out := env.publish
	if out == nil && cmd.Part == 0 {
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
	if cmd.Processes > 1 {
		if err := f.shareTally(); err != nil {
			return err
		}
		defer f.tally.close()
	}
	if err := r.start(fleet.Options{Narrow: cmd.Stalled}, f.script); err != nil {
		return err
	}
	if cmd.Part > 0 {
		return r.serve(f.obey)
	}
	stop := f.progress(func(s, last fleet.Stats, seconds float64) string {
		return fmt.Sprintf("%.0f deliveries/s, %d subscribers, %d ended unasked", float64(s.Messages-last.Messages)/seconds, s.Open, s.Lost)
	})
	err = measure(f)
	stop()
	if err != nil {
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
	case cmd.Stalled > 0 && cmd.Processes > 1:
		return errors.New("--stalled: not with --processes")
	case cmd.Stalled < 0 || cmd.Stalled >= cmd.Connections:
		return fmt.Errorf("--stalled %d: want 0 or more, and fewer than the %d connections", cmd.Stalled, cmd.Connections)
	}
	return nil
}

// fanout is one such run. Its fields belong to the verb's goroutine, but for what the comment names.
type fanout struct {
	*run
	cmd     *fanoutCmd
	out     publisher
	next    []uint64 // by channel: the sequence number to publish next
	subs    []int64  // by channel: its subscribers
	turn    int      // the channel whose turn it is
	due     int64    // deliveries that everything published so far must give, less what was given up
	batch   []publication
	buf     []byte
	rate    float64                 // messages per second to publish; 0: in bursts
	maximum *Maximum                // where the rate is a share of it; else nil
	lag     *hdrhistogram.Histogram // of publishing, behind its schedule
	tally   *tally                  // shared with the workers
	scripts []*subscribers          // each belongs to its worker
}

func newFanout(cmd *fanoutCmd, r *run, out publisher) *fanout {
	n := len(r.channels)
	r.id = uint32(time.Now().UnixNano())
	return &fanout{run: r, cmd: cmd, out: out, tally: newTally(), rate: cmd.Rate.perSecond,
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
	if err := f.warmUp(); err != nil {
		return err
	}
	t, err := f.window("measured")
	if err != nil {
		return err
	}
	f.report.Traffic = t
	f.verdict()
	return nil
}

// warmUp is traffic that is proved and not measured, and, where the rate is a share of the maximum, the search for that.
func (f *fanout) warmUp() error {
	if f.cmd.Rate.share == 0 {
		return f.send(f.cmd.Warmup, 0)
	}
	if err := f.bursts(f.cmd.Warmup, 0); err != nil {
		return err
	}
	return f.findMaximum()
}

// send publishes for d, or so many messages (0: no bound), and waits until they are delivered.
func (f *fanout) send(d time.Duration, messages int64) error {
	if f.rate > 0 {
		return f.schedule(d, messages)
	}
	return f.bursts(d, messages)
}

// window is a measured one, which name says in plots.
func (f *fanout) window(name string) (*Traffic, error) {
	f.forget()
	f.crew.ask(order{Do: doReset})
	f.lag.Reset()
	if err := f.lookInside(); err != nil {
		return nil, err
	}
	before, err := f.mark()
	if err != nil {
		return nil, err
	}
	delivered, published := f.tally.delivered.Load(), f.published()
	if err := f.send(f.cmd.For, f.cmd.Messages); err != nil {
		return nil, err
	}
	after, err := f.mark()
	if err != nil {
		return nil, err
	}
	if err := f.sumUpInside(); err != nil {
		return nil, err
	}
	f.span(before, after, name)
	t := &Traffic{Published: f.published() - published, Deliveries: f.tally.delivered.Load() - delivered, Cost: after.since(before)}
	t.PerSecond = float64(t.Deliveries) / t.Cost.Seconds
	t.ServerMicros = t.Cost.perUnit(t.Deliveries)
	all := f.latency()
	for _, a := range f.crew.ask(order{Do: doSum}) {
		merge(all, a.Latency)
	}
	t.Latency = latency(all)
	if f.rate > 0 {
		lag := latency(f.lag)
		t.PublishLag = &lag
	}
	t.Stalled, t.Cut = int64(f.cmd.Stalled), f.stats().Cut
	t.Maximum = f.maximum
	return t, nil
}

// stall lets the first subscribers stop reading.
func (f *fanout) stall() {
	if f.cmd.Stalled == 0 {
		return
	}
	f.fleet.Each(func(w *fleet.Worker) {
		s := f.scripts[w.Index()]
		w.Conns(func(c *fleet.Conn) {
			if f.stalls(c) {
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
	p := &f.report.Traffic.Proof
	p.Add(f.settled())
	for _, a := range f.crew.ask(order{Do: doSettle, Next: f.next}) {
		p.Add(a.Proof)
	}
	if !p.Clean() {
		f.report.fault("deliveries: %d missing, %d duplicates, %d out of order, %d stale, %d corrupt, %d misrouted",
			p.Missing, p.Duplicates, p.OutOfOrder, p.Stale, p.Corrupt, p.Misrouted)
	}
	if f.report.Traffic.Deliveries == 0 {
		f.report.fault("nothing was delivered in the measured window")
	}
}
