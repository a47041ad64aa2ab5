package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/loadtest/internal/history"
)

// options are a run's.
type options struct {
	Program  string
	Topology string
	Faults   []string // by name; empty: all that the topology knows
	Nodes    int
	Channels int
	Durable  int     // durable channels
	Follow   int     // followers of each of them
	Rate     float64 // messages a second and channel
	For      time.Duration
	Rounds   int           // of each fault at the most; 0: as For allows
	Quiet    time.Duration // between faults
	Longest  time.Duration // that a fault lasts
	Seed     uint64
	Out      io.Writer
}

const (
	bigChannel = "big"
	bigSize    = 128 << 10
	drainTime  = 30 * time.Second // that the last messages may take
	settleTime = 60 * time.Second // that a recovery may take
)

// rig is one run.
type rig struct {
	o        options
	backend  *backend
	nodes    []*node
	channels []string
	streams  []*stream
	big      *stream // what overruns buffers
	crowd    *crowd
	durable  *durable
	events   []*event
	carriers map[string][]history.Carrier // by channel, in order
	deposed  []reign
	faults   []string // what went wrong with the run itself, or never got well again

	began time.Time
	over  context.Context // ends when all has been published
}

// run makes faults until the time is up, and judges.
func run(ctx context.Context, o options) (rep *report, err error) {
	if !slices.Contains(topologies, o.Topology) {
		return nil, fmt.Errorf("there is no topology %q: choose from %s", o.Topology, strings.Join(topologies, ", "))
	}
	chosen, err := choose(o.Faults, o.Topology)
	if err != nil {
		return nil, err
	}
	r := &rig{o: o, began: time.Now(), carriers: map[string][]history.Carrier{}}
	var publishing context.CancelFunc
	r.over, publishing = context.WithCancel(context.Background())
	defer publishing()
	if r.backend, err = startBackend(o.Topology, o.Nodes); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.backend.close()) }()
	r.layOut()
	r.layOutDurable()
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	config, err := r.durable.configuration(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, n := range r.nodes {
			n.stop()
		}
	}()
	for i, url := range r.backend.urls {
		n := &node{index: i, name: fmt.Sprintf("n%d", i+1), program: o.Program, redis: url, config: config}
		r.nodes = append(r.nodes, n)
		if err := n.start(ctx); err != nil {
			return nil, err
		}
	}
	clients, leave := context.WithCancel(ctx)
	defer leave()
	var all, publishers sync.WaitGroup
	r.populate(clients, &all)
	r.durable.follow(clients, &all)
	quit := make(chan struct{})
	final, giveUp := context.WithCancel(ctx)
	defer giveUp()
	for _, s := range r.streams {
		if s != r.big {
			publishers.Go(func() { s.run(final, quit, time.Duration(float64(time.Second)/o.Rate), r.backend.router) })
		}
	}
	r.durable.publish(final, quit, &publishers)
	err = r.faultAfterFault(ctx, chosen)
	close(quit)
	time.AfterFunc(drainTime, giveUp)
	publishers.Wait()
	last := &publisher{router: r.backend.router, channel: prefix + bigChannel}
	r.big.end(final, last)
	last.close()
	publishing()
	all.Wait()
	for _, n := range r.nodes {
		n.stop()
	}
	if err != nil {
		return nil, err
	}
	return r.judge(), nil
}

// layOut says what is published where. Every fourth channel has two publishers.
func (r *rig) layOut() {
	add := func(channel string, size int) *stream {
		s := &stream{index: len(r.streams), channel: channel, size: size, final: -1}
		r.streams = append(r.streams, s)
		return s
	}
	for i := range r.o.Channels {
		channel := fmt.Sprintf("c%02d", i)
		r.channels = append(r.channels, channel)
		add(channel, 0)
		if i%4 == 0 {
			add(channel, 300)
		}
	}
	r.channels = append(r.channels, bigChannel)
	add(bigChannel, 0)
	r.big = add(bigChannel, bigSize)
	r.crowd = &crowd{rig: r, fresh: make([][]atomic.Int64, r.o.Nodes)}
	for i := range r.crowd.fresh {
		r.crowd.fresh[i] = make([]atomic.Int64, len(r.streams))
	}
}

// populate starts the clients: every channel is held twice at each node by those
// that stay, and a few come and go.
func (r *rig) populate(ctx context.Context, all *sync.WaitGroup) {
	const held = 6
	for _, n := range r.nodes {
		for at := 0; at < len(r.channels); at += held / 2 {
			var channels []string
			for i := range held {
				channels = append(channels, r.channels[(at+i)%len(r.channels)])
			}
			slices.Sort(channels)
			all.Go(func() { r.crowd.stay(ctx, n, slices.Compact(channels)) })
		}
		for i := range 3 {
			random := rand.New(rand.NewPCG(r.o.Seed, uint64(1000+n.index*10+i)))
			all.Go(func() { r.crowd.visit(ctx, n, random) })
		}
	}
}

