package session

import (
	"time"

	"github.com/centrifugal/protocol"

	"sluice/codec"
	"sluice/gateway/auth"
	"sluice/gateway/centrifuge"
	"sluice/gateway/hub"
	"sluice/loop"
)

// centrifugal is the dialect of /connection/websocket: Centrifugo's client protocol,
// for the SDKs that speak it. A client sends commands, one or many in a frame, and
// is answered with replies; messages of channels come in between as pushes.
//
//	connect      who it is, and what it had     centrifugal_connect.go
//	subscribe    channel by channel             centrifugal_subscribe.go
//	publish, rpc, send                          centrifugal_say.go
//	refresh      new tokens for old ones        centrifugal_refresh.go
//
// The answers to a frame's commands go out in one frame, as far as they are known at
// once; what Redis has to be asked for comes in a frame of its own, and the reactor puts
// what a turn has for a client into one write.
//
// The server's ping is the protocol's, an empty reply that the SDK answers with an
// empty command, and takes the place of WebSocket's ping frames (loop.Conn.SetPing).
// Both would keep a connection open through proxies, and find clients that are gone. But a
// page cannot see ping frames: its SDK finds out by the protocol's pings that the
// server is gone. One of the two is enough.
type centrifugal struct {
	guest
	subs     subs[sub, *sub]
	entrance *entrance // until connect has been answered
	due      moment    // in which its token is over; 0: never
	looked   moment    // in which it is looked at next for what is due; 0: none is noted
	encoding centrifuge.Encoding
	stage    stage
}

// entrance is what the answer to connect needs.
type entrance struct {
	door    *auth.Identity // by the handshake; nil: nobody
	command uint32
	waiting int  // given channels that are not subscribed yet
	held    bool // what the client is sent waits for the answer
	results map[string]*protocol.SubscribeResult
}

// stage is where a centrifugal connection stands.
type stage uint8

const (
	stageStranger  stage = iota // has not sent connect
	stageRefused                // was not let in: what SDKs send along with connect is not looked at
	stageEntering               // the channels that its token gives are waited for; what it is sent is held
	stageConnected              // connect has been answered
)

func (h *Handler) openCentrifugal(c *loop.Conn, r *codec.Request) {
	a, ok := h.arrive(c, r)
	if !ok {
		return
	}
	s := &centrifugal{entrance: &entrance{door: a.who}}
	c.Session = s // from here on its end is counted
	a.protocol = ""
	for _, offered := range a.upgrade.Protocols {
		switch offered {
		case centrifuge.SubprotocolProtobuf:
			s.encoding, a.protocol = centrifuge.Protobuf, offered
		case centrifuge.SubprotocolJSON:
			a.protocol = offered
		default:
			continue
		}
		break
	}
	if c.Upgrade(a.upgrade, a.protocol, a.extensions) {
		c.SetKind(uint8(KindCentrifuge))
		s.lookAt(h, c, h.expiry.moment(time.Now().Add(h.node.InForce().Patience)))
		h.watchAge(c)
	}
}

// message takes a frame of commands.
func (s *centrifugal) message(h *Handler, c *loop.Conn, op codec.Opcode, payload []byte) {
	if op != s.encoding.Opcode() {
		s.disconnect(h, c, centrifuge.BadRequest)
		return
	}
	h.batch.begin(c, s.encoding)
	defer h.batch.end()
	first := true
	for command, err := range s.encoding.Commands(payload) {
		if !first && !c.SpendMessage() { // the first is the message that the reactor has counted
			return
		}
		first = false
		if err != nil {
			s.disconnect(h, c, centrifuge.BadRequest)
			return
		}
		if s.obey(h, c, command); !c.Open() {
			return
		}
	}
}

// obey acts on one command. Where it has several requests, which no SDK sends, the
// first one counts.
func (s *centrifugal) obey(h *Handler, c *loop.Conn, m *protocol.Command) {
	switch {
	case m.Connect != nil && m.Id > 0:
		s.connect(h, c, m.Id, m.Connect)
	case s.stage == stageStranger:
		s.disconnect(h, c, centrifuge.BadRequest)
	case s.stage == stageRefused:
	case m.Send != nil:
		s.send(h, c, m.Send)
	case m.Id == 0:
		if !isPong(m) {
			s.disconnect(h, c, centrifuge.BadRequest)
		}
	case m.Subscribe != nil:
		s.subscribe(h, c, m.Id, m.Subscribe)
	case m.Unsubscribe != nil:
		s.unsubscribe(h, c, m.Id, m.Unsubscribe)
	case m.Publish != nil:
		s.publish(h, c, m.Id, m.Publish)
	case m.Rpc != nil:
		s.rpc(h, c, m.Id, m.Rpc)
	case m.Refresh != nil:
		s.refresh(h, c, m.Id, m.Refresh)
	case m.SubRefresh != nil:
		s.subRefresh(h, c, m.Id, m.SubRefresh)
	case m.History != nil:
		s.history(h, c, m.Id, m.History)
	case m.Presence != nil:
		s.presence(h, c, m.Id, m.Presence)
	case m.PresenceStats != nil:
		s.presenceStats(h, c, m.Id, m.PresenceStats)
	case m.Ping != nil:
		s.reply(h, c, &protocol.Reply{Id: m.Id, Ping: &protocol.PingResult{}})
	default: // a command that is newer than this node
		s.refuse(h, c, m.Id, centrifuge.ErrMethodNotFound)
	}
}

