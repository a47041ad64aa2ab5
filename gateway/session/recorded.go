package session

import (
	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

// A node's open connections stand in Redis, beside the inbox, so that the entries of
// one that dies can be completed. Where Redis has lost them, or other nodes have
// completed the entries of this one though it lives, it reports its connections again.

// Restate is posted to a reactor that is to report its connections again.
type Restate struct{}

// Recorded is posted to a reactor: connections of which Redis says that they are open.
// For those that are not, it reports that they have ended.
type Recorded struct{ Conns []pubsub.Recorded }

// RecordedBy sorts what a record holds by reactor. What is not of this life is left out.
func (n *Node) RecordedBy(list []pubsub.Recorded) map[int]Recorded {
	by := map[int]Recorded{}
	for _, r := range list {
		if id, ok := hub.ParseConn(n.Life, r.Conn); ok {
			of := by[id.Reactor()]
			of.Conns = append(of.Conns, r)
			by[id.Reactor()] = of
		}
	}
	return by
}

// restateBatch is how many connections a reactor reports again in one tick: 10,000 a
// second.
const restateBatch = 1000

// restate notes all connections that have been reported.
func (h *Handler) restate() {
	h.restating = h.restating[:0]
	for c := range h.r.Conns() {
		if g := reported(c); g != nil {
			h.restating = append(h.restating, c.ID())
		}
	}
}

// reported is the guest of a connection that the inbox has been told of, nil if it
// has not.
func reported(c *loop.Conn) *guest {
	if s, ok := c.Session.(interface{ self() *guest }); ok && s.self().reported {
		return s.self()
	}
	return nil
}

// restateSome reports some of the connections that are left, where the inbox has room.
func (h *Handler) restateSome() {
	if len(h.restating) == 0 || h.node.Inbox.Busy() {
		return
	}
	n := min(len(h.restating), restateBatch)
	for _, id := range h.restating[:n] {
		c := h.r.Conn(id)
		if c == nil {
			continue
		}
		if g := reported(c); g != nil {
			h.report(c, g, pubsub.Entry{Type: "connect", Channel: channelsOf(c)}, nil)
		}
	}
	if h.restating = h.restating[n:]; len(h.restating) == 0 {
		h.restating = nil
	}
}

// channelsOf are the channels that a connection has, put together with spaces, where
// its dialect says so.
func channelsOf(c *loop.Conn) string {
	switch s := c.Session.(type) {
	case interface{ channelNames() string }:
		return s.channelNames()
	case interface{ channels() string }:
		return s.channels()
	}
	return ""
}

// reasonLost is the data of a disconnect entry in place of one that Redis has lost.
const reasonLost = "1006 it ended, and Redis has lost what was said of it"

// checkRecorded reports the end of those that have ended.
func (h *Handler) checkRecorded(list []pubsub.Recorded) {
	for _, r := range list {
		id, ok := hub.ParseConn(h.node.Life, r.Conn)
		if !ok {
			continue
		}
		if c := h.r.Conn(id); c != nil && reported(c) != nil {
			continue
		}
		h.add(pubsub.Entry{Type: "disconnect", ID: r.Conn + ".lost", Conn: r.Conn, User: r.User, Channel: r.Channel, Data: []byte(reasonLost)}, nil)
	}
}
