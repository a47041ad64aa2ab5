package peer

import (
	"net/netip"
	"strings"
)

// Elements are cut off from the end because only the end can be believed: the last element was written by a hop that is trusted, and
// what is left of it by whoever called that hop. Read from the front, a quote that the client opened and never closed would swallow
// the comma before the balancer's own element and turn that into part of the client's:
//
//	Forwarded: for=192.0.2.66;by=", for="[2001:db8::7]"
//
// From the end a quoted string begins at the first quote that no backslash stands before, which is true of every well-formed one, and
// nothing further left can change it.

// cutLast takes the last element off a line, without the white space around it. more: a comma stood before it, and rest is what is left of
// that.
func (h Header) cutLast(line string) (rest, element string, more bool) {
	comma := strings.LastIndexByte(line, ',')
	if h == Forwarded {
		comma = lastComma(line)
	}
	if comma < 0 {
		return "", trim(line), false
	}
	return line[:comma], trim(line[comma+1:]), true
}

// lastComma is the index of the last comma outside quoted strings, -1 when there is none: also when a string is closed that was never
// opened, which makes the whole line one element, and a malformed one.
func lastComma(line string) int {
	quoted := false
	for i := len(line) - 1; i >= 0; i-- {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted || isEscaped(line, i)
		case c == ',' && !quoted:
			return i
		}
	}
	return -1
}

// isEscaped reports whether an odd number of backslashes stands before line[i].
func isEscaped(line string, i int) bool {
	start := i
	for start > 0 && line[start-1] == '\\' {
		start--
	}
	return (i-start)%2 == 1
}

// addr is the address in an element.
func (h Header) addr(element string) (netip.Addr, bool) {
	if h == Forwarded {
		node, ok := forwardedFor(element)
		if !ok {
			return netip.Addr{}, false
		}
		return parseNode(node)
	}
	return parseNode(element)
}

// forwardedFor is the value of for= in an element of Forwarded (RFC 7239 §4): pairs of a token and a token or quoted string, between
// semicolons, for= exactly once. Values that ought to be quoted are taken without: for=192.0.2.7:80 is what some balancers write.
func forwardedFor(element string) (node string, ok bool) {
	found := false
	for element != "" {
		if element[0] == ';' {
			element = trim(element[1:])
			continue
		}
		name, rest, _ := strings.Cut(element, "=")
		value, rest, ok := cutValue(rest)
		if !ok || name == "" || strings.ContainsAny(name, " \t\",;") {
			return "", false
		}
		if strings.EqualFold(name, "for") {
			if found {
				return "", false
			}
			node, found = value, true
		}
		element = trim(rest)
		if element != "" && element[0] != ';' {
			return "", false
		}
	}
	return node, found
}

// cutValue takes a value off the front, without its quotes. Escapes stay as they are: an address has none.
func cutValue(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		end := strings.IndexAny(s, "; \t\"")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[1:i], s[i+1:], true
		}
	}
	return "", "", false
}

// parseNode reads an address with or without a port: 192.0.2.7, 192.0.2.7:80, 2001:db8::7, [2001:db8::7], [2001:db8::7]:80. An address
// with a zone is nobody's but its own host's.
func parseNode(node string) (netip.Addr, bool) {
	host, port, hasPort := node, "", false
	bracketed := strings.HasPrefix(node, "[")
	switch {
	case bracketed:
		var closed bool
		if host, port, closed = strings.Cut(node[1:], "]"); !closed {
			return netip.Addr{}, false
		}
		if port != "" {
			if port[0] != ':' {
				return netip.Addr{}, false
			}
			port, hasPort = port[1:], true
		}
	case strings.Count(node, ":") == 1:
		host, port, hasPort = strings.Cut(node, ":")
	}
	if hasPort && !isPort(port) {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" || bracketed && addr.Is4() {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

// isPort reports whether s is a port of one to five digits or an obfuscated one (RFC 7239 §6).
func isPort(s string) bool {
	if len(s) > 1 && s[0] == '_' {
		return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
	}
	return len(s) >= 1 && len(s) <= 5 && strings.Trim(s, "0123456789") == ""
}

func trim(s string) string { return strings.Trim(s, " \t") }
