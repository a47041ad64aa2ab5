package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/meter"
	"sluice/pubsub/redisproc"
)

// cli is the command line.
type cli struct {
	Peers       []string      `placeholder:"NAME" help:"Only these, by name in lower case; by default all: sluice, bare-c-loop, gorilla, gws, nchan, socket-io, centrifugo."`
	Scenarios   []string      `placeholder:"NAME" help:"Only these: idle, one, burst, echo1, echo16, half, common, stalled."`
	Rounds      int           `default:"3" help:"Rounds; the table shows medians."`
	Subscribers int           `short:"n" default:"10000" help:"Connections of the idle and the fan-out scenarios; a process that holds them all needs as many open files."`
	Crowd       int           `default:"2000" help:"Connections of the scenarios at a steady rate and with stalled readers."`
	Stalled     int           `default:"500" help:"Readers of the crowd that stall."`
	Echoes      int           `default:"100" help:"Connections of the echo scenarios."`
	Rate        float64       `default:"10" help:"Messages a second of the steady rate that is the same for all."`
	Window      time.Duration `default:"3s" help:"Length of a measured window."`
	Quick       bool          `help:"One round, fewer connections, shorter windows: to see that it works. READMEs are left as they are."`
	ServerCores string        `default:"0" help:"Cores of the server, as taskset takes them; empty: not pinned."`
	LoadCores   string        `default:"1" help:"Cores of the generator and of Redis."`
	Out         string        `default:"out/compare" help:"Folder for what is installed, for logs, result.json and result.html."`
	Note        string        `help:"A sentence that stands beside the figures, on what else the machine did for example."`
	From        string        `placeholder:"FILE" help:"Measure nothing: read an earlier result.json, and write its tables and plots again."`
	Write       bool          `negatable:"" default:"true" help:"Write the tables of the READMEs and the plots in docs."`
}

func main() {
	// Servers end with the thread that has started them (rig.start), so this one stays.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	kong.Parse(&c, kong.Name("compare"), kong.UsageOnError(),
		kong.Description("Measures Sluice beside other servers, in turn. Run it in the repository's root, on a machine that does nothing else."))
	if err := c.Run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// Run installs, measures and writes.
func (c *cli) Run(ctx context.Context, log io.Writer) error {
	if c.From != "" {
		r, err := readResult(c.From)
		if err != nil {
			return err
		}
		if c.Note != "" {
			r.Note = c.Note
		}
		return c.show(r, log)
	}
	if c.Quick {
		c.Rounds, c.Subscribers, c.Crowd, c.Stalled, c.Window, c.Write = 1, min(c.Subscribers, 2000), min(c.Crowd, 800), min(c.Stalled, 200), time.Second, false
	}
	out, err := filepath.Abs(c.Out)
	if err != nil {
		return err
	}
	dir := filepath.Join(out, "run")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Servers inherit the limit, and not all of them raise it themselves.
	if err := fleet.NeedFiles(c.Subscribers); err != nil {
		return err
	}
	list, err := chosen(peers(), c.Peers)
	if err != nil {
		return err
	}
	failed := map[string]string{}
	there, err := (&installer{ctx: ctx, out: out, log: log}).all(list, failed)
	if err != nil {
		return err
	}
	port, err := redisproc.FreePorts(3)
	if err != nil {
		return err
	}
	m := &measurement{log: log, file: filepath.Join(out, "result.json"), peers: there,
		rig:    &rig{ctx: ctx, out: out, dir: dir, serverCores: c.ServerCores, loadCores: c.LoadCores, port: port, redis: port + 2},
		result: &Result{Started: time.Now().UTC(), Commit: commit(), Machine: meter.Describe(), Pinned: c.pinned(), Note: c.Note, Plan: c.plan()}}
	for name, why := range failed {
		m.result.Absent = append(m.result.Absent, Absence{name, why})
	}
	if m.scenarios, err = chosenScenarios(scenarios(&m.result.Plan), c.Scenarios); err != nil {
		return err
	}
	if err := m.run(); err != nil {
		return err
	}
	return c.show(m.result, log)
}

func (c *cli) plan() Plan {
	return Plan{Rounds: c.Rounds, Subscribers: c.Subscribers, Crowd: c.Crowd, Stalled: c.Stalled, Echoes: c.Echoes, Rate: c.Rate, Window: c.Window}
}

func (c *cli) pinned() string {
	if c.ServerCores == "" && c.LoadCores == "" {
		return "nothing pinned"
	}
	return fmt.Sprintf("servers pinned to core %s, generator and Redis to %s", c.ServerCores, c.LoadCores)
}

