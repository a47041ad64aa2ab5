package codec

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// browserRequest is what Chrome sends.
const browserRequest = "GET /ws?channel=news&token=eyJhbGciOiJIUzI1NiJ9.e30.c2ln HTTP/1.1\r\n" +
	"Host: example.com:8000\r\n" +
	"Connection: Upgrade\r\n" +
	"Pragma: no-cache\r\n" +
	"Cache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Upgrade: websocket\r\n" +
	"Origin: https://example.com\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
	"Sec-WebSocket-Protocol: chat, bearer.abc\r\n\r\n"

// A handshake that is accepted; the rows of the tests change it.
var goodHandshake = []string{"Host: a", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}

// handshake is goodHandshake without the headers of those names, and with lines added.
func handshake(without string, lines ...string) string {
	out := []string{"GET /ws HTTP/1.1"}
	for _, line := range goodHandshake {
		if name, _, _ := strings.Cut(line, ":"); name != without {
			out = append(out, line)
		}
	}
	return head(append(out, lines...)...)
}

func upgradeOf(t *testing.T, in string) (Upgrade, error) {
	t.Helper()
	req, _, _, err := readHead(t, in, nil, pieces(1<<30))
	if err != nil || req == nil {
		t.Fatalf("request %v, error %v", req, err)
	}
	return req.Upgrade()
}

func TestUpgradeRefused(t *testing.T) {
	version, key, protocol := "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol: "
	good := strings.Join(goodHandshake, "\r\n")
	tests := []struct {
		name string
		in   string
		want *HTTPError
	}{
		{"RFC 6455 §4.2.1: POST", head("POST /ws HTTP/1.1", good), ErrMethod},
		{"RFC 6455 §4.2.1: HEAD", head("HEAD /ws HTTP/1.1", good), ErrMethod},
		{"RFC 9110 §9.1: get", head("get /ws HTTP/1.1", good), ErrMethod},
		{"RFC 9110 §7.8: HTTP/1.0", head("GET /ws HTTP/1.0", good), ErrVersion},
		{"RFC 9110 §10.1.1: Expect", handshake("", "Expect: 100-continue"), ErrExpect},
		{"RFC 6455 §4.2.1: no Upgrade", handshake("Upgrade"), ErrUpgradeRequired},
		{"RFC 6455 §4.2.1: Upgrade: websocketx", handshake("Upgrade", "Upgrade: websocketx"), ErrUpgradeRequired},
		{"RFC 6455 §4.2.1: Upgrade: h2c", handshake("Upgrade", "Upgrade: h2c"), ErrUpgradeRequired},
		{"RFC 6455 §4.2.1: Upgrade: websocket inside a quoted string", handshake("Upgrade", `Upgrade: "a, websocket, b"`), ErrUpgradeRequired},
		{"RFC 6455 §4.2.1: no Connection", handshake("Connection"), ErrBadConnection},
		{"RFC 6455 §4.2.1: Connection: keep-alive", handshake("Connection", "Connection: keep-alive"), ErrBadConnection},
		{"RFC 6455 §4.2.2: no version", handshake(version), ErrWebSocketVersion},
		{"RFC 6455 §4.2.2: version 12", handshake(version, version+": 12"), ErrWebSocketVersion},
		{"RFC 6455 §4.2.2: version 0", handshake(version, version+": 0"), ErrWebSocketVersion},
		{"RFC 6455 §4.2.2: version 13, 8", handshake(version, version+": 13, 8"), ErrWebSocketVersion},
		{"RFC 6455 §4.2.2: version 013", handshake(version, version+": 013"), ErrWebSocketVersion},
		{"RFC 6455 §4.1: version twice", handshake("", version+": 13"), ErrWebSocketVersion},
		{"RFC 6455 §4.1: no key", handshake(key), ErrBadKey},
		{"RFC 6455 §4.1: empty key", handshake(key, key+":"), ErrBadKey},
		{"RFC 6455 §4.1: two keys", handshake("", key+": dGhlIHNhbXBsZSBub25jZQ=="), ErrBadKey},
		{"RFC 6455 §4.1: key of 15 bytes", handshake(key, key+": AAAAAAAAAAAAAAAAAAAA"), ErrBadKey},
		{"RFC 6455 §4.1: key of 17 bytes", handshake(key, key+": AAAAAAAAAAAAAAAAAAAAAAA="), ErrBadKey},
		{"RFC 6455 §4.1: key is not base64", handshake(key, key+": !!!!!!!!!!!!!!!!!!!!!!=="), ErrBadKey},
		{"RFC 6455 §4.1: key in the URL alphabet", handshake(key, key+": ____________________-w=="), ErrBadKey},
		{"RFC 4648 §3.5: key with bits after its end", handshake(key, key+": dGhlIHNhbXBsZSBub25jZR=="), ErrBadKey},
		{"RFC 4648 §3.2: key without padding", handshake(key, key+": dGhlIHNhbXBsZSBub25jZQ"), ErrBadKey},
		{"RFC 6454 §7: two Origins", handshake("", "Origin: https://a", "Origin: https://b"), ErrBadOrigin},
		{"RFC 6455 §4.1: protocol is no token", handshake("", protocol+"a b"), ErrBadProtocol},
		{"RFC 6455 §4.1: protocol above ASCII", handshake("", protocol+"\xff\xfe"), ErrBadProtocol},
		{"RFC 6455 §4.1: protocol in quotes", handshake("", protocol+`"a"`), ErrBadProtocol},
		{"RFC 6455 §4.1: protocol twice", handshake("", protocol+"a, b, a"), ErrBadProtocol},
		{"RFC 6455 §4.1: protocol twice over two headers", handshake("", protocol+"a", protocol+"b,a"), ErrBadProtocol},
		{"RFC 6455 §4.1: 4,000 spaces inside (CVE-2021-32640)", handshake("", protocol+"b"+strings.Repeat(" ", 4000)+"x"), ErrBadProtocol},
		{"more than 32 protocols", handshake("", protocol+manyProtocols(33)), ErrBadProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := upgradeOf(t, tt.in)
			if err != tt.want || !reflect.DeepEqual(u, Upgrade{}) {
				t.Errorf("got %+v, error %v, want %v", u, err, tt.want)
			}
		})
	}
}

