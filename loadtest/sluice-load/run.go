package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/meter"
)

// perSource is how many connections one local address carries: below the 28,232 ports of the kernel's default range.
const perSource = 25_000

// run is one verb's run: what all verbs share. Its methods belong to the verb's goroutine.
type run struct {
	*outside
	o        *common
	report   *Report
	server   *meter.Process // nil without --pid
	fleet    *fleet.Fleet
	channels []string
	began    int64        // ns
	watching *watch       // nil while there is no fleet
	peak     atomic.Int64 // the most that RssAnon was while the run was watched, bytes
	inside   *meter.Page  // the server's page when what it says of itself began to be counted; nil without --metrics
}

// newRun finds the server's process. Nothing is connected yet.
func newRun(env *outside, o *common, scenario, rawURL string, channels []string) (*run, error) {
	r := &run{outside: env, o: o, channels: channels, began: fleet.Now()}
	r.report = &Report{Scenario: scenario, URL: rawURL, Started: time.Now().UTC(), Machine: meter.Describe()}
	if o.Rest && o.PID == 0 {
		return nil, errors.New("--rest needs --pid: whose rest?")
	}
	if o.PID != 0 {
		server, err := meter.Open(o.PID)
		if err != nil {
			return nil, err
		}
		r.server = server
		r.report.Server = server.Name()
	}
	return r, nil
}

// start starts the fleet, with no connection yet.
func (r *run) start(o fleet.Options, newScript func(worker int) fleet.Script) error {
	target, err := fleet.NewTarget(r.report.URL, r.o.Header)
	if err != nil {
		return err
	}
	for _, also := range r.o.Also {
		further, err := fleet.NewTarget(also, r.o.Header)
		if err != nil {
			return fmt.Errorf("--also: %w", err)
		}
		o.Also = append(o.Also, further)
	}
	if err := fleet.NeedFiles(r.o.Connections); err != nil {
		return err
	}
	o.Target, o.Workers, o.Concurrency, o.Timeout = target, r.o.Workers, r.o.Concurrency, r.o.Timeout
	if o.Rate == 0 {
		o.Rate = r.o.DialRate
	}
	if o.Answers, err = answersOf(r.o.Answer); err != nil {
		return err
	}
	o.Channel = func(id int) string { return r.channels[id%len(r.channels)] }
	if o.Sources == nil {
		var first netip.Addr
		if r.o.Source != "" {
			if first, err = netip.ParseAddr(r.o.Source); err != nil {
				return fmt.Errorf("--source: %w", err)
			}
		}
		if o.Sources, err = fleet.Sources(target.Addr().Addr(), r.o.Connections, perSource*(1+len(o.Also)), first); err != nil {
			return err
		}
		o.PerSource = perSource * (1 + len(o.Also))
	}
	if r.inside == nil {
		if err := r.lookInside(); err != nil {
			return err
		}
	}
	if r.fleet, err = fleet.Start(o, newScript); err != nil {
		return err
	}
	r.startWatch()
	return nil
}

// stop ends the fleet.
func (r *run) stop() {
	r.endWatch()
	r.fleet.Stop()
}

// connect opens all connections and reports the handshakes. Fewer than all is a fault; none is an error.
func (r *run) connect() error {
	n := int64(r.o.Connections)
	before, err := r.mark()
	if err != nil {
		return err
	}
	r.fleet.Open(r.o.Connections)
	progress := r.progress(func(s, last fleet.Stats, seconds float64) string {
		return fmt.Sprintf("connecting: %d of %d open, %d failed, %.0f/s", s.Open, n, s.Failed, float64(s.Opened-last.Opened)/seconds)
	})
	err = r.until(func() bool { s := r.fleet.Stats(); return s.Opened+s.Failed >= n })
	progress()
	if err != nil {
		return err
	}
	if err := r.rest(); err != nil {
		return err
	}
	after, err := r.mark()
	if err != nil {
		return err
	}
	s := r.fleet.Stats()
	r.report.Connections = &Connections{Asked: n, Opened: s.Opened, Failed: s.Failed,
		Cost: after.since(before), Handshake: latency(r.fleet.Handshakes())}
	r.report.Connections.PerSecond = float64(s.Opened) / r.report.Connections.Cost.Seconds
	r.report.Connections.ServerMicros = r.report.Connections.Cost.perUnit(s.Opened)
	if s.Opened == 0 {
		return fmt.Errorf("no connection to %s was opened: %v", r.report.URL, r.fleet.Faults())
	}
	if s.Failed > 0 {
		r.report.fault("%d of %d connections were not opened", s.Failed, n)
	}
	return nil
}

