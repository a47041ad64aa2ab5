package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// SoakOptions say how much is going on.
type SoakOptions struct {
	For     time.Duration
	Clients int           // ordinary subscribers; a tenth as many hostile ones are there at any time
	Rate    int           // messages a second that are published to all subscribers
	Seed    uint64        // which rows come in which order
	P99     time.Duration // that canaries may wait for an answer; 0: any
	Warm    bool          // begin with every attack once, and hold memory at the end against memory after that
	Out     io.Writer
}

// SoakFlags writes the configuration of a node for Soak into dir and returns the
// flags that it is to be started with.
func SoakFlags(dir string) ([]string, error) {
	flags, err := Guarded(dir)
	return slices.Concat(flags, CompressionFlags,
		[]string{"--handshake-timeout", "5s", "--message-timeout", "5s", "--close-timeout", "500ms", "--message-rate", "1000", "--message-burst", "2000",
			"--inbox-maxlen", "1000"}), err // the embedded broker keeps the inbox in the node's own memory
}

// soak is one run.
type soak struct {
	o      SoakOptions
	n      *Node
	oracle *Oracle
	all    []attack

	delivered, attacks, published atomic.Int64

	mu     sync.Mutex
	faults []error // guarded by mu; not more than maxFaults
}

const maxFaults = 20

// fault notes what must not happen.
func (s *soak) fault(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) < maxFaults {
		s.faults = append(s.faults, err)
	}
}

// Soak mixes hostile clients with ordinary ones on a node that was started with
// SoakFlags, writes a line each second, and returns what went wrong. Ordinary
// clients must get every message once and in order, canaries must be answered,
// and in the end nothing may be left over, and memory be what it was.
func Soak(ctx context.Context, n *Node, reactors int, o SoakOptions) error {
	oracle, err := Watch(ctx, n, reactors)
	if err != nil {
		return err
	}
	defer oracle.Close()
	s := &soak{o: o, n: n, oracle: oracle, all: attacks()}
	hostiles := max(1, o.Clients/10)
	var warm int64
	if o.Warm {
		fmt.Fprintf(o.Out, "every attack once, %d of them, to warm up\n", len(s.all))
		s.round(ctx, hostiles)
		if err := oracle.Leftovers(ctx); err != nil {
			return errors.Join(append(s.faults, err)...)
		}
		if warm, err = n.Collect(); err != nil {
			return err
		}
	}
	running, stop := context.WithTimeout(ctx, o.For)
	defer stop()
	ctx = context.WithoutCancel(ctx) // who ends it early wants to know, too, what was found
	var subscribers, hostile sync.WaitGroup
	last := make(chan struct{}) // closed when the last message has been published
	if err := s.subscribe(ctx, &subscribers, last); err != nil {
		return err
	}
	for i := range hostiles {
		hostile.Go(func() { s.attack(ctx, running, uint64(i)) })
	}
	hostile.Go(func() { s.publish(ctx, running, last) })
	latencies := s.watch(running)
	hostile.Wait()
	subscribers.Wait()
	if err := oracle.Leftovers(ctx); err != nil {
		s.fault(fmt.Errorf("left behind: %w", err))
	}
	if err := Chatter(n.Log()); err != nil {
		s.fault(err)
	}
	if err := n.Alive(); err != nil {
		s.fault(err)
	}
	if o.Warm {
		if err := oracle.Steady(ctx, warm); err != nil {
			s.fault(err)
		}
	}
	memory, err := n.Collect()
	if err != nil {
		s.fault(err)
	}
	slices.Sort(latencies)
	if p99 := quantile(latencies, 0.99); o.P99 > 0 && p99 > o.P99 {
		s.fault(fmt.Errorf("the canaries' p99 is %s, more than %s", p99, o.P99))
	}
	fmt.Fprintf(o.Out, "canary p50 %s p99 %s max %s; %d attacks; %d published to %d clients, %d delivered; memory is %d KiB",
		quantile(latencies, 0.5), quantile(latencies, 0.99), quantile(latencies, 1), s.attacks.Load(), s.published.Load(), o.Clients, s.delivered.Load(), memory>>10)
	if o.Warm {
		fmt.Fprintf(o.Out, ", %+.1f %% of what it was when warm", 100*float64(memory-warm)/float64(warm))
	}
	fmt.Fprintln(o.Out)
	return errors.Join(s.faults...)
}

