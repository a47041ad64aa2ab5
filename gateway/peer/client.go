package peer

import (
	"fmt"
	"net/netip"
	"strings"
)

// Header is the request header that the operator's load balancers add each hop's address to. They keep one of them, and pass the
// other on as the client wrote it: exactly one is believed.
type Header string

// The headers that [ClientAddr] reads.
const (
	None          Header = ""                // the TCP peer, or the PROXY header's source, is the client
	XForwardedFor Header = "X-Forwarded-For" // addresses, comma-separated
	Forwarded     Header = "Forwarded"       // RFC 7239
)

// ParseHeader reads a header's name in any case; "" is None.
func ParseHeader(name string) (Header, error) {
	for _, h := range []Header{None, XForwardedFor, Forwarded} {
		if strings.EqualFold(name, string(h)) {
			return h, nil
		}
	}
	return None, fmt.Errorf("%q is not a header of which the hops are read; write %s or %s, whichever the load balancer adds to", name, XForwardedFor, Forwarded)
}

// maxHops bounds the walk. No request that means well comes past so many proxies.
const maxHops = 100

// ClientAddr is the address of the client that a connection from peer is for. lines are the values of that header, in the request's
// order.
//
// A hop appends the address that it was called from, so the walk goes from the last element to the first, and from one trusted hop to
// the one it was called from; the first that is not trusted is the client. What stands further left came from there, and is not looked at. An
// element that names no address ends the walk too: malformed, "unknown", an obfuscated "_name" (RFC 7239 §6.2, §6.3), or one of Forwarded
// without for=; and a hundred elements are the most that are read. The result is then the last hop whose address is known: a trusted one.
//
// A peer that is not trusted is the client, whatever it wrote. The result is peer or an element, unmapped; peer keeps its zone.
func ClientAddr(peer netip.Addr, trust Trust, header Header, lines []string) netip.Addr {
	client := peer.Unmap()
	if header != XForwardedFor && header != Forwarded || !trust.Contains(client) {
		return client
	}
	hops := 0
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			if hops++; hops > maxHops {
				return client
			}
			var element string
			rest, element, more = header.cutLast(rest)
			if element == "" {
				continue // RFC 9110 §5.6.1: empty elements do not count
			}
			hop, ok := header.addr(element)
			if !ok {
				return client
			}
			client = hop
			if !trust.Contains(hop) {
				return client
			}
		}
	}
	return client
}
