package loop

import (
	"sync/atomic"
	"time"
)

// Durations counts how often something took how long, in the buckets that
// DurationBounds are the upper ends of. Adding is a search in a short table and two
// atomic additions, without a lock or an allocation. Any goroutine may add and read;
// it is meant to have one that adds.
type Durations struct {
	counts [len(DurationBounds) + 1]atomic.Int64
	sum    atomic.Int64 // nanoseconds
}

// DurationBounds are the upper ends of the buckets of Durations, each included;
// beyond the last one is one bucket more.
var DurationBounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Add counts one d. A negative one, as of clocks that differ, counts as none at all.
func (h *Durations) Add(d time.Duration) { h.add(d, 1) }

// add counts n times d.
func (h *Durations) add(d time.Duration, n int64) {
	d = max(d, 0)
	i := 0
	for i < len(DurationBounds) && d > DurationBounds[i] {
		i++
	}
	h.counts[i].Add(n)
	h.sum.Add(int64(d) * n)
}

// Distribution is a snapshot of Durations, or the sum of several.
type Distribution struct {
	Counts [len(DurationBounds) + 1]int64 // by bucket
	Sum    time.Duration
}

// Count adds what h has counted.
func (d *Distribution) Count(h *Durations) {
	for i := range h.counts {
		d.Counts[i] += h.counts[i].Load()
	}
	d.Sum += time.Duration(h.sum.Load())
}

// Total is how many durations were counted.
func (d Distribution) Total() (n int64) {
	for _, c := range d.Counts {
		n += c
	}
	return n
}
