package admin

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// Watch looks at a node once a second, remembers the samples of the last minutes, and
// hands each overview to the pages that listen: what a page costs does not grow with
// what there is to look at. Any goroutine may call its methods.
type Watch struct {
	look func() Overview

	mu      sync.Mutex
	samples []Sample      // guarded by mu; oldest first
	latest  []byte        // guarded by mu; nil: none was taken; never changed, only replaced
	minute  [][]byte      // guarded by mu; the overviews of the last minute, the same way
	next    chan struct{} // guarded by mu; closed when there is a newer one
}

// NewWatch makes one. look leaves out Info, which o tells; it may take some milliseconds, and
// one goroutine calls it.
func NewWatch(o Options, look func() Overview) *Watch {
	whole := func() Overview {
		v := look()
		v.Info = o.describe()
		return v
	}
	return &Watch{look: whole, next: make(chan struct{})}
}

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	t := time.NewTicker(sampleEvery)
	defer t.Stop()
	for {
		if err := w.take(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func (w *Watch) take() error {
	o := w.look()
	latest, err := json.Marshal(o)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.samples) == remembered {
		copy(w.samples, w.samples[1:])
		w.samples = w.samples[:remembered-1]
	}
	w.samples = append(w.samples, o.Sample)
	if len(w.minute) == compared {
		copy(w.minute, w.minute[1:])
		w.minute = w.minute[:compared-1]
	}
	w.minute = append(w.minute, latest)
	w.latest = latest
	close(w.next)
	w.next = make(chan struct{})
	return nil
}

// now is the newest overview as JSON, nil if there is none yet, and what is closed when
// there is a newer one.
func (w *Watch) now() (latest []byte, next <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest, w.next
}

// before is the overview with which the newest is compared, a minute old or the first one.
func (w *Watch) before() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.minute) == 0 {
		return nil
	}
	return w.minute[0]
}

// past is the samples up to now, as JSON.
func (w *Watch) past() ([]byte, error) {
	w.mu.Lock()
	samples := append([]Sample{}, w.samples...)
	w.mu.Unlock()
	return json.Marshal(samples)
}
