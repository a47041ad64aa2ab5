package hub

import (
	"cmp"
	"iter"
	"sync/atomic"

	"sluice/loop"
	"sluice/pubsub"
)

// Policy is what becomes of messages for a member that reads too slowly.
type Policy uint8

// The policies of channels.
const (
	Disconnect Policy = iota // it is closed when the queue of its connection is full: it knows that it missed something
	Drop                     // it misses what does not fit into the queue of its connection
	Latest                   // while its socket is full it is kept only the newest message of the channel
)

// Rules are what holds for a channel.
type Rules struct {
	Policy     Policy
	Gaps       *Gaps
	Usage      *Usage
	Recovery   int // bytes of payloads that who resumes is sent of what the log has, at most; 0: 1 MiB
	MinDeflate int // bytes: messages from this size on are deflated for members who can take that; 0: none are
}

// recovery is Recovery, or its default.
func (r *Rules) recovery() int { return cmp.Or(r.Recovery, maxRecovery) }

// maxRecovery is what a recovery takes from the log where the rules do not say, in bytes.
const maxRecovery = 1 << 20

// Channel is a channel that this node has members of.
type Channel struct {
	hub   *Hub
	name  string
	rules atomic.Pointer[Rules]

	members  int     // over all reactors; guarded by Hub.mu
	resuming int     // of them, those whose messages wait for the log; guarded by Hub.mu
	takes    takers  // members by the shape that they take; guarded by Hub.mu
	stream   *stream // nil: no message with a position has come, and nobody has asked for the log; set once; guarded by Hub.mu
	seats    []seat  // of the reactors that have members, in no order: most channels have few; guarded by Hub.mu
	carrier
}

// seat is what the Hub knows of one reactor's members.
type seat struct {
	reactor int32
	members int32
	telling int32 // of members, those for whom gaps matter
	waiting bool  // some of them have not been told that Redis confirmed
	gapped  bool  // what it was handed last of a channel with a log is the news of a gap, which it has not told; guarded by the stream's lock, too
}

// seat is the reactor's, made where it has none.
func (c *Channel) seat(reactor int) *seat {
	for i := range c.seats {
		if c.seats[i].reactor == int32(reactor) {
			return &c.seats[i]
		}
	}
	c.seats = append(c.seats, seat{reactor: int32(reactor)})
	return &c.seats[len(c.seats)-1]
}

// part is a reactor's own part of a channel: its members, by the shape they take.
// Nearly always all take the same.
type part struct {
	first row
	more  *more // nil: there is nothing else
}

// more is what few parts have.
type more struct {
	rows   []*row   // of further shapes
	wishes []wish   // members who want the log and wait for Redis' confirmation
	groups []*group // members who wait for the log, or for what comes live to reach what they have from it
}

// row is the members that take one shape.
type row struct {
	places []place
	shape  shape
}

// place is one member in a reactor's list.
type place struct {
	conn   *loop.Conn
	member *Member
}

// rows are all that there are, some of them empty.
func (p *part) rows() iter.Seq[*row] {
	return func(yield func(*row) bool) {
		if !yield(&p.first) || p.more == nil {
			return
		}
		for _, r := range p.more.rows {
			if !yield(r) {
				return
			}
		}
	}
}

// row is that of a shape, made where there is none.
func (p *part) row(s shape) *row {
	var free *row
	for r := range p.rows() {
		if r.shape == s {
			return r
		}
		if len(r.places) == 0 {
			free = r
		}
	}
	if free != nil {
		free.shape = s
		return free
	}
	m := p.special()
	free = &row{shape: s}
	m.rows = append(m.rows, free)
	return free
}

func (p *part) special() *more {
	if p.more == nil {
		p.more = new(more)
	}
	return p.more
}

// isEmpty says whether it has no members.
func (p *part) isEmpty() bool {
	for r := range p.rows() {
		if len(r.places) > 0 {
			return false
		}
	}
	return p.more == nil || len(p.more.wishes)+len(p.more.groups) == 0
}

// isWatched says whether every message has to be looked at for members who resume.
func (p *part) isWatched() bool { return p.more != nil && len(p.more.groups) > 0 }

// Member is one connection's subscription to one channel. It belongs to the
// connection's reactor, and does not move while it is one.
type Member struct {
	channel *Channel
	late    *late // where the policy is Latest and the socket full: the message that waits
	index   int32 // in its row
	shape   shape
	marks   marks
	stage   stage // how far it has come
}

// marks are a member's yes-or-no facts.
type marks uint8

const (
	markTelling  marks = 1 << iota // it wants to be told of gaps
	markRecovers                   // it is given a Recovery
	markDropped                    // it has missed a message by the policy Drop, and is to be told
)

func (m marks) has(x marks) bool { return m&x != 0 }

// stage is how far a member has come. It moves down this list.
type stage uint8

const (
	joined   stage = iota // Redis has not confirmed the channel
	resuming              // it waits for the log
	catching              // it has what the log had; what comes live has not reached that yet
	live                  // it is sent what comes
)

// Wants is how a member wants its channel's messages.
type Wants struct {
	Form     Form
	Deflated bool // it takes deflated frames
	Gaps     bool // it wants to be told when messages may have been missed

	Recover bool            // Confirmed comes with a Recovery, read from the channel's log once Redis has confirmed the channel
	Since   pubsub.Position // the client has everything up to here; 0: nothing
	Limit   int             // of the messages of a recovery; 0: only the position is wanted
	Newest  bool            // the newest message is all that counts: a recovery is that, unless the client has it
}

// marks are what it wants for good.
func (w *Wants) marks() (m marks) {
	if w.Gaps {
		m |= markTelling
	}
	if w.Recover {
		m |= markRecovers
	}
	return m
}

// late is a message that waits until its member's socket has taken what was sent.
type late struct {
	frame   []byte
	message *Message // nil: the frame is finished
}

// Name is the channel's name, "" after Leave.
func (m *Member) Name() string {
	if m.channel == nil {
		return ""
	}
	return m.channel.name
}

// Ready reports whether Confirmed has been called, or need not be.
func (m *Member) Ready() bool { return m.stage >= catching }
