package hub

import (
	"math/bits"
	"time"

	"sluice/codec"
	"sluice/pubsub"
)

// emitter hands messages to the reactors, and tells what they do not take. It
// belongs to one goroutine.
type emitter struct {
	h     *Hub
	name  string           // of where the messages come from, in what is told of losses
	sound func() time.Time // since when nothing was missed; nil: it is not known

	offered  []bool    // reactors that have to be woken
	received time.Time // when the burst came from Redis; zero: it did not
	lost     []loss    // what reactors did not take since the burst began
	deflater codec.Deflater
	scratch  Message // without a position
	publications
}

// loss is messages of a channel that a reactor's mailbox did not take.
type loss struct {
	channel *Channel
	reactor int
	told    bool // to the members, in its place
}

func newEmitter(h *Hub, name string) *emitter {
	return &emitter{h: h, name: name, offered: make([]bool, len(h.reactors))}
}

// emit hands a message that has a position to each reactor that has members.
func (e *emitter) emit(c *Channel, m *Message) {
	e.h.mu.RLock()
	defer e.h.mu.RUnlock()
	p := e.encode(c, m)
	p.message = m
	if m.Exclude != "" {
		p.exclude, p.excludes = ParseConn(e.h.life, m.Exclude)
	}
	e.sendChained(c, p)
}

// encode writes a message once for each of the shapes that are wanted. Hub.mu is held
// for reading, but not while that takes long.
func (e *emitter) encode(c *Channel, m *Message) *publication {
	wanted := c.takes.shapes
	if wanted.deflated() || len(m.Payload) > quick {
		e.h.mu.RUnlock() // nobody waits for that who joins or leaves
		defer e.h.mu.RLock()
	}
	p := e.publications.next()
	p.channel = c
	for rest := wanted; rest != 0; {
		plain := shape(bits.TrailingZeros16(uint16(rest))).plain()
		rest &^= 3 << plain
		op, data := e.h.encoders[plain.form()](m)
		e.addForm(p, wanted, plain, op, data)
	}
	return p
}

// quick is the length of payloads, in bytes, that are encoded while the lock is held.
const quick = 4 << 10

// encodeComing writes the news of a coming once for each of the shapes that are wanted,
// and whose form has words for it.
func (e *emitter) encodeComing(c *Channel, wanted shapes, coming *pubsub.Coming) *publication {
	p := e.publications.next()
	p.channel = c
	for f, encode := range e.h.comings {
		plain := shapeOf(Form(f), false)
		if encode != nil && (wanted.has(plain) || wanted.has(plain|1)) {
			op, data := encode(c.name, coming)
			e.addForm(p, wanted, plain, op, data)
		}
	}
	return p
}

// addForm adds what is sent in one form, deflated where that is wanted and pays,
// and not where that is wanted or it does not.
func (e *emitter) addForm(p *publication, wanted shapes, plain shape, op codec.Opcode, data []byte) {
	if data == nil && op == 0 {
		return
	}
	small := false
	if least := p.channel.rules.Load().MinDeflate; wanted.has(plain|1) && op != 0 && least > 0 && len(data) >= least {
		var frame []byte
		if frame, small = e.deflater.AppendFrame(nil, op, data); small {
			p.add(plain|1, frame)
		}
	}
	if wanted.has(plain) || !small {
		p.add(plain, encoded(op, data))
	}
}

// send offers a message to the reactors. Hub.mu is held for reading.
func (e *emitter) send(c *Channel, p *publication) {
	size := p.bytes()
	for i := range c.seats {
		reactor := int(c.seats[i].reactor)
		if !e.offer(reactor, p, size) {
			e.lost = append(e.lost, loss{channel: c, reactor: reactor})
		}
	}
}

// sendChained is send for a message that has a position. Where a reactor does not take
// it, that is told in its place: who has got the next one has a position behind it.
func (e *emitter) sendChained(c *Channel, p *publication) {
	size := p.bytes()
	for i := range c.seats {
		s := &c.seats[i]
		if e.offer(int(s.reactor), p, size) {
			s.gapped = false
			continue
		}
		e.lost = append(e.lost, loss{channel: c, reactor: int(s.reactor), told: true})
		e.h.tellHere(c, s)
	}
}

// offer hands an event to a reactor, which is woken at the end of the burst.
func (e *emitter) offer(reactor int, event any, size int) (taken bool) {
	taken = e.h.reactors[reactor].Offer(event, size)
	if !taken {
		e.h.lost.Add(1)
	}
	e.offered[reactor] = true
	return taken
}

// wake ends a burst: its reactors take it in one turn, and their connections get it
// in one write each.
func (e *emitter) wake() {
	for i, offered := range e.offered {
		if offered {
			e.offered[i] = false
			e.h.reactors[i].Wake(e.received)
		}
	}
	e.received = time.Time{}
	e.publications.end()
	if len(e.lost) > 0 {
		e.tellLosses()
	}
}

// tellLosses tells what reactors did not take of a burst.
func (e *emitter) tellLosses() {
	seen := map[*Channel]bool{}
	now := time.Now()
	from := now
	if e.sound != nil {
		from = e.sound()
	}
	for _, lost := range e.lost {
		if !lost.told {
			e.h.tell(lost.channel, lost.reactor)
		}
		if seen[lost.channel] {
			continue
		}
		seen[lost.channel] = true
		lost.channel.rules.Load().Gaps.count(pubsub.CauseMailbox)
		e.h.onGap(pubsub.Gap{Link: e.name, Channel: lost.channel.name, Cause: pubsub.CauseMailbox, From: from, To: now, Channels: 1})
	}
	clear(e.lost)
	e.lost = e.lost[:0]
}
