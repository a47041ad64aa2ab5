package hub

import (
	"bytes"

	"sluice/codec"
	"sluice/loop"
	"sluice/pubsub"
)

// Form is one of the ways in which messages are written to clients: an index into
// the encoders that the Hub was made with. The hub encodes each message once per
// form, and once more deflated, however many members take it.
type Form uint8

// Encoder writes a message for clients. With op 0 the data goes out as it is,
// without a WebSocket frame around it; it must then be a slice of its own. nil
// data: clients of this form are not sent the message. Otherwise data may be
// m.Payload. Any goroutine may call it.
type Encoder func(m *Message) (op codec.Opcode, data []byte)

// ComingEncoder writes for clients that a connection has come to a channel or has gone.
// Any goroutine may call it; it keeps nothing of c.
type ComingEncoder func(channel string, c *pubsub.Coming) (op codec.Opcode, data []byte)

// Verbatim is the Encoder of a payload as a whole WebSocket message: text if it is
// valid UTF-8, binary otherwise.
func Verbatim(m *Message) (codec.Opcode, []byte) { return opcode(m.Payload), m.Payload }

// Message is what was published on a channel. It is shared and never changed.
type Message struct {
	Channel  string
	Payload  []byte
	Position pubsub.Position // 0: it came by plain PUBLISH
	Before   pubsub.Position // of the message before it
	Epoch    string          // when the counting began that Position is of
	Exclude  string          // the connection that is not to get it, "" for none
}

// message makes one of what came from the log, or from Redis' pub/sub, whose
// buffer it does not keep.
func message(channel string, d *pubsub.Durable) *Message {
	return &Message{Channel: channel, Payload: bytes.Clone(d.Payload), Position: d.Position, Before: d.Before, Epoch: d.Epoch, Exclude: d.Exclude}
}

// shape is a form, deflated or not.
type shape uint8

func shapeOf(f Form, deflated bool) shape {
	s := shape(f) << 1
	if deflated {
		s |= 1
	}
	return s
}

func (s shape) form() Form   { return Form(s >> 1) }
func (s shape) plain() shape { return s &^ 1 }

// maxForms is how many forms there may be.
const maxForms = 6

// takers is how many members take each shape, and a set of those that any takes.
type takers struct {
	members [2 * maxForms]int32
	shapes  shapes
}

func (t *takers) add(s shape, n int32) {
	t.members[s] += n
	if t.members[s] == 0 {
		t.shapes &^= 1 << s
	} else {
		t.shapes |= 1 << s
	}
}

// shapes is a set of shapes.
type shapes uint16

func (set shapes) has(s shape) bool { return set&(1<<s) != 0 }

// deflated says whether one of them is.
func (set shapes) deflated() bool { return set&0xAAAA != 0 }

// publication is a message on its way to one reactor's members, or news that has its
// place among the messages: that a reading of the log has an answer, or that some may
// be missing here.
type publication struct {
	channel  *Channel
	message  *Message // nil where no log is kept: it need not be told from others
	answer   *reading // news
	first    frame    // without data: there is none. Nearly always there is no other
	others   []frame
	exclude  loop.ConnID
	size     int32 // bytes of the longest frame: the most that a member is sent
	excludes bool  // exclude is not to get it
	gap      bool  // news, to members that want to know
}

// bytes are those of all its frames.
func (p *publication) bytes() int {
	n := len(p.first.data)
	for i := range p.others {
		n += len(p.others[i].data)
	}
	return n
}

// isNews says whether it is no message.
func (p *publication) isNews() bool { return p.answer != nil || p.gap }

// frame is a message in one shape. It is shared by all who take that, and never
// changed.
type frame struct {
	shape shape
	data  []byte
}

// as is the message in a shape, or in its plain sibling where deflating does not
// pay; nil where it was not encoded so: nobody took that when it came, and who has
// joined since has it from elsewhere or is not to get it.
func (p *publication) as(s shape) []byte {
	var plain []byte
	switch p.first.shape {
	case s:
		return p.first.data
	case s.plain():
		plain = p.first.data
	}
	for i := range p.others {
		switch p.others[i].shape {
		case s:
			return p.others[i].data
		case s.plain():
			plain = p.others[i].data
		}
	}
	return plain
}

func (p *publication) add(s shape, data []byte) {
	if p.first.data == nil {
		p.first = frame{s, data}
	} else {
		p.others = append(p.others, frame{s, data})
	}
	p.size = max(p.size, int32(len(data))) // what Redis sends is 512 MiB at most
}

// publications makes publications. Those of a burst come and go together, so it makes
// several at a time, the more the longer the burst. It belongs to one goroutine.
type publications struct {
	rest []publication
	made int // the last time
}

// maxPublications is how many are made at a time, at most.
const maxPublications = 32

// next is an empty one.
func (s *publications) next() *publication {
	if len(s.rest) == 0 {
		s.made = min(max(1, 2*s.made), maxPublications)
		s.rest = make([]publication, s.made)
	}
	p := &s.rest[0]
	s.rest = s.rest[1:]
	return p
}

// end ends the burst. What is left of it would keep its messages.
func (s *publications) end() { s.rest, s.made = nil, 0 }

// encoded is data as it is sent.
func encoded(op codec.Opcode, data []byte) []byte {
	if op == 0 {
		return data
	}
	return codec.AppendFrame(make([]byte, 0, codec.FrameSize(len(data))), op, data)
}

// Frame is a payload as a whole WebSocket message: text if it is valid UTF-8,
// binary otherwise.
func Frame(payload []byte) []byte { return encoded(opcode(payload), payload) }

func opcode(payload []byte) codec.Opcode {
	if codec.ValidText(payload) {
		return codec.OpText
	}
	return codec.OpBinary
}