// rest waits, with --rest, until the server's process has used next to nothing for a while, or --timeout is over.
func (r *run) rest() error {
	if !r.o.Rest {
		return nil
	}
	const look = 250 * time.Millisecond
	last, err := r.server.Sample()
	if err != nil {
		return err
	}
	for deadline := fleet.Now() + int64(r.o.Timeout); fleet.Now() < deadline; {
		if err := r.hold(look); err != nil {
			return err
		}
		now, err := r.server.Sample()
		if err != nil {
			return err
		}
		if now.Sub(last).CPU() < look/20 {
			return nil
		}
		last = now
	}
	return nil
}

// until polls done, which every worker's turn can make true; ctx ends it early. The fleet's own timeouts bound it.
func (r *run) until(done func() bool) error {
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !done() {
		select {
		case <-r.ctx.Done():
			return r.ctx.Err()
		case <-poll.C:
		}
	}
	return nil
}

// hold waits for d, or until ctx ends.
func (r *run) hold(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-timer.C:
		return nil
	}
}

// progress prints one line per second until the function it returns is called, which waits for the last one.
func (r *run) progress(line func(now, last fleet.Stats, seconds float64) string) (stop func()) {
	done := make(chan struct{})
	var printing sync.WaitGroup
	printing.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		last, at := r.fleet.Stats(), fleet.Now()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			s, now := r.fleet.Stats(), fleet.Now()
			fmt.Fprintf(r.log, "%7.1fs %s\n", r.seconds(now), line(s, last, float64(now-at)/1e9))
			last, at = s, now
		}
	})
	return func() { close(done); printing.Wait() }
}

// finish adds what the fleet saw to the report, ends the fleet and writes the report.
func (r *run) finish() error {
	s := r.fleet.Stats()
	r.report.Errors = r.fleet.Faults()
	if r.report.Inside == nil {
		if err := r.sumUpInside(); err != nil {
			r.stop()
			return err
		}
	}
	r.stop()
	if s.Lost > 0 {
		r.report.fault("%d connections ended unasked", s.Lost)
	}
	r.report.Pings = s.Pings
	r.report.Table(r.out)
	if r.o.JSON != "" {
		if err := r.report.WriteFile(r.o.JSON); err != nil {
			return err
		}
	}
	if r.o.HTML != "" {
		if err := r.report.Page().WriteFile(r.o.HTML); err != nil {
			return err
		}
	}
	if len(r.report.Faults) > 0 {
		return errFaulty
	}
	return nil
}

// metrics reads the server's own figures; without --metrics there are none.
func (r *run) metrics() (map[string]float64, error) {
	if r.o.Metrics == "" {
		return nil, nil
	}
	return meter.Metrics(r.ctx, r.o.Metrics)
}

// channelNames are the channels of a run: c0, c1 … for more than one; else the one the URL names, or name.
func channelNames(rawURL, name string, count int) ([]string, error) {
	if count > 1 {
		if !strings.Contains(rawURL, "{channel}") {
			return nil, fmt.Errorf("--channels %d needs {channel} in the URL, to be replaced by c0, c1 …; it is %s", count, rawURL)
		}
		names := make([]string, count)
		for i := range names {
			names[i] = "c" + strconv.Itoa(i)
		}
		return names, nil
	}
	if u, err := url.Parse(rawURL); err == nil && !strings.Contains(rawURL, "{channel}") && u.Query().Get("channel") != "" {
		name = u.Query().Get("channel")
	}
	return []string{name}, nil
}
