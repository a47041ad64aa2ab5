package loop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"go.uber.org/zap"

	"sluice/codec"
)

// Engine is the reactors and what serves them: the ticker, the watcher, the
// accept loops. Its methods may be called from any goroutine.
type Engine struct {
	opts     Options
	log      *zap.Logger
	began    time.Time
	reactors []*Reactor
	watcher  *watcher
	shaker   *shaker // nil where TLS is not spoken
	limit    int     // connections served at once
	reserve  int     // more that are taken in to be told 503

	backlog      atomic.Int64 // bytes that wait for clients whose sockets are full
	incomplete   atomic.Int64 // bytes of messages that are not complete
	total        atomic.Int64 // sockets accepted and not yet closed
	served       atomic.Int64 // of those, all that are not only there to be told 503
	paced        atomic.Int64 // accepts that AcceptRate put off
	dropped      atomic.Int64 // sockets closed at once, because even of those there were too many
	accepted     atomic.Int64
	acceptErrors atomic.Int64
	stalls       atomic.Int64 // of the process
	draining     atomic.Bool

	accepting  sync.WaitGroup // Serve calls
	enrolling  sync.WaitGroup // enrol goroutines
	enrolments []chan arrived
	space      chan struct{}  // gets a token when there is room in an enrolment queue again
	quit       chan struct{}  // closed when accepting is to end
	admitted   chan struct{}  // closed when no connection is on its way to a reactor any more
	helpers    sync.WaitGroup // ticker, watcher, and who closes admitted
	stopTicker chan struct{}

	mu        sync.Mutex
	listeners []net.Listener // guarded by mu

	ending   sync.Once // Close
	endFault error     // what the first Close returned
}

