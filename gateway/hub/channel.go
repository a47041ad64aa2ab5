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
	MinDeflate int // bytes: messages from this size on are deflated for members who can take that; 0: none are
}

// Channel is a channel that this node has members of.
type Channel struct {
	name  string
	rules Rules

	members   int    // over all reactors; guarded by Hub.mu
	confirmed uint64 // the Hub.epoch in which Redis confirmed it; 0: not yet; guarded by Hub.mu
	seats     []seat // one for each reactor; guarded by Hub.mu

	local []local // one for each reactor, owned by it
}

// seat is what the Hub knows of one reactor's members.
type seat struct {
	members   int32
	deflating int32 // of members, those who take deflated frames
	waiting   bool  // some of them have not been told that Redis confirmed
}

// local is a reactor's own part of a channel.
type local struct{ members [forms][]place }

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
	index   int32 // in local.members of its form
	form    form
	ready   bool // Redis has confirmed the channel
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
