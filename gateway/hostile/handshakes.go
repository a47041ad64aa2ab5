package hostile

import (
	"fmt"
	"slices"
	"strings"
)

// swap replaces a line of the usual handshake for /echo, or takes it away if
// fields has "-Name:".
func swap(fields ...string) string { return Request("/echo", fields...) }

// Handshakes are requests. Those that are refused end with their answer, which
// has nothing of the client's in it: not EVIL.
func Handshakes() []Row {
	head := func(size int) string { // a handshake of exactly size bytes
		const field = "X-Filler: "
		return swap(field + strings.Repeat("x", size-len(swap(field))))
	}
	many := func(n int) []string { // n header lines with the five usual ones
		return slices.Repeat([]string{"X-Filler: x"}, n-5)
	}
	rows := []Row{
		{Name: "as it should be", Send: swap(), Want: "101"},
		{Name: "a health check", Send: "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", Want: "200", Reason: nothing},
		{Name: "a health check, HTTP/1.0 without Host", Send: "GET /healthz HTTP/1.0\r\n\r\n", Want: "200", Reason: nothing},

		// Event streams.
		{Name: "HEAD of an event stream", Send: "HEAD /sse?channel=a HTTP/1.1\r\nHost: a\r\n\r\n", Want: "405"},
		{Name: "POST to an event stream", Send: "POST /sse?channel=a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", Want: "405"},
		{Name: "an event stream's request with a body", Send: "GET /sse?channel=a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nEVIL", Want: "400"},
		{Name: "an event stream with an expectation", Send: "GET /sse?channel=a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", Want: "417"},
		{Name: "an event stream of nothing", Send: "GET /sse HTTP/1.1\r\nHost: a\r\n\r\n", Want: "400"},
		{Name: "an event stream for two pages", Send: "GET /sse?channel=a HTTP/1.1\r\nHost: a\r\nOrigin: null\r\nOrigin: null\r\n\r\n", Want: "400"},
		{Name: "an event stream for a foreign page", Send: "GET /sse?channel=a HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\n\r\n", Want: "403"},
		{Name: "a foreign page asks for an event stream", Send: "OPTIONS /sse?channel=a HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\n\r\n", Want: "403"},
		{Name: "an event stream from nowhere", Send: "GET /sse?channel=a&since=9007199254740992 HTTP/1.1\r\nHost: a\r\n\r\n", Want: "400"},
		{Name: "an event stream of a pattern", Send: "GET /sse?channel=%2A HTTP/1.1\r\nHost: a\r\n\r\n", Want: "400"},

		// Sizes.
		{Name: "head of 8192 bytes", Send: head(8192), Want: "101"},
		{Name: "head of 8193 bytes", Send: head(8193), Want: "431"},
		{Name: "head of 8192 bytes, one at a time", Send: head(8192), How: []How{ByteByByte}, Want: "101"},
		{Name: "head of 1 MB", Send: swap("X-Filler: " + strings.Repeat("x", 1_000_000)), Want: "431"},
		{Name: "64 header lines", Send: swap(many(64)...), Want: "101"},
		{Name: "65 header lines", Send: swap(many(65)...), Want: "431"},
		{Name: "2000 header lines", Send: swap(many(2000)...), Want: "431"},
		{Name: "2000 short header lines", Send: swap(strings.Split(strings.TrimSuffix(strings.Repeat("ab: \n", 2000), "\n"), "\n")...), Want: "431"},
		{Name: "URL of 5000 bytes", Send: Request("/EVIL" + strings.Repeat("x", 5000)), Want: "414"},
		{Name: "method that never ends", Send: strings.Repeat("G", 5000), Want: "414"},
		{Name: "32 subprotocols", Send: swap("Sec-WebSocket-Protocol: " + numbered("p", 32)), Want: "101"},
		{Name: "33 subprotocols", Send: swap("Sec-WebSocket-Protocol: " + numbered("p", 33)), Want: "400"},

		// The request line.
		{Name: "HEAD", Send: requestLine("HEAD /echo HTTP/1.1"), Want: "405"},
		{Name: "CONNECT", Send: requestLine("CONNECT evil.example:443 HTTP/1.1"), Want: "405"},
		{Name: "GET in lower case", Send: requestLine("get /echo HTTP/1.1"), Want: "405"},
		{Name: "HTTP/0.9", Send: "GET /echo\r\n", Want: "400"},
		{Name: "HTTP/1.0", Send: requestLine("GET /echo HTTP/1.0"), Want: "505"},
		{Name: "HTTP/1.2", Send: requestLine("GET /echo HTTP/1.2"), Want: "505"},
		{Name: "http/1.1 in lower case", Send: requestLine("GET /echo http/1.1"), Want: "400"},
		{Name: "HTTP/2's preface", Send: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Want: "400"},
		{Name: "a TLS ClientHello", Send: Bytes("16 03 01 00 05 01 00 00 01 00"), Want: "400"},
		{Name: "asterisk-form", Send: requestLine("GET * HTTP/1.1"), Want: "400"},
		{Name: "authority-form", Send: requestLine("GET sluice.example:80 HTTP/1.1"), Want: "400"},
		{Name: "absolute-form of our own", Send: requestLine("GET http://sluice.example/echo HTTP/1.1"), Want: "101"},
		{Name: "absolute-form of another's", Send: requestLine("GET http://EVIL.example/echo HTTP/1.1"), Want: "400"},
		{Name: "two spaces", Send: requestLine("GET  /echo HTTP/1.1"), Want: "400"},
		{Name: "space before the method", Send: requestLine(" GET /echo HTTP/1.1"), Want: "400"},
		{Name: "empty line before the request", Send: "\r\n" + swap(), Want: "400"},
		{Name: "NUL in the URL", Send: requestLine("GET /echo\x00EVIL HTTP/1.1"), Want: "400"},
		{Name: "%00 in the path", Send: Request("/echo%00"), Want: "404"},
		{Name: "%2e%2e in the path", Send: Request("/x/%2e%2e/echo"), Want: "404"},
		{Name: "an escaped letter is decoded", Send: Request("/%65cho"), Want: "101"},
		{Name: "but once", Send: Request("/%2565cho"), Want: "404"},
		{Name: "%ff in the path", Send: Request("/echo%ff"), Want: "404"},
		{Name: "half an escape", Send: Request("/echo%4"), Want: "400"},
		{Name: "an escaped CRLF in the path", Send: Request("/EVIL%0d%0aX-EVIL:%201"), Want: "404"},
		{Name: "the path in upper case", Send: Request("/ECHO"), Want: "404"},

		// Header lines.
		{Name: "names in any case", Send: strings.NewReplacer("Upgrade", "uPGRADE", "Sec-WebSocket", "sec-WEBSOCKET", "Host", "hOST").Replace(swap()), Want: "101"},
		{Name: "Connection: keep-alive, Upgrade", Send: swap("Connection: keep-alive, Upgrade"), Want: "101"},
		{Name: "two Connection lines", Send: swap("Connection: keep-alive", "Connection: Upgrade"), Want: "101"},
		{Name: "no Connection", Send: swap("-Connection:"), Want: "400"},
		{Name: "Upgrade twice", Send: swap("Upgrade: websocket", "Upgrade: websocket"), Want: "101"},
		{Name: "Upgrade: h2c, websocket", Send: swap("Upgrade: h2c, websocket"), Want: "101"},
		{Name: "Upgrade: websocketx", Send: swap("Upgrade: websocketx"), Want: "426"},
		{Name: "no Upgrade", Send: swap("-Upgrade:"), Want: "426"},
		{Name: "folded header", Send: swap("X-Folded: a\r\n EVIL"), Want: "400"},
		{Name: "leading space on the first header", Send: "GET /echo HTTP/1.1\r\n Host: a\r\n\r\n", Want: "400"},
		{Name: "space before the colon", Send: swap("X-Space : a"), Want: "400"},
		{Name: "no colon", Send: swap("X-Nothing"), Want: "400"},
		{Name: "empty name", Send: swap(": EVIL"), Want: "400"},
		{Name: "name that is no token", Send: swap("X(a): EVIL"), Want: "400"},
		{Name: "NUL in a value", Send: swap("X-Nul: a\x00b"), Want: "400"},
		{Name: "bare CR in a value", Send: swap("X-CR: a\rb"), Want: "400"},
		{Name: "bare LF at a line's end", Send: "GET /echo HTTP/1.1\r\nHost: a\nX-EVIL: 1\r\n\r\n", Want: "400"},
		{Name: "bare LF at the request line's end", Send: "GET /echo HTTP/1.1\nHost: a\r\n\r\n", Want: "400"},
		{Name: "no Host", Send: swap("-Host:"), Want: "400"},
		{Name: "two Hosts", Send: swap("Host: sluice.example", "Host: EVIL.example"), Want: "400"},
		{Name: "Host with a path", Send: swap("Host: a/EVIL"), Want: "400"},
		{Name: "Expect: 100-continue", Send: swap("Expect: 100-continue"), Want: "417"},
		{Name: "two Origins", Send: swap("Origin: http://localhost", "Origin: http://localhost"), Want: "400"},
		{Name: "a foreign Origin", Send: swap("Origin: https://EVIL.example"), Want: "403"},
		{Name: "Origin: null", Send: swap("Origin: null"), Want: "403"},

		// Bodies: where a request ends is never a matter of opinion.
		{Name: "Content-Length: 0", Send: swap("Content-Length: 0"), Want: "101"},
		{Name: "Content-Length: 5", Send: swap("Content-Length: 5") + "EVIL!", Want: "400"},
		{Name: "two Content-Lengths", Send: swap("Content-Length: 0", "Content-Length: 0"), Want: "400"},
		{Name: "Content-Length: +0", Send: swap("Content-Length: +0"), Want: "400"},
		{Name: "Content-Length: 0,0", Send: swap("Content-Length: 0,0"), Want: "400"},
		{Name: "Content-Length: 5,5", Send: swap("Content-Length: 5,5") + "EVIL!", Want: "400"},
		{Name: "a body of 10000 bytes", Send: swap("Content-Length: 10000") + strings.Repeat("EVIL!", 2000), Want: "400"},
		{Name: "empty Content-Length", Send: swap("Content-Length:"), Want: "400"},
		{Name: "Transfer-Encoding: chunked", Send: swap("Transfer-Encoding: chunked") + "0\r\n\r\n", Want: "400"},
		{Name: "Transfer-Encoding: identity", Send: swap("Transfer-Encoding: identity"), Want: "400"},
		{Name: "POST with a body", Send: requestLine("POST /echo HTTP/1.1", "Content-Length: 5") + "EVIL!", Want: "400"},
		{Name: "POST", Send: requestLine("POST /echo HTTP/1.1"), Want: "405"},

		// What follows.
		{Name: "a request behind a refused one", Send: swap("Sec-WebSocket-Version: 12") + "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", Want: "426"},
		{Name: "garbage behind a refused request", Send: Request("/EVIL") + strings.Repeat("EVIL\r\n\r\n", 1000), Want: "404"},
		{Name: "a message in the request's segment", Send: swap() + Frame(0x81, "early"), Want: "101, text early"},
		{Name: "length 2^63 + 1 in the request's segment", Send: swap() + Bytes("82 FF 8000000000000001 00000000"), Want: "101, close 1002"},
		{Name: "a broken frame in the request's segment", Send: swap() + Bytes("C1 85 00000000 'early'"), Want: "101, close 1002"},
	}
	for _, spaces := range []int{7000, 32_000} {
		rows = append(rows, Row{Name: fmt.Sprintf("a subprotocol with %d spaces in it", spaces), Send: swap("Sec-WebSocket-Protocol: b" + strings.Repeat(" ", spaces) + "x"),
			How: []How{Whole}, Want: map[bool]string{true: "400", false: "431"}[spaces < 8192]})
	}
	return append(rows, webSocketFields()...)
}

