package loop

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"go.uber.org/zap"

	"sluice/codec"
)

// Reactor owns the connections of one event loop.
//
// Any goroutine: Index, Post, Offer.
// Its own goroutine: everything else.
type Reactor struct {
	gnet.BuiltinEventEngine // defaults of the callbacks that are not ours

	engine  *Engine
	index   int
	opts    *Options
	log     *zap.Logger
	client  *gnet.Client // one event loop
	watcher *watcher
	bell    *doorbell
	box     mailbox
	ready   readyList
	ending  atomic.Pointer[endAll] // what the engine wants of all connections
	count   counters

	// Owned by the event loop from here on.

	owner   owner
	handler Handler
	conns   table
	wheel   wheel
	random  *rand.Rand

	turning  bool    // in a turn: flushes happen at its end
	callback *Conn   // gnet is in a callback for it
	current  *Conn   // answers to it are corked
	cork     []byte  // answers to current, not yet sent
	scratch  []byte  // for putting chunks and small frames together
	dirty    []*Conn // to be flushed
	flushed  int     // of dirty, in this and earlier turns
	resumed  []held
}

// held is input that came before its connection was open.
type held struct {
	conn  *Conn
	bytes []byte
}

// Index is the reactor's number, from 0.
func (r *Reactor) Index() int { return r.index }

// Post gives the handler an event that must not be lost; the caller bounds how
// many there can be. The event may be dropped only when the engine ends.
func (r *Reactor) Post(event any) {
	r.box.put(event)
	r.bell.ring()
}

// Offer gives the handler an event of size bytes. It reports false, and counts
// the loss, when the reactor is so far behind that its mailbox is full.
func (r *Reactor) Offer(event any, size int) bool {
	ok := r.box.offer(event, size)
	if !ok {
		r.count.lost.Add(1)
	}
	r.bell.ring()
	return ok
}

// Conn is the connection with that identity, or nil if it has ended.
func (r *Reactor) Conn(id ConnID) *Conn {
	r.owner.check()
	return r.conns.get(id)
}

// OnOpen is gnet's: a socket has been enrolled. It returns no bytes to send,
// because gnet would write those past its own buffer.
func (r *Reactor) OnOpen(g gnet.Conn) ([]byte, gnet.Action) {
	c, ok := g.Context().(*Conn)
	if !ok { // the doorbell, always the first
		r.owner.claim()
		return nil, gnet.None
	}
	r.owner.check()
	c.g = g
	c.fd = int32(g.Fd())
	c.id = r.conns.add(c, r.index)
	r.wheel.set(c, r.wheel.after(r.opts.HandshakeTimeout))
	r.count.connections.Add(1)
	r.count.opened.Add(1)
	return nil, gnet.None
}

// OnTraffic is gnet's: a socket has bytes. All of them are taken: what stayed
// would be copied into a buffer without bound, because gnet cannot stop
// reading.
func (r *Reactor) OnTraffic(g gnet.Conn) gnet.Action {
	b, err := g.Next(-1)
	if err != nil {
		return gnet.Close
	}
	c, ok := g.Context().(*Conn)
	if !ok {
		r.turn()
		return gnet.None
	}
	r.count.bytesIn.Add(int64(len(b)))
	r.callback = c
	r.read(c, b)
	r.callback = nil
	if c.state == dead {
		return gnet.Close
	}
	return gnet.None
}

// OnClose is gnet's: the socket is being closed, by us, the peer or an error.
func (r *Reactor) OnClose(g gnet.Conn, _ error) gnet.Action {
	c, ok := g.Context().(*Conn)
	if !ok {
		return gnet.None
	}
	known := c.state >= pending
	c.state = dead
	c.g = nil // from here on its fd may be another client's
	c.outbox = outbox{}
	c.dec.Release()
	c.hello = nil
	r.wheel.drop(c)
	r.conns.remove(c.id)
	r.count.connections.Add(-1)
	r.engine.left()
	c.begin(End{Code: codec.StatusAbnormal, Reason: "connection lost"})
	if known && !c.marks.has(markRefused) {
		defer r.protect(nil, "close")
		r.handler.OnClose(c, *c.end)
	}
	return gnet.None
}

// read lets c take bytes, then sends all its answers at once.
func (r *Reactor) read(c *Conn, b []byte) {
	r.current = c
	r.take(c, b)
	c.uncork()
	r.current = nil
	c.flush()
}

// take is the recover boundary of everything that a client's bytes cause.
func (r *Reactor) take(c *Conn, b []byte) {
	defer r.protect(c, "input")
	c.receive(b)
}

// request hands a request to the handler.
func (r *Reactor) request(c *Conn, req *codec.Request) {
	r.handler.OnRequest(c, req)
}

