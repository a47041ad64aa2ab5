package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tally counts deliveries over all workers, of all processes, and wakes the one goroutine that waits for a number of them.
type tally struct {
	*counted
	reached chan struct{} // holds one token; a stale one only costs a look

	// With --processes: what is counted lies in shared, and the process that reaches the target rings.
	shared, bell *os.File
	mapped       []byte
	closing      atomic.Bool
	listening    sync.WaitGroup
}

// counted is what processes may share.
type counted struct {
	delivered atomic.Int64
	target    atomic.Int64
}

func newTally() *tally { return &tally{counted: &counted{}, reached: make(chan struct{}, 1)} }

// newSharedTally is the leader's, whose hands get its files.
func newSharedTally() (*tally, error) {
	memory, err := unix.MemfdCreate("tally", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory for several processes: %w", err)
	}
	shared := os.NewFile(uintptr(memory), "tally")
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = shared.Truncate(int64(unsafe.Sizeof(counted{})))
	}
	if err != nil {
		_ = shared.Close() // never used
		return nil, fmt.Errorf("memory for several processes: %w", err)
	}
	t, err := openTally(shared, os.NewFile(uintptr(bell), "bell"))
	if err != nil {
		return nil, err
	}
	t.listening.Go(t.listen)
	return t, nil
}

// openTally is a hand's, with the leader's files.
func openTally(shared, bell *os.File) (*tally, error) {
	mapped, err := unix.Mmap(int(shared.Fd()), 0, int(unsafe.Sizeof(counted{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("memory shared with other processes of this run: %w", err)
	}
	return &tally{counted: (*counted)(unsafe.Pointer(&mapped[0])), reached: make(chan struct{}, 1), shared: shared, bell: bell, mapped: mapped}, nil
}

// close ends what is shared; nobody counts any more.
func (t *tally) close() {
	if t.mapped == nil {
		return
	}
	t.closing.Store(true)
	t.ring()
	t.listening.Wait()
	// Nothing is kept there that anybody wants.
	_, _, _ = t.bell.Close(), t.shared.Close(), unix.Munmap(t.mapped)
	t.counted, t.mapped = &counted{}, nil
}

// listen makes tokens of what hands ring.
func (t *tally) listen() {
	var rung [8]byte
	for {
		if _, err := t.bell.Read(rung[:]); err != nil || t.closing.Load() {
			return
		}
		t.token()
	}
}

// add is called by workers, once per batch of events.
func (t *tally) add(n int64) {
	if t.delivered.Add(n) >= t.target.Load() {
		t.token()
		if t.bell != nil {
			t.ring()
		}
	}
}

// ring wakes listen. It fails only when the bell has rung often enough.
func (t *tally) ring() { _, _ = t.bell.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func (t *tally) token() {
	select {
	case t.reached <- struct{}{}:
	default: // a token is there already
	}
}

// await returns true when target deliveries are reached, and false when none has come for quiet or ctx has ended.
func (t *tally) await(ctx context.Context, target int64, quiet time.Duration) bool {
	t.target.Store(target)
	last := t.delivered.Load()
	if last >= target {
		return true
	}
	look := time.NewTicker(max(quiet/8, time.Millisecond))
	defer look.Stop()
	silent := newSilence(last, quiet)
	for {
		select {
		case <-t.reached:
		case <-look.C:
		case <-ctx.Done():
			return false
		}
		switch now := t.delivered.Load(); {
		case now >= target:
			return true
		case silent.look(now) > quiet:
			return false
		}
	}
}
