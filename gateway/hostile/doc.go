// Package hostile is what a node must survive: a table of hostile clients, and
// an oracle that says whether the node noticed more than it should have.
//
// Where to start: Handshakes, Frames, Slow and TLS are the tables. A Row has the
// bytes that go over the wire, in a notation that can be read, and what must
// come back. Node is a sluice that runs as a process of its own, so that a row
// which kills it fails a test and does not end it. Oracle holds a node against
// what it was before:
//
//   - the process lives;
//   - a canary on each reactor is still answered;
//   - exactly one reason was counted, the expected one;
//   - in the end no socket, goroutine, byte held or queued is left over, and the
//     log has at most one line a second for each reason.
//
// The tests run every row. Soak mixes them with ordinary clients for as long as
// is wished; gateway/hostile/soak is its command.
//
// What it never does: reach anything but loopback, or end a process that it did
// not start.
package hostile
