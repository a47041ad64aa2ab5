// Command chaos breaks Redis, the network and nodes under a running Sluice, one
// fault at a time, and says what clients noticed.
//
//	go run ./loadtest/chaos -topology cluster -for 60s -seed 7
//	make chaos T=60s ARGS="-topology sentinel -faults failover,failover-kill"
//
// It starts Redis in the shape of -topology, some sluice processes, WebSocket
// clients at each of them (some stay, some come and go), and publishers that
// number what they send on each channel. All of it is on loopback. Faults are
// drawn from -seed; a fault is over when every node is ready and delivers on every
// channel again. Then history.Judge puts each message that a client was entitled
// to into its class: delivered, lost and told by its node's /api/gaps, lost
// silently, and so on. The exit status is 1 if a verdict does not hold.
//
// Some channels are durable: services publish on them with sluice_publish, and repeat
// with the same id what they have no answer to; followers, clients in the dialect
// sluice.v1, are cut off and come back, to any node, with the last position that they
// have. history.Follow judges what they were told: whatever Redis loses, goes back to
// or trims, between two messages of a chain nothing is missing that a service was told
// a position for. A chain begins anew where the client was told so.
//
// # What is measured
//
//   - resume: from the first message that Redis acked after the fault to the first
//     delivery of one sent no earlier, at each node
//   - silence: the longest time without a delivery at a node, on the channels that
//     the fault concerned
//   - 503: from the fault to the first /readyz that said so
//   - 200: from the first acked message to the first 200 after it
//
// Readiness is held against deliveries, sample by sample; truth.go says how.
//
// # Where things are
//
// rig.go is a run. topology.go is Redis in five shapes and where publishers send
// to; node.go a sluice process and what is asked of it; client.go and crowd.go the
// clients; publisher.go the messages; durable.go, service.go and follower.go the same
// for durable channels; fault.go and fault_*.go the faults; report.go
// what came of it. Two faces of the same thing stay apart on purpose: the rig
// finds shards and owners of slots by itself, not with the node's code.
package main
