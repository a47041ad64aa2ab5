// Package proof makes payloads that prove their own delivery, and judges what arrived.
//
// In go the run, the channel, a sequence number and a send time; out comes an ASCII payload of any size from MinSize that
// carries them under a checksum (Append). On the other side Parse takes the fields back out of what a server delivered, and a
// Tracker, one per subscriber, turns the sequence numbers into a verdict: in order, lost, duplicated or out of order.
//
// The payload is found inside an envelope too (a server that wraps publications in JSON of its own is checked by the same
// code), and it holds only letters, so that it survives text frames and JSON strings verbatim.
//
// Nothing here allocates per message, reads a clock or knows of sockets. Start at Append, then Tracker.Observe.
package proof
