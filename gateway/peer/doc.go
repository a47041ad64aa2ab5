// Package peer tells where a connection really comes from, and counts how many come from there.
//
// Behind a load balancer every connection has the balancer's address. Whose it is stands in a PROXY header (codec.ProxyReader) or in a header
// of the request that each hop on the way has added to. Anybody can write such a header, so what it says counts only as far as the
// hops who wrote it are trusted: they are the ones in a [Trust], which the operator lists.
//
// # In
//
// The address of the TCP peer, or the source from a PROXY header that a trusted peer sent; the lines of the one header that the operator's
// balancers keep; the operator's list of addresses and networks.
//
// # Out
//
// [ClientAddr] is the address of the nearest hop that is not trusted: the client. It is always the peer's own or one that a trusted hop wrote.
// Addresses come out unmapped: a client of IPv4 is the same one whether a socket for both families accepted it or not.
//
//	addr := peer.ClientAddr(socket, trust, peer.XForwardedFor, request.Values("X-Forwarded-For"))
//	if n := counter.Add(addr); n > limit {
//		counter.Done(addr)
//		… refuse
//	}
//	… when the connection has ended
//	counter.Done(addr)
//
// # Who may call
//
// Everything from any goroutine: a Trust is never changed after [ParseTrust], a [Counter] has its own locks.
//
// # What it never does
//
// No I/O, no goroutine, no log. It never looks at a second header when the first says nothing: a balancer that keeps X-Forwarded-For passes a
// client's own Forwarded on as it came, and whoever reads both can be told anything.
//
// Start at client.go; element.go takes the headers apart from their end, and says why from there.
package peer
