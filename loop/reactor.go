package loop

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"go.uber.org/zap"

	"sluice/codec"
)

// Reactor owns the connections of one event loop.
//
// Any goroutine: Index, Post, Offer, Wake.
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
	shaken  readyList              // whose TLS handshakes have something to say
	ending  atomic.Pointer[endAll] // what the engine wants of all connections
	drains  atomic.Pointer[drainOrder]
	reloads atomic.Pointer[Options]
	count   counters
	secured tlsCounters

	// Owned by the event loop from here on.

	owner   owner
	handler Handler
	conns   table
	wheel   wheel
	clock   clock
	drain   *drain // nil: the connections may stay
	rates   rates
	soonest time.Duration // the shortest PingInterval so far: see interval
	random  *rand.Rand

	turning  bool   // in a turn: flushes happen at its end
	callback *Conn  // gnet is in a callback for it
	current  *Conn  // answers to it are corked
	cork     []byte // answers to current, not yet sent
	backlogs backlogs
	decoders decoders
	inflater codec.Inflater
	deflater codec.Deflater
	scratch  []byte    // for putting chunks and small frames together
	events   []any     // of the mailbox's last take, not yet handed on
	round    round     // to be flushed
	resumed  []*Conn   // opened, with bytes held back
	arrivals []arrival // of the bursts that were taken and are not flushed
	dog      watchdog
	secures  secures
	clear    []byte // where TLS records are opened; nil until one is
}

// Index is the reactor's number, from 0.
func (r *Reactor) Index() int { return r.index }

// Post gives the handler an event that must not be lost; the caller bounds how
// many there can be. The event may be dropped only when the engine ends.
func (r *Reactor) Post(event any) {
	r.box.put(event)
	r.bell.ring()
}

// Offer gives the handler an event of size bytes, once Wake is called: of many
// that come together each would else cause a turn of its own. It reports false,
// and counts the loss, when the reactor is so far behind that its mailbox is
// full.
func (r *Reactor) Offer(event any, size int) bool {
	ok := r.box.offer(event, size)
	if !ok {
		r.count.lost.Add(1)
	}
	return ok
}

// Wake asks for a turn, in which what was offered is handled. received is when the
// first of it came into this process: how long it takes from there to the sockets is
// counted. The zero time is for what is not to be.
func (r *Reactor) Wake(received time.Time) {
	if !received.IsZero() {
		r.box.arrived(received.Sub(r.engine.began))
	}
	r.bell.ring()
}

// Conn is the connection with that identity, or nil if it has ended or is
// another reactor's.
func (r *Reactor) Conn(id ConnID) *Conn {
	r.owner.check()
	if id.Reactor() != r.index {
		return nil
	}
	return r.conns.get(id)
}

// Conns are the reactor's connections, those included whose handshake is not over.
// They may end while they are gone through.
func (r *Reactor) Conns() iter.Seq[*Conn] {
	r.owner.check()
	return r.conns.all
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
	forget(g.LocalAddr())
	forget(g.RemoteAddr())
	c.fd = int32(g.Fd())
	c.id = r.conns.add(c, r.index)
	r.conns.bear(c.id, r.engine.ticked())
	r.wheel.set(c, r.wheel.after(r.opts.HandshakeTimeout))
	r.count.connections.Add(1)
	c.traffic().open.Add(1)
	r.count.opened.Add(1)
	return nil, gnet.None
}

// forget lets the bytes of an address go. gnet keeps both addresses of each
// socket as the net package made them, 64 bytes of which nobody looks at again.
func forget(a net.Addr) {
	if tcp, ok := a.(*net.TCPAddr); ok {
		tcp.IP = nil
	}
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
	c.traffic().bytesIn.Add(int64(len(b)))
	r.callback = c
	if c.marks.has(markSecure) {
		r.unseal(c, b)
	} else {
		r.read(c, b)
	}
	r.callback = nil
	if c.state == dead {
		return gnet.Close
	}
	return gnet.None
}

