// Package centrifuge is Centrifugo's client protocol as bytes: commands come in,
// replies and pushes go out, each in JSON and in protobuf. It is pure: no I/O, no
// clock, no goroutine. What commands mean is decided in package session.
//
//	frame ─▶ Commands ─▶ *protocol.Command      one frame has one command or many
//	         Append   ◀─ *protocol.Reply        one frame has one reply or many
//	         Publication, Ping, …               pushes, made once for all who take them
//
// The types of the messages and their encoding are those of
// github.com/centrifugal/protocol, which the SDKs use, too. In a frame JSON messages
// have a newline between them, and protobuf messages their length in front.
//
// Payloads of channels are whatever a service publishes. On a protobuf connection
// they go out as they are; on a JSON connection they must be a JSON value: Value says
// what becomes of those that are none.
package centrifuge
