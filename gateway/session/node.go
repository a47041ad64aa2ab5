package session

import (
	"sync/atomic"

	"go.uber.org/zap"

	"sluice/codec"
	"sluice/gateway/hub"
	"sluice/pubsub"
)

// Inbox is where what clients say goes.
type Inbox interface {
	Add(pubsub.Entry) error
}

// Node is what the handlers of all reactors share. Its fields are set before
// the first request and not changed afterwards.
type Node struct {
	ID     string // this node's name
	Hub    *hub.Hub
	Inbox  Inbox
	Policy Policy
	Ready  func() error // nil: clients can be served
	Alive  func() error // nil: the process works
	Log    *zap.Logger  // must not block
	Reply  string       // the Redis channel that reaches this node's connections

	Counters Counters
}

// Counters are the node's figures of clients. Any goroutine may read them.
type Counters struct {
	Refused     [600]atomic.Int64 // requests by HTTP status
	Closed      Closes            // WebSocket connections ended, by code
	InboxFailed atomic.Int64      // entries that the inbox did not take, or Redis did not
}

// Closes counts ended connections by the name of their close code.
type Closes struct {
	byCode [5000]atomic.Int64
}

func (c *Closes) add(code codec.StatusCode) {
	if int(code) < len(c.byCode) {
		c.byCode[code].Add(1)
	}
}

// Each calls f for every name that has been counted, with the sum of its codes.
func (c *Closes) Each(f func(name string, n int64)) {
	sums := map[string]int64{}
	for code := range c.byCode {
		if n := c.byCode[code].Load(); n > 0 {
			sums[codec.StatusCode(code).String()] += n
		}
	}
	for name, n := range sums {
		f(name, n)
	}
}

// refuse answers a request with an error and counts it.
func (n *Node) refuse(c conn, err *codec.HTTPError) {
	if err.Status < len(n.Counters.Refused) {
		n.Counters.Refused[err.Status].Add(1)
	}
	c.Refuse(err)
}

// conn is the part of loop.Conn that answers requests.
type conn interface {
	Refuse(*codec.HTTPError)
}