// OnClose is gnet's: the socket is being closed, by us, the peer or an error.
func (r *Reactor) OnClose(g gnet.Conn, err error) gnet.Action {
	c, ok := g.Context().(*Conn)
	if !ok {
		return gnet.None
	}
	defer r.engine.leave(c) // after the handler was told: Shutdown waits for that
	defer r.uncount(c)      // likewise: whoever sees that it has gone finds all done that its end brings
	if c.marks.has(markSecure) {
		c.unveil()
	}
	c.state = dead
	c.g = nil // from here on its fd may be another client's
	c.dropQueue()
	c.setBlocked(false)
	c.dropMessage()
	c.countHeld(0)
	r.wheel.drop(c)
	r.conns.remove(c.id)
	c.lost(err)
	if c.marks.has(markKnown) {
		defer r.Recover(nil, "close")
		r.handler.OnClose(c, c.rare.end)
	}
	return gnet.None
}

// uncount takes a connection out of the figures of those that are open.
func (r *Reactor) uncount(c *Conn) {
	r.count.connections.Add(-1)
	c.traffic().open.Add(-1)
}

// read lets c take bytes, then sends all its answers at once.
func (r *Reactor) read(c *Conn, b []byte) {
	r.current = c
	r.take(c, b)
	r.give(c)
	r.current, r.cork = nil, r.cork[:0]
}

// take is the recover boundary of everything that a client's bytes cause.
func (r *Reactor) take(c *Conn, b []byte) {
	defer r.Recover(c, "input")
	c.receive(b)
}

// give sends c what waits for it, once its input has been worked off.
func (r *Reactor) give(c *Conn) {
	defer r.Recover(c, "output")
	c.uncork()
	r.current = nil
	c.flush()
}

// refused tells the handler of a refusal. It is a boundary of its own, because a
// panic elsewhere ends in a refusal.
func (r *Reactor) refused(c *Conn, err *codec.HTTPError) {
	defer r.Recover(nil, "refusal")
	r.handler.OnRefuse(c, err)
}

// resume lets a connection that has just been opened take what came before
// that, once the handler is done with it.
func (r *Reactor) resume(c *Conn) {
	r.resumed = append(r.resumed, c)
	r.bell.ring()
}

// Recover is to be deferred. It survives a panic, counts it, and ends the
// connection c, if not nil, that it happened for; everyone else's goes on. The
// package defers it around each call of the Handler. A Handler defers it around
// each single event, because nobody else knows which connection that is for.
func (r *Reactor) Recover(c *Conn, doing string) {
	p := recover()
	if p == nil {
		return
	}
	r.count.panics.Add(1)
	conn := zap.Skip()
	if c != nil {
		conn = c.named()
	}
	r.log.Error("panic survived: the connection it happened on is closed, please report this",
		zap.String("in", doing), conn, zap.String("panic", fmt.Sprint(p)), zap.ByteString("stack", debug.Stack()))
	switch {
	case c == nil:
	case c.state < open:
		c.Refuse(errBroken)
	default:
		c.fail(errPanic)
	}
}

// A turn is cut off, after sliceLength connections as well, to be continued after the
// loop has looked at its sockets.
const (
	eventBatch = 128                  // events handed on at a time
	eventSlice = 4 * time.Millisecond // after which no more of them are
)

// turn does what the reactor was rung for. New events wait for the next station of
// the round: so they gather, and are handed on together.
func (r *Reactor) turn() {
	r.owner.check()
	r.bell.answer()
	now := r.engine.now()
	r.beginTurn(now)
	r.turning = true
	if tick := r.clock.advance(uint32(now/tickLength), r.wheel.now); tick != r.wheel.now {
		r.wheel.turn(tick, r.expire)
		r.tick()
		r.backlogs.trim()
		if r.drain != nil {
			r.goOnDraining(now)
		}
	}
	r.beginDrain(now)
	r.reload()
	for _, id := range r.ready.take() {
		if c := r.conns.get(id); c != nil {
			c.writable()
		}
	}
	if r.engine.shaker != nil {
		r.takeShaken()
	}
	r.takeHeld()
	if end := r.ending.Swap(nil); end != nil {
		r.endAll(*end)
	}
	r.passed(StallDeadlines)
	if r.round.stops() {
		r.handOn(now)
		r.takeHeld()
		r.round.leave()
		r.passed(StallEvents)
	}
	r.flushSlice()
	r.turning = false
	r.delivered(r.passed(StallFlush))
	r.endTurn()
	if r.round.len() > 0 || len(r.events) > 0 || r.box.depth() > 0 {
		r.bell.ring()
	}
}

// tick is the recover boundary of the handler's own times.
func (r *Reactor) tick() {
	defer r.Recover(nil, "tick")
	r.handler.OnTick()
}

// expire is the recover boundary of deadlines.
func (r *Reactor) expire(c *Conn) {
	defer r.Recover(c, "deadline")
	c.expired()
}

