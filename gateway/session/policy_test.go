package session

import (
	"testing"

	"sluice/codec"
	"sluice/config"
	"sluice/gateway/auth"
)

func TestCheckOrigin(t *testing.T) {
	const app = "https://app.example"
	open := &Policy{}
	listed := &Policy{Origins: []string{app, "https://beta.example:8443"}}
	dev := &Policy{Dev: true}
	devListed := &Policy{Dev: true, Origins: []string{app}}
	for _, row := range []struct {
		name    string
		policy  *Policy
		origin  string
		ambient bool
		allowed bool
	}{
		{"no browser", listed, "", false, true},
		{"a listed page", listed, app, false, true},
		{"a listed page with its port", listed, "https://beta.example:8443", false, true},
		{"its host without the port", listed, "https://beta.example", false, false},
		{"the page over http", listed, "http://app.example", false, false},
		{"the page in capitals", listed, "https://APP.example", false, false},
		{"the page with a slash", listed, app + "/", false, false},
		{"a longer name", listed, app + ".evil.example", false, false},
		{"a name that ends alike", listed, "https://evilapp.example", false, false},
		{"two in one", listed, app + ", " + app, false, false},
		{"a page that has none to tell", listed, "null", false, false},
		{"a page of this machine, without dev", listed, "http://localhost:3000", false, false},

		{"nothing listed: any page", open, "https://evil.example", false, true},
		{"nothing listed: a sandboxed page", open, "null", false, true},
		{"dev: a page of this machine", dev, "http://localhost:3000", false, true},
		{"dev: a foreign page", dev, "https://evil.example", false, false},
		{"dev: a sandboxed page", dev, "null", false, false},
		{"dev: a listed page", devListed, app, false, true},
		{"dev: a page of this machine beside the list", devListed, "http://127.0.0.1:8080", false, true},

		{"cookie: a listed page", listed, app, true, true},
		{"cookie: no Origin proves nothing", listed, "", true, false},
		{"cookie: a foreign page", listed, "https://evil.example", true, false},
		{"cookie: a sandboxed page", listed, "null", true, false},
		{"cookie: a sibling subdomain", listed, "https://other.app.example", true, false},
		{"cookie: nothing listed, no Origin", open, "", true, false},
		{"cookie: nothing listed, any page", open, app, true, false},
		{"cookie: dev trusts no page for being local", dev, "http://localhost:3000", true, false},
		{"cookie: dev, no Origin", dev, "", true, false},
		{"cookie: dev, a listed page", devListed, app, true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := row.policy.checkOrigin(row.origin, row.ambient); (got == nil) != row.allowed || got != nil && got != errOrigin {
				t.Errorf("checkOrigin(%q, %v) = %v, want allowed: %v", row.origin, row.ambient, got, row.allowed)
			}
		})
	}
}

func TestIsLoopbackOrigin(t *testing.T) {
	for origin, want := range map[string]bool{
		"http://localhost":                  true,
		"https://localhost:8443":            true,
		"http://app.localhost:3000":         true,
		"http://127.0.0.1":                  true,
		"http://127.8.9.10:1":               true,
		"http://[::1]:3000":                 true,
		"":                                  false,
		"null":                              false,
		"localhost":                         false,
		"localhost:3000":                    false,
		"//localhost":                       false,
		"ws://localhost":                    false,
		"file://localhost":                  false,
		"file:///home/me/page.html":         false,
		"chrome-extension://localhost":      false,
		"http://localhost/":                 false,
		"http://localhost/path":             false,
		"http://user@localhost":             false,
		"http://evil.example@localhost":     false,
		"http://localhost@evil.example":     false,
		"http://localhost.evil.example":     false,
		"http://evillocalhost":              false,
		"http://127.0.0.1.evil.example":     false,
		"http://evil.example/localhost":     false,
		"http://evil.example:80#localhost":  false,
		"http://10.0.0.1":                   false,
		"http://0.0.0.0":                    false,
		"http://[::]":                       false,
		"http://[fe80::1]":                  false,
		"http://2130706433":                 false,
		"http://localhost:bad":              false,
		"http://\x00localhost":              false,
		"http://localhost, http://evil.com": false,
	} {
		if got := isLoopbackOrigin(origin); got != want {
			t.Errorf("isLoopbackOrigin(%q) = %v, want %v", origin, got, want)
		}
	}
}

