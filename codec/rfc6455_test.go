package codec

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestRFC6455 has a row for each MUST and MUST NOT of §4 to §8 and §10 that bytes alone can show: what a server has to do, and that a client
// is refused which breaks what it has to. Those that take a connection to show are in package loop, those about TLS and about a client's own
// randomness and conduct nowhere.
func TestRFC6455(t *testing.T) {
	version, key, protocol := "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol: "
	good := strings.Join(goodHandshake, "\r\n")
	long := strings.Repeat("x", 1<<16)
	for _, row := range []struct {
		name  string
		check func(t *testing.T)
	}{
		{"§4.1 the handshake is a valid HTTP request", each(
			refusesHead(ErrBadHeaderName, "GET / HTTP/1.1\r\nHost a\r\n\r\n"), refusesHead(ErrFoldedHeader, "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"),
			refusesHead(ErrBadVersion, "GET / HTTP/x\r\n"), refusesHead(ErrBadMethod, "\x16\x03\x01"))},
		{"§4.1 the method is GET", refusesUpgrade(ErrMethod, head("POST /ws HTTP/1.1", good))},
		{"§4.1 the HTTP version is at least 1.1", refusesUpgrade(ErrVersion, head("GET /ws HTTP/1.0", good))},
		{"§4.1 the Request-URI is a resource name or an absolute http URI", each(
			accepts(handshake("")), accepts(head("GET http://a/ws HTTP/1.1", good)), refusesHead(ErrBadTarget, "GET * HTTP/1.1\r\n"),
			refusesHead(ErrBadTarget, head("GET a:80 HTTP/1.1", good)))},
		{"§4.1 there is a Host", refusesHead(ErrBadHost, handshake("Host"))},
		{"§4.1 there is an Upgrade that includes websocket", each(
			refusesUpgrade(ErrUpgradeRequired, handshake("Upgrade")), refusesUpgrade(ErrUpgradeRequired, handshake("Upgrade", "Upgrade: websockets")),
			accepts(handshake("Upgrade", "Upgrade: h2c, websocket")))},
		{"§4.1 there is a Connection that includes Upgrade", each(
			refusesUpgrade(ErrBadConnection, handshake("Connection")), refusesUpgrade(ErrBadConnection, handshake("Connection", "Connection: close")),
			accepts(handshake("Connection", "Connection: keep-alive, Upgrade")))},
		{"§4.1 there is a Sec-WebSocket-Key", refusesUpgrade(ErrBadKey, handshake(key))},
		{"§4.1 the key is 16 bytes in base64", each(
			refusesUpgrade(ErrBadKey, handshake(key, key+": AAAAAAAAAAAAAAAAAAAA")), refusesUpgrade(ErrBadKey, handshake(key, key+": AAAAAAAAAAAAAAAAAAAAAAA=")),
			refusesUpgrade(ErrBadKey, handshake(key, key+": ______________________==")), accepts(handshake(key, key+": AQIDBAUGBwgJCgsMDQ4PEA==")))},
		{"§4.1 there is a Sec-WebSocket-Version, and it is 13", each(
			refusesUpgrade(ErrWebSocketVersion, handshake(version)), refusesUpgrade(ErrWebSocketVersion, handshake(version, version+": 12")),
			refusesUpgrade(ErrWebSocketVersion, handshake(version, version+": 25")), refusesUpgrade(ErrWebSocketVersion, handshake(version, version+": 013")))},
		{"§4.1 subprotocols are non-empty tokens", each(
			refusesUpgrade(ErrBadProtocol, handshake("", protocol+"a b")), refusesUpgrade(ErrBadProtocol, handshake("", protocol+"a/b")),
			refusesUpgrade(ErrBadProtocol, handshake("", protocol+"\x80")), accepts(handshake("", protocol+"!#$%&'*+-.^_`|~09azAZ")))},
		{"§4.1 subprotocols are unique", each(
			refusesUpgrade(ErrBadProtocol, handshake("", protocol+"a, a")), refusesUpgrade(ErrBadProtocol, handshake("", protocol+"a", protocol+"a")))},
		{"§4.1 header names are case-insensitive", accepts(
			"GET /ws HTTP/1.1\r\nhost: a\r\nCONNECTION: upgrade\r\nupgrade: WEBSOCKET\r\nsec-websocket-version: 13\r\nSEC-WEBSOCKET-KEY: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")},
		{"§4.2.1 the order of the header fields is not important", accepts(head("GET /ws HTTP/1.1", goodHandshake[4], goodHandshake[3], goodHandshake[2], goodHandshake[1], goodHandshake[0]))},
		{"§4.2.1 unknown header fields are ignored", accepts(handshake("", "X-Anything: \x80 at all", "Accept: */*"))},
		{"§4.2.1 what does not match gets an appropriate HTTP error code", func(t *testing.T) {
			for _, err := range []*HTTPError{ErrBadMethod, ErrBadTarget, ErrBadEscape, ErrNoSuchPath, ErrBadVersion, ErrVersion, ErrLineTooLong, ErrHeadTooBig, ErrTooManyHeaders,
				ErrBareCR, ErrFoldedHeader, ErrBadHeaderName, ErrBadHeaderValue, ErrBody, ErrBadHost, ErrMethod, ErrExpect, ErrUpgradeRequired, ErrWebSocketVersion,
				ErrBadConnection, ErrBadKey, ErrBadOrigin, ErrBadProtocol} {
				if line := fmt.Sprintf("HTTP/1.1 %d ", err.Status); err.Status < 400 || !strings.HasPrefix(string(err.Append(nil)), line) {
					t.Errorf("%v is answered %.40q", err, err.Append(nil))
				}
			}
		}},
		// §4.2.1 and §9.1 would have the handshake fail. Clients and proxies have got this header wrong for as long as it exists, and nothing is lost by
		// going on without an extension.
		{"§4.2.1 malformed extensions: by choice declined, not refused", func(t *testing.T) {
			u, err := upgradeOf(t, handshake("", "Sec-WebSocket-Extensions: permessage-deflate;;, ;x, permessage-deflate; client_max_window_bits=\""))
			if answer, ok := NegotiateDeflate(u.Extensions); err != nil || ok {
				t.Errorf("answered %q, error %v", answer, err)
			}
		}},
		{"§4.2.2 another version gets an error and the versions understood", func(t *testing.T) {
			_, err := upgradeOf(t, handshake(version, version+": 8"))
			if answer := string(err.(*HTTPError).Append(nil)); !strings.HasPrefix(answer, "HTTP/1.1 426 ") || !strings.Contains(answer, "\r\nSec-WebSocket-Version: 13\r\n") {
				t.Errorf("answered %q", answer)
			}
		}},
		{"§4.2.2 missing authentication gets 401 with WWW-Authenticate", func(t *testing.T) {
			if answer := string((&HTTPError{401, "no"}).Append(nil)); !strings.Contains(answer, "\r\nWWW-Authenticate: Bearer\r\n") {
				t.Errorf("answered %q", answer)
			}
		}},
		{"§4.2.2 the answer is 101, Upgrade: websocket, Connection: Upgrade and the key's accept", switches("", "",
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")},
		{"§4.2.2 the subprotocol is one value", switches("chat", "",
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n")},
		{"§4.2.2 without agreement there is no Sec-WebSocket-Protocol and no Sec-WebSocket-Extensions", func(t *testing.T) {
			if answer := string(AppendSwitch(nil, "dGhlIHNhbXBsZSBub25jZQ==", "", "")); strings.Contains(answer, "Protocol:") || strings.Contains(answer, "Extensions:") {
				t.Errorf("answered %q", answer)
			}
		}},
		{"§4.2.2 extensions not listed by the client are not listed", func(t *testing.T) {
			for _, offered := range [][]string{nil, {"mux"}, {"x-webkit-deflate-frame"}, {"permessage-bzip2", "permessage-deflate2"}} {
				if answer, ok := NegotiateDeflate(offered); ok || answer != "" {
					t.Errorf("%q is answered %q", offered, answer)
				}
			}
		}},
		{"§4.3 a key or a version stands there once", each(
			refusesUpgrade(ErrBadKey, handshake("", key+": dGhlIHNhbXBsZSBub25jZQ==")), refusesUpgrade(ErrWebSocketVersion, handshake("", version+": 13")))},
		{"§4.4 a list of versions is none", refusesUpgrade(ErrWebSocketVersion, handshake(version, version+": 13, 8"))},

		{"§5.1 client frames are masked", each(
			refuses(ErrUnmasked, wire(t, `81 05 "Hello"`)), refuses(ErrUnmasked, wire(t, "88 00")), refuses(ErrUnmasked, wire(t, "89 00")))},
		{"§5.1 server frames are not masked", func(t *testing.T) {
			for _, frame := range [][]byte{AppendFrame(nil, OpText, []byte("x")), AppendClose(nil, 1000, ""), AppendFrame(nil, OpPong, nil), shared(t)} {
				if h, n, err := ParseHeader(frame); err != nil || n == 0 || h.Masked {
					t.Errorf("%.8x: %+v, %v", frame, h, err)
				}
			}
			if got := feed(t, &DecoderOptions{FromServer: true, MaxMessage: 9}, final(OpText, "x"), pieces(1)); got.err != ErrMasked {
				t.Errorf("a client takes one: %v", got.err)
			}
		}},
		{"§5.2 RSV1, RSV2 and RSV3 are 0 without an extension", each(
			refuses(ErrReservedBits, rawFrame(0xC1, "", 1)), refuses(ErrReservedBits, rawFrame(0xA1, "", 1)), refuses(ErrReservedBits, rawFrame(0x91, "", 1)),
			refuses(ErrReservedBits, rawFrame(0xC9, "", 1)), refuses(ErrReservedBits, join(fragment(OpText, ""), rawFrame(0xC0, "", 1))))},
		{"§5.2 unknown opcodes fail the connection", func(t *testing.T) {
			for _, op := range []Opcode{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
				refuses(ErrOpcode, final(op, ""))(t)
			}
		}},
		{"§5.2 the highest bit of a 64-bit length is 0", refuses(ErrLengthSign, wire(t, "82 FF 8000000000000000"))},
		{"§5.2 lengths are encoded minimally", each(
			refuses(ErrLengthNotMinimal, wire(t, "82 FE 0000")), refuses(ErrLengthNotMinimal, wire(t, "82 FE 007C")), refuses(ErrLengthNotMinimal, wire(t, "82 FE 007D")),
			refuses(ErrLengthNotMinimal, wire(t, "82 FF 0000000000000000")), refuses(ErrLengthNotMinimal, wire(t, "82 FF 000000000000FFFF")))},
		{"§5.2 our lengths are encoded minimally", func(t *testing.T) {
			for size, want := range map[int]string{0: "8200", 125: "827d", 126: "827e007e", 65535: "827effff", 65536: "827f0000000000010000"} {
				if got := fmt.Sprintf("%x", AppendHeader(nil, OpBinary, size)); got != want {
					t.Errorf("%d bytes: %s, want %s", size, got, want)
				}
			}
		}},
		{"§5.3 octet i is masked by octet i modulo 4 of the key", each(
			delivers([]event{{OpText, false, "Hello"}}, wire(t, "81 85 37fa213d 7f9f4d5158")), func(t *testing.T) {
				for size := range 200 {
					want := []byte(long[:size])
					maskSlowly(want, testKey)
					got := []byte(long[:size])
					if mask(got, testKey); !bytes.Equal(got, want) {
						t.Errorf("%d bytes: %x, want %x", size, got, want)
					}
				}
			})},
		{"§5.4 fragmented and unfragmented messages are received", delivers(
			[]event{{OpText, false, "one"}, {OpText, false, "two"}, {OpBinary, false, "\xff"}},
			final(OpText, "one"), fragment(OpText, "t"), fragment(OpContinuation, "w"), final(OpContinuation, "o"), fragment(OpBinary, "\xff"), final(OpContinuation, ""))},
		{"§5.4 control frames are not fragmented", each(refuses(ErrControlFragmented, fragment(OpPing, "")), refuses(ErrControlFragmented, fragment(OpClose, "")),
			refuses(ErrControlFragmented, fragment(OpPong, "")))},
		{"§5.4 fragments are delivered in order", delivers([]event{{OpText, false, "12345"}},
			fragment(OpText, "1"), fragment(OpContinuation, "2"), fragment(OpContinuation, "3"), fragment(OpContinuation, "4"), final(OpContinuation, "5"))},
		{"§5.4 fragments of two messages are not interleaved", each(
			refuses(ErrInterleaved, fragment(OpText, "a"), final(OpText, "b")), refuses(ErrInterleaved, fragment(OpText, "a"), fragment(OpBinary, "b")))},
		{"§5.4 a continuation continues something", each(refuses(ErrContinuation, final(OpContinuation, "a")), refuses(ErrContinuation, final(OpText, "a"), fragment(OpContinuation, "b")))},
		{"§5.4 control frames are handled in the middle of a fragmented message", delivers(
			[]event{{OpPing, false, "p"}, {OpPong, false, "q"}, {OpText, false, "ab"}},
			fragment(OpText, "a"), final(OpPing, "p"), final(OpPong, "q"), final(OpContinuation, "b"))},
		{"§5.4 all fragments are of the first one's type", delivers([]event{{OpBinary, false, "\xff\xfe"}}, fragment(OpBinary, "\xff"), final(OpContinuation, "\xfe"))},
		{"§5.5 control frames have at most 125 bytes", each(
			refuses(ErrControlTooLong, wire(t, "89 FE")), refuses(ErrControlTooLong, wire(t, "88 FE")), refuses(ErrControlTooLong, wire(t, "8A FF")),
			delivers([]event{{OpPing, false, long[:125]}}, final(OpPing, long[:125])))},
		{"§5.5 our close frames have at most 125 bytes", func(t *testing.T) {
			if got := len(AppendClose(nil, 1000, long)) - 2; got != 125 {
				t.Errorf("%d bytes", got)
			}
		}},
		{"§5.5.1 the body of a close frame begins with a code of two bytes", each(closes("\x03", 1002, ErrCloseLength), closes("\x03\xe8", 1000, nil), closes("", 1005, nil))},
		{"§5.5.1 the reason is UTF-8", each(closes("\x03\xe8\xff", 1007, ErrCloseReasonEncoding), closes("\x03\xe8\xe2\x82", 1007, ErrCloseReasonEncoding))},
		{"§5.6 a frame may end inside a code point, the message may not", each(
			delivers([]event{{OpText, false, "€"}}, fragment(OpText, "\xe2"), final(OpContinuation, "\x82\xac")),
			refuses(ErrInvalidText, fragment(OpText, "\xe2"), final(OpContinuation, "\x82")))},
		{"§5.8 an extension is in use when it was negotiated, and not before", func(t *testing.T) {
			var with, without Decoder
			with.Init(small())
			with.AllowDeflate()
			without.Init(small())
			if m, _, err := with.Next(rawFrame(0xC1, "\xff", 1)); err != nil || !m.RSV1 {
				t.Errorf("negotiated: %v", err)
			}
			if _, _, err := without.Next(rawFrame(0xC1, "\xff", 1)); err != ErrReservedBits {
				t.Errorf("not negotiated: %v", err)
			}
		}},

		{"§6.1 data goes out with its type and FIN set", func(t *testing.T) {
			for _, op := range []Opcode{OpText, OpBinary} {
				if h, _, err := ParseHeader(AppendFrame(nil, op, []byte("x"))); err != nil || h.Op != op || !h.Fin || h.RSV1 {
					t.Errorf("%+v, %v", h, err)
				}
			}
		}},
		{"§6.2 the type of a message is noted, and the next data frame begins a new one", delivers(
			[]event{{OpText, false, "a"}, {OpBinary, false, "\xff"}, {OpText, false, "b"}}, final(OpText, "a"), final(OpBinary, "\xff"), final(OpText, "b"))},
		{"§6.2 masking is removed, also with the key 0", delivers([]event{{OpText, false, "zero"}, {OpBinary, false, long}},
			rawFrame(0x81, "zero", 0), rawFrame(0x82, long, 0xFFFFFFFF))},
		{"§7.1.2 a close frame has the code and the reason", func(t *testing.T) {
			if code, reason, err := ParseClose(AppendClose(nil, 4000, "as you wish")[2:]); code != 4000 || reason != "as you wish" || err != nil {
				t.Errorf("%d %q, %v", code, reason, err)
			}
		}},
		{"§7.1.5 a close frame without a code is 1005", closes("", StatusNoStatus, nil)},
		{"§7.1.7 after a failure nothing is processed", func(t *testing.T) {
			var d Decoder
			d.Init(small())
			stream := join(final(7, ""), final(OpText, "x"), final(OpClose, "\x03\xe8"))
			if m, n, err := d.Next(stream); err != ErrOpcode || n != len(stream) || m.Op != OpContinuation {
				t.Errorf("%v, %d of %d bytes, %v", m.Op, n, len(stream), err)
			}
			if m, _, err := d.Next(final(OpClose, "")); err != ErrOpcode || m.Op != OpContinuation {
				t.Errorf("then %v, %v", m.Op, err)
			}
		}},
		{"§7.4.1 1005, 1006 and 1015 are not sent", func(t *testing.T) {
			for _, code := range []StatusCode{1005, 1006, 1015} {
				if got := AppendClose(nil, code, "x"); !bytes.Equal(got, []byte{0x88, 0}) {
					t.Errorf("%d: %x", code, got)
				}
			}
		}},
		{"§7.4.1 1004, 1005, 1006 and 1015 are not received", each(closes("\x03\xec", 1002, ErrCloseCode), closes("\x03\xed", 1002, ErrCloseCode),
			closes("\x03\xee", 1002, ErrCloseCode), closes("\x03\xf7", 1002, ErrCloseCode))},
		{"§7.4.2 codes below 1000, not registered below 3000, or from 5000 on are none", each(closes("\x00\x00", 1002, ErrCloseCode), closes("\x03\xe7", 1002, ErrCloseCode),
			closes("\x03\xf8", 1002, ErrCloseCode), closes("\x0b\xb7", 1002, ErrCloseCode), closes("\x13\x88", 1002, ErrCloseCode), closes("\xff\xff", 1002, ErrCloseCode))},
		{"§7.4.2 codes from 3000 to 4999 are for everybody", each(closes("\x0b\xb8", 3000, nil), closes("\x0f\x9f", 3999, nil), closes("\x0f\xa0", 4000, nil), closes("\x13\x87", 4999, nil))},

		{"§8.1 text that is not UTF-8 fails the connection", func(t *testing.T) {
			for _, bad := range []string{"\xff", "\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf8", "\x80", "a\xc3"} {
				refuses(ErrInvalidText, final(OpText, "valid before "+bad))(t)
			}
		}},
		{"§8.1 it fails in the middle of a frame, with the byte that spoils it", func(t *testing.T) {
			frame := final(OpText, "€"+strings.Repeat("a", 40)+"\xed\xa0"+long[:60000])
			bad := len(frame) - 60000
			for _, cut := range []int{bad, bad + 1} {
				for _, first := range []int{0, 5, bad - 2, bad - 1} { // bytes that came before
					var d Decoder
					d.Init(small())
					copied := bytes.Clone(frame)
					if _, _, err := d.Next(copied[:first]); err != nil {
						t.Fatalf("%d bytes: %v", first, err)
					}
					if _, _, err := d.Next(copied[first:cut]); err != ErrInvalidText {
						t.Errorf("%d and %d bytes of %d: error %v", first, cut-first, len(frame), err)
					}
				}
			}
		}},
		{"§8.1 it fails at the fragment that spoils it", refuses(ErrInvalidText, fragment(OpText, "\xf0\x9f"), fragment(OpContinuation, "\x98a"))},
		{"§8.1 in the handshake, too", refusesHead(ErrBadTarget, "GET /\xff HTTP/1.1\r\n")},

		{"§10.3 an HTTP request is no frame", refuses(ErrReservedBits, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))},
		{"§10.4 one big frame is beyond the limit", each(refuses(ErrMessageTooBig, wire(t, "82 FF 1000000000000000 00000000")), refuses(ErrMessageTooBig, wire(t, "82 FF 0000000000010001 00000000")),
			delivers([]event{{OpBinary, false, long}}, final(OpBinary, long)))},
		{"§10.4 a message of many frames is beyond the limit", each(
			refuses(ErrMessageTooBig, fragment(OpBinary, long), final(OpContinuation, "x")), refuses(ErrTooManyFragments, fragment(OpBinary, ""), bytes.Repeat(fragment(OpContinuation, ""), 8)))},
		{"§10.7 incoming data is always validated", func(t *testing.T) {
			for first := range 256 {
				valid := first&0x70 == 0 && knownOpcodes>>(first&15)&1 == 1 && (first >= 0x80 || first&8 == 0)
				got := feed(t, small(), rawFrame(byte(first), "", 1), pieces(1))
				if want := valid && first&15 != 0; want != (got.err == nil) { // nothing is there to continue
					t.Errorf("first byte %#x: %v", first, got.err)
				}
			}
		}},
	} {
		t.Run(row.name, row.check)
	}
}

// each is all of the checks.
func each(checks ...func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		for _, check := range checks {
			check(t)
		}
	}
}

func refuses(want *Error, stream ...[]byte) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		for _, size := range []int{1 << 20, 1, 3} {
			if got := feed(t, small(), join(stream...), pieces(size)); got.err != want {
				t.Errorf("%.20x in pieces of %d: error %v, want %v", join(stream...), size, got.err, want)
			}
		}
	}
}

