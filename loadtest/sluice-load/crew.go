package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/meter"
	"sluice/loadtest/internal/proof"
)

// A run with --processes is led by the process that was started, which publishes, measures and reports. It holds the first share
// of the connections, and starts a process of the same program for each of the others: hands, which do what they are ordered, a
// JSON value each way, and end when their standard input does. What is counted is added up, histograms are merged, and what was
// delivered by all together is counted in memory that they share (tally.go).

// order is what a hand is to do.
type order struct {
	Do    string
	Run   uint32   // open: the number in each payload
	Begun int64    // open: when the first of all connections was opened
	Next  []uint64 // settle: by channel, how much has been published
}

// Orders. Those of subscribers only are marked.
const (
	doOpen   = "open"   // open the connections
	doStats  = "stats"  // say what has become of them
	doSum    = "sum"    // say everything
	doCount  = "count"  // subscribers: say how many have a live subscription, by channel
	doReset  = "reset"  // subscribers: forget latencies
	doSettle = "settle" // subscribers: count what is missing
)

// answer is what a hand has to say. Which fields are set depends on the order.
type answer struct {
	Stats      fleet.Stats
	Faults     map[string]int64
	Handshakes string // histograms are in HdrHistogram's encoding
	Latency    string
	Arrivals   string
	Workers    []time.Duration
	Self       time.Duration
	Live       int64
	Subs       []int64
	Proof      proof.Counts
}

// crew are the hands of a run. nil has none.
type crew struct {
	mu    sync.Mutex // of one order to all: the verb, its progress and its samples give them
	hands []*hand
	err   error // guarded by mu: the first that went wrong; the run is over then
}

type hand struct {
	process *exec.Cmd
	in      io.WriteCloser
	orders  *json.Encoder
	answers *json.Decoder
}

// startCrew starts all processes but the first. Each inherits shared from descriptor 3 on.
func startCrew(env *outside, processes int, shared []*os.File) (*crew, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("--processes: %w", err)
	}
	c := &crew{}
	for i := 1; i < processes; i++ {
		p := exec.Command(program, append(env.args[:len(env.args):len(env.args)], "--part="+strconv.Itoa(i))...)
		p.Stderr, p.ExtraFiles, p.Env = os.Stderr, shared, append(os.Environ(), handEnv+"=1")
		in, errIn := p.StdinPipe()
		out, errOut := p.StdoutPipe()
		err := errors.Join(errIn, errOut)
		if err == nil {
			err = p.Start()
		}
		if err != nil {
			c.stop()
			return nil, fmt.Errorf("--processes: starting the %d. process: %w", i+1, err)
		}
		c.hands = append(c.hands, &hand{p, in, json.NewEncoder(in), json.NewDecoder(out)})
	}
	return c, nil
}

// handEnv is set for hands.
const handEnv = "SLUICE_LOAD_HAND"

// ask gives an order to all hands at once and returns their answers: none when something is or has gone wrong.
func (c *crew) ask(o order) []answer {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, h := range c.hands {
		if c.err == nil {
			c.failed(i, h.orders.Encode(o))
		}
	}
	answers := make([]answer, len(c.hands))
	for i, h := range c.hands {
		if c.err == nil {
			c.failed(i, h.answers.Decode(&answers[i]))
		}
	}
	if c.err != nil {
		return nil
	}
	return answers
}

// failed keeps the first error. mu is held.
func (c *crew) failed(i int, err error) {
	if err != nil {
		c.err = fmt.Errorf("the %d. process of this run has ended (what it said is above): %w", i+2, err)
	}
}

// trouble is why the run cannot go on; nil: it can.
func (c *crew) trouble() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// stop ends all hands and waits for them.
func (c *crew) stop() {
	if c == nil {
		return
	}
	for _, h := range c.hands {
		_ = h.in.Close() // it may have ended before
	}
	for _, h := range c.hands {
		_ = h.process.Wait() // ask has told if it failed
	}
}

// share is how many of n connections part has, of so many.
func share(n, processes, part int) int {
	own := n / processes
	if part < n%processes {
		own++
	}
	return own
}

// stats are the counts of all processes.
func (r *run) stats() fleet.Stats {
	s := r.fleet.Stats()
	for _, a := range r.crew.ask(order{Do: doStats}) {
		s.Add(a.Stats)
	}
	return s
}

// faults are the errors of all processes, by kind.
func (r *run) faults() map[string]int64 {
	all := r.fleet.Faults()
	for _, a := range r.crew.ask(order{Do: doSum}) {
		for kind, n := range a.Faults {
			all[kind] += n
		}
	}
	return all
}

// handshakes are those of all processes.
func (r *run) handshakes() *hdrhistogram.Histogram {
	all := r.fleet.Handshakes()
	for _, a := range r.crew.ask(order{Do: doSum}) {
		merge(all, a.Handshakes)
	}
	return all
}

// merge adds an encoded histogram to h.
func merge(h *hdrhistogram.Histogram, encoded string) {
	if other, err := hdrhistogram.Decode([]byte(encoded)); err == nil { // "": there was nothing to say
		h.Merge(other)
	}
}

// serve is a hand's run: it does what is ordered until nobody orders any more. do does what is the scenario's own.
func (r *run) serve(do func(order, *answer)) error {
	defer r.stop()
	orders, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			return nil // the leader has ended, or wants this process to
		}
		a := answer{Stats: r.fleet.Stats()}
		switch o.Do {
		case doOpen:
			do(o, &a)
			r.fleet.Open(r.own)
		case doSum:
			a.Faults, a.Handshakes, a.Workers, a.Self = r.fleet.Faults(), latency(r.fleet.Handshakes()).HDR, r.fleet.WorkerCPU(), meter.Self()
			do(o, &a)
		case doStats:
		default:
			do(o, &a)
		}
		if err := answers.Encode(a); err != nil {
			return fmt.Errorf("answering: %w", err)
		}
	}
}
