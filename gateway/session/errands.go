package session

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/loop"
	"sluice/pubsub"
)

// Broker is what errands ask of Redis.
type Broker interface {
	Publish(ctx context.Context, channel string, payload []byte) (receivers int64, err error)
	PublishDurable(ctx context.Context, channel string, payload []byte, o pubsub.DurableOptions) (at pubsub.Position, epoch string, err error)
	History(ctx context.Context, channel string, since pubsub.Position, limit, bytes int) (pubsub.History, error)
	HistoryBefore(ctx context.Context, channel string, before pubsub.Position, limit int) (pubsub.History, error)
	Attendance(ctx context.Context, channel string, limit int, cursor string) (pubsub.Attendance, error)
	AttendanceStats(ctx context.Context, channel string) (connections, users int64, err error)
}

// Errands are calls to Redis that clients wait for. A reactor, which must not wait, has
// them run here, and hears when they have been. Those of one connection are run one after
// the other, in their order; others go on meanwhile.
type Errands struct {
	broker Broker
	log    *zap.Logger
	lines  []chan errand

	pending atomic.Int64
	made    atomic.Int64
	failed  atomic.Int64
	refused atomic.Int64
}

// errand is a call to Redis.
type errand struct {
	conn loop.ConnID
	r    *loop.Reactor
	run  func(context.Context, Broker) error // on a goroutine of Errands
	done func(error)                         // then on the reactor, unless the connection has ended; nil: nobody waits
}

const (
	errandLines    = 8               // that are run at the same time
	errandsInLine  = 1024            // that wait for one of them
	errandTime     = 2 * time.Second // for one
	errandFarewell = 2 * time.Second // for all that still wait when the node ends
)

// errManyErrands is for calls that there is no room for: Redis does not keep up.
var errManyErrands = errors.New("session: too many calls wait for Redis")

// NewErrands makes them. Nothing is run before Run.
func NewErrands(b Broker, log *zap.Logger) *Errands {
	e := &Errands{broker: b, log: log}
	for range errandLines {
		e.lines = append(e.lines, make(chan errand, errandsInLine))
	}
	return e
}

// Run runs errands until ctx ends, and then, for a little while, those that wait. It
// returns ctx.Err() when none of its goroutines is left.
func (e *Errands) Run(ctx context.Context) error {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(errandFarewell, cancel) })
	defer stop()
	var running sync.WaitGroup
	for _, line := range e.lines {
		running.Go(func() {
			for {
				select {
				case one := <-line:
					e.carryOut(last, one)
				case <-ctx.Done():
					e.finish(last, line)
					return
				}
			}
		})
	}
	running.Wait()
	return ctx.Err()
}

// finish carries out what waits in a line to which nothing comes any more.
func (e *Errands) finish(ctx context.Context, line chan errand) {
	for {
		select {
		case one := <-line:
			e.carryOut(ctx, one)
		default:
			return
		}
	}
}

func (e *Errands) carryOut(ctx context.Context, one errand) {
	ctx, cancel := context.WithTimeout(ctx, errandTime)
	defer cancel()
	err := one.run(ctx, e.broker)
	e.pending.Add(-1)
	if err != nil {
		e.failed.Add(1)
		e.log.Warn("a call that a client waits for has failed", zap.Error(err))
	}
	if one.done != nil {
		one.r.Post(outcome{one.conn, err, one.done})
	}
}

// add puts an errand in its connection's line.
func (e *Errands) add(one errand) error {
	select {
	case e.lines[uint64(one.conn)%uint64(len(e.lines))] <- one:
		e.pending.Add(1)
		e.made.Add(1)
		return nil
	default:
		e.refused.Add(1)
		return errManyErrands
	}
}

// ErrandStats are figures of Errands. All but the first only grow.
type ErrandStats struct {
	Pending int64 // that wait or are being run
	Made    int64
	Failed  int64 // of those, whose call has failed
	Refused int64 // that there was no room for
}

// Stats may be called from any goroutine.
func (e *Errands) Stats() ErrandStats {
	return ErrandStats{Pending: e.pending.Load(), Made: e.made.Load(), Failed: e.failed.Load(), Refused: e.refused.Load()}
}

// errand has run called with Redis, off the reactor, and then done on it with what has
// become of that: once, not before errand has returned, and never after the connection
// has ended. What run finds out it hands to done by itself.
func (h *Handler) errand(c *loop.Conn, run func(context.Context, Broker) error, done func(error)) {
	id, r := c.ID(), h.r
	if err := h.node.Errands.add(errand{id, r, run, done}); err != nil && done != nil {
		r.Post(outcome{id, err, done})
	}
}
