package hub

import (
	"slices"

	"sluice/codec"
	"sluice/loop"
)

// Local is one reactor's half of the channel table. It belongs to that reactor.
type Local struct {
	hub      *Hub
	reactor  int
	events   Events
	parts    map[*Channel]*part
	groups   map[*reading]*group // that wait for the log
	resuming map[*Member]*group  // nil: the member waits for Redis' confirmation
	deflater codec.Deflater      // for what was read from the log

	queue  []*publication // this turn's messages, in the order of Redis
	fanned int            // of queue
}

// Events are what a reactor is told of its members, on that reactor.
type Events struct {
	// Confirmed says that Redis has confirmed the channel, after Join. r is nil unless
	// it was wanted; what comes after its position follows.
	Confirmed func(c *loop.Conn, m *Member, r *Recovery)
	// Gap says that messages may have been missed, to members that want to know.
	Gap func(*loop.Conn, *Member)
	// Finish is given a message that has a position, in the form Options.Finished, and
	// returns what this one member is sent in its place.
	Finish func(c *loop.Conn, m *Member, message *Message, frame []byte) []byte
}

// Local makes the half for one reactor.
func (h *Hub) Local(reactor int, events Events) *Local {
	return &Local{hub: h, reactor: reactor, events: events, parts: map[*Channel]*part{}, groups: map[*reading]*group{}, resuming: map[*Member]*group{}}
}

// Join makes m a member of the named channel on behalf of c. Where m is not Ready
// at once, the reactor is told when it is.
func (l *Local) Join(c *loop.Conn, m *Member, name string, wants Wants) {
	channel, ready := l.hub.join(name, l.reactor, &wants)
	p := l.parts[channel]
	if p == nil {
		p = new(part)
		l.parts[channel] = p
	}
	*m = Member{channel: channel, shape: shapeOf(wants.Form, wants.Deflated), marks: wants.marks()}
	at := place{c, m}
	switch {
	case !wants.Recover:
		p.row(m.shape).add(at)
		if ready {
			m.stage = live
		}
	case ready:
		l.resume(p, wish{at, wants.Since, wants.Limit, wants.Newest})
	default:
		p.special().wishes = append(p.more.wishes, wish{at, wants.Since, wants.Limit, wants.Newest})
		l.resuming[m] = nil
	}
}

// Leave ends a membership. It may be called twice.
func (l *Local) Leave(m *Member) {
	channel := m.channel
	if channel == nil {
		return
	}
	p := l.parts[channel]
	if m.marks.has(markRecovers) && m.stage < live {
		l.giveUp(p, m)
	} else {
		p.row(m.shape).remove(int(m.index))
	}
	if p.isEmpty() {
		delete(l.parts, channel)
	}
	l.hub.leave(m, l.reactor)
	*m = Member{}
}

func (r *row) add(at place) {
	at.member.index = int32(len(r.places))
	r.places = append(r.places, at)
}

func (r *row) remove(index int) {
	last := len(r.places) - 1
	moved := r.places[last]
	r.places[index] = moved
	moved.member.index = int32(index)
	r.places[last] = place{}
	r.places = r.places[:last]
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
	p := l.parts[rest[0].channel]
	n, size := 1, int(rest[0].size)
	if p == nil || !p.isWatched() {
		n, size = run(rest)
	}
	// First, so that what panics is not met again.
	l.fanned += n
	switch {
	case rest[0].answer != nil:
		l.answer(rest[0].answer)
	case p == nil: // all have left meanwhile
	case rest[0].gap:
		l.hub.toldHere(rest[0].channel, l.reactor)
		l.tellGap(p)
	case p.isWatched():
		l.fanWatched(p, rest[:1])
	default:
		l.fanRows(p, rest[:n], size)
	}
	return true
}

func (l *Local) fanRows(p *part, run []*publication, size int) {
	for r := range p.rows() {
		if len(r.places) > 0 {
			l.fan(run, r.shape, size, r.places)
		}
	}
}

// fan hands a run of messages for one channel, with frames of size bytes at most, to
// the members that take them in a shape.
func (l *Local) fan(run []*publication, s shape, size int, members []place) {
	if f := s.form(); f != 0 && f == l.hub.finished && slices.ContainsFunc(run, func(p *publication) bool { return p.message != nil }) {
		l.fanFinished(run, s, members)
		return
	}
	chunk := join(run, s, size)
	if len(chunk) == 0 {
		return
	}
	if run[0].excludes { // it is a run of one
		members = slices.DeleteFunc(slices.Clone(members), func(p place) bool { return p.conn.ID() == run[0].exclude })
	}
	l.hand(run, chunk, newest(run, s), members)
}

// fanFinished is fan where each member is sent messages of its own.
func (l *Local) fanFinished(run []*publication, s shape, members []place) {
	for i, p := range run {
		frame := p.as(s)
		if frame == nil {
			continue
		}
		for j, at := range members {
			if p.excludes && at.conn.ID() == p.exclude {
				continue
			}
			if p.message == nil || p.message.Position == 0 {
				l.hand(run[i:i+1], frame, frame, members[j:j+1])
				continue
			}
			l.handFinished(run[i:i+1], frame, at)
		}
	}
}