// webSocketFields are the fields that RFC 6455 is about.
func webSocketFields() (rows []Row) {
	for _, r := range []struct{ field, want string }{
		{"-Sec-WebSocket-Version:", "426"},
		{"Sec-WebSocket-Version: 0", "426"},
		{"Sec-WebSocket-Version: 12", "426"},
		{"Sec-WebSocket-Version: 013", "426"},
		{"Sec-WebSocket-Version: 13, 8", "426"},
		{"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13", "426"},
		{"-Sec-WebSocket-Key:", "400"},
		{"Sec-WebSocket-Key:", "400"},
		{"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j", "400"},     // 15 bytes
		{"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=", "400"}, // 17
		{"Sec-WebSocket-Key: ????????????????????????", "400"},
		{"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==", "400"}, // bits that mean nothing
		{"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "400"},
		{"Sec-WebSocket-Protocol: chat", "101"},
		{"Sec-WebSocket-Protocol: chat, chat", "400"},
		{"Sec-WebSocket-Protocol: \xff\xfe", "400"},
		{"Sec-WebSocket-Protocol: a b", "400"},
		{"Sec-WebSocket-Protocol: b" + strings.Repeat(" ", 4000) + "x", "400"},
		{"Sec-WebSocket-Protocol: a\tEVIL", "400"},
		{"Sec-WebSocket-Extensions: constructor, __proto__, ,;constructor", "101"},
		{"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=999", "101"},
		{"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=abc; server_max_window_bits=8", "101"},
		{"Sec-WebSocket-Extensions: permessage-deflate" + strings.Repeat(";", 2000), "101"},
		{"Sec-WebSocket-Extensions: " + strings.Repeat("permessage-deflate,", 300), "101"},
	} {
		name := strings.ReplaceAll(r.field, "\r\n", " and ")
		if len(name) > 80 {
			name = name[:80] + "…"
		}
		rows = append(rows, Row{Name: name, Send: swap(strings.Split(r.field, "\r\n")...), Want: r.want})
	}
	return rows
}

// Proxied are beginnings of connections to a node whose clients must begin with
// a PROXY header. Nobody is answered who does not.
func Proxied() []Row {
	const signature = "0D0A0D0A000D0A515549540A "
	gone := func(name, bytes string) Row {
		return Row{Name: name, Send: bytes, Want: "gone", Reason: "sluice_misproxied_total"}
	}
	return []Row{
		{Name: "version 1", Send: "PROXY TCP4 192.0.2.1 192.0.2.2 1111 80\r\n" + swap(), Want: "101"},
		{Name: "version 1, UNKNOWN", Send: "PROXY UNKNOWN\r\n" + swap(), Want: "101"},
		{Name: "version 2", Send: Bytes(signature+"21 11 000C C0000201 C0000202 0457 0050") + swap(), Want: "101"},
		{Name: "version 2, LOCAL", Send: Bytes(signature+"20 00 0000") + swap(), Want: "101"},
		gone("none", swap()),
		gone("version 1 of 108 bytes", "PROXY TCP4 "+strings.Repeat("1", 97)),
		gone("version 1 with an address that is none", "PROXY TCP4 EVIL 192.0.2.2 1111 80\r\n"+swap()),
		gone("version 1 with a port too many", "PROXY TCP4 192.0.2.1 192.0.2.2 1111 80 443\r\n"+swap()),
		gone("version 2 with another signature", Bytes("0D0A0D0A000D0A515549540B 21 11 000C")+swap()),
		gone("version 3", Bytes(signature+"31 11 000C C0000201 C0000202 0457 0050")+swap()),
		gone("version 2 that announces 64 KiB", Bytes(signature+"21 11 FFFF")+strings.Repeat("x", 0xFFFF)),
		gone("version 2 with addresses too short", Bytes(signature+"21 11 0004 C0000201")+swap()),
	}
}

// numbered is a list of n names.
func numbered(name string, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name + string(rune('A'+i/26)) + string(rune('a'+i%26)))
	}
	return b.String()
}
