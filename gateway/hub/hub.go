package hub

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/loop"
	"sluice/pubsub"
)

// Broker is what a Hub asks of Redis.
type Broker interface {
	Subscribe(channel string)   // answered by Hub.Subscribed
	Unsubscribe(channel string) // returns at once

	// History reads what a channel's log holds after a position, oldest first, up to
	// limit entries and so many bytes of payloads, but for the first one.
	History(ctx context.Context, channel string, since pubsub.Position, limit, bytes int) (pubsub.History, error)
	// HistoryBefore reads backwards, newest first, from the entry before a position, or
	// with 0 from the newest.
	HistoryBefore(ctx context.Context, channel string, before pubsub.Position, limit int) (pubsub.History, error)
}

// Reactor is what a Hub asks of a reactor.
type Reactor interface {
	Post(event any)                 // never lost
	Offer(event any, size int) bool // false: lost; handled after Wake
	Wake(received time.Time)        // when the first of it came from Redis; zero: it is not to be timed
}

// Hub is the shared half of the channel table. It implements pubsub.Sink. Any
// goroutine may call its methods.
type Hub struct {
	broker   Broker
	rules    func(channel string) *Rules // guarded by mu
	encoders []Encoder
	comings  []ComingEncoder
	finished Form
	log      *log
	reactors []Reactor
	direct   string // the node's own channel
	control  func()
	life     string // what its connections' names begin with

	onGap  func(pubsub.Gap)
	missed []*missed // of each reactor

	mu       sync.RWMutex
	own      carrier             // of direct; guarded by mu
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
	resubscribed  atomic.Int64
	subscriptions atomic.Int64

	readings   atomic.Int64
	readFailed atomic.Int64
	filled     atomic.Int64
	repeated   atomic.Int64
	holes      atomic.Int64
	recovered  atomic.Int64
	reset      atomic.Int64
	lag        loop.Durations
}

// Options are what a Hub is made of.
type Options struct {
	Broker   Broker
	Node     string                      // its name
	Life     string                      // names this life of it, from start to end
	Rules    func(channel string) *Rules // what holds for a channel; shared, never changed
	Encoders []Encoder                   // of each Form, at most six
	Comings  []ComingEncoder             // of each Form; nil: its clients are not told who comes and goes
	Finished Form                        // of this one Events.Finish completes each message for each member; 0: of none
	OnGap    func(pubsub.Gap)            // told of messages that the hub had to lose; must not block
	Control  func()                      // called when something comes on pubsub.ControlChannel; must not block. nil: it is not listened to
}

// New makes the hub of a node. Reactors are set with Attach before anything is
// delivered.
func New(o Options) *Hub {
	h := &Hub{broker: o.Broker, rules: o.Rules, encoders: o.Encoders, comings: o.Comings, finished: o.Finished, life: o.Life, direct: DirectChannel(o.Node), onGap: o.OnGap, control: o.Control, channels: map[string]*Channel{}}
	h.log = newLog(h)
	return h
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

// SetRules has other rules hold for all channels from now on.
func (h *Hub) SetRules(rules func(channel string) *Rules) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rules = rules
	for name, c := range h.channels {
		next := rules(name)
		if old := c.rules.Swap(next); old.Usage != next.Usage { // it belongs to another namespace now
			old.Usage.open(-1, -c.members)
			next.Usage.open(1, c.members)
		}
	}
}

// Start subscribes the node's own channel, and that of all nodes.
func (h *Hub) Start() {
	h.broker.Subscribe(h.direct)
	if h.control != nil {
		h.broker.Subscribe(pubsub.ControlChannel)
	}
}

// Run reads the logs of channels until ctx ends. It returns when nothing of it runs
// any more.
func (h *Hub) Run(ctx context.Context) error {
	h.log.run(ctx)
	return nil
}

