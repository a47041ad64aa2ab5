package session

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/gateway/hub"
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
// the other, in their order, what it asks apart from what it says; others go on meanwhile.
type Errands struct {
	broker   Broker
	life     string // of the node: what connections' names begin with
	log      *zap.Logger
	readings []chan errand // what clients ask: nothing is lost where it is not run
	relays   []chan errand // what they say: readings, which may be long, do not hold it up

	bytes   atomic.Int64 // of those that wait or are being run
	pending atomic.Int64
	made    atomic.Int64
	failed  atomic.Int64
	refused atomic.Int64
	panics  atomic.Int64
}

// errand is a call to Redis.
type errand struct {
	conn loop.ConnID
	r    *loop.Reactor
	run  func(context.Context, Broker) error // on a goroutine of Errands
	done func(error)                         // then on the reactor, unless the connection has ended
	gone *atomic.Bool                        // the connection has ended: then it is not run; nil: it is run all the same
	size int                                 // bytes that it holds
}

const (
	readingLines   = 4               // readings that are run at the same time
	relayLines     = 8               // and of what is relayed
	errandsInLine  = 1024            // that wait for one of them
	errandTime     = 2 * time.Second // for one
	errandFarewell = 2 * time.Second // for all that still wait when the node ends
	errandBytes    = 64 << 20        // that those which wait may hold
)

// errManyErrands is for calls that there is no room for: Redis does not keep up.
// errManyAsked is for those of a connection that has asked for too much at once.
// errErrandPanic is for a bug of ours.
var (
	errManyErrands = errors.New("session: too many calls wait for Redis")
	errManyAsked   = errors.New("session: too many calls of one connection wait for Redis")
	errErrandPanic = errors.New("session: panic survived: please report this")
)

// NewErrands makes them. Nothing is run before Run.
func NewErrands(b Broker, life string, log *zap.Logger) *Errands {
	e := &Errands{broker: b, life: life, log: log}
	for range readingLines {
		e.readings = append(e.readings, make(chan errand, errandsInLine))
	}
	for range relayLines {
		e.relays = append(e.relays, make(chan errand, errandsInLine))
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
	for _, line := range slices.Concat(e.readings, e.relays) {
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
	over := func() {
		e.bytes.Add(-int64(one.size))
		e.pending.Add(-1)
	}
	if one.gone != nil && one.gone.Load() {
		over()
		return // nobody waits for it any more
	}
	e.made.Add(1) // before anybody sees what it does
	err := e.attempt(ctx, one)
	over() // before the client hears of it: whoever has the answer does not find it waiting
	if err != nil {
		e.failed.Add(1)
		e.log.Warn("a call that a client waits for has failed", zap.String("conn", hub.ConnName(e.life, one.conn)), zap.Error(err))
	}
	one.r.Post(outcome{one.conn, err, one.done})
}

// attempt is the recover boundary of one errand: the others are run.
func (e *Errands) attempt(ctx context.Context, one errand) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errErrandPanic
			e.panics.Add(1)
			e.log.Error("panic survived: a call that a client waits for is answered with an error, please report this",
				zap.String("conn", hub.ConnName(e.life, one.conn)), zap.String("panic", fmt.Sprint(p)), zap.ByteString("stack", debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, errandTime)
	defer cancel()
	return one.run(ctx, e.broker)
}

// add puts an errand in its connection's line.
func (e *Errands) add(lines []chan errand, one errand) error {
	if e.bytes.Add(int64(one.size)) > errandBytes {
		return e.refuse(one)
	}
	e.pending.Add(1)
	select {
	case lines[uint64(one.conn)%uint64(len(lines))] <- one:
		return nil
	default:
		e.pending.Add(-1)
		return e.refuse(one)
	}
}

func (e *Errands) refuse(one errand) error {
	e.bytes.Add(-int64(one.size))
	e.refused.Add(1)
	return errManyErrands
}

// ErrandStats are figures of Errands. All but the first only grow.
type ErrandStats struct {
	Pending int64 // that wait or are being run
	Made    int64 // that were run, or are being
	Failed  int64 // of those, whose call has failed
	Refused int64 // that there was no room for, on the node or for their connection
	Panics  int64
}

// Stats may be called from any goroutine.
func (e *Errands) Stats() ErrandStats {
	return ErrandStats{Pending: e.pending.Load(), Made: e.made.Load(), Failed: e.failed.Load(), Refused: e.refused.Load(), Panics: e.panics.Load()}
}