// resume lets a connection that has just been opened take what came before
// that, once the handler is done with it.
func (r *Reactor) resume(c *Conn, b []byte) {
	r.resumed = append(r.resumed, held{c, b})
	r.bell.ring()
}

// protect ends a connection whose handling panicked; everyone else's goes on.
// It is deferred.
func (r *Reactor) protect(c *Conn, doing string) {
	p := recover()
	if p == nil {
		return
	}
	r.count.panics.Add(1)
	r.log.Error("panic survived: the connection it happened on is closed, please report this",
		zap.String("in", doing), zap.String("panic", fmt.Sprint(p)), zap.ByteString("stack", debug.Stack()))
	if c != nil {
		c.fail(errPanic)
		if c.state < open {
			c.abort()
		}
	}
}

// sliceLength is how many connections a turn flushes before the loop looks at
// its sockets again: about 2 ms of system calls.
const sliceLength = 256

// turn does what the reactor was rung for. New events wait while an earlier
// burst is still being flushed: so they gather, and the next flush takes all of
// them in one write per connection.
func (r *Reactor) turn() {
	r.owner.check()
	r.bell.answer()
	r.count.turns.Add(1)
	now := r.engine.now()
	r.count.lastTurn.Store(int64(now))
	r.turning = true
	r.wheel.turn(uint32(now/tickLength), r.expire)
	for _, id := range r.ready.take() {
		if c := r.conns.get(id); c != nil {
			c.writable()
		}
	}
	r.takeHeld()
	if end := r.ending.Swap(nil); end != nil {
		r.endAll(*end)
	}
	if len(r.dirty) == 0 {
		r.handle(r.box.take())
		r.takeHeld()
	}
	r.flushSlice()
	r.turning = false
	if len(r.dirty) > 0 || r.box.depth() > 0 || len(r.resumed) > 0 {
		r.bell.ring()
	}
}

// expire is the recover boundary of deadlines.
func (r *Reactor) expire(c *Conn) {
	defer r.protect(c, "deadline")
	c.expired()
}

// handle is the recover boundary of events.
func (r *Reactor) handle(events []any) {
	if len(events) == 0 {
		return
	}
	defer r.protect(nil, "events")
	r.handler.OnEvents(events)
}

// takeHeld hands connections what they sent before they were open.
func (r *Reactor) takeHeld() {
	for i := 0; i < len(r.resumed); i++ {
		h := r.resumed[i]
		r.read(h.conn, h.bytes)
	}
	clear(r.resumed)
	r.resumed = r.resumed[:0]
}

// flushSlice flushes the next dirty connections.
func (r *Reactor) flushSlice() {
	end := min(r.flushed+sliceLength, len(r.dirty))
	for ; r.flushed < end; r.flushed++ {
		c := r.dirty[r.flushed]
		c.marks &^= markDirty
		c.flush()
	}
	if r.flushed < len(r.dirty) {
		return
	}
	clear(r.dirty)
	r.dirty = r.dirty[:0]
	r.flushed = 0
}

// armPing gives a connection its first ping deadline, spread over half of the
// interval so that clients which came together are not pinged together.
func (r *Reactor) armPing(c *Conn) {
	half := r.opts.PingInterval / 2
	r.wheel.set(c, r.wheel.after(half+time.Duration(r.random.Int64N(int64(half)+1))))
}

// heartbeat pings a client that has been silent for the interval, and ends one
// that did not answer its ping. Any byte is an answer.
func (r *Reactor) heartbeat(c *Conn) {
	if c.marks.has(markPinged) {
		r.count.unanswered.Add(1)
		c.begin(End{Code: errSilent.Code, Reason: errSilent.Reason, Local: true})
		c.abort()
		return
	}
	// Silence of more than half the interval earns a ping now, or a client that
	// spoke just before its deadline would wait for nearly two intervals.
	silent := time.Duration(r.wheel.now-c.seen) * tickLength
	if rest := r.opts.PingInterval - silent; rest > r.opts.PingInterval/2 {
		r.wheel.set(c, r.wheel.after(rest-time.Duration(r.random.Int64N(int64(r.opts.PingInterval/10)+1))))
		return
	}
	c.marks |= markPinged
	if c.room(len(pingFrame)) {
		c.push(pingFrame)
		c.flushSoon()
		r.wheel.set(c, r.wheel.after(r.opts.PingTimeout))
	}
}

// pingFrame is an empty ping (RFC 6455 §5.5.2), shared by everyone.
var pingFrame = codec.AppendFrame(nil, codec.OpPing, nil)

// endAll asks a reactor to close all its connections.
type endAll struct {
	code   codec.StatusCode
	reason string
	abort  bool // at once and without a word
}

func (r *Reactor) endAll(end endAll) {
	r.conns.each(func(c *Conn) {
		if end.abort {
			c.abort()
			return
		}
		c.Close(end.code, end.reason)
	})
}
