package hub

import (
	"errors"
	"slices"

	"sluice/loop"
	"sluice/pubsub"
)

// Recovery is what a channel's log has for members that resume. It belongs to their
// reactor, is shared by those of one position, and never changed.
type Recovery struct {
	Since     pubsub.Position // what the client had
	Err       error           // the log could not be read; then nothing below is set, and what comes live follows
	Position  pubsub.Position // go on from here
	Epoch     string          // that Position is of
	Recovered bool            // Messages is all that was published after what the client had
	Messages  []*Message      // oldest first; to be sent in any case

	local  *Local
	rules  *Rules
	frames []frame // of all messages together, made when they are first asked for
}

// errUnsteady is for readings that were overtaken again and again.
var errUnsteady = errors.New("the connection to Redis broke while the log was read")

// Encoded is all messages in a form, for Conn.Send: empty where there are none.
func (r *Recovery) Encoded(f Form, deflated bool) []byte {
	s := shapeOf(f, deflated)
	for i := range r.frames {
		if r.frames[i].shape == s {
			return r.frames[i].data
		}
	}
	var all []byte
	for _, m := range r.Messages {
		op, data := r.local.hub.encoders[f](m)
		if data == nil && op == 0 {
			continue
		}
		if deflated && op != 0 && r.rules.MinDeflate > 0 && len(data) >= r.rules.MinDeflate {
			if frame, ok := r.local.deflater.AppendFrame(all, op, data); ok {
				all = frame
				continue
			}
		}
		all = append(all, encoded(op, data)...)
	}
	r.frames = append(r.frames, frame{s, all})
	return all
}

// without is r without what a connection is not to get.
func (r *Recovery) without(life string, c *loop.Conn) *Recovery {
	if !slices.ContainsFunc(r.Messages, func(m *Message) bool { return m.Exclude != "" }) {
		return r
	}
	conn := ConnName(life, c.ID())
	if !slices.ContainsFunc(r.Messages, func(m *Message) bool { return m.Exclude == conn }) {
		return r
	}
	own := *r
	own.frames = nil
	own.Messages = slices.DeleteFunc(slices.Clone(r.Messages), func(m *Message) bool { return m.Exclude == conn })
	return &own
}

// wish is a member that wants the log.
type wish struct {
	place
	since  pubsub.Position
	limit  int
	newest bool
}

// group is members of one channel that wait for the same reading of its log. What
// comes live meanwhile is kept for them, once, and put together with the log when
// that has been read. Then they wait until what comes live has passed what they
// have, which it nearly always has.
type group struct {
	channel *Channel
	reading *reading
	waiting []place
	seen    []*Message      // live since before the reading
	until   pubsub.Position // they have everything up to here; 0: the reading has no answer
	gapped  bool            // something may have been missed since the log was asked, which it need not show
}

// resume puts a member, whose channel Redis has confirmed, into the group that waits
// for the reading that it needs.
func (l *Local) resume(p *part, w wish) {
	channel := w.member.channel
	w.member.stage = resuming
	r := l.hub.ask(readingKey{channel, w.since, w.limit, w.newest}, l.reactor)
	g := l.groups[r]
	if g == nil {
		g = &group{channel: channel, reading: r}
		l.groups[r] = g
		p.special().groups = append(p.more.groups, g)
	}
	g.waiting = append(g.waiting, w.place)
	l.resuming[w.member] = g
}

// ask has the channel's log read, unless the answer is known: then it is there at once.
func (h *Hub) ask(key readingKey, reactor int) *reading {
	s := h.streamOf(key.channel)
	if !s.mu.TryLock() { // a fill may be under way, which takes longer than a reactor can wait
		return h.log.share(key, reactor)
	}
	defer s.mu.Unlock()
	if known := s.keptFor(key); known != nil {
		r := &reading{readingKey: key, reactors: []int{reactor}, live: s.chain.last, history: *known}
		h.answered(r)
		return r
	}
	return h.log.share(key, reactor)
}

// answered puts the answer to a reading among the messages for those who wait for it.
func (h *Hub) answered(r *reading) {
	for _, reactor := range r.reactors {
		h.reactors[reactor].Post(&publication{channel: r.channel, answer: r})
	}
}

