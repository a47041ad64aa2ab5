package session

import (
	"strconv"
	"sync/atomic"

	"go.uber.org/zap"

	"sluice/codec"
	"sluice/gateway/centrifuge"
	"sluice/gateway/hub"
	"sluice/gateway/reason"
	"sluice/loop"
	"sluice/pubsub"
)

// Inbox is where what clients say goes.
type Inbox interface {
	Add(pubsub.Entry) error
	Busy() bool // what can wait should
}

// Node is what the handlers of all reactors share. Its fields are set before
// the first request and not changed afterwards.
type Node struct {
	ID       string // this node's name
	Life     string // and of this life of it: what its connections' names begin with
	Hub      *hub.Hub
	Inbox    Inbox
	Presence Presence // nil: none is kept
	Errands  *Errands
	Policy   Policy       // at the start; see InForce
	Ready    func() error // nil: clients can be served
	Alive    func() error // nil: the process works
	Log      *zap.Logger  // must not block
	Version  string       // of this program
	Reply    string       // the Redis channel that reaches this node's connections

	Counters Counters
	crowd    crowd

	reloaded atomic.Pointer[Policy] // nil: Policy is in force
}

// InForce is the policy that holds now. Any goroutine may ask.
func (n *Node) InForce() *Policy {
	if p := n.reloaded.Load(); p != nil {
		return p
	}
	return &n.Policy
}

// Enforce has another policy hold from now on. Whether addresses and users are counted
// (PerAddress, PerUser) stays as it was at the start: those who are there are counted or
// are not.
func (n *Node) Enforce(p *Policy) {
	if p.PerAddress == 0 || n.Policy.PerAddress == 0 {
		p.PerAddress = n.Policy.PerAddress
	}
	if p.PerUser == 0 || n.Policy.PerUser == 0 {
		p.PerUser = n.Policy.PerUser
	}
	n.reloaded.Store(p)
}

// Counters are the node's figures of clients. Any goroutine may read them.
type Counters struct {
	Refused     [600]atomic.Int64 // requests by HTTP status
	Closed      Closes            // WebSocket connections ended, by code and by who closed
	Reasons     Reasons           // of refusals, and of closes by this node
	Steered     atomic.Int64      // connections that services had something done about
	PerAddress  atomic.Int64      // of the refused, for Policy.PerAddress
	PerUser     atomic.Int64      // for Policy.PerUser
	Channels    atomic.Int64      // for Policy.MaxChannels
	InboxFailed atomic.Int64      // entries that the inbox did not take, or Redis did not
	ManyCalls   atomic.Int64      // calls refused for Policy.MaxCalls
	Calls       CallCounters
}

// Closes counts ended connections by the name of their close code and by who
// closed.
type Closes struct {
	local, peer [5000]atomic.Int64
}

func (c *Closes) add(end loop.End) {
	if int(end.Code) >= len(c.local) {
		return
	}
	if end.Local {
		c.local[end.Code].Add(1)
	} else {
		c.peer[end.Code].Add(1)
	}
}

// Each calls f for every name that has been counted and who closed, "node" or
// "client", with the sum of its codes.
func (c *Closes) Each(f func(code, by string, n int64)) {
	for by, counts := range map[string]*[5000]atomic.Int64{"node": &c.local, "client": &c.peer} {
		sums := map[string]int64{}
		for code := range counts {
			n := counts[code].Load()
			if n == 0 {
				continue
			}
			sums[closeName(codec.StatusCode(code), by == "node")] += n
		}
		for name, n := range sums {
			f(name, by, n)
		}
	}
}

// closeName is the name of a close code, from a closed set.
func closeName(code codec.StatusCode, local bool) string {
	if local && code >= 3000 && code < 4000 { // of the centrifuge dialect, which has few
		return strconv.Itoa(int(code))
	}
	return code.String()
}

// refused counts and logs a refusal. The text of the line is the reason, so that
// the log has one line a second for each reason at most.
func (n *Node) refused(c *loop.Conn, err *codec.HTTPError) {
	if err.Status < len(n.Counters.Refused) {
		n.Counters.Refused[err.Status].Add(1)
	}
	n.Counters.Reasons.refuse(err.Reason)
	switch err {
	case errAddress:
		n.Counters.PerAddress.Add(1)
	case errUser:
		n.Counters.PerUser.Add(1)
	case errManyChan:
		n.Counters.Channels.Add(1)
	}
	n.Log.Info("refused: "+err.Reason, zap.Int("status", err.Status), zap.String("conn", hub.ConnName(n.Life, c.ID())), zap.Stringer("remote", c.Remote()),
		zap.String("why", string(reason.Of(err.Reason))))
}

// why is the reason of an end, by its code; "client" where that has closed, or just left.
func why(end loop.End) string {
	if !end.Local {
		return "client"
	}
	return string(reason.Of(end.Reason))
}

// ended counts and logs the end of a WebSocket connection.
func (n *Node) ended(c *loop.Conn, end loop.End) {
	n.Counters.Closed.add(end)
	if end.Local {
		n.Counters.Reasons.close(closeName(end.Code, true), end.Reason)
	}
	level, message := zap.DebugLevel, "connection ended"
	if end.Local && end.Code != codec.StatusServiceRestart && end.Code != centrifuge.Shutdown.Code {
		level, message = zap.InfoLevel, "closed: "+end.Reason // a constant text: it was our decision …
		if end.Code >= 4000 {
			message = "closed: a service has said so" // … or a service's, whose reasons may be many
		}
	}
	if line := n.Log.Check(level, message); line != nil {
		line.Write(zap.String("conn", hub.ConnName(n.Life, c.ID())), zap.Stringer("remote", c.Remote()),
			zap.Uint16("code", uint16(end.Code)), zap.String("reason", end.Reason), zap.String("why", why(end)))
	}
}
