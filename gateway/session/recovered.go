package session

import (
	"github.com/centrifugal/protocol"

	"sluice/gateway/centrifuge"
	"sluice/gateway/hub"
)

// recovered keeps the messages of the newest recovery as they stand in answers: many
// clients resume together, and each message is made a value once for all of them. It
// belongs to a reactor.
type recovered struct {
	of           *hub.Recovery
	publications [2][]*protocol.Publication // by encoding; nil: nobody has asked for it
}

// list are the messages of r, shared and never changed.
func (k *recovered) list(e centrifuge.Encoding, r *hub.Recovery) []*protocol.Publication {
	if k.of != r {
		*k = recovered{of: r}
	}
	if k.publications[e] == nil {
		all := make([]*protocol.Publication, 0, len(r.Messages))
		for _, m := range r.Messages {
			all = append(all, &protocol.Publication{Data: e.Value(m.Payload), Offset: uint64(m.Position)})
		}
		k.publications[e] = all
	}
	return k.publications[e]
}

// forget lets the messages go, at the end of a turn.
func (k *recovered) forget() { *k = recovered{} }
