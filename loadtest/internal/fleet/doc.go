// Package fleet holds many WebSocket client connections on few threads, cheaply enough to be the smaller half of a measurement.
//
// A Fleet is a handful of workers. Each worker is one goroutine on its own thread with one epoll instance and raw non-blocking
// sockets: no goroutine, no timer and no buffer per connection, but for what crypto/tls keeps of one, and a goroutine for the time of its handshake. What comes in is a Target (a ws:// or wss:// URL, or an http:// or https:// one of an event
// stream), Options, and one Script
// per worker; what goes out are the Script's calls, Stats, and errors counted by kind.
//
// Everything in a Script, and every method of Conn, runs on the worker that owns the connection: no locks, nothing may block.
// Other goroutines may call only the methods of Fleet; they reach into a worker with Each. Payloads given to a Script are dead
// when it returns.
//
// Frames to the server are made by sluice/codec; those from the server are read by a few lines of its own, so that a fault of
// the server's side is not mirrored here and a whole frame costs no copy. It offers no extension and refuses masked frames, reserved bits and bad continuations from the server.
//
// Start at Start, then Worker.loop (worker.go), Conn.readable (conn.go), scan (frame.go), stream (stream.go).
package fleet
