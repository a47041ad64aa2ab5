package centrifuge

import "github.com/centrifugal/protocol"

// Publication is the content of a frame that brings a channel's message. offset is the
// message's position, 0 where it has none.
func (e Encoding) Publication(channel string, payload []byte, offset uint64) []byte {
	return e.push(&protocol.Push{Channel: channel, Pub: &protocol.Publication{Data: e.Value(payload), Offset: offset}})
}

// Message is the content of a frame that brings a message for one connection.
func (e Encoding) Message(payload []byte) []byte {
	return e.push(&protocol.Push{Message: &protocol.Message{Data: e.Value(payload)}})
}

// Coming is the content of a frame that tells of a client that has come to a channel, or has gone.
func (e Encoding) Coming(channel string, came bool, who *protocol.ClientInfo) []byte {
	if came {
		return e.push(&protocol.Push{Channel: channel, Join: &protocol.Join{Info: who}})
	}
	return e.push(&protocol.Push{Channel: channel, Leave: &protocol.Leave{Info: who}})
}

// Subscribed tells a client that it is subscribed to a channel that it has not asked for.
func Subscribed(channel string) *protocol.Reply {
	return &protocol.Reply{Push: &protocol.Push{Channel: channel, Subscribe: &protocol.Subscribe{}}}
}

// Unsubscribed tells a client that it is not subscribed any more.
func Unsubscribed(channel string, why Unsubscription) *protocol.Reply {
	return &protocol.Reply{Push: &protocol.Push{Channel: channel, Unsubscribe: &protocol.Unsubscribe{Code: why.Code, Reason: why.Reason}}}
}

func (e Encoding) push(p *protocol.Push) []byte { return e.Append(nil, &protocol.Reply{Push: p}) }
