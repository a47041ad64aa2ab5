package hub

import "sluice/loop"

// Local is one reactor's half of the channel table. It belongs to that reactor.
type Local struct {
	hub       *Hub
	reactor   int
	confirmed func(*loop.Conn, *Member)

	queue []*publication // this turn's messages, in the order of Redis
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
		l.queue = append(l.queue, e)
	case confirmed:
		l.confirm(e.channel)
	default:
		return false
	}
	return true
}

// Fan hands the messages of this turn to the members of their channels, in the
// order they came in. A run of messages for one channel is put together first,
// once for all members, so that each is handed one reference for the run.
func (l *Local) Fan() {
	for rest := l.queue; len(rest) > 0; {
		n, size := run(rest)
		members := rest[0].channel.local[l.reactor].members
		if len(members) > 0 {
			chunk := join(rest[:n], size)
			for _, p := range members {
				p.conn.Send(chunk)
			}
		}
		rest = rest[n:]
	}
	clear(l.queue)
	l.queue = l.queue[:0]
	if cap(l.queue) > maxIdleQueue {
		l.queue = nil
	}
}

const (
	maxIdleQueue = 4096     // messages: the capacity kept between turns
	chunkSize    = 64 << 10 // bytes: what one send may take at once
)

// run is how many messages at the front are for one channel and fit into a
// chunk, at least one, and the bytes of their frames.
func run(queue []*publication) (n, size int) {
	channel := queue[0].channel
	for n < len(queue) && queue[n].channel == channel && (n == 0 || size+len(queue[n].frame) <= chunkSize) {
		size += len(queue[n].frame)
		n++
	}
	return n, size
}

// join puts frames of size bytes together.
func join(messages []*publication, size int) []byte {
	if len(messages) == 1 {
		return messages[0].frame
	}
	chunk := make([]byte, 0, size)
	for _, p := range messages {
		chunk = append(chunk, p.frame...)
	}
	return chunk
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