func TestProtocol(t *testing.T) {
	for _, row := range []struct {
		name     string
		agreed   []string
		offered  []string
		answered string
	}{
		{"none offered", []string{"*"}, nil, ""},
		{"none agreed to", nil, []string{"chat"}, ""},
		{"any: the first", []string{"*"}, []string{"v2.chat", "v1.chat"}, "v2.chat"},
		{"listed: the client's order counts", []string{"v1.chat", "v2.chat"}, []string{"v2.chat", "v1.chat"}, "v2.chat"},
		{"listed: the first that is", []string{"v1.chat"}, []string{"v2.chat", "v1.chat"}, "v1.chat"},
		{"listed: none is", []string{"v1.chat"}, []string{"v2.chat"}, ""},
		{"letters count", []string{"chat"}, []string{"Chat"}, ""},
		{"a listed one beside any", []string{"*", "chat"}, []string{"x"}, "x"},
		{"a token first", []string{"*"}, []string{"bearer.a.b.c", "chat"}, "chat"},
		{"a token last", []string{"*"}, []string{"chat", "bearer.a.b.c"}, "chat"},
		{"a token alone", []string{"*"}, []string{"bearer.a.b.c"}, ""},
		{"a token that somebody listed", []string{"bearer.a.b.c"}, []string{"bearer.a.b.c"}, ""},
		{"tokens only", []string{"*"}, []string{"bearer.a", "bearer."}, ""},
		{"bearer without a token is a name", []string{"*"}, []string{"bearer"}, "bearer"},
		{"the asterisk is a name, too", []string{"chat"}, []string{"*"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := &Policy{Protocols: row.agreed}
			if got := p.protocol(row.offered); got != row.answered {
				t.Errorf("of %q, %q were agreed to and %q answered, want %q", row.offered, row.agreed, got, row.answered)
			}
		})
	}
}

// request is a request with the given User-Agent, as the codec reads it.
func request(t *testing.T, agent string) *codec.Request {
	t.Helper()
	var reader codec.RequestReader
	r, _, err := reader.Next([]byte("GET /ws HTTP/1.1\r\nHost: a\r\nUser-Agent: "+agent+"\r\n\r\n"), nil)
	if r == nil || err != nil {
		t.Fatalf("the request of this test is no request: %v", err)
	}
	return r
}

func TestExtensions(t *testing.T) {
	const (
		offer  = "permessage-deflate; client_max_window_bits"
		answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
		chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
		broken = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.2 Safari/605.1.15"
	)
	for _, row := range []struct {
		name    string
		enabled bool
		agent   string
		offered []string
		want    string
	}{
		{"offered and enabled", true, chrome, []string{offer}, answer},
		{"switched off", false, chrome, []string{offer}, ""},
		{"not offered", true, chrome, nil, ""},
		{"something else offered", true, chrome, []string{"x-webkit-deflate-frame"}, ""},
		{"an offer that cannot be honoured", true, chrome, []string{"permessage-deflate; server_max_window_bits=10"}, ""},
		{"and then one that can", true, chrome, []string{"permessage-deflate; server_max_window_bits=10", "permessage-deflate"}, answer},
		{"a browser that gets it wrong", true, broken, []string{offer}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := &Policy{Deflate: row.enabled}
			if got := p.extensions(row.offered, request(t, row.agent)); got != row.want {
				t.Errorf("answered %q, want %q", got, row.want)
			}
		})
	}
}

// A channel that the token gives may be asked for by name as well.
func TestGivenChannelsMayBeAskedFor(t *testing.T) {
	p := Policy{MaxChannels: 10, Namespace: func(string) config.Namespace {
		return config.Namespace{Subscribe: config.AccessNobody, Publish: config.AccessNobody}
	}}
	who := &auth.Identity{User: "42", Channels: []string{"orders"}}
	if got, refusal := p.channels(who, []string{"orders"}); refusal != nil || len(got) != 1 {
		t.Errorf("got %q, %v", got, refusal)
	}
	if _, refusal := p.channels(who, []string{"other"}); refusal != errNotAllowed {
		t.Errorf("another channel: %v", refusal)
	}
}
