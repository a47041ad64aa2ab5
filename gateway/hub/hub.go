package hub

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"

	"sluice/codec"
	"sluice/loop"
)

// Broker is what a Hub asks of Redis.
type Broker interface {
	Subscribe(channel string)   // answered by Hub.Subscribed
	Unsubscribe(channel string) // returns at once
}

// Reactor is what a Hub asks of a reactor.
type Reactor interface {
	Post(event any)                 // never lost
	Offer(event any, size int) bool // false: lost; handled after Wake
	Wake()
}

// Hub is the shared half of the channel table. It implements pubsub.Sink, whose
// methods are called by one goroutine; all others may be called by any.
type Hub struct {
	broker   Broker
	rules    func(channel string) Rules
	reactors []Reactor
	direct   string // the node's own channel
	life     string // what its connections' names begin with

	mu       sync.RWMutex
	channels map[string]*Channel // guarded by mu
	epoch    uint64              // counts connections to Redis; guarded by mu

	// Owned by the broker's receive loop.
	offered  []bool // reactors that have to be woken
	deflater codec.Deflater

	delivered     atomic.Int64
	unwanted      atomic.Int64
	lost          atomic.Int64
	dropped       atomic.Int64
	conflated     atomic.Int64
	directs       atomic.Int64
	undeliverable atomic.Int64
	interruptions atomic.Int64
	subscriptions atomic.Int64
}

// New makes the hub of the named node; life names this life of it, from start to
// end, and rules says what holds for a channel. Reactors are set with Attach before
// anything is delivered.
func New(broker Broker, node, life string, rules func(channel string) Rules) *Hub {
	return &Hub{broker: broker, rules: rules, life: life, direct: DirectChannel(node), channels: map[string]*Channel{}, epoch: 1}
}

// Attach tells the hub its reactors, in the order of their index.
func (h *Hub) Attach(reactors []Reactor) {
	h.reactors = reactors
	h.offered = make([]bool, len(reactors))
}

// DirectChannel is the channel through which one node's connections are
// reached. No client can name it: braces are not allowed in channel names.
func DirectChannel(node string) string { return "{node:" + node + "}" }

// Start subscribes the node's own channel.
func (h *Hub) Start() { h.broker.Subscribe(h.direct) }

// publication is a message on its way to one reactor's members.
type publication struct {
	channel  *Channel
	frame    []byte // shared by all its subscribers, never changed
	deflated []byte // the same, deflated; nil where nobody wants that or it does not pay
}

// as is the message in a form.
func (p *publication) as(f form) []byte {
	if f == deflated && p.deflated != nil {
		return p.deflated
	}
	return p.frame
}

// Direct is a message on its way to one connection.
type Direct struct {
	Conn    loop.ConnID
	Call    string // as in an inbox entry's call field; "" where it is no answer
	Payload []byte // the receiver's from now on
}

// Deliver implements pubsub.Sink: it encodes the message once and hands it to
// each reactor that has members. A reactor whose mailbox is full loses it, and
// that is counted.
func (h *Hub) Deliver(channel, payload []byte) {
	h.mu.RLock()
	c := h.channels[string(channel)]
	h.mu.RUnlock()
	if c == nil {
		h.deliverDirect(channel, payload)
		return
	}
	h.delivered.Add(1)
	p := &publication{channel: c, frame: Frame(payload)}
	if least := c.rules.MinDeflate; least > 0 && len(payload) >= least && h.deflating(c) {
		p.deflated, _ = h.deflater.AppendFrame(nil, opcode(payload), payload) // nil where it does not pay
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for i := range c.seats {
		h.offer(int(c.seats[i].reactor), p, len(p.frame)+len(p.deflated))
	}
}

// deflating reports whether a member of the channel takes deflated frames.
func (h *Hub) deflating(c *Channel) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for i := range c.seats {
		if c.seats[i].deflating > 0 {
			return true
		}
	}
	return false
}

// offer hands a message to a reactor, which is woken at the end of the burst.
func (h *Hub) offer(reactor int, event any, size int) {
	if !h.reactors[reactor].Offer(event, size) {
		h.lost.Add(1)
	}
	h.offered[reactor] = true
}

// Delivered implements pubsub.Sink: a burst has ended, its reactors take it in
// one turn, and their connections get it in one write each.
func (h *Hub) Delivered() {
	for i, offered := range h.offered {
		if offered {
			h.offered[i] = false
			h.reactors[i].Wake()
		}
	}
}

// Frame is a payload as a whole WebSocket message: text if it is valid UTF-8,
// binary otherwise.
func Frame(payload []byte) []byte {
	return codec.AppendFrame(make([]byte, 0, codec.FrameSize(len(payload))), opcode(payload), payload)
}