func delivers(want []event, stream ...[]byte) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		for _, size := range []int{1 << 20, 1, 3} {
			if got := feed(t, small(), join(stream...), pieces(size)); !reflect.DeepEqual(got, outcome{events: want}) {
				t.Errorf("in pieces of %d: got %.200v, want %.200v", size, got, want)
			}
		}
	}
}

func refusesHead(want *HTTPError, in string) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		for _, size := range []int{1 << 20, 1} {
			if _, _, _, err := readHead(t, in, nil, pieces(size)); err != want {
				t.Errorf("%.60q in pieces of %d: error %v, want %v", in, size, err, want)
			}
		}
	}
}

func refusesUpgrade(want *HTTPError, in string) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		if _, err := upgradeOf(t, in); err != want {
			t.Errorf("%q: error %v, want %v", in, err, want)
		}
	}
}

func accepts(in string) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		if _, err := upgradeOf(t, in); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func switches(protocol, extensions, want string) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		if got := string(AppendSwitch(nil, "dGhlIHNhbXBsZSBub25jZQ==", protocol, extensions)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func closes(payload string, code StatusCode, want error) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		if got, _, err := ParseClose([]byte(payload)); got != code || err != want {
			t.Errorf("%x: %d, %v, want %d, %v", payload, got, err, code, want)
		}
	}
}

// shared is a deflated frame as a broadcast has it.
func shared(t *testing.T) []byte {
	frame, ok := new(Deflater).AppendFrame(nil, OpText, bytes.Repeat([]byte("news "), 100))
	if !ok {
		t.Fatal("not deflated")
	}
	return frame
}
