package loop

import (
	"sluice/codec"
)

// Handler is the application on one reactor. All its methods run on that
// reactor's goroutine, so its fields need no lock; none may block. A panic in
// one of them costs the connection it was called for, and is counted. One in
// OnEvents costs the rest of these events: see Reactor.Recover.
type Handler interface {
	// OnRequest gets a complete HTTP request head. It answers now or later with
	// Conn.Upgrade or Conn.Respond; if it has not by the handshake deadline, the
	// client is told 503. r may be kept.
	OnRequest(c *Conn, r *codec.Request)

	// OnRefuse is told of each request that is answered with an error, by this
	// package or by Conn.Refuse.
	OnRefuse(c *Conn, err *codec.HTTPError)

	// OnMessage gets a whole data message, op being OpText or OpBinary. payload
	// is dead when OnMessage returns; it may be changed until then.
	OnMessage(c *Conn, op codec.Opcode, payload []byte)

	// OnDrained is called once for each Conn.TellDrained, when the connection has
	// taken all that it was sent.
	OnDrained(c *Conn)

	// OnEvents gets what was posted since the last turn, in the order of Post for
	// each posting goroutine; a long burst comes in several calls. The slice is
	// dead when it returns.
	OnEvents(events []any)

	// OnTick is called ten times a second, for what has to happen at a time.
	OnTick()

	// OnClose is the last call for a connection, made once for each that
	// OnRequest was called for, whatever became of it.
	OnClose(c *Conn, end End)
}

// End says how a connection ended.
type End struct {
	Code   codec.StatusCode // what was sent or received first; StatusAbnormal if the socket just ended
	Reason string           // constant text when Local, else the client's words
	Local  bool             // we closed first
}