// New starts the reactors; newHandler is called once for each, before it
// serves anyone. Close must be called in the end.
func New(o Options, newHandler func(*Reactor) Handler) (*Engine, error) {
	o = o.withDefaults()
	if o.Reactors == 0 {
		o.Reactors = min(runtime.GOMAXPROCS(0), maxReactors)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	e := &Engine{
		opts:       o,
		log:        sampled(o.Log),
		began:      time.Now(),
		space:      make(chan struct{}, 1),
		quit:       make(chan struct{}),
		admitted:   make(chan struct{}),
		stopTicker: make(chan struct{}),
	}
	if err := e.setLimits(); err != nil {
		return nil, err
	}
	w, err := newWatcher()
	if err != nil {
		return nil, err
	}
	e.watcher = w
	e.shaker = newShaker(&e.opts, e.log)
	for i := range o.Reactors {
		r, err := e.newReactor(i, newHandler)
		if err != nil {
			w.close()
			return nil, errors.Join(err, e.stopReactors())
		}
		e.reactors = append(e.reactors, r)
	}
	w.reactors = e.reactors
	e.helpers.Go(e.tick)
	e.helpers.Go(func() {
		if err := w.run(); err != nil {
			e.log.Error("stalled clients are no longer served: restart this node", zap.Error(err))
		}
	})
	for _, r := range e.reactors {
		queue := make(chan arrived, 64)
		e.enrolments = append(e.enrolments, queue)
		e.enrolling.Go(func() { e.enrol(r, queue) })
	}
	return e, nil
}

// setLimits derives the connection cap from the process's fd limit.
func (e *Engine) setLimits() error {
	fds, err := raiseFileLimit()
	if err != nil {
		return fmt.Errorf("loop: reading the limit of open files (RLIMIT_NOFILE): %w", err)
	}
	// For each reactor an enrolment holds two fds for a moment; the rest is for
	// listeners, Redis, logs, the admin port.
	keep := 128 + 8*e.opts.Reactors
	e.reserve = min(64, fds/16)
	usable := min(fds-keep-e.reserve, maxSlots/2)
	if usable < 1 {
		return fmt.Errorf("loop: the limit of open files is %d, too low to serve anyone: raise it (ulimit -n, LimitNOFILE=)", fds)
	}
	e.limit = e.opts.MaxConnections
	if e.limit == 0 {
		e.limit = usable
	}
	if e.limit > usable {
		return fmt.Errorf("loop: %d connections wanted, but the limit of open files is %d, enough for %d: raise it (ulimit -n, LimitNOFILE=)",
			e.limit, fds, usable)
	}
	return nil
}

// newReactor starts one event loop. Each has a gnet client of its own, because
// gnet would choose the loop for a connection otherwise, by a count which lags
// behind in a burst.
func (e *Engine) newReactor(index int, newHandler func(*Reactor) Handler) (*Reactor, error) {
	own := e.opts
	r := &Reactor{
		engine:  e,
		index:   index,
		opts:    &own,
		rates:   newRates(&own),
		soonest: own.PingInterval,
		log:     e.log.With(zap.Int("reactor", index)),
		watcher: e.watcher,
		box:     mailbox{maxCount: e.opts.MaxMailbox, maxSize: e.opts.MaxMailboxSize},
		random:  rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		scratch: make([]byte, 0, gatherSize),
	}
	r.handler = newHandler(r)
	bell, watched, err := newDoorbell()
	if err != nil {
		return nil, err
	}
	r.bell = bell
	r.client, err = gnet.NewClient(r, gnet.WithNumEventLoop(1), gnet.WithLogger(quiet{e.log}), gnet.WithReadBufferCap(readBuffer))
	if err == nil {
		err = r.client.Start()
	}
	if err != nil {
		_ = watched.Close() // the first error is the one that tells
		bell.close()
		return nil, fmt.Errorf("loop: starting event loop %d: %w", index, err)
	}
	if _, err = r.client.EnrollContext(watched, bell); err != nil { // watched is closed in any case
		bell.close()
		return nil, errors.Join(fmt.Errorf("loop: starting event loop %d: %w", index, err), r.client.Stop())
	}
	return r, nil
}

// readBuffer is, in bytes, what a reactor reads from one socket at a time.
const readBuffer = 64 << 10

// tick rings every reactor often enough for its timing wheel, and notes when, so
// that the reactor knows how late it is.
func (e *Engine) tick() {
	t := time.NewTicker(tickLength)
	defer t.Stop()
	for last := e.now(); ; {
		select {
		case <-t.C:
			now := e.now()
			if late := now - last - tickLength; late > stallLimit {
				e.stalls.Add(1)
				e.log.Warn(stallLines[StallProcess], zap.Duration("took", late))
			}
			last = now
			for _, r := range e.reactors {
				r.count.rung.CompareAndSwap(0, int64(now))
				r.bell.ring()
			}
		case <-e.stopTicker:
			return
		}
	}
}

// now is the time since the engine began, on the monotonic clock.
func (e *Engine) now() time.Duration { return time.Since(e.began) }

// ticked is the time in ticks. Unlike that of reactors it never stands still.
func (e *Engine) ticked() uint32 { return uint32(e.now() / tickLength) }

// left counts a socket out.
func (e *Engine) left() { e.total.Add(-1) }

// leave counts out a socket that had been enrolled.
func (e *Engine) leave(c *Conn) {
	if !c.marks.has(markRefused) {
		e.served.Add(-1)
	}
	e.left()
}

// Reactors are the engine's reactors, for Post. The slice is not to be changed.
func (e *Engine) Reactors() []*Reactor { return e.reactors }

// Limit is how many connections are served at once.
func (e *Engine) Limit() int { return e.limit }

// Stats sums the figures of all reactors.
func (e *Engine) Stats() Stats {
	s := Stats{Accepted: e.accepted.Load(), AcceptErrors: e.acceptErrors.Load(), Backlog: e.backlog.Load(), Incomplete: e.incomplete.Load(), Dropped: e.dropped.Load()}
	for _, r := range e.reactors {
		s.add(&r.count)
		s.Mailbox += int64(r.box.depth())
	}
	s.Limits[LimitAcceptRate] = e.paced.Load()
	s.Stalls[StallProcess] = e.stalls.Load()
	s.sumUp()
	return s
}

// Alive is nil while every reactor takes its turns, and stalled clients are
// watched. What it reports does not pass by itself.
func (e *Engine) Alive() error {
	if e.watcher.failed.Load() {
		return errors.New("stalled clients are no longer served: restart this node")
	}
	for _, r := range e.reactors {
		if since := e.now() - time.Duration(r.count.lastTurn.Load()); since > maxTurn {
			return fmt.Errorf("reactor %d has not taken a turn for %s", r.index, since.Round(time.Second))
		}
	}
	return nil
}

// maxTurn is how long a reactor may be busy before it counts as stuck.
const maxTurn = 10 * time.Second

// Shutdown stops accepting, closes every connection with the code and reason,
// and waits until all have ended or ctx is over; those left are cut then. It
// returns how many had to be cut. The reactors go on until Close.
func (e *Engine) Shutdown(ctx context.Context, code codec.StatusCode, reason string) (cut int64) {
	e.stopAccepting()
	select {
	case <-e.admitted:
	case <-ctx.Done(): // a reactor does not take what is queued for it
	}
	e.tellAll(endAll{code: code, reason: reason})
	if e.waitEmpty(ctx) {
		return 0
	}
	cut = e.total.Load()
	e.tellAll(endAll{abort: true})
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	e.waitEmpty(last)
	return cut
}

func (e *Engine) tellAll(end endAll) {
	for _, r := range e.reactors {
		r.ending.Store(&end)
		r.bell.ring()
	}
}

// waitEmpty reports whether all connections ended before ctx was over.
func (e *Engine) waitEmpty(ctx context.Context) bool {
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for e.total.Load() > 0 {
		select {
		case <-t.C:
		case <-ctx.Done():
			return e.total.Load() <= 0
		}
	}
	return true
}

// Close ends everything that New and Serve started, and waits for it, and so
// for handlers to return, for at most Options.CloseTimeout: a reactor that its
// handler blocks for good must not keep the process from ending. Connections
// that are still open are cut. It may be called more than once.
func (e *Engine) Close() error {
	e.ending.Do(func() {
		ended := make(chan error, 1)
		go func() { ended <- e.close() }()
		select {
		case e.endFault = <-ended:
		case <-time.After(e.opts.CloseTimeout):
			e.endFault = errors.Join(errors.New("loop: a reactor stands still and cannot be ended"), e.Alive())
		}
	})
	return e.endFault
}

func (e *Engine) close() error {
	e.stopAccepting()
	<-e.admitted
	close(e.stopTicker)
	e.watcher.stop()
	e.helpers.Wait()
	if e.shaker != nil {
		e.shaker.close()
	}
	fault := e.stopReactors()
	e.watcher.close()
	return fault
}

// stopReactors ends the event loops.
func (e *Engine) stopReactors() error {
	var faults []error
	for _, r := range e.reactors {
		faults = append(faults, r.client.Stop())
		r.bell.close()
		r.box.close()
	}
	return errors.Join(faults...)
}
