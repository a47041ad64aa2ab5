package codec

import "net/netip"

// ProxyHeader is what a load balancer says of the connection that it relays.
type ProxyHeader struct {
	Source      netip.AddrPort // the client; an IPv4-mapped IPv6 address comes as IPv4
	Destination netip.AddrPort // where the client connected to
	Version     uint8          // 1 or 2, of the protocol
	Local       bool           // nothing was said: the socket's own addresses stand, and the others are zero
}

// ProxyError is a violation of the PROXY protocol. All are package values: compare with ==, nothing is allocated.
type ProxyError struct {
	Reason string // constant text: a log field, a metric label; never bytes of the peer
}

func (e *ProxyError) Error() string { return "PROXY protocol: " + e.Reason }

// The refusals of ProxyReader. There is nobody to answer: the connection is closed.
var (
	ErrProxySignature = &ProxyError{"connection begins with no PROXY header"}
	ErrProxyTransport = &ProxyError{"v1 line names neither TCP4, TCP6 nor UNKNOWN"}
	ErrProxyAddress   = &ProxyError{"malformed address in a v1 line"}
	ErrProxyPort      = &ProxyError{"malformed port in a v1 line"}
	ErrProxyLineEnd   = &ProxyError{"v1 line does not end in CRLF"}
	ErrProxyLine      = &ProxyError{"v1 line of more than 107 bytes"}
	ErrProxyVersion   = &ProxyError{"version is not 2"}
	ErrProxyCommand   = &ProxyError{"v2 command is neither LOCAL nor PROXY"}
	ErrProxyFamily    = &ProxyError{"unassigned v2 address family or protocol"}
	ErrProxyTooBig    = &ProxyError{"v2 header of more than 536 bytes"}
	ErrProxyTruncated = &ProxyError{"v2 length has no room for the addresses"}
	ErrProxyTLV       = &ProxyError{"malformed v2 extension"}
	ErrProxyChecksum  = &ProxyError{"v2 checksum does not match"}

	// ErrProxyUnwanted is for the caller that wants one version and got the other.
	ErrProxyUnwanted = &ProxyError{"header is of the other version than the one that is configured"}
)

// maxProxy is the longest header in bytes. The protocol promises one that fits into the smallest TCP segment, 576 bytes less 40 (§2):
// that leaves a v2 header 520 bytes behind its first 16, of which the addresses of IPv6 take 36.
const maxProxy = 536

// ProxyReader takes the header of the PROXY protocol, version 1 or 2, off the front of a connection (haproxy's proxy-protocol.txt; § here
// are its sections). It is for connections from configured load balancers alone and never guesses whether a header is there (§2): one
// that begins in any other way is refused. The zero value is ready. It belongs to one goroutine.
//
// Local headers are LOCAL and UNKNOWN, and what the protocol allows a receiver to treat so (§2.2): PROXY for anything but TCP. What is
// in them is skipped unread. A header for TCP has its extensions (TLVs) walked over and its CRC32C, if there is one, verified.
type ProxyReader struct {
	held []byte      // the header so far, nil when it comes whole
	err  *ProxyError // once set, for ever
}

// Next takes bytes from the front of b, n of them, and returns the header with done when they complete it; what follows in b is the
// client's. Until then n is len(b): the reader keeps its own copy, at most 536 bytes. The result never depends on how the header was cut:
// a byte that cannot stand where it does fails at once, a malformed address at the space behind it, an impossible length at the
// length. err is always a *ProxyError; after one the reader stays failed. Nothing is allocated for a header that comes whole.
func (r *ProxyReader) Next(b []byte) (h ProxyHeader, n int, done bool, err error) {
	if r.err != nil {
		return ProxyHeader{}, len(b), false, r.err
	}
	before, in := len(r.held), b
	if before > 0 {
		// With maxProxy bytes in sight the verdict is certain.
		r.held = extend(r.held, b[:min(len(b), maxProxy-before)], maxProxy)
		in = r.held
	}
	h, size, bad := scanProxy(in)
	switch {
	case bad != nil:
		*r = ProxyReader{err: bad}
		return ProxyHeader{}, len(b), false, bad
	case size > 0:
		*r = ProxyReader{}
		h.Version = 1
		if in[0] == proxySignature[0] {
			h.Version = 2
		}
		return h, size - before, true, nil
	case before == 0 && len(b) > 0:
		r.held = extend(nil, b, maxProxy)
	}
	return ProxyHeader{}, len(b), false, nil
}

// Partial reports whether a header has begun and is not complete. A connection that ends there was cut off.
func (r *ProxyReader) Partial() bool { return len(r.held) > 0 }

// Held is the memory in bytes held for an incomplete header.
func (r *ProxyReader) Held() int { return cap(r.held) }

// scanProxy looks for a header at the front of b, n bytes long; 0 without an error: b ends inside it. Headers are so short that it begins
// anew for each piece of one that comes in pieces, and looks at b strictly from left to right: that makes every cut the same.
func scanProxy(b []byte) (h ProxyHeader, n int, err *ProxyError) {
	if len(b) > 0 && b[0] == proxySignature[0] {
		return scanProxyBlock(b)
	}
	return scanProxyLine(b)
}

// expect takes want off the front of b. Without an error rest is nil when b ends inside want.
func expect(b []byte, want string, bad *ProxyError) (rest []byte, err *ProxyError) {
	k := min(len(b), len(want))
	if string(b[:k]) != want[:k] {
		return nil, bad
	}
	if k < len(want) {
		return nil, nil
	}
	return b[k:], nil
}
