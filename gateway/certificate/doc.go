// Package certificate is what the public listener shows of itself where it speaks TLS.
//
// # In
//
// The files of certificates and of their keys, PEM; the file of the keys of session
// tickets, where nodes share some; what a client's hello asks for.
//
// # Out
//
// A [Set] is what was in the files at one moment, checked so far that a handshake can go
// well: each key is its certificate's. A [Store] holds the set of the moment, which a
// reload replaces; handshakes that have begun, and connections, go on with theirs.
// [Store.Config] is for crypto/tls. Its keys of session tickets are made anew every day
// and outlive a reload; each node has its own, so that a client which comes back to
// another node does a whole handshake there. [Tickets] are keys that nodes share instead;
// then it is for whoever runs them to make new ones.
//
// # Who may call
//
// Everything from any goroutine.
package certificate