// show prints the table and writes the page, and what the READMEs show.
func (c *cli) show(r *Result, log io.Writer) error {
	fmt.Fprintf(log, "\n%s\n", r.markdown(false))
	page := filepath.Join(c.Out, "result.html")
	if err := r.page().WriteFile(page); err != nil {
		return err
	}
	fmt.Fprintf(log, "plots and all figures: %s\n", page)
	if !c.Write {
		return nil
	}
	fmt.Fprintln(log, "writing the tables in README.md and loadtest/compare/README.md, and docs/compare-*.svg")
	return r.publish()
}

// chosen are the peers with these names; all without names.
func chosen(all []*Peer, names []string) ([]*Peer, error) {
	if len(names) == 0 {
		return all, nil
	}
	var some []*Peer
	for _, p := range all {
		if slices.Contains(names, p.file()) {
			some = append(some, p)
		}
	}
	if len(some) != len(names) {
		var known []string
		for _, p := range all {
			known = append(known, p.file())
		}
		return nil, fmt.Errorf("--peers %s: know %s", strings.Join(names, ","), strings.Join(known, ","))
	}
	return some, nil
}

func chosenScenarios(all []*scenario, names []string) ([]*scenario, error) {
	if len(names) == 0 {
		return all, nil
	}
	some := slices.DeleteFunc(slices.Clone(all), func(s *scenario) bool { return !slices.Contains(names, s.name) })
	if len(some) != len(names) {
		return nil, fmt.Errorf("--scenarios %s: at least one of them is unknown", strings.Join(names, ","))
	}
	return some, nil
}

// commit is what is measured.
func commit() string {
	said, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude", "*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(said))
}

// measurement is the rounds. It belongs to one goroutine.
type measurement struct {
	log       io.Writer
	file      string // the result so far
	peers     []*Peer
	scenarios []*scenario
	rig       *rig
	result    *Result
	done      int       // runs
	began     time.Time // of the first run
}

func (m *measurement) run() error {
	for _, p := range m.peers {
		m.result.Peers = append(m.result.Peers, &Outcome{Name: p.Name, Version: p.Version, Style: p.Style, Floor: p.Floor, Errors: map[string]int64{}})
	}
	if err := m.rig.configure(); err != nil {
		return err
	}
	redis, err := m.rig.startRedis()
	if err != nil {
		return err
	}
	defer redis.stop()
	m.began = time.Now()
	for round := range m.result.Plan.Rounds {
		for i, p := range m.peers {
			if err := m.peer(round, p, m.result.Peers[i]); err != nil {
				return err
			}
		}
	}
	m.result.Ended = time.Now().UTC()
	return m.result.write(m.file)
}

// peer takes one peer through all scenarios.
func (m *measurement) peer(round int, p *Peer, o *Outcome) error {
	figures := map[string]float64{}
	o.Figures = append(o.Figures, figures)
	for _, s := range m.scenarios {
		fmt.Fprintf(m.log, "round %d of %d, %-12s %-8s %s", round+1, m.result.Plan.Rounds, p.Name, s.name, m.left())
		r, err := s.run(m.rig, p, &m.result.Plan)
		m.done++
		switch {
		case m.rig.ctx.Err() != nil:
			fmt.Fprintf(m.log, "\ninterrupted; what was measured so far is in %s\n", m.file)
			return errors.Join(m.rig.ctx.Err(), m.result.write(m.file))
		case errors.Is(err, errNotHere):
			fmt.Fprintln(m.log, " – not for this peer")
			continue
		case err != nil:
			fmt.Fprintf(m.log, " FAILED: %v\n", err)
			o.Failed = append(o.Failed, fmt.Sprintf("%s, round %d: %v", s.name, round+1, err))
			continue
		}
		s.keep(&m.result.Plan, r, figures)
		o.add(s.name, r)
		fmt.Fprintln(m.log, summary(&m.result.Plan, s, figures), strings.Join(r.Faults, "; "))
	}
	return m.result.write(m.file)
}

// left is an estimate of what remains: what has passed, continued.
func (m *measurement) left() string {
	all := m.result.Plan.Rounds * len(m.peers) * len(m.scenarios)
	if m.done < len(m.scenarios) {
		return fmt.Sprintf("[%d of %d]", m.done+1, all)
	}
	rest := time.Duration(float64(time.Since(m.began)) / float64(m.done) * float64(all-m.done))
	return fmt.Sprintf("[%d of %d, %v left]", m.done+1, all, rest.Round(time.Second))
}

// summary is what a run came to, in a few words.
func summary(p *Plan, s *scenario, figures map[string]float64) string {
	var b strings.Builder
	for _, r := range rows(p) {
		if v, ok := figures[r.key]; ok && (r.key == s.name || strings.HasPrefix(r.key, s.name+"-") || s.name == "idle" && slices.Contains([]string{"memory", "rest", "handshake"}, r.key)) {
			fmt.Fprintf(&b, " %s %s", r.key, r.format(v))
		}
	}
	return b.String()
}