// subscribe connects the ordinary clients. Each reads until it has the last
// message.
func (s *soak) subscribe(ctx context.Context, all *sync.WaitGroup, last <-chan struct{}) error {
	for range s.o.Clients {
		p, err := Open(ctx, s.n, "/ws?channel=soak")
		if err != nil {
			return err
		}
		if err := p.SetDeadline(time.Time{}); err != nil {
			return err
		}
		all.Go(func() {
			defer func() { _ = p.Close() }() // it has nothing to lose
			s.follow(p, last)
		})
	}
	return nil
}

// follow checks that the numbers come without a gap, and answers pings.
func (s *soak) follow(p *Peer, last <-chan struct{}) {
	hurry := make(chan struct{})
	defer close(hurry)
	go func() {
		select {
		case <-last:
			_ = p.SetReadDeadline(time.Now().Add(Patience)) // it fails only where the socket is closed
		case <-hurry:
		}
	}()
	for want := int64(1); ; {
		op, payload, err := p.ReadFrame()
		switch {
		case err != nil:
			s.fault(fmt.Errorf("a subscriber that waited for message %d: %w", want, err))
			return
		case op == opPing:
			if _, err := io.WriteString(p, Frame(0x80|opPong, string(payload))); err != nil {
				s.fault(fmt.Errorf("a subscriber: %w", err))
				return
			}
		case op == opText && string(payload) == "end":
			if want != s.published.Load()+1 {
				s.fault(fmt.Errorf("a subscriber got %d messages of %d", want-1, s.published.Load()))
			}
			return
		case op == opText && string(payload) == strconv.FormatInt(want, 10):
			want++
			s.delivered.Add(1)
		default:
			s.fault(fmt.Errorf("a subscriber got %s, want message %d", describe(op, payload), want))
			return
		}
	}
}

// publish publishes numbers until the run is over, and then the end.
func (s *soak) publish(ctx, running context.Context, last chan<- struct{}) {
	defer close(last)
	tick := time.NewTicker(time.Second / time.Duration(s.o.Rate))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-running.Done():
			if err := s.n.Publish(ctx, "soak", "end"); err != nil {
				s.fault(fmt.Errorf("publishing the end: %w", err))
			}
			return
		}
		number := s.published.Add(1)
		if err := s.n.Publish(ctx, "soak", strconv.FormatInt(number, 10)); err != nil {
			s.fault(fmt.Errorf("publishing: %w", err))
			return
		}
	}
}

// attack plays attacks in a random order until the run is over.
func (s *soak) attack(ctx, running context.Context, stream uint64) {
	random := rand.New(rand.NewPCG(s.o.Seed, stream))
	for running.Err() == nil && s.play(ctx, &s.all[random.IntN(len(s.all))]) {
	}
}

// round plays every attack once, some at a time.
func (s *soak) round(ctx context.Context, crowd int) {
	next := make(chan *attack)
	var all sync.WaitGroup
	for range crowd {
		all.Go(func() {
			for a := range next {
				s.play(ctx, a)
			}
		})
	}
	for i := range s.all {
		next <- &s.all[i]
	}
	close(next)
	all.Wait()
}

// play plays one attack, and reports whether others make sense.
func (s *soak) play(ctx context.Context, a *attack) bool {
	s.attacks.Add(1)
	if err := a.run(ctx, s.n); err != nil {
		s.fault(fmt.Errorf("%s: %w", a.name, err))
		return s.n.Alive() == nil
	}
	return true
}

// watch asks the canaries again and again, and tells how it goes.
func (s *soak) watch(running context.Context) (latencies []time.Duration) {
	began := time.Now()
	beat := time.NewTicker(20 * time.Millisecond)
	defer beat.Stop()
	told := began
	for {
		select {
		case <-running.Done():
			return latencies
		case <-beat.C:
		}
		took, err := s.oracle.Beat(context.WithoutCancel(running))
		if err != nil {
			s.fault(err)
			return latencies
		}
		latencies = append(latencies, took)
		if time.Since(told) >= time.Second {
			told = time.Now()
			rss, _ := s.n.RSS() // 0 where the process has ended, which others notice
			fmt.Fprintf(s.o.Out, "%4.0fs  canary %-10s %7d attacks %9d delivered %7d KiB\n",
				time.Since(began).Seconds(), took.Round(time.Microsecond), s.attacks.Load(), s.delivered.Load(), rss>>10)
		}
	}
}

// quantile is of sorted durations.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[min(len(d)-1, int(q*float64(len(d))))].Round(time.Microsecond)
}