// onlyResuming says whether no member is sent what comes live on a channel, as yet.
func (h *Hub) onlyResuming(c *Channel) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return c.members == c.resuming
}

// giveUp takes a member out of the line of those who wait for the log.
func (l *Local) giveUp(p *part, m *Member) {
	isIt := func(at place) bool { return at.member == m }
	g := l.resuming[m]
	delete(l.resuming, m)
	if g == nil {
		p.more.wishes = slices.DeleteFunc(p.more.wishes, func(w wish) bool { return isIt(w.place) })
		return
	}
	g.waiting = slices.DeleteFunc(g.waiting, isIt)
	if len(g.waiting) == 0 {
		l.dissolve(p, g)
	}
}

func (l *Local) dissolve(p *part, g *group) {
	if l.groups[g.reading] == g {
		delete(l.groups, g.reading)
		l.hub.log.unshare(g.reading, l.reactor)
	}
	p.more.groups = slices.DeleteFunc(p.more.groups, func(other *group) bool { return other == g })
}

// answer gives a group what it waits for. Of its members any may leave meanwhile.
func (l *Local) answer(r *reading) {
	g := l.groups[r]
	if g == nil {
		return // all have left
	}
	delete(l.groups, r)
	recovery := l.recovery(g)
	g.seen, g.until = nil, recovery.Position
	there := r.err != nil || r.live >= recovery.Position // all that they have has come live, too, or will not
	for _, at := range slices.Clone(g.waiting) {
		if l.resuming[at.member] != g {
			continue // it has left
		}
		at.member.stage = catching
		l.count(r, recovery)
		l.events.Confirmed(at.conn, at.member, recovery.without(l.hub.life, at.conn))
		// Where the log was read before the gap, what comes next is from behind it, and does not follow.
		if g.gapped && l.resuming[at.member] == g && at.member.marks.has(markTelling) {
			l.events.Gap(at.conn, at.member)
		}
	}
	if p := l.parts[g.channel]; there && p != nil && len(g.waiting) > 0 {
		l.settle(p, g)
	}
}

// recovery is what the answer to a group's reading comes to.
func (l *Local) recovery(g *group) *Recovery {
	r, rules := g.reading, g.channel.rules.Load()
	recovery := &Recovery{Since: r.since, Err: r.err, local: l, rules: rules}
	if r.err != nil {
		return recovery
	}
	history := r.history // shared with other reactors
	if g.gapped {
		history.Proven = false
	}
	m := merge(&history, g.channel.name, g.seen, rules.recovery())
	if r.newest && !g.gapped {
		m = mergeNewest(&history, r.since, g.channel.name, g.seen)
	}
	recovery.Position, recovery.Epoch, recovery.Recovered, recovery.Messages = m.position, m.epoch, m.recovered, m.messages
	return recovery
}

func (l *Local) count(r *reading, recovery *Recovery) {
	switch {
	case r.since == 0:
	case recovery.Recovered:
		l.hub.recovered.Add(1)
	default:
		l.hub.reset.Add(1)
	}
}

// settle makes a group's members live.
func (l *Local) settle(p *part, g *group) {
	n := 0
	for _, at := range g.waiting {
		delete(l.resuming, at.member)
		at.member.stage = live
		p.row(at.member.shape).add(at)
		n++
	}
	l.dissolve(p, g)
	l.hub.resumed(g.channel, n)
}

// resumed counts n members among those that are sent what comes.
func (h *Hub) resumed(c *Channel, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.resuming -= n
}

// fanWatched hands on a message of a channel that members resume on.
func (l *Local) fanWatched(p *part, run []*publication) {
	m := run[0].message
	var settled []*group
	for _, g := range slices.Clone(p.more.groups) {
		switch {
		case m == nil: // it came before they were there
		case g.until == 0:
			g.seen = append(g.seen, m)
		case m.Position == 0:
			l.fanTo(g.waiting, run)
		case m.Position > g.until:
			l.settle(p, g)
		case m.Position == g.until:
			settled = append(settled, g)
		}
	}
	l.fanRows(p, run, int(run[0].size))
	for _, g := range settled {
		l.settle(p, g)
	}
}

// fanTo hands a message to some members, whatever shape they take.
func (l *Local) fanTo(members []place, run []*publication) {
	for _, at := range members {
		l.fan(run, at.member.shape, 0, []place{at})
	}
}
