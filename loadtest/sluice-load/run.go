package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"runtime"
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
	own      int          // connections of this process
	crew     *crew        // the other processes; nil: there are none
	shared   []*os.File   // what they get
	id       uint32       // in each payload, where there are some
	began    int64        // ns
	watching *watch       // nil while there is no fleet
	peak     atomic.Int64 // the most that RssAnon was while the run was watched, bytes
	inside   *meter.Page  // the server's page when what it says of itself began to be counted; nil without --metrics
}

// newRun finds the server's process. Nothing is connected yet.
func newRun(env *outside, o *common, scenario, rawURL string, channels []string) (*run, error) {
	r := &run{outside: env, o: o, channels: channels, began: fleet.Now()}
	if o.Processes < 1 || o.Processes > max(o.Connections, 1) || o.Part < 0 || o.Part >= o.Processes {
		return nil, fmt.Errorf("--processes %d: want 1..%d, with a connection or more each", o.Processes, o.Connections)
	}
	r.own = share(o.Connections, o.Processes, o.Part)
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
	if err := fleet.NeedFiles(r.own); err != nil {
		return err
	}
	if o.TLS, err = r.o.tls(); err != nil {
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
		if o.Sources, err = r.sources(target.Addr().Addr(), perSource*(1+len(o.Also))); err != nil {
			return err
		}
		o.PerSource = perSource * (1 + len(o.Also))
	}
	if r.inside == nil && r.o.Part == 0 {
		if err := r.lookInside(); err != nil {
			return err
		}
	}
	// Held to one core, Go would run one goroutine at a time: the publisher waits 10 ms and more for a receiver to pause,
	// which then looks like the server's latency. The kernel shares a core more evenly.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), r.o.Workers+2))
	if r.fleet, err = fleet.Start(o, newScript); err != nil {
		return err
	}
	if r.o.Part > 0 {
		return nil // the leader looks
	}
	if r.o.Processes > 1 {
		if r.crew, err = startCrew(r.outside, r.o.Processes, r.shared); err != nil {
			r.fleet.Stop()
			return err
		}
	}
	r.startWatch()
	return nil
}

// sources are the local addresses of this process' connections, per of them to each.
func (r *run) sources(dest netip.Addr, per int) ([]netip.Addr, error) {
	var first netip.Addr
	if r.o.Source != "" {
		var err error
		if first, err = netip.ParseAddr(r.o.Source); err != nil {
			return nil, fmt.Errorf("--source: %w", err)
		}
	} else if r.o.Processes > 1 && dest.Is4() && dest.IsLoopback() {
		first = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if first.IsValid() {
		for range r.o.Part * ((r.own + per) / per) { // those before have as many connections, or one more
			first = first.Next()
		}
	}
	return fleet.Sources(dest, r.own, per, first)
}

// alone refuses --processes for a scenario that has one.
func (o *common) alone(scenario string) error {
	if o.Processes > 1 {
		return fmt.Errorf("--processes: %s has one", scenario)
	}
	return nil
}

// stop ends the fleet.
func (r *run) stop() {
	r.endWatch()
	r.crew.stop()
	r.fleet.Stop()
}

// connect opens all connections and reports the handshakes. Fewer than all is a fault; none is an error.
func (r *run) connect() error {
	n := int64(r.o.Connections)
	before, err := r.mark()
	if err != nil {
		return err
	}
	r.crew.ask(order{Do: doOpen, Run: r.id, Begun: fleet.Now()})
	r.fleet.Open(r.own)
	progress := r.progress(func(s, last fleet.Stats, seconds float64) string {
		return fmt.Sprintf("connecting: %d of %d open, %d failed, %.0f/s", s.Open, n, s.Failed, float64(s.Opened-last.Opened)/seconds)
	})
	err = r.until(func() bool { s := r.stats(); return s.Opened+s.Failed >= n })
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
	s := r.stats()
	r.report.Connections = &Connections{Asked: n, Opened: s.Opened, Failed: s.Failed, Resumed: s.Resumed,
		Cost: after.since(before), Handshake: latency(r.handshakes())}
	r.report.Connections.PerSecond = float64(s.Opened) / r.report.Connections.Cost.Seconds
	r.report.Connections.ServerMicros = r.report.Connections.Cost.perUnit(s.Opened)
	if s.Opened == 0 {
		return fmt.Errorf("no connection to %s was opened: %v", r.report.URL, r.faults())
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
	every := 2 * time.Millisecond
	if r.crew != nil {
		every = 20 * time.Millisecond // other processes are asked
	}
	poll := time.NewTicker(every)
	defer poll.Stop()
	for !done() {
		if err := r.crew.trouble(); err != nil {
			return err
		}
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
		last, at := r.stats(), fleet.Now()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			s, now := r.stats(), fleet.Now()
			fmt.Fprintf(r.log, "%7.1fs %s\n", r.seconds(now), line(s, last, float64(now-at)/1e9))
			last, at = s, now
		}
	})
	return func() { close(done); printing.Wait() }
}

// finish adds what the fleet saw to the report, ends the fleet and writes the report.
func (r *run) finish() error {
	s := r.stats()
	r.report.Errors = r.faults()
	if r.report.Inside == nil {
		if err := r.sumUpInside(); err != nil {
			r.stop()
			return err
		}
	}
	trouble := r.crew.trouble()
	r.stop()
	if trouble != nil {
		return trouble
	}
	if s.Lost > 0 {
		r.report.fault("%d connections ended unasked", s.Lost)
	}
	r.report.Pings, r.report.Lost = s.Pings, s.Lost
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
