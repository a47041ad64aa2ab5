// Package history judges what subscribers of a gateway got, in the manner of
// Jepsen: a run writes down who published what and when Redis said yes, who was
// subscribed from when to when, what arrived, which windows the nodes themselves
// called doubtful, and when something was being broken. Judge puts each message
// that a subscription was entitled to into exactly one class.
//
//	ok            arrived
//	lost, told    missing, and the node had said that messages may be
//	lost silently missing, and the node had said nothing
//	spoiled       missing, while bytes were being corrupted between Redis and node
//	unknown       missing, but Redis never said yes to it
//
// and each arrival that should not be into one more: duplicate, out of order,
// altered.
// In a Cluster, servers of a shard hand messages on to each other: one that was
// published while its channel went from one server to another may come through
// both. Such a one is no duplicate but echoed.
//
// # Who is entitled to what
//
// A subscription is entitled to a message that was sent after its handshake was
// answered, which is after Redis had confirmed it. One that stayed to the end of
// the run is entitled to all of these. One that ended before, because it left or
// its node was killed, is entitled to those before the last one it got of the
// same publisher: what was still under way is nobody's loss.
//
// # When a loss is told
//
// A node's window covers a message if it meets the time from its sending to
// Redis' answer, touching included, names its channel or none, and is about a link
// that carried the channel at that time. A loss is quiet if no fault was being made then, nor within OnTheWay afterwards: what
// Redis has said yes to may still be in a socket when the fault begins.
//
// It is pure: no clock, no I/O, no goroutine. Start at history.go, then Judge.
package history
