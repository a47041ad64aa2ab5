package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// FuzzVerify gives Verify a header and a payload that are signed, so that it goes all the way, and a signature that
// is not. What it accepts golang-jwt must accept as well, and understand in the same way.
func FuzzVerify(f *testing.F) {
	for _, s := range [][2]string{
		{`{"alg":"HS256"}`, goodBody},
		{`{"alg":"HS256","kid":"a","typ":"JWT"}`, `{"sub":"ada","exp":1800003600,"nbf":1,"iat":2,"jti":"x","iss":"us","aud":["sluice"]}`},
		{`{"alg":"none"}`, `{"sub":"ada","exp":1e30}`},
		{`{"alg":"HS256"}`, `{"sub":"a","exp":1800003600,"channels":["a","b"],"allow":{"subscribe":["*"],"publish":["a*b"]},"info":{"a":[1,"\"}"]}}`},
		{`{"alg":"HS256"}`, `{"sub":"a","s\u0075b":"b","exp":1800003600}`},
		{`{"alg":"HS256","crit":["b64"]}`, `[[[[`},
	} {
		f.Add([]byte(s[0]), []byte(s[1]), []byte(nil))
		f.Add([]byte(s[0]), []byte(s[1]), []byte("signature"))
	}
	v, err := New(Options{Keys: []Key{hs256}, Now: atNoon, Cache: 64, MaxToken: 8192})
	if err != nil {
		f.Fatal(err)
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithTimeFunc(atNoon), jwt.WithLeeway(30*time.Second),
		jwt.WithExpirationRequired(), jwt.WithStrictDecoding(), jwt.WithJSONNumber())
	f.Fuzz(func(t *testing.T, header, body, signature []byte) {
		raw := base64.RawURLEncoding
		signed := raw.EncodeToString(header) + "." + raw.EncodeToString(body)
		honest := len(signature) == 0
		if honest {
			var err error
			if signature, err = jwt.SigningMethodHS256.Sign(signed, secret32); err != nil {
				t.Fatal(err)
			}
		}
		token := signed + "." + raw.EncodeToString(signature)
		id, err := v.Verify(token)
		again, errAgain := v.Verify(token)
		if (err == nil) != (errAgain == nil) || err == nil && id != again {
			t.Fatalf("first %v, %v, then %v, %v", id, err, again, errAgain)
		}
		if err != nil {
			if refusal, ok := err.(*Error); !ok || !slices.Contains(Codes(), refusal.Code) {
				t.Fatalf("refused with %T %v", err, err)
			}
			return
		}
		if own, err := jwt.SigningMethodHS256.Sign(signed, secret32); err != nil || !bytes.Equal(own, signature) {
			t.Fatal("a forged token is accepted")
		}
		claims := jwt.MapClaims{}
		if _, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return secret32, nil }); err != nil {
			t.Fatalf("accepted, but golang-jwt says %v", err)
		}
		if sub, err := claims.GetSubject(); err != nil || sub != id.User {
			t.Fatalf("the user is %q, golang-jwt says %q, %v", id.User, sub, err)
		}
		if exp, err := claims.GetExpirationTime(); err != nil || !exp.Add(30*time.Second).Equal(id.Expires) {
			t.Fatalf("it expires at %v, golang-jwt says %v, %v", id.Expires, exp, err)
		}
	})
}

// FuzzObject compares our reading of an object with encoding/json's.
func FuzzObject(f *testing.F) {
	for _, s := range []string{`{}`, ` { "a" : [ 1 , { "b" : "\"" } ] , "c" : -1.5e3 } `, `{"a":1,"a":2}`, `{"\u0061":null,"b":true}`, `{"a":[]}`, `[]`, `{"a"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, refusal := parseObject(text)
		var want map[string]json.RawMessage
		err := json.Unmarshal(text, &want)
		if isObject := err == nil && want != nil && utf8.Valid(text); isObject && refusal == errJSON || !isObject && refusal == nil {
			t.Fatalf("answer is %v, encoding/json says %v", refusal, err)
		}
		if refusal != nil {
			return
		}
		if len(o) != len(want) {
			t.Fatalf("%d members, encoding/json has %d", len(o), len(want))
		}
		for _, m := range o {
			if !bytes.Equal(m.raw, bytes.Trim(want[m.name], " \t\r\n")) {
				t.Fatalf("%q is %q, encoding/json has %q", m.name, m.raw, want[m.name])
			}
		}
	})
}

// FuzzToken finds the token in requests: what is found stands in the request, where it is said to stand, and a second one never goes
// unnoticed.
func FuzzToken(f *testing.F) {
	for _, s := range [][4]string{
		{"Bearer a.b.c", "chat", "", ""},
		{"", "bearer.a.b.c", "", ""},
		{"", "", "a.b.c", ""},
		{"", "", "", "lang=de; sid=a.b.c"},
		{"bEARER  a.b.c", "bearer.a.b.c", "a.b.c", `sid="a.b.c"`},
		{"Bearer a.b.c", "", "x", ""},
		{"Bearer a, Bearer b", "", "", ""},
		{"Basic YTpi", "bearer.", "", "sid=; sid=x; xsid=y"},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	v, err := New(Options{Keys: []Key{hs256}, Cookie: "sid"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, authorization, protocol, query, cookie string) {
		parts := []Request{
			{Authorization: []string{authorization}}, {Protocols: []string{protocol}}, {Query: []string{query}}, {Cookies: []string{cookie}},
		}
		sources := []Source{FromHeader, FromProtocol, FromQuery, FromCookie}
		token, from, several, broken := "", FromNowhere, false, false
		for i, part := range parts { // each by itself
			found, source, err := v.Token(part)
			switch {
			case err == errSeveral:
				several = true
			case err == errScheme:
				broken = true
			case err == ErrNoToken:
			case err != nil || source != sources[i] || found == "":
				t.Fatalf("%+v: %q from %v, %v", part, found, source, err)
			case from == FromNowhere:
				token, from = found, source
			case token != found:
				several = true
			}
		}
		got, source, err := v.Token(Request{[]string{authorization}, []string{protocol}, []string{query}, []string{cookie}})
		switch {
		case broken && err == errScheme, !broken && several && err == errSeveral, !broken && !several && from == FromNowhere && err == ErrNoToken:
			if got != "" || source != FromNowhere {
				t.Fatalf("%q from %v with %v", got, source, err)
			}
		case broken || several || err != nil || got != token || source != from:
			t.Fatalf("%q from %v, %v; each by itself: %q from %v, several %v", got, source, err, token, from, several)
		}
	})
}
