package session

import (
	"context"
	"sync/atomic"

	"sluice/loop"
)

// asking is what one connection has Errands do. It belongs to the connection's reactor,
// but for gone.
type asking struct {
	gone     atomic.Bool // the connection has ended
	readings int         // in the line
	later    []errand    // readings that are put there when these have been run
	relays   int
}

// How much one connection may have Errands do, so that others find room in the lines. What
// it asks beyond waits with itself, for a page may well ask for the history of all its
// channels at once. It may say as much as message.burst lets through, and some more.
const (
	maxReadings = 4
	maxLater    = 32
	maxRelays   = 256
)

// errands are a connection's.
func (h *Handler) errands(id loop.ConnID) *asking {
	a := h.asking[id]
	if a == nil {
		a = new(asking)
		h.asking[id] = a
	}
	return a
}

// ask has run called with Redis, to find something out, off the reactor, and then done on
// it with what has become of that: once, not before ask has returned, and never after the
// connection has ended. What run finds out it hands to done by itself.
func (h *Handler) ask(c *loop.Conn, run func(context.Context, Broker) error, done func(error)) {
	a := h.errands(c.ID())
	one := errand{conn: c.ID(), r: h.r, run: run, gone: &a.gone, done: func(err error) {
		a.readings--
		if len(a.later) > 0 {
			next := a.later[0]
			a.later = a.later[1:]
			h.begin(a, next)
		}
		done(err)
	}}
	switch {
	case a.readings < maxReadings:
		h.begin(a, one)
	case len(a.later) < maxLater:
		a.later = append(a.later, one)
	default:
		h.node.Errands.refused.Add(1)
		h.r.Post(outcome{c.ID(), errManyAsked, done})
	}
}

func (h *Handler) begin(a *asking, one errand) {
	a.readings++
	if err := h.node.Errands.add(h.node.Errands.readings, one); err != nil {
		h.r.Post(outcome{one.conn, err, one.done})
	}
}

// pass is ask for what a client says, of a size in bytes: it is run also if the connection
// has ended meanwhile.
func (h *Handler) pass(c *loop.Conn, size int, run func(context.Context, Broker) error, done func(error)) {
	a := h.errands(c.ID())
	if a.relays >= maxRelays {
		h.node.Errands.refused.Add(1)
		h.r.Post(outcome{c.ID(), errManyAsked, done})
		return
	}
	a.relays++
	one := errand{conn: c.ID(), r: h.r, run: run, size: size, done: func(err error) {
		a.relays--
		done(err)
	}}
	if err := h.node.Errands.add(h.node.Errands.relays, one); err != nil {
		h.r.Post(outcome{one.conn, err, one.done})
	}
}

// forsake has nothing more found out for a connection that has ended.
func (h *Handler) forsake(id loop.ConnID) {
	if a := h.asking[id]; a != nil {
		a.gone.Store(true)
		delete(h.asking, id)
	}
}
