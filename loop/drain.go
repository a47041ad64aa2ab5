package loop

import (
	"context"
	"time"

	"sluice/codec"
)

// drain is the end of a reactor's connections, at an even pace. It belongs to the
// reactor.
type drain struct {
	order drainOrder
	begin time.Duration // by Engine.now
	slots int           // that the table had then; those of the connections left are spread evenly over it
	next  int           // the first that has not been looked at
}

// drainOrder is what the engine wants of its reactors.
type drainOrder struct {
	window time.Duration
	code   codec.StatusCode
	reason string
}

// Drain stops accepting and closes all connections with the code and reason, at an
// even pace over the window: clients that come back elsewhere do not come all at
// once. It returns when the window is over, when all have ended, or when ctx is; then
// Shutdown ends what is left.
func (e *Engine) Drain(ctx context.Context, window time.Duration, code codec.StatusCode, reason string) {
	e.stopAccepting()
	select {
	case <-e.admitted:
	case <-ctx.Done():
		return
	}
	order := drainOrder{window, code, reason}
	for _, r := range e.reactors {
		r.drains.Store(&order)
		r.bell.ring()
	}
	ctx, cancel := context.WithTimeout(ctx, window)
	defer cancel()
	e.waitEmpty(ctx)
}

// beginDrain takes the engine's order.
func (r *Reactor) beginDrain(now time.Duration) {
	if order := r.drains.Swap(nil); order != nil && r.drain == nil {
		r.drain = &drain{order: *order, begin: now, slots: len(r.conns.slots)}
	}
}

// goOnDraining closes the connections whose time has come.
func (r *Reactor) goOnDraining(now time.Duration) {
	d := r.drain
	due := d.slots
	if passed := now - d.begin; passed < d.order.window {
		due = int(float64(d.slots) * float64(passed) / float64(d.order.window))
	}
	for d.next < due {
		c := r.conns.slots[d.next].conn
		d.next++ // first, so that what panics is not met again
		if c != nil {
			r.dismiss(c)
		}
	}
}

// dismiss is the recover boundary of one connection's end.
func (r *Reactor) dismiss(c *Conn) {
	defer r.Recover(c, "drain")
	c.Close(r.drain.order.code, r.drain.order.reason)
}