// Direct is a message on its way to one connection.
type Direct struct {
	Conn    loop.ConnID
	Call    string // as in an inbox entry's call field; "" where it is no answer
	Payload []byte // the receiver's from now on
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
func (h *Hub) join(name string, reactor int, wants *Wants) (c *Channel, ready bool) {
	h.subscriptions.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	c = h.channels[name]
	if c == nil {
		name = strings.Clone(name) // not to keep the request it was cut from
		c = &Channel{hub: h, name: name}
		c.rules.Store(h.rules(name))
		h.channels[name] = c
		c.rules.Load().Usage.open(1, 0)
		h.broker.Subscribe(name)
	}
	c.members++
	c.rules.Load().Usage.open(0, 1)
	c.takes.add(shapeOf(wants.Form, wants.Deflated), 1)
	if wants.Recover {
		c.resuming++
	}
	s := c.seat(reactor)
	s.members++
	s.gapped = false // who comes now is not told of what was before
	if wants.Gaps || wants.Recover {
		s.telling++
	}
	ready = c.isConfirmed()
	if !ready {
		s.waiting = true
	}
	return c, ready
}

// leave counts a member out.
func (h *Hub) leave(m *Member, reactor int) {
	c := m.channel
	h.subscriptions.Add(-1)
	h.mu.Lock()
	defer h.mu.Unlock()
	c.members--
	c.rules.Load().Usage.open(0, -1)
	c.takes.add(m.shape, -1)
	if m.marks.has(markRecovers) && m.stage < live {
		c.resuming--
	}
	s := c.seat(reactor)
	s.members--
	if m.marks.has(markTelling | markRecovers) {
		s.telling--
	}
	if s.members == 0 {
		*s = c.seats[len(c.seats)-1]
		c.seats = c.seats[:len(c.seats)-1]
	}
	if c.members == 0 {
		delete(h.channels, c.name)
		c.rules.Load().Usage.open(-1, 0)
		h.broker.Unsubscribe(c.name)
	}
}

// Stats is a snapshot of a hub's figures. All but the first two only grow.
type Stats struct {
	Channels      int64 // with members now
	Subscriptions int64 // members now
	Delivered     int64 // messages from Redis for channels with members
	Unwanted      int64 // messages for channels without
	Stale         int64 // messages of a lane that its channel was not, or not yet, confirmed on: dropped, or they would come late, or twice
	Lost          int64 // messages lost because a reactor's mailbox was full, once for each reactor
	Dropped       int64 // messages that a slow member missed, by the policy of their channel
	Conflated     int64 // messages that a slow member missed because a newer one took their place
	Directs       int64 // messages for one connection
	Undeliverable int64 // of those, whose connection was unknown or had ended
	Interruptions int64 // times that the connection to Redis broke
	Resubscribed  int64 // channels that Redis has confirmed again after they had been lost, or had moved

	Readings   int64 // of channels' logs
	ReadFailed int64 // of those
	Filled     int64 // entries of logs that were read because a message had not come live, or might not have
	Repeated   int64 // messages that came again, and were dropped
	Holes      int64 // gaps on channels with a log that it could not fill
	Recovered  int64 // members that resumed and missed nothing
	Reset      int64 // members that resumed and may have missed something

	Lag loop.Distribution // from the making of a durable message's position to its receipt, of the first such message of each burst
}

// Stats may be called from any goroutine.
func (h *Hub) Stats() Stats {
	h.mu.RLock()
	channels := len(h.channels)
	h.mu.RUnlock()
	s := Stats{
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
		Resubscribed:  h.resubscribed.Load(),
		Readings:      h.readings.Load(),
		ReadFailed:    h.readFailed.Load(),
		Filled:        h.filled.Load(),
		Repeated:      h.repeated.Load(),
		Holes:         h.holes.Load(),
		Recovered:     h.recovered.Load(),
		Reset:         h.reset.Load(),
	}
	s.Lag.Count(&h.lag)
	return s
}
