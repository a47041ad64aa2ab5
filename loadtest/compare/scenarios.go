package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sluice/loadtest/internal/proof"
)

// size of the measured payloads, and of those that fill the queues of readers that stall, in bytes.
const (
	payloadSize = 128
	stalledSize = 16 << 10
)

// stalledWindow is what it takes, at ten messages of that size a second, to fill a queue of 1 MiB, which is where several servers draw
// the line.
const stalledWindow = 8 * time.Second

// Plan is how much is measured. It is part of the result.
type Plan struct {
	Rounds      int           `json:"rounds"`
	Subscribers int           `json:"subscribers"` // idle and fan-out
	Crowd       int           `json:"crowd"`       // at a steady rate, and with readers that stall
	Stalled     int           `json:"stalled"`     // of the crowd
	Echoes      int           `json:"echoes"`      // connections
	Rate        float64       `json:"rate"`        // messages a second, the same for all
	Window      time.Duration `json:"window_ns"`   // of one run
}

// scenario is one run of sluice-load against a server started for it alone.
type scenario struct {
	name  string
	burst bool // of the bare yardstick: one send for everything that has come from Redis
	echo  bool
	args  func(p *Plan) []string
	keep  func(p *Plan, r *report, figures map[string]float64)
	about time.Duration // without what connecting takes
}

// report is what is read of sluice-load's.
type report struct {
	Connections struct {
		Failed int64   `json:"failed"`
		Micros float64 `json:"server_cpu_us_per_handshake"`
	} `json:"connections"`
	Memory struct {
		PerConnection float64 `json:"anon_per_connection"`
		CPU           float64 `json:"server_cpu_while_held_s"`
		Held          float64 `json:"held_s"`
	} `json:"memory"`
	Traffic struct {
		Published  int64   `json:"published"`
		PerSecond  float64 `json:"per_second"`
		Micros     float64 `json:"server_cpu_us_per_delivery"`
		Deliveries int64   `json:"deliveries"`
		Latency    latency `json:"latency"`
		Maximum    struct {
			Delivered float64 `json:"deliveries_per_second"`
		} `json:"maximum"`
		Cost struct {
			Worker float64 `json:"busiest_worker"`
		} `json:"cost"`
		Proof proof.Counts `json:"proof"`
	} `json:"traffic"`
	Stall struct {
		Without struct {
			Latency latency `json:"latency"`
		} `json:"without"`
		With struct {
			Latency latency `json:"latency"`
		} `json:"with"`
		Kept         float64      `json:"kept"`
		MemoryBefore int64        `json:"rss_anon_before"`
		MemoryMost   int64        `json:"rss_anon_most"`
		Cut          int64        `json:"ended"`
		Late         proof.Counts `json:"late"`
	} `json:"stall"`
	Lost   int64            `json:"ended_unasked"`
	Errors map[string]int64 `json:"errors"`
	Faults []string         `json:"faults"`
}

type latency struct {
	P50 float64 `json:"p50_us"`
	P99 float64 `json:"p99_us"`
}

func number(n int) string { return strconv.Itoa(n) }

// fanoutArgs are those of a run of fan-out to n subscribers.
func fanoutArgs(n int, window time.Duration, more ...string) []string {
	return append([]string{"fanout", "-n", number(n), "--for", window.String(), "--warmup", "500ms", "--quiet", "8s", "--timeout", "20s"}, more...)
}

func rate(perSecond float64) string { return strconv.FormatFloat(perSecond, 'f', 3, 64) }