// handOn gives the handler events of the mailbox, in order, for as long as a
// turn may take that began at now.
func (r *Reactor) handOn(now time.Duration) {
	if len(r.events) == 0 {
		r.events, r.arrivals = r.box.take(r.arrivals)
	}
	for len(r.events) > 0 {
		n := min(len(r.events), eventBatch)
		batch := r.events[:n]
		r.events = r.events[n:]
		r.handle(batch)
		if len(r.events) > 0 && r.engine.now()-now > eventSlice {
			return
		}
	}
	r.events = nil
	r.box.release()
	r.handedOn()
}

// handle is the recover boundary of events.
func (r *Reactor) handle(events []any) {
	defer r.Recover(nil, "events")
	r.handler.OnEvents(events)
}

// takeHeld hands connections what they sent before they were open.
func (r *Reactor) takeHeld() {
	for i := 0; i < len(r.resumed); i++ { // it may grow
		r.read(r.resumed[i], nil)
	}
	clear(r.resumed)
	r.resumed = r.resumed[:0]
}

// flushSlice flushes the next connections.
func (r *Reactor) flushSlice() {
	for range min(sliceLength, r.round.len()) {
		r.flush(r.round.next())
	}
}

// flush is the recover boundary of writing.
func (r *Reactor) flush(c *Conn) {
	defer r.Recover(c, "flush")
	c.marks &^= markDirty
	c.flush()
}

// interval is how long c's client may be silent, at most, before it is pinged. Where that
// is a dialect's business the client has been told when it came, and waits no longer than
// that for a ping: a reload does not make it longer.
func (r *Reactor) interval(c *Conn) time.Duration {
	if c.ping != 0 {
		return r.soonest
	}
	return r.opts.PingInterval
}

// armPing gives a connection its first ping deadline, spread over half of the
// interval so that clients which came together are not pinged together.
func (r *Reactor) armPing(c *Conn) {
	half := r.interval(c) / 2
	r.wheel.set(c, r.wheel.after(half+time.Duration(r.random.Int64N(int64(half)+1))))
}

// heartbeat pings a client that has been silent for the interval, and ends one
// that did not answer its ping. Any byte is an answer.
func (r *Reactor) heartbeat(c *Conn) {
	if c.marks.has(markStream) {
		r.beat(c)
		return
	}
	if c.begun != 0 && r.wheel.now-c.begun >= ticks(r.opts.MessageTimeout) {
		c.fail(errDawdling)
		return
	}
	if c.marks.has(markPinged) {
		r.count.unanswered.Add(1)
		c.begin(End{Code: errSilent.Code, Reason: errSilent.Reason, Local: true})
		c.abort()
		return
	}
	// Silence of more than half the interval earns a ping now, or a client that
	// spoke just before its deadline would wait for nearly two intervals.
	silent := time.Duration(r.wheel.now-c.seen) * tickLength
	if rest := r.opts.PingInterval - silent; rest > r.opts.PingInterval/2 && c.ping == 0 {
		r.waitForSilence(c, rest)
		return
	}
	c.marks |= markPinged
	if ping := c.pingFrame(); c.room(len(ping)) {
		c.push(ping)
		c.flushSoon()
		r.wait(c, r.opts.PingTimeout)
	}
}

// waitForSilence sets c's next heartbeat after at most d, a little less so that
// clients do not march in step.
func (r *Reactor) waitForSilence(c *Conn, d time.Duration) {
	r.wait(c, d-time.Duration(r.random.Int64N(int64(r.interval(c)/10)+1)))
}

// wait sets c's next heartbeat, earlier where a message must be complete then.
func (r *Reactor) wait(c *Conn, d time.Duration) {
	due := r.wheel.after(d)
	if c.begun != 0 {
		if end := c.begun + ticks(r.opts.MessageTimeout); int32(end-due) < 0 {
			due = end
		}
	}
	r.wheel.set(c, due)
}

// endAll asks a reactor to close all its connections.
type endAll struct {
	code   codec.StatusCode
	reason string
	abort  bool // at once and without a word
}

func (r *Reactor) endAll(end endAll) {
	defer r.Recover(nil, "shutdown")
	r.conns.each(func(c *Conn) {
		switch {
		case !end.abort:
			c.Close(end.code, end.reason)
		case c.veiled():
			c.cutShort()
		default:
			c.abort()
		}
	})
}
