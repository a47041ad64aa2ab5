package pubsub

import "bytes"

// reserved is what every payload begins with that this package gives a meaning of its
// own on its way to the nodes, as that of a durable message.
var reserved = []byte("\x01sluice")

// IsReserved reports whether a payload would be taken for more than a payload, were it
// published as it is: what somebody else has written must not be.
func IsReserved(payload []byte) bool { return bytes.HasPrefix(payload, reserved) }
