package session

import "sluice/loop"

// Kind is what a connection speaks, as figures tell it: see loop.Conn.SetKind.
type Kind uint8

// The kinds.
const (
	KindRequest    Kind = iota // its request has not been answered, or with something that does not last
	KindPlain                  // /ws
	KindEnvelope               // /ws with the subprotocol sluice.v1
	KindEvents                 // /sse
	KindCentrifuge             // /connection/websocket
	KindEcho                   // /echo

	kinds = int(KindEcho) + 1
)

// KindNames are the names of all kinds.
var KindNames = [kinds]string{"http", "plain", "v1", "sse", "centrifuge", "echo"}

var _ [loop.Kinds - kinds]struct{} // there is room for them
