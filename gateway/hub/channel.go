package hub

import "sluice/loop"

// Channel is a channel that this node has members of.
type Channel struct {
	name string

	members   int    // over all reactors; guarded by Hub.mu
	confirmed uint64 // the Hub.epoch in which Redis confirmed it; 0: not yet; guarded by Hub.mu
	seats     []seat // one for each reactor; guarded by Hub.mu

	local []local // one for each reactor, owned by it
}

// seat is what the Hub knows of one reactor's members.
type seat struct {
	members int32
	waiting bool // some of them have not been told that Redis confirmed
}

// local is a reactor's own part of a channel.
type local struct{ members []place }

// place is one member in a reactor's list.
type place struct {
	conn   *loop.Conn
	member *Member
}

// Member is one connection's subscription to one channel. It belongs to the
// connection's reactor.
type Member struct {
	channel *Channel
	index   int32 // in local.members
	ready   bool  // Redis has confirmed the channel
}

// Name is the channel's name, "" after Leave.
func (m *Member) Name() string {
	if m.channel == nil {
		return ""
	}
	return m.channel.name
}

// Ready reports whether Redis has confirmed the subscription.
func (m *Member) Ready() bool { return m.ready }