func opcode(payload []byte) codec.Opcode {
	if codec.ValidText(payload) {
		return codec.OpText
	}
	return codec.OpBinary
}

// deliverDirect takes a message for one connection of this node:
//
//	<conn> <payload>          a message
//	<conn>:<call> <payload>   the answer to a call
func (h *Hub) deliverDirect(channel, payload []byte) {
	if string(channel) != h.direct {
		h.unwanted.Add(1) // it came before Redis had taken our UNSUBSCRIBE
		return
	}
	address, message, _ := bytes.Cut(payload, []byte(" "))
	conn, call, _ := strings.Cut(string(address), ":")
	h.directs.Add(1)
	id, ok := ParseConn(h.life, conn)
	if !ok || id.Reactor() >= len(h.reactors) {
		h.undeliverable.Add(1)
		return
	}
	d := &Direct{Conn: id, Call: call, Payload: bytes.Clone(message)}
	h.offer(id.Reactor(), d, len(d.Payload))
}

// Undeliverable counts a direct message whose connection has ended.
func (h *Hub) Undeliverable() { h.undeliverable.Add(1) }

// confirmed tells a reactor that Redis has confirmed a channel.
type confirmed struct{ channel *Channel }

// Subscribed implements pubsub.Sink: those who wait for the channel are told.
func (h *Hub) Subscribed(channel string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.channels[channel]
	if c == nil {
		return
	}
	c.confirmed = h.epoch
	for i := range c.seats {
		if c.seats[i].waiting {
			c.seats[i].waiting = false
			h.reactors[c.seats[i].reactor].Post(confirmed{c})
		}
	}
}

// holds reports whether a confirmation that was posted still holds. Where the
// connection to Redis broke since, the reactor will be told again.
func (h *Hub) holds(c *Channel, reactor int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.confirmed == h.epoch {
		return true
	}
	c.seat(reactor).waiting = true
	return false
}

// Interrupted implements pubsub.Sink: until Redis confirms a channel again, new
// members of it have to wait. Those who are members already stay, and what was
// published meanwhile is lost to them, as plain channels promise no more.
func (h *Hub) Interrupted(error) {
	h.interruptions.Add(1)
	h.mu.Lock()
	h.epoch++
	h.mu.Unlock()
}

// join counts a member in and reports whether Redis has confirmed the channel.
// The broker is told under the lock, so that its wishes have the order of the
// joins and leaves they come from.
func (h *Hub) join(name string, reactor int, f form) (c *Channel, ready bool) {
	h.subscriptions.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	c = h.channels[name]
	if c == nil {
		name = strings.Clone(name) // not to keep the request it was cut from
		c = &Channel{name: name, rules: h.rules(name)}
		h.channels[name] = c
		h.broker.Subscribe(name)
	}
	c.members++
	s := c.seat(reactor)
	s.members++
	if f == deflated {
		s.deflating++
	}
	ready = c.confirmed == h.epoch
	if !ready {
		s.waiting = true
	}
	return c, ready
}

// leave counts a member out.
func (h *Hub) leave(c *Channel, reactor int, f form) {
	h.subscriptions.Add(-1)
	h.mu.Lock()
	defer h.mu.Unlock()
	c.members--
	s := c.seat(reactor)
	s.members--
	if f == deflated {
		s.deflating--
	}
	if s.members == 0 {
		*s = c.seats[len(c.seats)-1]
		c.seats = c.seats[:len(c.seats)-1]
	}
	if c.members == 0 {
		delete(h.channels, c.name)
		h.broker.Unsubscribe(c.name)
	}
}

// Stats is a snapshot of a hub's figures. All but the first two only grow.
type Stats struct {
	Channels      int64 // with members now
	Subscriptions int64 // members now
	Delivered     int64 // messages from Redis for channels with members
	Unwanted      int64 // messages for channels without
	Lost          int64 // messages lost because a reactor's mailbox was full, once for each reactor
	Dropped       int64 // messages that a slow member missed, by the policy of their channel
	Conflated     int64 // messages that a slow member missed because a newer one took their place
	Directs       int64 // messages for one connection
	Undeliverable int64 // of those, whose connection was unknown or had ended
	Interruptions int64 // times that the connection to Redis broke
}

// Stats may be called from any goroutine.
func (h *Hub) Stats() Stats {
	h.mu.RLock()
	channels := len(h.channels)
	h.mu.RUnlock()
	return Stats{
		Channels:      int64(channels),
		Subscriptions: h.subscriptions.Load(),
		Delivered:     h.delivered.Load(),
		Unwanted:      h.unwanted.Load(),
		Lost:          h.lost.Load(),
		Dropped:       h.dropped.Load(),
		Conflated:     h.conflated.Load(),
		Directs:       h.directs.Load(),
		Undeliverable: h.undeliverable.Load(),
		Interruptions: h.interruptions.Load(),
	}
}
