package session

import (
	"sluice/codec"
	"sluice/gateway/centrifuge"
	"sluice/gateway/hub"
	"sluice/pubsub"
)

// The forms in which messages are written to clients.
const (
	FormPayload            hub.Form = iota // a WebSocket message that is the payload
	FormEnvelope                           // a WebSocket message of JSON around it, of the subprotocol sluice.v1
	FormCentrifugeJSON                     // a push of the centrifuge protocol
	FormCentrifugeProtobuf                 // the same, in protobuf
	FormEvent                              // an event of an event stream, its id the message's position
	FormEventOwn                           // the same for a connection that has several channels, whose ids are its own
)

// Encoders are those of the forms.
var Encoders = []hub.Encoder{
	FormPayload:            hub.Verbatim,
	FormEnvelope:           envelope,
	FormCentrifugeJSON:     publication(centrifuge.JSON),
	FormCentrifugeProtobuf: publication(centrifuge.Protobuf),
	FormEvent:              event,
	FormEventOwn:           eventOwn,
}

// publication is a message as a push of the centrifuge protocol.
func publication(e centrifuge.Encoding) hub.Encoder {
	return func(m *hub.Message) (codec.Opcode, []byte) {
		return e.Opcode(), e.Publication(m.Channel, m.Payload, uint64(m.Position))
	}
}

// Comings are those of who comes and goes.
var Comings = []hub.ComingEncoder{
	FormCentrifugeJSON:     coming(centrifuge.JSON),
	FormCentrifugeProtobuf: coming(centrifuge.Protobuf),
}

// coming is the news that a connection has come to a channel or has gone, as a push of the
// centrifuge protocol.
func coming(e centrifuge.Encoding) hub.ComingEncoder {
	return func(channel string, c *pubsub.Coming) (codec.Opcode, []byte) {
		return e.Opcode(), e.Coming(channel, c.Came, clientInfo(e, &c.Attendee))
	}
}

// Pings are what clients of dialects with pings of their own are pinged with, for
// loop.Conn.SetPing: the two of the centrifuge protocol, by their encoding.
var Pings = [][]byte{
	centrifuge.JSON:     codec.AppendFrame(nil, codec.OpText, centrifuge.JSON.Ping()),
	centrifuge.Protobuf: codec.AppendFrame(nil, codec.OpBinary, centrifuge.Protobuf.Ping()),
}
