package session

import (
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

// What becomes of a call that is not answered, besides the inbox' own errors.
var (
	errCallTimeout = errors.New("session: no service has answered the call in time")
	errManyCalls   = errors.New("session: the connection has too many calls that are not answered")
	errMethodName  = errors.New("session: the method of a call has 1 to 128 bytes")
)

const maxMethod = 128 // bytes of a call's method

// calls are those of one reactor's connections that wait for an answer. It belongs
// to that reactor. A service answers with
//
//	PUBLISH <reply> '<conn>:<call> <payload>'
//
// where call is a number that no other call on this reactor has had.
type calls struct {
	last  uint64 // number given
	open  map[uint64]*call
	conns map[loop.ConnID]*call // a connection's newest, the head of its list
	old   *call                 // the oldest of all, whose time is up first: all wait equally long
	young *call

	counters *CallCounters
}

// call is one of them, in the list of all and in that of its connection.
type call struct {
	number uint64
	conn   loop.ConnID
	due    time.Time
	done   func(payload []byte, err error)

	older, younger *call // of all
	before, after  *call // of the connection's: made before and after it
	count          int   // of the connection's head: how many there are
}

// CallCounters are a node's figures of calls. Any goroutine may read them.
type CallCounters struct {
	Pending    atomic.Int64 // calls that wait for an answer now
	Made       atomic.Int64
	Answered   atomic.Int64
	Timeouts   atomic.Int64
	Unexpected atomic.Int64 // answers to no call that waits: late, or of a name that never was
}

func newCalls(counters *CallCounters) *calls {
	return &calls{open: map[uint64]*call{}, conns: map[loop.ConnID]*call{}, counters: counters}
}

// waiting is how many calls of a connection are not answered.
func (t *calls) waiting(conn loop.ConnID) int {
	if head := t.conns[conn]; head != nil {
		return head.count
	}
	return 0
}

// add notes a call and returns its number.
func (t *calls) add(conn loop.ConnID, due time.Time, done func([]byte, error)) uint64 {
	t.last++
	k := &call{number: t.last, conn: conn, due: due, done: done, older: t.young, before: t.conns[conn], count: 1}
	if t.young != nil {
		t.young.younger = k
	} else {
		t.old = k
	}
	t.young = k
	if k.before != nil {
		k.before.after = k
		k.count += k.before.count
	}
	t.conns[conn] = k
	t.open[k.number] = k
	t.counters.Made.Add(1)
	t.counters.Pending.Add(1)
	return k.number
}

// take removes a call, nil if it does not wait any more.
func (t *calls) take(number uint64, conn loop.ConnID) *call {
	k := t.open[number]
	if k == nil || k.conn != conn {
		return nil
	}
	t.remove(k)
	return k
}

func (t *calls) remove(k *call) {
	delete(t.open, k.number)
	t.counters.Pending.Add(-1)
	if k.older != nil {
		k.older.younger = k.younger
	} else {
		t.old = k.younger
	}
	if k.younger != nil {
		k.younger.older = k.older
	} else {
		t.young = k.older
	}
	if k.before != nil {
		k.before.after = k.after
	}
	if k.after != nil {
		k.after.before = k.before
		t.conns[k.conn].count--
		return
	}
	if k.before == nil {
		delete(t.conns, k.conn)
		return
	}
	k.before.count = k.count - 1
	t.conns[k.conn] = k.before
}

// expired removes and returns the oldest call whose time is up, nil if there is none.
func (t *calls) expired(now time.Time) *call {
	k := t.old
	if k == nil || k.due.After(now) {
		return nil
	}
	t.remove(k)
	return k
}

// forget removes the calls of a connection that has ended: nobody waits for them.
func (t *calls) forget(conn loop.ConnID) {
	for k := t.conns[conn]; k != nil; k = t.conns[conn] {
		t.remove(k)
	}
}

// call has the services that read the inbox answer c's client: it puts an entry of
// type rpc there, with e's Method, Data and, if any, Channel and ID. done is called
// once, on the reactor and not before call has returned, with the answer or with
// why there is none; and never after the connection has ended. The payload is done's
// from then on.
func (h *Handler) call(c *loop.Conn, g *guest, e pubsub.Entry, done func(payload []byte, err error)) {
	id, r := c.ID(), h.r
	var refusal error
	switch {
	case len(e.Method) < 1 || len(e.Method) > maxMethod:
		refusal = errMethodName
	case h.calls.waiting(id) >= h.node.InForce().MaxCalls:
		h.node.Counters.ManyCalls.Add(1)
		refusal = errManyCalls
	}
	if refusal != nil {
		r.Post(outcome{id, refusal, func(err error) { done(nil, err) }})
		return
	}
	number := h.calls.add(id, time.Now().Add(h.node.InForce().CallTimeout), done)
	e.Type, e.Call = "rpc", strconv.FormatUint(number, 36)
	h.report(c, g, e, func(err error) {
		if err != nil {
			r.Post(uncalled{id, number, err})
		}
	})
}

// uncalled tells a reactor that a call is not in the inbox, or not surely.
type uncalled struct {
	conn   loop.ConnID
	number uint64
	err    error
}

func (h *Handler) uncalled(u uncalled) {
	if k := h.calls.take(u.number, u.conn); k != nil { // else it has been answered all the same
		k.done(nil, u.err)
	}
}

// answered hands an answer to whoever has called.
func (h *Handler) answered(d *hub.Direct) {
	number, err := strconv.ParseUint(d.Call, 36, 64)
	k := h.calls.take(number, d.Conn)
	if err != nil || k == nil {
		h.node.Counters.Calls.Unexpected.Add(1)
		return
	}
	h.node.Counters.Calls.Answered.Add(1)
	k.done(d.Payload, nil)
}

// expireCalls ends the calls that nobody has answered in time.
func (h *Handler) expireCalls(now time.Time) {
	for h.expireCall(now) {
	}
}

// expireCall is the recover boundary of one such call: the others end, too.
func (h *Handler) expireCall(now time.Time) (more bool) {
	defer h.r.Recover(nil, "call")
	k := h.calls.expired(now)
	if k == nil {
		return false
	}
	more = true
	h.node.Counters.Calls.Timeouts.Add(1)
	k.done(nil, errCallTimeout)
	return more
}
