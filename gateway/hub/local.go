package hub

import (
	"slices"

	"sluice/loop"
)

// Local is one reactor's half of the channel table. It belongs to that reactor.
type Local struct {
	hub     *Hub
	reactor int
	events  Events
	parts   map[*Channel]*part

	queue  []*publication // this turn's messages, in the order of Redis
	fanned int            // of queue
}

// Events are what a reactor is told of its members, on that reactor.
type Events struct {
	Confirmed func(*loop.Conn, *Member) // Redis has confirmed the channel, after Join
	Gap       func(*loop.Conn, *Member) // messages may have been missed; of members that want to know
}

// Local makes the half for one reactor.
func (h *Hub) Local(reactor int, events Events) *Local {
	return &Local{hub: h, reactor: reactor, events: events, parts: map[*Channel]*part{}}
}

// Join makes m a member of the named channel on behalf of c. Where m is not Ready
// at once, the reactor is told when it is.
func (l *Local) Join(c *loop.Conn, m *Member, name string, wants Wants) {
	f := plain
	if wants.Deflated {
		f = deflated
	}
	channel, ready := l.hub.join(name, l.reactor, f, wants.Gaps)
	p := l.parts[channel]
	if p == nil {
		p = new(part)
		l.parts[channel] = p
	}
	places := &p[f]
	*m = Member{channel: channel, index: int32(len(*places)), form: f, telling: wants.Gaps, ready: ready}
	*places = append(*places, place{c, m})
}

// Leave ends a membership. It may be called twice.
func (l *Local) Leave(m *Member) {
	channel, f, tell := m.channel, m.form, m.telling
	if channel == nil {
		return
	}
	p := l.parts[channel]
	places := &p[f]
	last := len(*places) - 1
	moved := (*places)[last]
	(*places)[m.index] = moved
	moved.member.index = m.index
	(*places)[last] = place{}
	*places = (*places)[:last]
	*m = Member{}
	if p.size() == 0 {
		delete(l.parts, channel)
	}
	l.hub.leave(channel, l.reactor, f, tell)
}

// Take handles an event of the hub's. Messages are only put in line, until Fan.
// It reports false if the event is not the hub's.
func (l *Local) Take(event any) bool {
	switch e := event.(type) {
	case *publication:
		l.queue = append(l.queue, e)
	case confirmed:
		l.confirm(e.channel)
	case *missed:
		l.tellMissed(e)
	default:
		return false
	}
	return true
}

// Fan hands the next messages that Take put in line to the members of their
// channel, in the order they came in, and reports whether it was not the end of
// the line. A run of messages for one channel is put together first, once for all
// members, so that each is handed one reference for the run.
func (l *Local) Fan() (more bool) {
	if l.fanned == len(l.queue) {
		clear(l.queue)
		l.queue, l.fanned = l.queue[:0], 0
		if cap(l.queue) > maxIdleQueue {
			l.queue = nil
		}
		return false
	}
	rest := l.queue[l.fanned:]
	n, size := run(rest)
	// First, so that what panics is not met again.
	l.fanned += n
	if p := l.parts[rest[0].channel]; p != nil { // else all have left meanwhile
		for f := range forms {
			if len(p[f]) > 0 {
				l.fan(rest[:n], f, size, p[f])
			}
		}
	}
	return true
}

// fan hands a run of messages for one channel, with frames of size bytes, to the
// members that take them in the form f.
func (l *Local) fan(run []*publication, f form, size int, members []place) {
	chunk := join(run, f, size)
	if run[0].excludes { // it is a run of one
		members = slices.DeleteFunc(slices.Clone(members), func(p place) bool { return p.conn.ID() == run[0].exclude })
	}
	switch run[0].channel.rules.Policy {
	case Disconnect:
		for _, p := range members {
			p.conn.Send(chunk)
		}
	case Drop:
		for _, p := range members {
			if !p.conn.Offer(chunk) {
				l.hub.dropped.Add(int64(len(run)))
			}
		}
	case Latest:
		newest := run[len(run)-1].as(f)
		for _, p := range members {
			l.keepNewest(p, chunk, newest, len(run))
		}
	}
}

// keepNewest sends a run of n messages to a member, or, where its socket is full,
// keeps the newest of them in place of the one that it kept before.
func (l *Local) keepNewest(p place, chunk, newest []byte, n int) {
	if p.member.late != nil { // also where the socket has just become writable: Drained comes later, with what is older
		l.hub.conflated.Add(1)
		p.member.late = nil
	}
	if !p.conn.Backed() {
		p.conn.Send(chunk)
		return
	}
	l.hub.conflated.Add(int64(n - 1))
	p.member.late = &late{newest}
	p.conn.TellDrained()
}

// Drained sends c, whose socket has taken all that it was sent, what was kept for
// its membership m meanwhile.
func (l *Local) Drained(c *loop.Conn, m *Member) {
	if m.late == nil {
		return
	}
	c.Send(m.late.frame)
	m.late = nil
}

const (
	maxIdleQueue = 4096     // messages: the capacity kept between turns
	chunkSize    = 64 << 10 // bytes: what one send may take at once
)

// run is how many messages at the front are for one channel and fit into a
// chunk, at least one, and the bytes of their frames. One that a member is not to
// get is alone.
func run(queue []*publication) (n, size int) {
	channel := queue[0].channel
	for n < len(queue) && queue[n].channel == channel && (n == 0 || !queue[n].excludes && !queue[0].excludes) && (n == 0 || size+len(queue[n].frame) <= chunkSize) {
		size += len(queue[n].frame)
		n++
	}
	return n, size
}

// join puts the messages together in the form f, for which size is a hint.
func join(messages []*publication, f form, size int) []byte {
	if len(messages) == 1 {
		return messages[0].as(f)
	}
	chunk := make([]byte, 0, size)
	for _, p := range messages {
		chunk = append(chunk, p.as(f)...)
	}
	return chunk
}

// confirm tells the members of a channel who were waiting. The list is walked
// backwards: telling one may end its connection, which takes it from the list
// and puts the last, who has been told, in its place.
func (l *Local) confirm(channel *Channel) {
	p := l.parts[channel]
	if p == nil || !l.hub.holds(channel, l.reactor) {
		return
	}
	for f := range forms {
		for i := len(p[f]) - 1; i >= 0; i-- {
			if i >= len(p[f]) {
				continue
			}
			if at := p[f][i]; !at.member.ready {
				at.member.ready = true
				l.events.Confirmed(at.conn, at.member)
			}
		}
	}
}