// faultAfterFault makes faults, one at a time, with quiet between.
func (r *rig) faultAfterFault(ctx context.Context, chosen []fault) error {
	random := rand.New(rand.NewPCG(r.o.Seed, 0))
	if err := r.settle(ctx, now()); err != nil {
		return fmt.Errorf("before the first fault: %w", err)
	}
	if err := r.noteCarriers(&event{}); err != nil {
		return err
	}
	end := time.Now().Add(r.o.For)
	fmt.Fprintf(r.o.Out, "%5.1fs  all %d nodes deliver on %d channels, %d clients\n", r.seconds(), len(r.nodes), len(r.channels), r.crowd.connected.Load())
	for round := 0; r.o.Rounds == 0 || round < r.o.Rounds; round++ {
		for _, i := range random.Perm(len(chosen)) {
			quiet := between(random, r.o.Quiet, 2*r.o.Quiet)
			if time.Now().Add(quiet).After(end) {
				return nil
			}
			if !hold(ctx, quiet) {
				return ctx.Err()
			}
			r.one(ctx, chosen[i], random)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if len(r.faults) > 0 { // there is nothing to be learned from a run that is broken
				return nil
			}
		}
	}
	hold(ctx, r.o.Quiet)
	return ctx.Err()
}

// one makes one fault and waits until all is well again.
func (r *rig) one(ctx context.Context, f fault, random *rand.Rand) {
	e := &event{Fault: f.name}
	err := f.make(ctx, r, random, e)
	if e.Begin == 0 {
		e.begin("not made")
	}
	if e.Healed == 0 {
		e.heal()
	}
	if err == nil {
		err = r.settle(ctx, e.Healed)
	}
	if err == nil {
		if err = r.backend.whole(); err == nil {
			err = r.settle(ctx, now())
		}
	}
	e.End = now()
	if err == nil {
		err = r.noteCarriers(e)
	}
	if err == nil {
		err = r.durable.survey(ctx, e)
	}
	r.events = append(r.events, e)
	if err != nil {
		r.faults = append(r.faults, fmt.Sprintf("%s (%s): %v", f.name, e.Detail, err))
	}
	fmt.Fprintf(r.o.Out, "%5.1fs  %-15s %-70s well after %5.2fs; %d delivered\n", r.seconds(), f.name, cut(e.Detail, 70), time.Duration(e.End-e.Healed).Seconds(), r.crowd.delivered.Load())
}

// reign is a time in which a server that had carried a channel did not know that it
// does not any more: what it says yes to, nobody gets.
type reign struct {
	channel, addr string
	span
}

// noteCarriers writes down which server carries each channel after an event. Where
// another one did before, it was both of them during the event.
func (r *rig) noteCarriers(e *event) error {
	for _, channel := range r.channels {
		s, err := r.backend.awaitCarrier(channel)
		if err != nil {
			return fmt.Errorf("who carries %s: %w", channel, err)
		}
		list := r.carriers[channel]
		if last := len(list) - 1; last < 0 || list[last].Link != s.Addr {
			if last >= 0 {
				list[last].To = e.End
			}
			if last >= 0 && e.Over != 0 {
				r.deposed = append(r.deposed, reign{channel, list[last].Link, span{e.Over, e.End}})
			}
			r.carriers[channel] = append(list, history.Carrier{Channel: channel, Link: s.Addr, From: e.Begin})
		}
	}
	return nil
}

func cut(s string, n int) string { return s[:min(n, len(s))] }

func (r *rig) seconds() float64 { return time.Since(r.began).Seconds() }

// errHopeless is wrapped by what no waiting makes good.
var errHopeless = errors.New("hopeless")

// settle waits until every node is ready and has delivered on every channel what
// was sent after a moment.
func (r *rig) settle(ctx context.Context, after int64) error {
	for end := time.Now().Add(settleTime); ; {
		err := r.unsettled(after)
		if err == nil {
			return nil
		}
		if errors.Is(err, errHopeless) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("not well %v later: %w", settleTime, err)
		}
		if !hold(ctx, 5*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func (r *rig) unsettled(after int64) error {
	for i, n := range r.nodes {
		l := n.current()
		if l == nil {
			return fmt.Errorf("%s does not run", n.name)
		}
		select {
		case <-l.ended:
			return fmt.Errorf("%w: %s has ended:\n%s", errHopeless, l.key, l.logText())
		default:
		}
		for _, s := range r.streams {
			if s != r.big && r.crowd.fresh[i][s.index].Load() < after {
				return fmt.Errorf("%s has not delivered on %s\nits log:\n%s", n.name, s.channel, l.logText())
			}
		}
		if !l.watch.ready() {
			return fmt.Errorf("%s is not ready: %s\nits log:\n%s", n.name, l.watch.reason(), l.logText())
		}
	}
	return r.durable.unsettled(after)
}

// history is what was written down.
func (r *rig) history() *history.History {
	h := &history.History{Echoes: r.backend.cluster != nil}
	for _, s := range r.streams {
		h.Streams = append(h.Streams, history.Stream{Channel: s.channel, Messages: s.messages})
	}
	h.Subscriptions = r.crowd.done
	for _, n := range r.nodes {
		for _, l := range n.lives() {
			h.Windows = append(h.Windows, l.watch.told()...)
		}
	}
	for i := range h.Windows {
		h.Windows[i].Link = r.backend.behind(h.Windows[i].Link)
	}
	for _, channel := range r.channels {
		h.Carriers = append(h.Carriers, r.carriers[channel]...)
	}
	for _, e := range r.events {
		h.Faults = append(h.Faults, history.Fault{Begin: e.Begin, Healed: e.Healed, End: e.End, Spoils: e.spoils})
	}
	return h
}
