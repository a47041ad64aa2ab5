package codec

import (
	"bytes"
	"net/netip"
	"strconv"
	"unsafe"
)

const (
	proxyWord    = "PROXY "
	maxProxyLine = 107 // bytes of a v1 line with its CRLF (§2.1)
	maxIPv4Text  = 15  // "255.255.255.255"
	maxIPv6Text  = 39  // eight groups of four digits
)

// scanProxyLine reads version 1 (§2.1):
//
//	PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n
//	PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n
//	PROXY UNKNOWN[ anything]\r\n
func scanProxyLine(b []byte) (h ProxyHeader, n int, err *ProxyError) {
	rest, err := expect(b, proxyWord, ErrProxySignature)
	if len(rest) == 0 {
		return h, 0, err
	}
	if rest[0] == 'U' {
		return scanProxyUnknown(b, rest)
	}
	if rest, err = expect(rest, "TCP", ErrProxyTransport); len(rest) == 0 {
		return h, 0, err
	}
	family := rest[0]
	if family != '4' && family != '6' {
		return h, 0, ErrProxyTransport
	}
	if rest, err = expect(rest[1:], " ", ErrProxyTransport); rest == nil {
		return h, 0, err
	}
	var addrs [2]netip.Addr
	for i := range addrs {
		if addrs[i], rest, err = cutProxyAddr(rest, family); rest == nil {
			return h, 0, err
		}
	}
	var ports [2]uint16
	for i, end := range [2]byte{' ', '\r'} {
		if ports[i], rest, err = cutProxyPort(rest, end); rest == nil {
			return h, 0, err
		}
	}
	if rest, err = expect(rest, "\n", ErrProxyLineEnd); rest == nil {
		return h, 0, err
	}
	h.Source = netip.AddrPortFrom(addrs[0].Unmap(), ports[0])
	h.Destination = netip.AddrPortFrom(addrs[1].Unmap(), ports[1])
	return h, len(b) - len(rest), nil
}

// scanProxyUnknown reads the line b whose transport, at the front of rest, can only be UNKNOWN. A lone CR or LF in what else it says is
// refused: where a line ends must never be a matter of opinion.
func scanProxyUnknown(b, rest []byte) (h ProxyHeader, n int, err *ProxyError) {
	rest, err = expect(rest, "UNKNOWN", ErrProxyTransport)
	if len(rest) == 0 {
		return h, 0, err
	}
	if rest[0] != ' ' && rest[0] != '\r' {
		return h, 0, ErrProxyTransport
	}
	start := len(b) - len(rest)
	end := bytes.IndexAny(rest[:min(len(rest), maxProxyLine-1-start)], "\r\n")
	switch {
	case end < 0 && len(b) >= maxProxyLine-1:
		return h, 0, ErrProxyLine
	case end < 0:
		return h, 0, nil
	case rest[end] == '\n':
		return h, 0, ErrProxyLineEnd
	}
	if rest, err = expect(rest[end+1:], "\n", ErrProxyLineEnd); rest == nil {
		return h, 0, err
	}
	return ProxyHeader{Local: true}, len(b) - len(rest), nil
}

// cutProxyAddr takes an address of that family, '4' or '6', and the space behind it off the front of b. Without an error rest is nil when
// b ends before the space.
func cutProxyAddr(b []byte, family byte) (addr netip.Addr, rest []byte, err *ProxyError) {
	longest := maxIPv4Text
	if family == '6' {
		longest = maxIPv6Text
	}
	for i, c := range b {
		if c == ' ' {
			addr, ok := parseProxyAddr(b[:i])
			if !ok || addr.Is4() != (family == '4') {
				return addr, nil, ErrProxyAddress
			}
			return addr, b[i+1:], nil
		}
		if i == longest || !inProxyAddr(c, family) {
			return addr, nil, ErrProxyAddress
		}
	}
	return addr, nil, nil
}

// inProxyAddr reports whether c may stand in an address. Dots have a place in IPv6 too: that is how a balancer's libc writes a client of
// IPv4 on a socket for both, "::ffff:192.0.2.7".
func inProxyAddr(c, family byte) bool {
	return c >= '0' && c <= '9' || c == '.' || family == '6' && (c == ':' || unhex(c) < 16)
}

func parseProxyAddr(text []byte) (netip.Addr, bool) {
	if len(text) == 0 {
		return netip.Addr{}, false
	}
	// A string that shares its bytes, for no allocation: of it netip keeps a zone, for which there is no '%' here, and what an error
	// quotes, which ends here.
	addr, err := netip.ParseAddr(unsafe.String(&text[0], len(text)))
	return addr, err == nil
}

// cutProxyPort takes a decimal port and the byte behind it off the front of b. Without an error rest is nil when b ends before that byte.
func cutProxyPort(b []byte, end byte) (port uint16, rest []byte, err *ProxyError) {
	value := 0
	for i, c := range b {
		switch {
		case c == end && i > 0:
			return uint16(value), b[i+1:], nil
		case c == '\n' && i > 0 && end == '\r':
			return 0, nil, ErrProxyLineEnd
		case c < '0' || c > '9', i == 1 && value == 0:
			return 0, nil, ErrProxyPort
		}
		if value = value*10 + int(c-'0'); value > 0xFFFF {
			return 0, nil, ErrProxyPort
		}
	}
	return 0, nil, nil
}

// AppendProxyV1 appends the line that a load balancer sends, for tests and load generators. Addresses of two families both go as IPv6; if
// one is invalid, the line says UNKNOWN.
func AppendProxyV1(dst []byte, source, destination netip.AddrPort) []byte {
	dst = append(dst, proxyWord...)
	from, to, family := proxyPair(source.Addr(), destination.Addr())
	switch family {
	case 0:
		return append(dst, "UNKNOWN\r\n"...)
	case 4:
		dst = append(dst, "TCP4 "...)
	case 6:
		dst = append(dst, "TCP6 "...)
	}
	dst = append(from.AppendTo(dst), ' ')
	dst = append(to.AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(source.Port()), 10), ' ')
	dst = strconv.AppendUint(dst, uint64(destination.Port()), 10)
	return append(dst, "\r\n"...)
}

// proxyPair brings two addresses to one family, 4 or 6; 0: to none.
func proxyPair(a, b netip.Addr) (from, to netip.Addr, family int) {
	a, b = a.Unmap().WithZone(""), b.Unmap().WithZone("")
	switch {
	case !a.IsValid() || !b.IsValid():
		return a, b, 0
	case a.Is4() && b.Is4():
		return a, b, 4
	}
	return netip.AddrFrom16(a.As16()), netip.AddrFrom16(b.As16()), 6
}
