package hub

import "sluice/loop"

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
	MinDeflate int // bytes: messages from this size on are deflated for members who can take that; 0: none are
}

// Channel is a channel that this node has members of.
type Channel struct {
	name  string
	rules Rules

	members   int    // over all reactors; guarded by Hub.mu
	lane      *lane  // that Redis confirmed it on last; nil: none yet; guarded by Hub.mu
	confirmed uint64 // that lane's epoch when it did; 0: it moved away since; guarded by Hub.mu
	moved     bool   // it moved away since; guarded by Hub.mu
	seats     []seat // of the reactors that have members, in no order: most channels have few; guarded by Hub.mu
}

// isConfirmed says whether what is published now arrives. Hub.mu is held.
func (c *Channel) isConfirmed() bool { return c.lane != nil && c.confirmed == c.lane.epoch }

// deflates says whether a message of size bytes is to be deflated: a member takes
// that, and it is long enough. Hub.mu is held.
func (c *Channel) deflates(size int) bool {
	if least := c.rules.MinDeflate; least == 0 || size < least {
		return false
	}
	for i := range c.seats {
		if c.seats[i].deflating > 0 {
			return true
		}
	}
	return false
}

// seat is what the Hub knows of one reactor's members.
type seat struct {
	reactor   int32
	members   int32
	deflating int32 // of members, those who take deflated frames
	telling   int32 // of members, those who want to be told of gaps
	waiting   bool  // some of them have not been told that Redis confirmed
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

// part is a reactor's own part of a channel: its members, by the form they take.
type part [forms][]place

// size is how many members there are.
func (p *part) size() (n int) {
	for f := range forms {
		n += len(p[f])
	}
	return n
}

// form is one of the ways in which a message is encoded.
type form uint8

const (
	plain    form = iota
	deflated      // permessage-deflate
	forms
)

// place is one member in a reactor's list.
type place struct {
	conn   *loop.Conn
	member *Member
}

// Member is one connection's subscription to one channel. It belongs to the
// connection's reactor.
type Member struct {
	channel *Channel
	late    *late // where the policy is Latest and the socket full: the message that waits
	index   int32 // in the part, among those of its form
	form    form
	telling bool // it wants to be told of gaps
	ready   bool // Redis has confirmed the channel
}

// Wants is how a member wants its channel's messages.
type Wants struct {
	Deflated bool // it takes deflated frames
	Gaps     bool // it wants to be told when messages may have been missed
}

// late is a message that waits until its member's socket has taken what was sent.
type late struct{ frame []byte }

// Name is the channel's name, "" after Leave.
func (m *Member) Name() string {
	if m.channel == nil {
		return ""
	}
	return m.channel.name
}

// Ready reports whether Redis has confirmed the subscription.
func (m *Member) Ready() bool { return m.ready }