// isPong reports whether a command without number is the answer to a ping. That it
// came has told the reactor enough.
func isPong(m *protocol.Command) bool {
	return m.Connect == nil && m.Subscribe == nil && m.Unsubscribe == nil && m.Publish == nil && m.Presence == nil && m.PresenceStats == nil &&
		m.History == nil && m.Ping == nil && m.Rpc == nil && m.Refresh == nil && m.SubRefresh == nil
}

// reply answers a command, or pushes something.
func (s *centrifugal) reply(h *Handler, c *loop.Conn, r *protocol.Reply) {
	if h.batch.conn == c {
		h.batch.add(r)
		return
	}
	c.Write(s.encoding.Opcode(), s.encoding.Append(nil, r))
}

func (s *centrifugal) refuse(h *Handler, c *loop.Conn, command uint32, why *protocol.Error) {
	s.reply(h, c, &protocol.Reply{Id: command, Error: why})
}

// disconnect ends the connection with a code that SDKs act on. What has been answered
// goes out before.
func (s *centrifugal) disconnect(h *Handler, c *loop.Conn, why centrifuge.Disconnection) {
	if h.batch.conn == c {
		h.batch.flush()
	}
	c.Close(why.Code, why.Reason)
}

// Closing is what a close frame says to c's client: loop.Options.Closing. Reasons stay.
func Closing(c *loop.Conn, code codec.StatusCode, reason string) (codec.StatusCode, string) {
	if _, ok := c.Session.(*centrifugal); ok {
		return centrifuge.Closed(code), reason
	}
	return code, reason
}

func (s *centrifugal) direct(c *loop.Conn, d *hub.Direct) bool {
	return s.stage > stageRefused && c.Write(s.encoding.Opcode(), s.encoding.Message(d.Payload))
}

func (s *centrifugal) drained(h *Handler, c *loop.Conn) {
	for one := range s.subs.all {
		h.local.Drained(c, &one.Member)
	}
}

func (s *centrifugal) closed(h *Handler, c *loop.Conn, end loop.End) {
	h.node.goodbye(c, &s.guest)
	h.node.ended(c, end)
	if s.stage > stageRefused {
		h.disconnected(c, &s.guest, s.channels(), end)
	}
	for one := range s.subs.all {
		h.conceal(one)
		h.leave(c, &one.Member)
	}
}

func (s *centrifugal) channels() string { return s.subs.channels() }

// form is what the hub encodes the connection's messages as.
func (s *centrifugal) form() hub.Form {
	if s.encoding == centrifuge.Protobuf {
		return FormCentrifugeProtobuf
	}
	return FormCentrifugeJSON
}

// batch puts the answers to the commands of one frame together. It belongs to a
// reactor, whose connections take turns.
type batch struct {
	conn     *loop.Conn // nil: none is being read from
	encoding centrifuge.Encoding
	frame    []byte // capacity is kept
}

// maxBatch is when a frame of answers is sent before the last command is obeyed, bytes.
const maxBatch = 32 << 10

func (b *batch) begin(c *loop.Conn, e centrifuge.Encoding) { b.conn, b.encoding = c, e }

func (b *batch) add(r *protocol.Reply) {
	b.frame = b.encoding.Append(b.frame, r)
	if len(b.frame) >= maxBatch {
		b.flush()
	}
}

func (b *batch) flush() {
	if len(b.frame) > 0 {
		b.conn.Write(b.encoding.Opcode(), b.frame)
	}
	b.frame = b.frame[:0]
	if cap(b.frame) > 4*maxBatch {
		b.frame = nil
	}
}

// end sends what has been put together; also after a panic, so that the next
// connection does not get it.
func (b *batch) end() {
	b.flush()
	b.conn = nil
}
