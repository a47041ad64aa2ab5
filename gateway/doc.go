// Sluice is a WebSocket gateway that backends drive with plain Redis commands.
//
// This package is the program: main picks a verb, App wires the parts of a node
// together, starts them, and ends them in order.
//
//	config ─▶ App ─┬─ loop.Engine      the public port, one session.Handler per reactor
//	               ├─ auth.Verifier    whose token is that; asked by sessions
//	               ├─ pubsub.Redis     messages from Redis, into hub.Hub
//	               ├─ pubsub.Inbox     what clients say, into a Redis stream
//	               ├─ pubsub.Lease     which other nodes there are, and which have died
//	               ├─ pubsub.Embedded  where no Redis is configured
//	               ├─ gaps.Log         when messages may have been missed
//	               └─ admin            metrics, health, console
//
// Where a client really is, package peer finds out; wire.go is the one place where
// the configuration becomes the options of all these.
//
// A message's way down:
//
//	pubsub/session.go   receives a PUBLISH              (*session).receive
//	gateway/hub/lane.go encodes it once, tells reactors (*lane).Deliver
//	loop/reactor.go     is rung, takes the burst        (*Reactor).turn
//	gateway/hub/local.go hands it to each subscriber    (*Local).Fan
//	loop/write.go       one write per connection        (*Conn).flush
//
// and up:
//
//	loop/reactor.go     a socket has bytes              (*Reactor).OnTraffic
//	codec/decode.go     are they a message              (*Decoder).Next
//	gateway/session     whose is it, where does it go   (*plain).message
//	pubsub/inbox.go     XADD, in a pipeline             (*Inbox).Add
package main
