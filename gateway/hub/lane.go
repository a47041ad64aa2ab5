package hub

import (
	"bytes"
	"strings"
	"time"

	"sluice/codec"
	"sluice/pubsub"
)

// lane is the hub's end of one subscribe connection. It implements
// pubsub.Receiver.
type lane struct {
	h    *Hub
	link pubsub.Link

	epoch uint64 // counts its connections; guarded by Hub.mu

	// Owned by the receive loop:
	offered  []bool // reactors that have to be woken
	lost     []loss // what reactors did not take since the burst began
	deflater codec.Deflater
}

// loss is messages of a channel that a reactor's mailbox did not take.
type loss struct {
	channel *Channel
	reactor int
}

// Lane implements pubsub.Sink.
func (h *Hub) Lane(link pubsub.Link) pubsub.Receiver {
	return &lane{h: h, link: link, epoch: 1, offered: make([]bool, len(h.reactors))}
}

// Deliver implements pubsub.Receiver: it encodes the message once and hands it to
// each reactor that has members. A reactor whose mailbox is full loses it, and
// that is counted and told.
func (l *lane) Deliver(channel, payload []byte) {
	h := l.h
	if string(channel) == h.direct {
		l.deliverDirect(payload)
		return
	}
	var d pubsub.Durable
	if len(payload) > 0 && payload[0] == 1 {
		var ok bool
		if d, ok = pubsub.ParseDurable(payload); ok {
			payload = d.Payload
		}
	}
	p := &publication{frame: Frame(payload)} // first, so that one turn with the lock is enough
	if d.Exclude != "" {
		p.exclude, p.excludes = ParseConn(h.life, d.Exclude)
	}
	h.mu.RLock()
	c := h.channels[string(channel)]
	if c != nil && c.deflates(len(payload)) {
		h.mu.RUnlock()
		p.deflated, _ = l.deflater.AppendFrame(nil, opcode(payload), payload) // nil where it does not pay
		h.mu.RLock()
	}
	defer h.mu.RUnlock()
	if c == nil {
		h.unwanted.Add(1) // it came before Redis had taken our UNSUBSCRIBE
		return
	}
	// In the turn in which it is offered: Subscribed of another lane comes before or after.
	if c.lane != nil && c.lane != l {
		h.stale.Add(1)
		return
	}
	p.channel = c
	h.delivered.Add(1)
	for i := range c.seats {
		reactor := int(c.seats[i].reactor)
		if !l.offer(reactor, p, len(p.frame)+len(p.deflated)) {
			l.lost = append(l.lost, loss{c, reactor})
		}
	}
}

// offer hands a message to a reactor, which is woken at the end of the burst.
func (l *lane) offer(reactor int, event any, size int) (taken bool) {
	taken = l.h.reactors[reactor].Offer(event, size)
	if !taken {
		l.h.lost.Add(1)
	}
	l.offered[reactor] = true
	return taken
}

// Delivered implements pubsub.Receiver: a burst has ended, its reactors take it in
// one turn, and their connections get it in one write each.
func (l *lane) Delivered() {
	for i, offered := range l.offered {
		if offered {
			l.offered[i] = false
			l.h.reactors[i].Wake()
		}
	}
	if len(l.lost) > 0 {
		l.tellLosses()
	}
}

// tellLosses tells what reactors did not take of a burst.
func (l *lane) tellLosses() {
	seen := map[*Channel]bool{}
	now := time.Now()
	for _, lost := range l.lost {
		l.h.tell(lost.channel, lost.reactor)
		if seen[lost.channel] {
			continue
		}
		seen[lost.channel] = true
		lost.channel.rules.Gaps.count(pubsub.CauseMailbox)
		l.h.onGap(pubsub.Gap{Link: l.link.Name(), Channel: lost.channel.name, Cause: pubsub.CauseMailbox, From: l.link.Sound(), To: now, Channels: 1})
	}
	clear(l.lost)
	l.lost = l.lost[:0]
}

// deliverDirect takes a message for one connection of this node:
//
//	<conn> <payload>          a message
//	<conn>:<call> <payload>   the answer to a call
func (l *lane) deliverDirect(payload []byte) {
	h := l.h
	address, message, _ := bytes.Cut(payload, []byte(" "))
	conn, call, _ := strings.Cut(string(address), ":")
	h.directs.Add(1)
	id, ok := ParseConn(h.life, conn)
	if !ok || id.Reactor() >= len(h.reactors) {
		h.undeliverable.Add(1)
		return
	}
	d := &Direct{Conn: id, Call: call, Payload: bytes.Clone(message)}
	l.offer(id.Reactor(), d, len(d.Payload))
}

// confirmed tells a reactor that Redis has confirmed a channel.
type confirmed struct{ channel *Channel }

// Subscribed implements pubsub.Receiver: those who wait for the channel are told,
// and those who were there before it went, if they want to know.
func (l *lane) Subscribed(channel string) {
	h := l.h
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.channels[channel]
	if c == nil {
		return
	}
	if c.lane != nil && (c.lane != l || !c.isConfirmed()) {
		cause := pubsub.CauseConnection
		if c.moved || c.lane != l {
			cause = pubsub.CauseMoved
		}
		h.gapped(c, cause)
	}
	c.lane, c.confirmed, c.moved = l, l.epoch, false
	for i := range c.seats {
		if c.seats[i].waiting {
			c.seats[i].waiting = false
			h.reactors[c.seats[i].reactor].Post(confirmed{c})
		}
	}
}

// Interrupted implements pubsub.Receiver: until Redis confirms a channel again,
// new members of it have to wait. Those who are members already stay.
func (l *lane) Interrupted(error) {
	l.h.interruptions.Add(1)
	l.h.mu.Lock()
	l.epoch++
	l.h.mu.Unlock()
}

// Moved implements pubsub.Receiver.
func (l *lane) Moved(channel string) {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	if c := l.h.channels[channel]; c != nil && c.lane == l {
		c.confirmed, c.moved = 0, true
	}
}

// Skipped implements pubsub.Receiver.
func (l *lane) Skipped(channel string) {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	if c := l.h.channels[channel]; c != nil {
		c.rules.Gaps.count(pubsub.CauseOversize)
		for _, s := range c.seats {
			l.h.tell(c, int(s.reactor))
		}
	}
}
