// Package hub is a node's channel table: which reactors have subscribers of a
// channel, and which connections those are. It stands between the broker and
// the reactors.
//
//	pubsub ── Deliver ─▶ Hub ── one event per reactor that has subscribers ─▶ Local ── Send ─▶ loop.Conn
//	       ◀─ Subscribe ──┘ ◀──────────────── Join, Leave ─────────────────────┘
//
// The Hub is shared and has the one lock of the way down, taken for reading
// for each message. A Local is one reactor's half, owned by it and without a
// lock. A message is encoded once for each form that its subscribers take, plain
// or deflated, into a frame that all of them are sent by reference.
//
// A channel is subscribed in Redis while the node has members of it, and a
// member is told when Redis has confirmed that: what is published from then on
// reaches it.
package hub
