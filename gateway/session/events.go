package session

import (
	"encoding/base64"
	"slices"
	"strconv"

	"sluice/codec"
	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

// events is the dialect of /sse: what is published to the connection's channels
// comes as events, of which the data is the payload. The client says nothing.
//
// The request is answered when Redis has confirmed every channel, so an open stream
// is a subscribed one.
type events struct {
	guest
	memberships
	place   place
	opening *opening // until the request is answered
}

// opening is what the answer to the request needs.
type opening struct {
	header  []string
	waiting int   // channels that Redis has not confirmed
	early   []int // which channels had their log read while others waited
}

// opened reports whether the request has been answered.
func (s *events) opened() bool { return s.opening == nil }

// The types of the events that are not messages. Those have none, or binaryEvent.
const (
	binaryEvent  = "binary"  // a payload that is no UTF-8 text, in base64
	gapEvent     = "gap"     // messages of the channel may have been missed and could not be filled in
	readyEvent   = "ready"   // the channel, a durable one, goes on live; with the id to come back with
	resumedEvent = "resumed" // the channel goes on where the client was: nothing was missed
	resetEvent   = "reset"   // it does not: load from the source of truth, then go on with what follows
)

func (h *Handler) openEvents(c *loop.Conn, r *codec.Request) {
	if r.Method == "OPTIONS" {
		h.answerPreflight(c, r)
		return
	}
	a, header, refusal := h.admitStream(c, r)
	if refusal != nil {
		c.Refuse(refusal, header...)
		return
	}
	s := &events{guest: a.guest, opening: &opening{header: header}}
	c.Session = s // from here on its end is counted
	channels, refusal := h.node.InForce().channels(a.who, a.query["channel"])
	if refusal == nil {
		s.place, refusal = h.node.InForce().placeOf(r.Values("Last-Event-ID"), a.query, channels)
	}
	if refusal != nil {
		c.Refuse(refusal, header...)
		return
	}
	s.join(h, c, channels)
	if s.opening.waiting == 0 {
		s.open(h, c)
	}
}

func (h *Handler) answerPreflight(c *loop.Conn, r *codec.Request) {
	header, refusal := h.node.InForce().preflight(r)
	if refusal != nil {
		c.Refuse(refusal)
		return
	}
	c.Respond(200, header, "", "")
}

// admitStream is admit for a request that asks for an event stream. header is for
// the answer, whatever that is. Who passes is counted.
func (h *Handler) admitStream(c *loop.Conn, r *codec.Request) (a arrival, header []string, refusal *codec.HTTPError) {
	switch {
	case r.Method != "GET":
		return a, nil, errMethod
	case r.Header("Expect") != "":
		return a, nil, codec.ErrExpect
	}
	source, unknown := h.examine(c, r, &a)
	if header, refusal = h.node.InForce().streamOrigin(r, source.Ambient()); refusal == nil {
		refusal = unknown // behind the Origin, so that a page which may connect can read why it may not
	}
	if refusal == nil {
		refusal = h.node.welcome(c, &a.guest)
	}
	return a, header, refusal
}

func (s *events) join(h *Handler, c *loop.Conn, channels []string) {
	s.room(len(channels))
	s.opening.waiting = len(channels)
	i := 0
	for m := range s.members() {
		s.joinOne(h, c, m, i, channels[i])
		if m.Ready() {
			s.opening.waiting--
		}
		i++
	}
}

func (s *events) joinOne(h *Handler, c *loop.Conn, m *hub.Member, i int, channel string) {
	form := FormEvent
	if s.more != nil {
		form = FormEventOwn
	}
	wants := hub.Wants{Form: form, Gaps: true}
	h.node.InForce().follow(&wants, channel, s.place.at[i], s.place.at[i] != 0)
	h.local.Join(c, m, channel, wants)
}

// subscribed counts one more channel that Redis has confirmed, and sends what its
// log has for the client. As long as others wait the client can be sent nothing, and
// would miss what comes: then the channel is joined once more when it can, from where
// the log was.
func (s *events) subscribed(h *Handler, c *loop.Conn, m *hub.Member, r *hub.Recovery) {
	i := s.indexOf(m)
	if o := s.opening; o != nil {
		if o.waiting--; o.waiting > 0 {
			if r != nil {
				o.early = append(o.early, i)
				if !h.node.InForce().Namespace(m.Name()).LastValue { // of which the newest message is still to be sent
					s.place.begin(i, r)
				}
			}
			return
		}
		if !s.open(h, c) {
			return
		}
	}
	if r != nil {
		s.place.recovered(c, i, m.Name(), r)
	}
}

// indexOf is which of the connection's channels a membership is.
func (s *events) indexOf(member *hub.Member) int {
	i := 0
	for m := range s.members() {
		if m == member {
			return i
		}
		i++
	}
	return -1
}

// open answers the request and reports the connection to the inbox. It reports false
// where the client has been refused meanwhile.
func (s *events) open(h *Handler, c *loop.Conn) bool {
	o := s.opening
	if !c.Stream(o.header) {
		return false
	}
	c.SetKind(uint8(KindEvents))
	s.opening = nil
	i := 0
	for m := range s.members() {
		switch channel := m.Name(); {
		case slices.Contains(o.early, i):
			h.local.Leave(m)
			s.joinOne(h, c, m, i, channel)
		case s.place.at[i] != 0 && !h.node.InForce().isDurable(channel): // it has an id of a channel that lets nobody resume
			c.Send(codec.AppendEvent(nil, "", resetEvent, []byte(channel)))
		}
		i++
	}
	h.watchExpiry(c, &s.guest)
	h.watchAge(c)
	h.connected(c, &s.guest, s.channels(nil))
	return true
}

// finish puts the client's own id in front of a message.
func (s *events) finish(m *hub.Member, message *hub.Message, frame []byte) []byte {
	if !s.opened() {
		return frame // it will not be sent, see subscribed
	}
	s.place.at[s.indexOf(m)] = message.Position
	own := make([]byte, 0, len(frame)+len("id: \n")+18*len(s.place.at))
	own = codec.AppendID(own, string(s.place.append(nil)))
	return append(own, frame...)
}

func (*events) message(*Handler, *loop.Conn, codec.Opcode, []byte) {} // a stream's client says nothing

// gap tells the client that it may have missed messages of a channel, which is
// heard again.
func (s *events) gap(_ *Handler, c *loop.Conn, m *hub.Member) {
	if s.opened() {
		c.Send(codec.AppendEvent(nil, "", gapEvent, []byte(m.Name())))
	}
}

func (*events) direct(c *loop.Conn, d *hub.Direct) bool {
	return c.Send(appendMessage(nil, "", d.Payload))
}

func (s *events) closed(h *Handler, c *loop.Conn, end loop.End) {
	h.node.goodbye(c, &s.guest)
	if s.opened() {
		h.node.ended(c, end)
		h.disconnected(c, &s.guest, s.channels(nil), end)
	}
	s.leave(h, c)
}

// appendMessage appends a payload as an event. Text comes as it is; what is none
// cannot stand in an event stream, which is UTF-8, and comes in base64.
func appendMessage(dst []byte, id string, payload []byte) []byte {
	if codec.ValidText(payload) {
		return codec.AppendEvent(slices.Grow(dst, codec.EventSize(len(payload))), id, "", payload)
	}
	return codec.AppendEvent(dst, id, binaryEvent, base64.StdEncoding.AppendEncode(nil, payload))
}

// event is a message of a connection that has one channel: its id is the
// position, where it has one.
func event(m *hub.Message) (codec.Opcode, []byte) {
	return 0, appendMessage(nil, positionID(m.Position), m.Payload)
}

// eventOwn is a message of a connection that has several: see events.finish.
func eventOwn(m *hub.Message) (codec.Opcode, []byte) { return 0, appendMessage(nil, "", m.Payload) }

func positionID(p pubsub.Position) string {
	if p == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(p), 10)
}
