package hub

import "sync/atomic"

// Usage counts what the channels of a namespace come to. A nil one counts nothing.
type Usage struct {
	Channels      atomic.Int64 // with members now
	Subscriptions atomic.Int64 // members now
	Messages      atomic.Int64 // from Redis, for channels with members
	Bytes         atomic.Int64 // of their payloads
	Out           atomic.Int64 // messages handed to members, once for each
}

// came counts a message from Redis.
func (u *Usage) came(payload []byte) {
	if u != nil {
		u.Messages.Add(1)
		u.Bytes.Add(int64(len(payload)))
	}
}

// went counts n messages as handed to members.
func (u *Usage) went(n int) {
	if u != nil {
		u.Out.Add(int64(n))
	}
}

// open counts so many channels and members more.
func (u *Usage) open(channels, members int) {
	if u != nil {
		u.Channels.Add(int64(channels))
		u.Subscriptions.Add(int64(members))
	}
}
