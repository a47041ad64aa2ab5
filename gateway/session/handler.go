package session

import (
	"sluice/codec"
	"sluice/gateway/hub"
	"sluice/gateway/story"
	"sluice/loop"
)

// Handler serves the clients of one reactor and belongs to it.
type Handler struct {
	node   *Node
	local  *hub.Local
	r      *loop.Reactor
	expiry *expiry // of tokens
	ages   *expiry // of connections
	calls  *calls
	asking map[loop.ConnID]*asking // of the connections that have asked for something
	crew   crew

	batch     batch
	recovered recovered

	endings story.Endings

	restating []loop.ConnID // connections to be reported to the inbox again
}

// NewHandler makes the handler of a reactor.
func NewHandler(n *Node, r *loop.Reactor) *Handler {
	open := func(id loop.ConnID) bool { return r.Conn(id) != nil }
	h := &Handler{node: n, r: r, expiry: newExpiry(open), ages: newExpiry(open), calls: newCalls(&n.Counters.Calls),
		asking: map[loop.ConnID]*asking{}, crew: crew{users: roll{}, tokens: roll{}, shown: roll{}}}
	h.local = n.Hub.Local(r.Index(), hub.Events{Confirmed: h.subscribed, Gap: h.gap, Finish: h.finish})
	return h
}

// subscribed is told of each member whose channel Redis has confirmed.
func (h *Handler) subscribed(c *loop.Conn, m *hub.Member, r *hub.Recovery) {
	if s, ok := c.Session.(subscriber); ok {
		s.subscribed(h, c, m, r)
	}
}

// gap is told of each member that may have missed messages and wants to know.
func (h *Handler) gap(c *loop.Conn, m *hub.Member) {
	if s, ok := c.Session.(subscriber); ok {
		s.gap(h, c, m)
	}
}

// finish makes a message of an event stream its client's own.
func (*Handler) finish(c *loop.Conn, m *hub.Member, message *hub.Message, frame []byte) []byte {
	if s, ok := c.Session.(*events); ok {
		return s.finish(m, message, frame)
	}
	return frame
}

// dialect is how a connection's messages are understood. It is the
// connection's Session.
type dialect interface {
	message(h *Handler, c *loop.Conn, op codec.Opcode, payload []byte)
	direct(c *loop.Conn, d *hub.Direct) (sent bool)
	closed(h *Handler, c *loop.Conn, end loop.End)
}

// subscriber is a dialect whose connections have channels.
type subscriber interface {
	dialect
	subscribed(h *Handler, c *loop.Conn, m *hub.Member, r *hub.Recovery) // r nil unless the log was wanted
	gap(h *Handler, c *loop.Conn, m *hub.Member)
	drained(h *Handler, c *loop.Conn) // the socket has taken all that it was sent
}

// OnRequest implements loop.Handler.
func (h *Handler) OnRequest(c *loop.Conn, r *codec.Request) {
	switch r.Path {
	case "/ws":
		h.openPlain(c, r)
	case "/connection/websocket":
		h.openCentrifugal(c, r)
	case "/sse":
		h.openEvents(c, r)
	case "/echo":
		h.openEcho(c, r)
	case "/healthz":
		h.health(c, r, h.node.Alive)
	case "/readyz":
		h.health(c, r, h.node.Ready)
	default:
		c.Refuse(errNotFound)
	}
}

// Vital says which requests are answered by a node that is full, too: those of
// load balancers and supervisors.
func Vital(r *codec.Request) bool { return r.Path == "/healthz" || r.Path == "/readyz" }

// health answers a load balancer's check.
func (h *Handler) health(c *loop.Conn, r *codec.Request, check func() error) {
	if r.Method != "GET" && r.Method != "HEAD" {
		c.Refuse(errMethod)
		return
	}
	const text = "text/plain; charset=utf-8"
	if err := check(); err != nil {
		c.Respond(503, nil, text, err.Error()+"\n")
		return
	}
	c.Respond(200, nil, text, "ok\n")
}

// OnRefuse implements loop.Handler.
func (h *Handler) OnRefuse(c *loop.Conn, err *codec.HTTPError) { h.node.refused(c, err) }

// OnDrained implements loop.Handler.
func (h *Handler) OnDrained(c *loop.Conn) {
	if s, ok := c.Session.(subscriber); ok {
		s.drained(h, c)
	}
}

// OnMessage implements loop.Handler.
func (h *Handler) OnMessage(c *loop.Conn, op codec.Opcode, payload []byte) {
	if d, ok := c.Session.(dialect); ok {
		d.message(h, c, op, payload)
	}
}

// OnEvents implements loop.Handler. Messages for channels are only gathered
// while the events are gone through, and fanned out together at the end.
func (h *Handler) OnEvents(events []any) {
	for _, e := range events {
		h.event(e)
	}
	for h.fan() {
	}
	h.recovered.forget()
}

// fan is the recover boundary of one run of messages: the others go on.
func (h *Handler) fan() (more bool) {
	defer h.r.Recover(nil, "fan-out")
	more = true
	return h.local.Fan()
}

// event is the recover boundary of one event: the others go on.
func (h *Handler) event(e any) {
	defer h.r.Recover(nil, "event")
	if h.local.Take(e) {
		return
	}
	switch e := e.(type) {
	case *hub.Direct:
		h.direct(e)
	case unstored:
		h.unstored(e)
	case uncalled:
		h.uncalled(e)
	case outcome:
		h.outcome(e)
	case Restate:
		h.restate()
	case Recorded:
		h.checkRecorded(e.Conns)
	case Steer:
		h.steer(e)
	case Question:
		h.answer(e)
	case *Search:
		h.search(e)
	}
}

// direct passes a message on to one connection.
func (h *Handler) direct(d *hub.Direct) {
	if d.Call != "" {
		h.answered(d)
		return
	}
	if c := h.r.Conn(d.Conn); c != nil {
		if s, ok := c.Session.(dialect); ok && s.direct(c, d) {
			c.CountOut(1)
			return
		}
	}
	h.node.Hub.Undeliverable()
}

// OnClose implements loop.Handler.
func (h *Handler) OnClose(c *loop.Conn, end loop.End) {
	h.calls.forget(c.ID())
	h.forsake(c.ID())
	if s, ok := c.Session.(host); ok {
		h.remember(c, s.self(), end)
		h.discharge(s.self())
	}
	if d, ok := c.Session.(dialect); ok {
		d.closed(h, c, end)
	}
}
