package auth

import "testing"

func TestToken(t *testing.T) {
	const a, b = "aaa.bbb.ccc", "aaa.bbb.ddd"
	for _, c := range []struct {
		name   string
		r      Request
		token  string
		source Source
		want   *Error
	}{
		{name: "nothing", want: ErrNoToken},
		{name: "header", r: Request{Authorization: []string{"Bearer " + a}}, token: a, source: FromHeader},
		{name: "header, lower case", r: Request{Authorization: []string{"bearer  " + a + " "}}, token: a, source: FromHeader},
		{name: "header, no token", r: Request{Authorization: []string{"Bearer"}}, want: ErrNoToken},
		{name: "header, another scheme", r: Request{Authorization: []string{"Basic YTpi"}}, want: ErrNoToken},
		{name: "header, scheme run on", r: Request{Authorization: []string{"Bearer" + a}}, want: ErrNoToken},
		{name: "header, two tokens", r: Request{Authorization: []string{"Bearer " + a + " " + b}}, want: errScheme},
		{name: "header, list", r: Request{Authorization: []string{"Bearer " + a + ",Bearer " + b}}, want: errScheme},
		{name: "header twice, different", r: Request{Authorization: []string{"Bearer " + a, "Bearer " + b}}, want: errSeveral},
		{name: "header twice, equal", r: Request{Authorization: []string{"Bearer " + a, "Bearer " + a}}, token: a, source: FromHeader},
		{name: "Basic and query", r: Request{Authorization: []string{"Basic YTpi"}, Query: []string{a}}, token: a, source: FromQuery},

		{name: "query", r: Request{Query: []string{a}}, token: a, source: FromQuery},
		{name: "query, empty", r: Request{Query: []string{""}}, want: ErrNoToken},
		{name: "query twice", r: Request{Query: []string{a, b}}, want: errSeveral},

		{name: "protocol", r: Request{Protocols: []string{"chat", "bearer." + a}}, token: a, source: FromProtocol},
		{name: "protocol, capital", r: Request{Protocols: []string{"Bearer." + a}}, want: ErrNoToken},
		{name: "protocol, empty", r: Request{Protocols: []string{"bearer."}}, want: ErrNoToken},
		{name: "protocol twice", r: Request{Protocols: []string{"bearer." + a, "bearer." + b}}, want: errSeveral},

		{name: "cookie", r: Request{Cookies: []string{"x=1; sid=" + a + "; y=2"}}, token: a, source: FromCookie},
		{name: "cookie, quoted", r: Request{Cookies: []string{`sid="` + a + `"`}}, token: a, source: FromCookie},
		{name: "cookie, no space", r: Request{Cookies: []string{"x=1;sid=" + a}}, token: a, source: FromCookie},
		{name: "cookie, in another", r: Request{Cookies: []string{"xsid=" + a + "; sidx=" + a + "; SID=" + a}}, want: ErrNoToken},
		{name: "cookie, in a value", r: Request{Cookies: []string{"x=sid=" + a}}, want: ErrNoToken},
		{name: "cookie, planted", r: Request{Cookies: []string{"sid=" + a + "; sid=" + b}}, want: errSeveral},
		{name: "cookie, planted in a field", r: Request{Cookies: []string{"sid=" + a, "sid=" + b}}, want: errSeveral},
		{name: "cookie, empty", r: Request{Cookies: []string{"sid=; sid"}}, want: ErrNoToken},
		{name: "cookie, odd quotes", r: Request{Cookies: []string{`sid="`}}, token: `"`, source: FromCookie},

		{name: "cookie and header, different", r: Request{Authorization: []string{"Bearer " + b}, Cookies: []string{"sid=" + a}}, want: errSeveral},
		{name: "cookie and header, equal", r: Request{Authorization: []string{"Bearer " + a}, Cookies: []string{"sid=" + a}}, token: a, source: FromHeader},
		{name: "cookie and query, equal", r: Request{Query: []string{a}, Cookies: []string{"sid=" + a}}, token: a, source: FromQuery},
		{name: "cookie and protocol, different", r: Request{Protocols: []string{"bearer." + a}, Cookies: []string{"sid=" + b}}, want: errSeveral},
		{name: "protocol and query, different", r: Request{Protocols: []string{"bearer." + a}, Query: []string{b}}, want: errSeveral},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := mustNew(t, Options{Cookie: "sid"})
			token, source, err := v.Token(c.r)
			if c.want != nil && err != error(c.want) || c.want == nil && err != nil {
				t.Fatalf("error is %v, want %v", err, c.want)
			}
			if token != c.token || source != c.source {
				t.Errorf("got %q from %v, want %q from %v", token, source, c.token, c.source)
			}
		})
	}
}

func TestCookiesAreNotLookedAtUnasked(t *testing.T) {
	_, _, err := mustNew(t, Options{}).Token(Request{Cookies: []string{"=a.b.c; sid=a.b.c"}})
	if err != error(ErrNoToken) {
		t.Errorf("error is %v", err)
	}
}

func TestOnlyCookiesAreAmbient(t *testing.T) {
	names := map[string]bool{}
	for s := FromNowhere; s <= FromMessage; s++ {
		if s.Ambient() != (s == FromCookie) {
			t.Errorf("%v is ambient: %v", s, s.Ambient())
		}
		names[s.String()] = true
	}
	if len(names) != int(FromMessage)+1 {
		t.Errorf("names are %v", names)
	}
}

// A token in a subprotocol is one: all its characters may stand there (RFC 9110 §5.6.2).
func TestTokensFitIntoASubprotocol(t *testing.T) {
	token := mustSign(t, hs256, Claims{})
	if !isCookieName(protocolPrefix) { // the same characters
		t.Error("the prefix does not")
	}
	for i := range len(token) {
		if !isCookieName(token[i : i+1]) {
			t.Errorf("%q does not", token[i])
		}
	}
}
