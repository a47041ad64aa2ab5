package hub

import (
	"bytes"
	"strings"
	"time"

	"sluice/pubsub"
)

// lane is the hub's end of one subscribe connection. It implements
// pubsub.Receiver.
type lane struct {
	h     *Hub
	link  pubsub.Link
	epoch uint64 // counts its connections, from 1; guarded by Hub.mu

	*emitter      // owned by the receive loop
	lagged   bool // of this burst a durable message has been looked at for how late it comes; owned by the receive loop
}

// Lane implements pubsub.Sink.
func (h *Hub) Lane(link pubsub.Link) pubsub.Receiver {
	l := &lane{h: h, link: link, epoch: 1, emitter: newEmitter(h, link.Name())}
	l.sound = link.Sound
	return l
}

// Deliver implements pubsub.Receiver: it encodes the message once and hands it to
// each reactor that has members. A reactor whose mailbox is full loses it, and
// that is counted and told.
func (l *lane) Deliver(channel, payload []byte) {
	h := l.h
	if l.received.IsZero() { // of what has been read before the loop asks for more the first
		l.received = time.Now()
	}
	if string(channel) == h.direct {
		l.deliverDirect(payload)
		return
	}
	if h.control != nil && string(channel) == pubsub.ControlChannel {
		h.control()
		return
	}
	if len(payload) > 0 && payload[0] == 1 {
		if d, ok := pubsub.ParseDurable(payload); ok {
			l.deliverDurable(channel, &d)
			return
		}
		if coming, ok := pubsub.ParseComing(payload); ok {
			l.deliverComing(channel, &coming)
			return
		}
	}
	h.mu.RLock()
	c := h.channels[string(channel)]
	if c == nil {
		h.mu.RUnlock()
		h.unwanted.Add(1) // it came before Redis had taken our UNSUBSCRIBE
		return
	}
	if c.stream != nil {
		c.stream.mixed.Store(true)
	}
	m := &l.scratch
	m.Channel, m.Payload = c.name, payload
	if c.resuming > 0 { // somebody may have to keep it
		m = &Message{Channel: c.name, Payload: bytes.Clone(payload)}
	}
	defer h.mu.RUnlock()
	p := l.encode(c, m)
	if m != &l.scratch {
		p.message = m
	}
	// In the turn in which it is offered: Moved, and Subscribed of another lane, come before or after.
	if !c.brings(l) {
		h.stale.Add(1)
		return
	}
	h.delivered.Add(1)
	c.rules.Load().Usage.came(payload)
	l.send(c, p)
}

// deliverDurable takes a message that stands in its channel's log, too. From which
// lane it comes does not matter: its position says where it belongs.
func (l *lane) deliverDurable(channel []byte, d *pubsub.Durable) {
	l.h.mu.RLock()
	c := l.h.channels[string(channel)]
	l.h.mu.RUnlock()
	if c == nil {
		l.h.unwanted.Add(1)
		return
	}
	if !l.lagged {
		l.lagged = true
		l.h.lag.Add(l.received.Sub(d.Position.Time()))
	}
	l.h.delivered.Add(1)
	c.rules.Load().Usage.came(d.Payload)
	l.h.streamOf(c).deliver(l.emitter, c, message(c.name, d))
}

// deliverComing takes the news that a connection has come to a channel or has gone. It is no
// message: who is only just resuming, and who is behind, can do without.
func (l *lane) deliverComing(channel []byte, coming *pubsub.Coming) {
	h := l.h
	h.mu.RLock()
	defer h.mu.RUnlock()
	c := h.channels[string(channel)]
	if c == nil || !c.brings(l) {
		return
	}
	if p := l.encodeComing(c, c.takes.shapes, coming); p.first.data != nil {
		l.send(c, p)
	}
}

// Delivered implements pubsub.Receiver.
func (l *lane) Delivered() {
	l.lagged = false
	l.wake()
}

// deliverDirect takes a message for one connection of this node:
//
//	<conn> <payload>          a message
//	<conn>:<call> <payload>   the answer to a call
func (l *lane) deliverDirect(payload []byte) {
	h := l.h
	address, message, _ := bytes.Cut(payload, []byte(" "))
	conn, call, _ := strings.Cut(string(address), ":")
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.own.brings(l) {
		h.stale.Add(1)
		return
	}
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

// Subscribed implements pubsub.Receiver: those who wait for the channel are told.
// Those who were there before it went have it filled from the log, or are told, if
// they want to know. A confirmation that the channel's way to another lane has overtaken says nothing.
func (l *lane) Subscribed(channel string) {
	c, again, cause := l.missing(channel)
	covered := c != nil && !again && l.doubt(c)
	h := l.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if !l.link.Carries(channel) {
		return
	}
	if channel == h.direct {
		h.own.confirm(l)
		return
	}
	if cause != "" {
		h.resubscribed.Add(1)
	}
	if c == nil || h.channels[channel] != c {
		if c = h.channels[channel]; c == nil {
			return
		}
		cause = "" // they have come since
	}
	if cause != "" && !covered { // before the others are told that it is confirmed, who have missed nothing
		h.gapped(c, cause)
	}
	c.confirm(l)
	for i := range c.seats {
		if c.seats[i].waiting {
			c.seats[i].waiting = false
			h.reactors[c.seats[i].reactor].Post(confirmed{c})
		}
	}
}

// missing is a channel that is confirmed now: whether it was before, without a break,
// and else why those who were there may have missed messages, "" if nobody was. Even
// then some may have come before, of a subscription that was just being given up, and
// the log has to tell what was between.
func (l *lane) missing(channel string) (c *Channel, again bool, cause pubsub.Cause) {
	l.h.mu.RLock()
	defer l.h.mu.RUnlock()
	c = l.h.channels[channel]
	switch {
	case c == nil || c.lane == nil:
		return c, false, ""
	case c.brings(l):
		return c, true, ""
	case c.hasMoved() || c.lane != l:
		return c, false, pubsub.CauseMoved
	}
	return c, false, pubsub.CauseConnection
}

// doubt has the channel's log read for what may have been missed, and reports
// whether there is one that tells.
func (l *lane) doubt(c *Channel) bool {
	l.h.mu.RLock()
	s := c.stream
	l.h.mu.RUnlock()
	return s != nil && s.doubt(l.emitter, c)
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
	if channel == l.h.direct {
		l.h.own.move(l)
	} else if c := l.h.channels[channel]; c != nil {
		c.move(l)
	}
}

// Skipped implements pubsub.Receiver. A message with a position shows when the next
// one comes, and is filled in from the log, or skipped there.
func (l *lane) Skipped(channel string) {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	if c := l.h.channels[channel]; c != nil {
		c.rules.Load().Gaps.count(pubsub.CauseOversize)
		for _, s := range c.seats {
			l.h.tell(c, int(s.reactor))
		}
	}
}
