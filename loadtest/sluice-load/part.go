package main

import (
	"os"
	"sync"

	"github.com/HdrHistogram/hdrhistogram-go"

	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/proof"
)

// What one process knows of its own subscribers; where there are several the leader adds it up.

// shareTally has all processes count deliveries in the same place.
func (f *fanout) shareTally() (err error) {
	if f.o.Part > 0 {
		f.tally, err = openTally(os.NewFile(3, "tally"), os.NewFile(4, "bell"))
		return err
	}
	if f.tally, err = newSharedTally(); err != nil {
		return err
	}
	f.shared = []*os.File{f.tally.shared, f.tally.bell}
	return nil
}

// obey is what a hand does for its leader.
func (f *fanout) obey(o order, a *answer) {
	switch o.Do {
	case doOpen:
		f.id = o.Run // no worker has a connection yet
	case doSum:
		a.Latency = latency(f.latency()).HDR
	case doCount:
		a.Live, a.Subs = f.countOwn(), f.subs
	case doReset:
		f.forget()
	case doSettle:
		f.next = o.Next
		a.Proof = f.settled()
	}
}

// forget forgets the latencies so far.
func (f *fanout) forget() {
	f.fleet.Each(func(w *fleet.Worker) { f.scripts[w.Index()].latency.Reset() })
}

// latency is that of all deliveries since forget.
func (f *fanout) latency() *hdrhistogram.Histogram {
	all := fleet.NewHistogram()
	var mu sync.Mutex
	f.fleet.Each(func(w *fleet.Worker) {
		mu.Lock()
		defer mu.Unlock()
		all.Merge(f.scripts[w.Index()].latency)
	})
	return all
}

// settled is what all subscribers saw, held against what was published.
func (f *fanout) settled() (p proof.Counts) {
	var mu sync.Mutex
	f.fleet.Each(func(w *fleet.Worker) {
		mu.Lock()
		defer mu.Unlock()
		p.Add(f.scripts[w.Index()].settle(w))
	})
	return p
}
