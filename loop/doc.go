// Package loop is the reactors: it accepts TCP connections, reads WebSocket
// messages from them and writes frames to them, on one event loop per core and
// without a goroutine per connection. It knows WebSocket (through codec) and
// nothing of channels, users or Redis.
//
//	clients ⇄ Reactor (one gnet event loop, owns its connections) ── codec
//	             │ Handler, one per reactor        ▲ Post: one mailbox per reactor
//	             ▼                                 │
//	          the program above (package gateway) ─┘
//
// What comes in: bytes of sockets, and events posted by other goroutines.
// What goes out: calls of the Handler, and frames.
//
// # Ownership
//
// A Reactor, its connections, its timers and its Handler belong to one
// goroutine, the event loop. Nothing of them is locked. Other goroutines may
// call Reactor.Post, Offer and Wake and nothing else; a build with the tag "invariants" panics
// where that is broken.
//
// # A turn
//
// Post and the ticker ring a doorbell, a socket that the event loop watches
// like any other, so that events and network input take turns fairly. One ring
// serves everything posted until the loop comes to it. A turn hands the whole
// burst to the Handler, which sends references to shared frames; each
// connection that got something is then flushed once, with one write for all
// of it. Long bursts and long flushes are cut into slices between which the
// loop looks at its sockets. What comes during a long flush is handed on at one of
// its stations (type round): those not flushed yet take it along. Where a reactor stood still its deadlines did too
// (type clock), so that a paused machine does not wake up to cut its clients.
//
// # Writing
//
// Frames go to the kernel with a non-blocking send straight from the reactor.
// What the socket does not take stays in the connection's own queue as
// references, bounded in bytes, until an epoll set of our own (type watcher)
// reports the socket writable: gnet, which has no such callback and copies
// without bound, never buffers anything for us.
//
// # Streams
//
// A request may be answered with an event stream instead of a WebSocket (stream.go): what
// is sent to it are whole events, what it says is thrown away, and everything else is
// the same.
//
// # TLS
//
// Connections may have to begin with TLS (tls.go). Handshakes are done by a bounded number of
// goroutines that have no other business; afterwards the reactor opens and seals records
// itself, with crypto/tls over a transport that never blocks.
//
// # gnet
//
// The traps of gnet 2.9.8 that shaped this package are named where they are
// met. In short: gnet's own listener ends the whole engine at the first
// EMFILE, so accepting is ours (type acceptor); its connections may not be
// written to after OnClose, because the fd may be someone else's by then, so
// Conn forgets its gnet.Conn there; its task queue is not first in, first out,
// so there is a mailbox; it recovers from no panic, so every callback here
// does; and the bytes it hands out are its one read buffer, so nothing of them
// is kept.
//
// Start reading at engine.go, then reactor.go, conn.go, write.go.
package loop
