package hub

import "sluice/loop"

// Local is one reactor's half of the channel table. It belongs to that reactor.
type Local struct {
	hub       *Hub
	reactor   int
	confirmed func(*loop.Conn, *Member)

	queue   []queued   // this turn's messages
	touched []*Channel // the channels they are for
}

// queued is one message of this turn.
type queued struct {
	frame []byte
	next  int32 // the channel's next one in Local.queue, counted from 1; 0: none
}

// Local makes the half for one reactor. It calls confirmed, on that reactor, for
// each member whose channel Redis has confirmed after Join.
func (h *Hub) Local(reactor int, confirmed func(*loop.Conn, *Member)) *Local {
	return &Local{hub: h, reactor: reactor, confirmed: confirmed}
}

// Join makes m a member of the named channel on behalf of c. Where m is not
// Ready at once, the reactor is told when it is.
func (l *Local) Join(c *loop.Conn, m *Member, name string) {
	channel, ready := l.hub.join(name, l.reactor)
	part := &channel.local[l.reactor]
	*m = Member{channel: channel, index: int32(len(part.members)), ready: ready}
	part.members = append(part.members, place{c, m})
}

// Leave ends a membership. It may be called twice.
func (l *Local) Leave(m *Member) {
	channel := m.channel
	if channel == nil {
		return
	}
	part := &channel.local[l.reactor]
	last := len(part.members) - 1
	moved := part.members[last]
	part.members[m.index] = moved
	moved.member.index = m.index
	part.members[last] = place{}
	part.members = part.members[:last]
	*m = Member{}
	l.hub.leave(channel, l.reactor)
}

// Take handles an event of the hub's. Messages are only put in line, until Fan.
// It reports false if the event is not the hub's.
func (l *Local) Take(event any) bool {
	switch e := event.(type) {
	case *publication:
		l.enqueue(e)
	case confirmed:
		l.confirm(e.channel)
	default:
		return false
	}
	return true
}

// enqueue puts a message in its channel's line.
func (l *Local) enqueue(p *publication) {
	l.queue = append(l.queue, queued{frame: p.frame})
	at := int32(len(l.queue))
	part := &p.channel.local[l.reactor]
	if part.first == 0 {
		part.first = at
		l.touched = append(l.touched, p.channel)
	} else {
		l.queue[part.last-1].next = at
	}
	part.last = at
}

// Fan hands all messages of this turn to the members of their channels. What a
// channel got in one turn is put together first, once for all members, so that
// each member is handed one reference and its socket is written to once.
// Messages of one channel keep their order; between channels there is none.
func (l *Local) Fan() {
	for _, channel := range l.touched {
		part := &channel.local[l.reactor]
		at := part.first
		part.first, part.last = 0, 0
		for at != 0 && len(part.members) > 0 {
			var chunk []byte
			chunk, at = l.chunk(at)
			for _, p := range part.members {
				p.conn.Send(chunk)
			}
		}
	}
	clear(l.touched)
	clear(l.queue)
	l.touched = l.touched[:0]
	l.queue = l.queue[:0]
	if cap(l.queue) > maxIdleQueue {
		l.queue, l.touched = nil, nil
	}
}

const (
	maxIdleQueue = 4096     // messages: the capacity kept between turns
	chunkSize    = 64 << 10 // bytes: what one send may take at once
)

// chunk puts messages of one channel together, from the one numbered at, until
// the chunk is full. It returns the number of the first that is left, or 0.
func (l *Local) chunk(at int32) (chunk []byte, rest int32) {
	first := l.queue[at-1]
	size := len(first.frame)
	end := first.next
	for end != 0 && size+len(l.queue[end-1].frame) <= chunkSize {
		size += len(l.queue[end-1].frame)
		end = l.queue[end-1].next
	}
	if end == first.next {
		return first.frame, end
	}
	chunk = make([]byte, 0, size)
	for ; at != end; at = l.queue[at-1].next {
		chunk = append(chunk, l.queue[at-1].frame...)
	}
	return chunk, end
}

// confirm tells the members of a channel who were waiting. The list is walked
// backwards: telling one may end its connection, which takes it from the list
// and puts the last, who has been told, in its place.
func (l *Local) confirm(channel *Channel) {
	if !l.hub.holds(channel, l.reactor) {
		return
	}
	part := &channel.local[l.reactor]
	for i := len(part.members) - 1; i >= 0; i-- {
		if i >= len(part.members) {
			continue
		}
		p := part.members[i]
		if p.member.ready {
			continue
		}
		p.member.ready = true
		l.confirmed(p.conn, p.member)
	}
}
