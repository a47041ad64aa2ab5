package session

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"sluice/codec"
	"sluice/gateway/hub"
)

// envelopeProtocol is the subprotocol whose messages are JSON objects around the
// payloads, both ways.
const envelopeProtocol = "sluice.v1"

// appendText appends a string as JSON.
func appendText(b []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...) // a string is always written
	}
	return append(b, quoted...)
}

// appendPayload appends a payload under the name that says what it is: "data" for
// JSON, as it stands; "text" for other text; "base64" for anything else. What is not
// UTF-8 is never written as it stands, whatever package json says of it: browsers end
// the connection on it (RFC 6455 §8.1).
func appendPayload(b, payload []byte) []byte {
	if utf8.Valid(payload) {
		if json.Valid(payload) {
			b = append(b, `"data":`...)
			return append(b, payload...)
		}
		b = append(b, `"text":`...)
		return appendText(b, string(payload))
	}
	b = append(b, `"base64":"`...)
	b = base64.StdEncoding.AppendEncode(b, payload)
	return append(b, '"')
}

// envelope is the Encoder of FormEnvelope:
//
//	{"channel":"news","position":29312423000000,"data":{"headline":"…"}}
func envelope(m *hub.Message) (codec.Opcode, []byte) {
	b := make([]byte, 0, len(m.Payload)+len(m.Channel)+64)
	b = append(b, '{')
	if m.Channel != "" {
		b = append(b, `"channel":`...)
		b = append(appendText(b, m.Channel), ',')
	}
	if m.Position != 0 {
		b = append(b, `"position":`...)
		b = append(strconv.AppendUint(b, uint64(m.Position), 10), ',')
	}
	return codec.OpText, append(appendPayload(b, m.Payload), '}')
}

// notice is what the node says for itself. Of its fields only those are sent that
// are set.
type notice struct {
	ID           string          `json:"id,omitempty"` // of the command that it answers
	Channel      string          `json:"channel,omitempty"`
	Subscribed   bool            `json:"subscribed,omitempty"`
	Unsubscribed bool            `json:"unsubscribed,omitempty"`
	Recovered    *bool           `json:"recovered,omitempty"` // only where a position was given
	Position     uint64          `json:"position,omitempty"`  // go on from here
	Gap          string          `json:"gap,omitempty"`       // the channel: load its state anew
	Ack          string          `json:"ack,omitempty"`       // the id of a message that the inbox has
	Reply        string          `json:"reply,omitempty"`     // the id of a call
	Data         json.RawMessage `json:"data,omitempty"`      // the answer to a call
	Text         *string         `json:"text,omitempty"`      // the same, where it is no JSON
	Base64       []byte          `json:"base64,omitempty"`    // the same, where it is no text
	Error        *fault          `json:"error,omitempty"`
}

// fault is why a command was not carried out.
type fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// The faults of commands. Nothing of the client stands in them.
var (
	faultCommand     = &fault{"bad_command", "a command is one JSON object with what the README names for sluice.v1"}
	faultChannel     = &fault{"bad_channel", "the channel's name is not one that a client can name"}
	faultDenied      = &fault{"denied", "this client may not do that on this channel"}
	faultSubscribed  = &fault{"already", "the channel is subscribed already"}
	faultUnknown     = &fault{"not_subscribed", "the channel is not subscribed"}
	faultManyChan    = &fault{"limit", "too many channels for one connection"}
	faultManyCalls   = &fault{"limit", "too many calls that are not answered"}
	faultManySaid    = &fault{"limit", "too many messages that are not published yet: send it again with the same id"}
	faultNotDurable  = &fault{"not_durable", "the channel's namespace is not durable: it has no positions"}
	faultID          = &fault{"bad_id", "an id has 1 to 64 of A-Z a-z 0-9 _ . -"}
	faultUnstored    = &fault{"unavailable", "not stored, or perhaps: send it again with the same id"}
	faultReserved    = &fault{"denied", "a message that is relayed must not begin as durable ones do on their way to the nodes"}
	faultUnreadable  = &fault{"unavailable", "the channel's log cannot be read: subscribe again in a while"}
	faultNoAnswer    = &fault{"timeout", "no service has answered in time"}
	faultNoChannelTo = &fault{"denied", "this client may not send through its channels"}
)

func (n *notice) frame() []byte {
	text, err := json.Marshal(n)
	if err != nil {
		return nil // all of its fields are always written
	}
	return codec.AppendFrame(make([]byte, 0, codec.FrameSize(len(text))), codec.OpText, text)
}

// carry puts an answer into a notice.
func (n *notice) carry(payload []byte) {
	switch {
	case !utf8.Valid(payload):
		n.Base64 = payload
	case json.Valid(payload):
		n.Data = payload
	default:
		text := string(payload)
		n.Text = &text
	}
}

// command is what a client says. What it is depends on what it names.
type command struct {
	ID          string          `json:"id"`
	Subscribe   string          `json:"subscribe"`
	Since       *uint64         `json:"since"` // with subscribe: the client has everything up to here
	Unsubscribe string          `json:"unsubscribe"`
	Call        string          `json:"call"`    // a method; needs an id
	Channel     string          `json:"channel"` // of a message: through this channel, not through all
	Data        json.RawMessage `json:"data"`
	Text        *string         `json:"text"`
	Base64      []byte          `json:"base64"`
}

// payload is what a command carries, never nil.
func (k *command) payload() []byte {
	switch {
	case k.Text != nil:
		return []byte(*k.Text)
	case k.Base64 != nil:
		return k.Base64
	}
	return append([]byte{}, k.Data...)
}

// hasPayload reports whether it carries something, which may be empty.
func (k *command) hasPayload() bool { return k.Data != nil || k.Text != nil || k.Base64 != nil }