func manyProtocols(n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("p", i))
	}
	return strings.Join(names, ", ")
}

func TestUpgradeAccepted(t *testing.T) {
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	tests := []struct {
		name string
		in   string
		want Upgrade
	}{
		{"RFC 6455 §4.1: least", handshake(""), Upgrade{Key: key}},
		{"a browser's", browserRequest, Upgrade{Key: key, Protocols: []string{"chat", "bearer.abc"},
			Extensions: []string{"permessage-deflate; client_max_window_bits"}, Origin: "https://example.com"}},
		{"RFC 9110 §5.1: names and tokens in any case", strings.Replace(handshake("Upgrade", "UPGRADE: WebSocket"), "Connection: Upgrade", "connection: uPGRADE", 1), Upgrade{Key: key}},
		{"RFC 9110 §5.6.1: Connection: keep-alive, Upgrade", handshake("Connection", "Connection: keep-alive, Upgrade"), Upgrade{Key: key}},
		{"RFC 9110 §5.3: two Connection headers", handshake("Connection", "Connection: keep-alive", "Connection: Upgrade"), Upgrade{Key: key}},
		{"RFC 9110 §7.8: Upgrade: h2c, websocket", handshake("Upgrade", "Upgrade: h2c, websocket"), Upgrade{Key: key}},
		{"RFC 9110 §5.3: Upgrade twice", handshake("", "Upgrade: websocket"), Upgrade{Key: key}},
		{"RFC 9110 §5.6.1: empty elements", handshake("", "Sec-WebSocket-Protocol: , a ,, b\t,", "Sec-WebSocket-Protocol:"), Upgrade{Key: key, Protocols: []string{"a", "b"}}},
		{"RFC 6455 §11.3.4: protocols over two headers", handshake("", "Sec-WebSocket-Protocol: a", "sec-websocket-protocol: b, A"),
			Upgrade{Key: key, Protocols: []string{"a", "b", "A"}}},
		{"32 protocols", handshake("", "Sec-WebSocket-Protocol: "+manyProtocols(32)), Upgrade{Key: key, Protocols: strings.Split(manyProtocols(32), ", ")}},
		{"RFC 6455 §9.1: extensions stay opaque", handshake("", `Sec-WebSocket-Extensions: constructor, __proto__, ,;constructor, a; b="c, \", d", e="`, "Sec-WebSocket-Extensions: f"),
			Upgrade{Key: key, Extensions: []string{"constructor", "__proto__", ";constructor", `a; b="c, \", d"`, `e="`, "f"}}},
		{"RFC 6454 §7: Origin null", handshake("", "Origin: null"), Upgrade{Key: key, Origin: "null"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := upgradeOf(t, tt.in)
			if err != nil || !reflect.DeepEqual(u, tt.want) {
				t.Errorf("got %+v, error %v\nwant %+v", u, err, tt.want)
			}
		})
	}
}

func TestWantsUpgrade(t *testing.T) {
	for value, want := range map[string]bool{"websocket": true, "WebSocket": true, "h2c, websocket": true, "websocketx": false, "": false} {
		req, _, _, err := readHead(t, head("GET / HTTP/1.1", "Host: a", "Upgrade: "+value), nil, pieces(1<<30))
		if err != nil || req.WantsUpgrade() != want {
			t.Errorf("Upgrade: %q: wanted %v, error %v", value, !want, err)
		}
	}
}

func TestAppendSwitch(t *testing.T) {
	const key, start = "dGhlIHNhbXBsZSBub25jZQ==", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	tests := []struct{ name, protocol, extensions, want string }{
		{"RFC 6455 §1.3: the sample key", "", "", start + "\r\n"},
		{"RFC 6455 §4.2.2: protocol", "chat", "", start + "Sec-WebSocket-Protocol: chat\r\n\r\n"},
		{"RFC 7692 §7.1: extension", "", "permessage-deflate; server_max_window_bits=10", start + "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n\r\n"},
		{"CRLF in the protocol", "chat\r\nX: y", "", start + "\r\n"},
		{"CRLF in the extension", "", "a\r\nX: y", start + "\r\n"},
		{"list as protocol", "a, b", "", start + "\r\n"},
		{"bytes above ASCII", "\xff", "\xff", start + "\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendSwitch(nil, key, tt.protocol, tt.extensions)); got != tt.want {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
		})
	}
	if long := string(AppendSwitch(nil, strings.Repeat("k", 1000)+"\r\n", "", "")); strings.Count(long, "\r\n") != 5 {
		t.Errorf("a key that is none: %q", long)
	}
}
