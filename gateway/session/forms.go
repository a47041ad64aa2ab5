package session

import "sluice/gateway/hub"

// The forms in which messages are written to clients.
const (
	FormPayload            hub.Form = iota // a WebSocket message that is the payload
	FormEnvelope                           // a WebSocket message of JSON around it, of the subprotocol sluice.v1
	FormCentrifugeJSON                     // a push of the centrifuge protocol
	FormCentrifugeProtobuf                 // the same, in protobuf
	FormEvent                              // an event of an event stream
)

// Encoders are those of the forms.
var Encoders = []hub.Encoder{
	FormPayload: hub.Verbatim,
}
