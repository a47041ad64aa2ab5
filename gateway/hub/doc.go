// Package hub is a node's channel table: which reactors have subscribers of a
// channel, and which connections those are. It stands between the broker and
// the reactors.
//
//	pubsub ── Deliver ─▶ Hub ── one event per reactor that has subscribers ─▶ Local ── Send ─▶ loop.Conn
//	       ◀─ Subscribe ──┘ ◀──────────────── Join, Leave ─────────────────────┘
//
// The Hub is shared and has the one lock of the way down, taken for reading
// for each message. A Local is one reactor's half, owned by it and without a
// lock. A message is encoded once for each form that its subscribers take (form.go),
// plain or deflated, into a frame that all of them are sent by reference.
//
// Of a channel whose messages stand in a log, a stream (stream.go) follows that: its
// chain (chain.go) compares the position of each message with the one before it, and
// what did not come live is read from the log (reading.go) before anything goes on, or
// told as a gap. Members that come back wait as a group (resume.go) for one reading of
// the log, which is put together with what came live meanwhile (merge.go).
//
// Each subscribe connection to Redis has a lane of its own here, with what its
// receive loop needs; a channel belongs to the lane that Redis confirmed it on last,
// and what another one still delivers for it is dropped, or messages would change
// their order. Where messages may have been missed, that is counted for the
// channel, and those of its members are told that want to know (gap.go).
//
// A channel is subscribed in Redis while the node has members of it, and a
// member is told when Redis has confirmed that: what is published from then on
// reaches it.
package hub