// scenarios are all there are, in the order in which one server after the other goes through them.
func scenarios(p *Plan) []*scenario {
	steady := p.Window + time.Second
	stalled := max(p.Window, stalledWindow)
	return []*scenario{
		{
			name: "idle", about: pingSeconds*time.Second + time.Second,
			args: func(p *Plan) []string {
				return []string{"idle", "-n", number(p.Subscribers), "--rest", "--for", fmt.Sprintf("%ds", pingSeconds)}
			},
			keep: func(_ *Plan, r *report, f map[string]float64) {
				f["handshake"], f["memory"] = r.Connections.Micros, r.Memory.PerConnection
				f["rest"] = r.Memory.CPU / r.Memory.Held * 100
			},
		}, {
			name: "one", about: p.Window + 500*time.Millisecond,
			args: func(p *Plan) []string { return fanoutArgs(p.Subscribers, p.Window) },
			keep: func(_ *Plan, r *report, f map[string]float64) { f["one"] = r.Traffic.Micros },
		}, {
			name: "burst", burst: true, about: p.Window,
			args: func(p *Plan) []string {
				return fanoutArgs(p.Subscribers, p.Window, "--warmup", "0s", "--burst", "32")
			},
			keep: func(_ *Plan, r *report, f map[string]float64) {
				f["burst"], f["burst-rate"], f["burst-generator"] = r.Traffic.Micros, r.Traffic.PerSecond, r.Traffic.Cost.Worker*100
			},
		},
		echoScenario("echo1", 1, p.Window), echoScenario("echo16", 16, p.Window),
		{
			name: "half", burst: true, about: steady + 2*time.Second,
			args: func(p *Plan) []string { return fanoutArgs(p.Crowd, steady, "--rate", "50%") },
			keep: func(_ *Plan, r *report, f map[string]float64) {
				f["most"], f["half-rate"], f["half-p99"] = r.Traffic.Maximum.Delivered, r.Traffic.PerSecond, r.Traffic.Latency.P99
			},
		}, {
			name: "common", burst: true, about: steady,
			args: func(p *Plan) []string { return fanoutArgs(p.Crowd, steady, "--rate", rate(p.Rate)) },
			keep: func(_ *Plan, r *report, f map[string]float64) {
				f["common-p50"], f["common-p99"] = r.Traffic.Latency.P50, r.Traffic.Latency.P99
			},
		}, {
			name: "stalled", burst: true, about: 2*stalled + time.Second,
			args: func(p *Plan) []string {
				args := fanoutArgs(p.Crowd, stalled, "--rate", rate(p.Rate), "--size", number(stalledSize), "--stalled", number(p.Stalled))
				args[0] = "stall"
				return args
			},
			keep: func(_ *Plan, r *report, f map[string]float64) {
				s := &r.Stall
				f["calm-p99"], f["stalled-p99"], f["stalled-share"] = s.Without.Latency.P99, s.With.Latency.P99, s.Kept*100
				f["stalled-growth"], f["stalled-cut"], f["stalled-missed"] = float64(s.MemoryMost-s.MemoryBefore), float64(s.Cut), float64(s.Late.Missing)
			},
		},
	}
}

func echoScenario(name string, depth int, window time.Duration) *scenario {
	return &scenario{
		name: name, echo: true, about: window + 500*time.Millisecond,
		args: func(p *Plan) []string {
			return []string{"echo", "-n", number(p.Echoes), "--depth", number(depth), "--for", window.String(), "--warmup", "500ms"}
		},
		keep: func(_ *Plan, r *report, f map[string]float64) {
			f[name], f[name+"-rate"] = r.Traffic.Micros, r.Traffic.PerSecond
		},
	}
}

// flags are what sluice-load is told about a peer; nil: the scenario is none for it.
func (s *scenario) flags(r *rig, p *Peer, args []string) []string {
	if s.echo {
		if p.echo == nil {
			return nil
		}
		return p.echo(r)
	}
	size := payloadSize
	for i, a := range args {
		if a == "--size" {
			size, _ = strconv.Atoi(args[i+1]) // it was made from a number just now
		}
	}
	flags := p.load(r, size)
	if args[0] != "idle" {
		return flags
	}
	return only(flags, "--url", "--hello", "--answer", "--channel")
}

// only are those of the flags, each with its value, that have one of the names.
func only(flags []string, names ...string) (some []string) {
	for i := 0; i+1 < len(flags); i += 2 {
		for _, name := range names {
			if flags[i] == name {
				some = append(some, flags[i], flags[i+1])
			}
		}
	}
	return some
}

// errNotHere is for scenarios that a peer has no part in.
var errNotHere = errors.New("not for this peer")

// run measures one scenario. The report of a run that found faults is one, too.
func (s *scenario) run(r *rig, p *Peer, plan *Plan) (*report, error) {
	args := s.args(plan)
	flags := s.flags(r, p, args)
	if flags == nil {
		return nil, errNotHere
	}
	server, err := r.startServer(p, s.burst)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	file := filepath.Join(r.dir, "report.json")
	_ = os.Remove(file) // of the run before
	// A run takes what it is meant to, what connecting takes, and up to two bursts more; what is far beyond is stuck.
	ctx, cancel := context.WithTimeout(r.ctx, s.about+2*time.Minute)
	defer cancel()
	command := pin(r.loadCores, append(append([]string{r.bin("sluice-load")}, args...), append(flags, "--pid", number(server.server), "--json", file)...))
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		text := strings.TrimSpace(string(said))
		return nil, fmt.Errorf("%w: %s", err, text[strings.LastIndexByte(text, '\n')+1:])
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var got report
	if err := json.Unmarshal(text, &got); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &got, nil
}
