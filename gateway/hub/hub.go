package hub

import (
	"strings"
	"sync"
	"sync/atomic"

	"sluice/codec"
	"sluice/loop"
	"sluice/pubsub"
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

// Hub is the shared half of the channel table. It implements pubsub.Sink. Any
// goroutine may call its methods.
type Hub struct {
	broker   Broker
	rules    func(channel string) Rules
	reactors []Reactor
	direct   string // the node's own channel
	life     string // what its connections' names begin with

	onGap  func(pubsub.Gap)
	missed []*missed // of each reactor

	mu       sync.RWMutex
	channels map[string]*Channel // guarded by mu

	delivered     atomic.Int64
	unwanted      atomic.Int64
	stale         atomic.Int64
	lost          atomic.Int64
	dropped       atomic.Int64
	conflated     atomic.Int64
	directs       atomic.Int64
	undeliverable atomic.Int64
	interruptions atomic.Int64
	subscriptions atomic.Int64
}

// New makes the hub of the named node; life names this life of it, from start to
// end, rules says what holds for a channel, and onGap is told of messages that the
// hub had to lose; it must not block. Reactors are set with Attach before anything is
// delivered.
func New(broker Broker, node, life string, rules func(channel string) Rules, onGap func(pubsub.Gap)) *Hub {
	return &Hub{broker: broker, rules: rules, life: life, direct: DirectChannel(node), onGap: onGap, channels: map[string]*Channel{}}
}

// Attach tells the hub its reactors, in the order of their index.
func (h *Hub) Attach(reactors []Reactor) {
	h.reactors = reactors
	for range reactors {
		h.missed = append(h.missed, new(missed))
	}
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
	exclude  loop.ConnID
	excludes bool // exclude is not to get it
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

// Undeliverable counts a direct message whose connection has ended.
func (h *Hub) Undeliverable() { h.undeliverable.Add(1) }

// holds reports whether a confirmation that was posted still holds. Where Redis
// has to confirm again, the reactor will be told again.
func (h *Hub) holds(c *Channel, reactor int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.isConfirmed() {
		return true
	}
	c.seat(reactor).waiting = true
	return false
}

// join counts a member in and reports whether Redis has confirmed the channel.
// The broker is told under the lock, so that its wishes have the order of the
// joins and leaves they come from.
func (h *Hub) join(name string, reactor int, f form, tell bool) (c *Channel, ready bool) {
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
	if tell {
		s.telling++
	}
	ready = c.isConfirmed()
	if !ready {
		s.waiting = true
	}
	return c, ready
}

// leave counts a member out.
func (h *Hub) leave(c *Channel, reactor int, f form, tell bool) {
	h.subscriptions.Add(-1)
	h.mu.Lock()
	defer h.mu.Unlock()
	c.members--
	s := c.seat(reactor)
	s.members--
	if f == deflated {
		s.deflating--
	}
	if tell {
		s.telling--
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
	Stale         int64 // messages from a server whose channel had moved to another one: dropped, or they would come late
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
		Stale:         h.stale.Load(),
		Lost:          h.lost.Load(),
		Dropped:       h.dropped.Load(),
		Conflated:     h.conflated.Load(),
		Directs:       h.directs.Load(),
		Undeliverable: h.undeliverable.Load(),
		Interruptions: h.interruptions.Load(),
	}
}