// handFinished gives a member a run of one message that has a position. Where the
// newest message is kept for later it is finished when it is sent.
func (l *Local) handFinished(run []*publication, frame []byte, at place) {
	m := run[0].message
	if run[0].channel.rules.Load().Policy == Latest && at.conn.Backed() {
		l.keepNewest(at, frame, frame, 1)
		at.member.late.message = m
		return
	}
	frame = l.events.Finish(at.conn, at.member, m, frame)
	l.hand(run, frame, frame, []place{at})
}

// hand gives members the chunk of a run, of which the last message is newest, as the
// channel's policy says. What they are sent is counted once for all: they take the same
// form, and so are of the same kind.
func (l *Local) hand(run []*publication, chunk, newest []byte, members []place) {
	taken := 0
	switch run[0].channel.rules.Load().Policy {
	case Disconnect:
		for _, p := range members {
			if p.conn.Send(chunk) {
				taken++
			}
		}
	case Drop:
		for _, p := range members {
			if p.member.marks.has(markDropped) || !p.conn.Offer(chunk) {
				l.hub.dropped.Add(int64(len(run)))
				noteDrop(p, run)
				continue
			}
			taken++
		}
	case Latest:
		for _, p := range members {
			if l.keepNewest(p, chunk, newest, len(run)) {
				taken++
			}
		}
	}
	if taken > 0 {
		members[0].conn.CountOut(taken * len(run))
		run[0].channel.rules.Load().Usage.went(taken * len(run))
	}
}

// noteDrop sees to it that a member which counts on having everything is told, once
// its socket takes something again, that it has not. Until then it gets nothing more:
// it would take the next message for a place to go on from.
func noteDrop(p place, run []*publication) {
	if p.member.marks.has(markDropped) || !p.member.marks.has(markTelling) {
		return
	}
	if slices.ContainsFunc(run, func(p *publication) bool { return p.message != nil && p.message.Position != 0 }) {
		p.member.marks |= markDropped
		p.conn.TellDrained()
	}
}

// newest is the last message of a run that there is in the shape.
func newest(run []*publication, s shape) []byte {
	for _, p := range slices.Backward(run) {
		if frame := p.as(s); frame != nil {
			return frame
		}
	}
	return nil
}

// keepNewest sends a run of n messages to a member, or, where its socket is full,
// keeps the newest of them in place of the one that it kept before.
func (l *Local) keepNewest(p place, chunk, newest []byte, n int) (sent bool) {
	if p.member.late != nil { // also where the socket has just become writable: Drained comes later, with what is older
		l.hub.conflated.Add(1)
		p.member.late = nil
	}
	if !p.conn.Backed() {
		return p.conn.Send(chunk)
	}
	l.hub.conflated.Add(int64(n - 1))
	p.member.late = &late{frame: newest}
	p.conn.TellDrained()
	return false
}

// Drained sends c, whose socket has taken all that it was sent, what was kept for
// its membership m meanwhile, or tells that it has missed something.
func (l *Local) Drained(c *loop.Conn, m *Member) {
	if m.marks.has(markDropped) {
		m.marks &^= markDropped
		l.events.Gap(c, m)
	}
	if m.late == nil {
		return
	}
	frame := m.late.frame
	if message := m.late.message; message != nil {
		frame = l.events.Finish(c, m, message, frame)
	}
	if c.Send(frame) {
		c.CountOut(1)
		m.channel.rules.Load().Usage.went(1)
	}
	m.late = nil
}

const (
	maxIdleQueue = 4096     // messages: the capacity kept between turns
	chunkSize    = 64 << 10 // bytes: what one send may take at once
)

// run is how many messages at the front are for one channel and fit into a
// chunk, at least one, and the bytes of their frames. One that a member is not to
// get is alone, and so is news.
func run(queue []*publication) (n, size int) {
	front := queue[0]
	if front.excludes || front.isNews() {
		return 1, int(front.size)
	}
	for _, p := range queue {
		if n > 0 && (p.channel != front.channel || p.excludes || p.isNews() || size+int(p.size) > chunkSize) {
			break
		}
		size += int(p.size)
		n++
	}
	return n, size
}

// join puts the messages together in a shape, for which size is a hint.
func join(messages []*publication, s shape, size int) []byte {
	if len(messages) == 1 {
		return messages[0].as(s)
	}
	chunk := make([]byte, 0, size)
	for _, p := range messages {
		chunk = append(chunk, p.as(s)...)
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
	if p.more != nil {
		wishes := p.more.wishes
		p.more.wishes = nil
		for _, w := range wishes {
			l.resume(p, w)
		}
	}
	for r := range p.rows() {
		for i := len(r.places) - 1; i >= 0; i-- {
			if i >= len(r.places) {
				continue
			}
			if at := r.places[i]; at.member.stage == joined {
				at.member.stage = live
				l.events.Confirmed(at.conn, at.member, nil)
			}
		}
	}
}
