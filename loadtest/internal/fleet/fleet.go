package fleet

import (
	"crypto/tls"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// Options say how a fleet connects.
type Options struct {
	Target      *Target
	Also        []*Target           // further targets; connections go to all of them in turn
	Workers     int                 // 1..; each keeps one core busy at most
	Concurrency int                 // handshakes under way at once, over all workers
	Rate        float64             // connections per second, over all workers; 0: as fast as Concurrency allows
	Timeout     time.Duration       // for a handshake, and for a close handshake
	Sources     []netip.Addr        // local addresses; none: the kernel's choice
	PerSource   int                 // connections bound to one source before the next is taken; then round again
	Channel     func(id int) string // the channel of a connection, put in the target's {channel}
	Since       func(id int) string // the position of a connection, put in the target's {since}; nil: ""
	Life        *Life               // nil: connections stay
	Answers     map[string]string   // what a server says in text, and what it is answered; the Script does not see it where it is the whole message
	Narrow      int                 // the first so many connections take little at a time, as those that stall over a network: Ethernet's segments, a small receive buffer
	TLS         *tls.Config         // what wss:// and https:// targets are spoken to with, its ServerName left empty; nil: as is usual
	Most        int                 // connections alive at once, whatever their state; 0: no bound

	// Again is told, on its worker, of each connection that has ended, and whether it had been open, and says after what time one with
	// the same ID is opened; less than 0: none is. nil: none ever is.
	Again func(id int, opened bool) time.Duration
}

// target is where a connection goes.
func (o *Options) target(id int) *Target {
	if i := id % (1 + len(o.Also)); i > 0 {
		return o.Also[i-1]
	}
	return o.Target
}

func (o *Options) since(id int) string {
	if o.Since == nil {
		return ""
	}
	return o.Since(id)
}

// Stats are counts since the start of the fleet, over all workers.
type Stats struct {
	Started     int64 // connect(2) was called
	Opened      int64 // the 101 came
	Resumed     int64 // TLS handshakes that a ticket made short
	Failed      int64 // no 101
	Alive       int64 // not ended yet, in any state, as of each worker's last turn
	Open        int64 // open now
	Lost        int64 // ended otherwise than we wanted
	Closed      int64 // ended as we wanted
	CloseFrames int64 // our close frame was answered with a close frame
	Messages    int64 // data messages received
	Bytes       int64 // received, with frame headers and handshakes
	Pings       int64 // from the server, answered
	Cut         int64 // stalled connections that the server ended
}

// Add adds o to s.
func (s *Stats) Add(o Stats) {
	s.Started += o.Started
	s.Opened += o.Opened
	s.Resumed += o.Resumed
	s.Failed += o.Failed
	s.Alive += o.Alive
	s.Open += o.Open
	s.Lost += o.Lost
	s.Closed += o.Closed
	s.CloseFrames += o.CloseFrames
	s.Messages += o.Messages
	s.Bytes += o.Bytes
	s.Pings += o.Pings
	s.Cut += o.Cut
}

// Fleet is the workers together. Its methods may be called from any goroutine but a worker's.
type Fleet struct {
	workers []*Worker
	running sync.WaitGroup
}

// Start starts the workers, idle. newScript is called once per worker, before it runs. Stop ends them.
func Start(o Options, newScript func(worker int) Script) (*Fleet, error) {
	o.Workers = max(o.Workers, 1)
	o.Concurrency = max(o.Concurrency, o.Workers)
	o.PerSource = max(o.PerSource, 1)
	for _, t := range append([]*Target{o.Target}, o.Also...) {
		t.secureWith(o.TLS)
	}
	f := &Fleet{}
	for i := range o.Workers {
		w, err := newWorker(i, &o)
		if err != nil {
			for _, earlier := range f.workers {
				_ = unix.Close(earlier.wake) // never used
				_ = unix.Close(earlier.epoll)
			}
			return nil, fmt.Errorf("starting worker %d: %w", i, err)
		}
		w.script = newScript(i)
		w.dial.limit = o.Concurrency / o.Workers
		w.dial.perNs = o.Rate / float64(o.Workers) / 1e9
		if o.Most > 0 {
			w.dial.most = max(o.Most/o.Workers, 1)
		}
		if o.Life != nil {
			w.holdUntil.after = int64(o.Life.Hold)
		}
		f.workers = append(f.workers, w)
	}
	for _, w := range f.workers {
		f.running.Go(w.loop)
	}
	return f, nil
}

// Open lets the workers open n connections, with IDs 0..n-1, and returns at once.
func (f *Fleet) Open(n int) {
	f.Each(func(w *Worker) {
		w.dial.next, w.dial.stop, w.dial.step = w.index, n, len(f.workers)
		w.dial.begin, w.dial.started = Now(), 0
	})
}

// OpenForever lets the workers open connections until StopOpening.
func (f *Fleet) OpenForever() { f.Open(math.MaxInt / 2) }

// StopOpening ends Open and OpenForever; handshakes under way go on.
func (f *Fleet) StopOpening() {
	f.Each(func(w *Worker) { w.dial.stop = 0 })
}

// Each runs task on every worker and returns when all have done it. Not after Stop.
func (f *Fleet) Each(task func(*Worker)) {
	var done sync.WaitGroup
	for _, w := range f.workers {
		done.Add(1)
		w.post(func() { defer done.Done(); task(w) })
	}
	done.Wait()
}

// post has the worker run a task.
func (w *Worker) post(task func()) {
	w.mu.Lock()
	w.tasks = append(w.tasks, task)
	w.mu.Unlock()
	w.kick()
}

// kick wakes the worker. An eventfd write can fail only when its counter is full, and then it is readable anyway.
func (w *Worker) kick() {
	_, _ = unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// Stats are the counts as of each worker's last turn.
func (f *Fleet) Stats() Stats {
	var s Stats
	for _, w := range f.workers {
		w.mu.Lock()
		s.Add(w.public)
		w.mu.Unlock()
	}
	return s
}

// Faults are the errors by kind.
func (f *Fleet) Faults() map[string]int64 {
	var mu sync.Mutex
	all := map[string]int64{}
	f.Each(func(w *Worker) {
		mu.Lock()
		defer mu.Unlock()
		for kind, n := range w.faults {
			all[kind] += n
		}
	})
	return all
}

// Handshakes are the times from connect(2) to the whole 101, in ns.
func (f *Fleet) Handshakes() *hdrhistogram.Histogram {
	var mu sync.Mutex
	all := NewHistogram()
	f.Each(func(w *Worker) {
		mu.Lock()
		defer mu.Unlock()
		all.Merge(w.handshake)
	})
	return all
}

// WorkerCPU is the CPU time that each worker's thread has used. Near the wall time, the generator is the bottleneck.
func (f *Fleet) WorkerCPU() []time.Duration {
	used := make([]time.Duration, len(f.workers))
	f.Each(func(w *Worker) {
		var r unix.Rusage
		if unix.Getrusage(unix.RUSAGE_THREAD, &r) == nil {
			used[w.index] = time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
	})
	return used
}

// Stop closes every connection and waits for the workers.
func (f *Fleet) Stop() {
	for _, w := range f.workers {
		w.mu.Lock()
		w.stop = true
		w.mu.Unlock()
		w.kick()
	}
	f.running.Wait()
}

// Histograms hold 100 ns to 100 s with three significant digits.
const (
	minLatency = 100
	maxLatency = 100_000_000_000
)

// NewHistogram is for latencies in ns.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(minLatency, maxLatency, 3) }

// Record adds one latency in ns to h; what is out of range counts as the nearest value in range.
func Record(h *hdrhistogram.Histogram, ns int64) {
	// It fails only out of range, which clamping excludes.
	_ = h.RecordValue(min(max(ns, minLatency), maxLatency-1))
}
