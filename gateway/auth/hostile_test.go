package auth

import (
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const goodBody = `{"sub":"ada","exp":1800003600}`

var hs256 = Key{Alg: "HS256", Secret: secret32}

func TestHostileHeaders(t *testing.T) {
	v := mustNew(t, Options{Keys: []Key{hs256}})
	for _, c := range []struct {
		header string
		want   Code
	}{
		{`{"alg":"HS256"}`, ""},
		{`{"alg":"HS256","typ":"JWT"}`, ""},
		{`{"alg":"HS256","typ":"jwt"}`, ""},
		{`{"alg":"HS256","typ":"at+jwt"}`, ""},
		{`{"alg":"HS256","typ":"application/at+jwt"}`, ""},
		{`{"alg":"HS256","kid":"of nobody"}`, ""}, // a key without ID is for any kid
		{`{"alg":"HS256","kid":"../../dev/null"}`, ""},
		{`{"\u0061lg":"HS256"}`, ""},
		{` { "alg" : "HS256" } `, ""},

		{`{"alg":"none"}`, CodeUnknownKey},
		{`{"alg":"None"}`, CodeUnknownKey},
		{`{"alg":"NONE"}`, CodeUnknownKey},
		{`{"alg":"nOnE"}`, CodeUnknownKey},
		{`{"alg":"hs256"}`, CodeUnknownKey},
		{`{"alg":"HS384"}`, CodeUnknownKey},
		{`{"alg":"RS256"}`, CodeUnknownKey},
		{`{"alg":"HS256 "}`, CodeUnknownKey},
		{`{"alg":"HS256\u0000"}`, CodeMalformed},
		{`{"alg":""}`, CodeMalformed},
		{`{"alg":null}`, CodeMalformed},
		{`{"alg":["HS256"]}`, CodeMalformed},
		{`{"alg":256}`, CodeMalformed},
		{`{"ALG":"HS256"}`, CodeMalformed},
		{`{}`, CodeMalformed},
		{``, CodeMalformed},
		{`null`, CodeMalformed},
		{`[]`, CodeMalformed},
		{`"alg"`, CodeMalformed},
		{`{"alg":"HS256"`, CodeMalformed},
		{`{"alg":"HS256"}{}`, CodeMalformed},
		{`{"alg":"HS256",}`, CodeMalformed},
		{"{\"alg\":\"HS256\",\"x\":\"\xff\"}", CodeMalformed},
		{"\ufeff" + `{"alg":"HS256"}`, CodeMalformed},

		{`{"alg":"none","alg":"HS256"}`, CodeMalformed},
		{`{"alg":"HS256","alg":"HS256"}`, CodeMalformed},
		{`{"alg":"HS256","\u0061lg":"none"}`, CodeMalformed},
		{`{"alg":"HS256","kid":""}`, CodeMalformed},
		{`{"alg":"HS256","kid":7}`, CodeMalformed},
		{`{"alg":"HS256","kid":"a\nb"}`, CodeMalformed},
		{`{"alg":"HS256","kid":"a\u0000"}`, CodeMalformed},
		{`{"alg":"HS256","kid":"` + strings.Repeat("k", 256) + `"}`, CodeMalformed},
		{`{"alg":"HS256","typ":"logout+jwt"}`, CodeMalformed},
		{`{"alg":"HS256","typ":"dpop+jwt"}`, CodeMalformed},
		{`{"alg":"HS256","typ":["JWT"]}`, CodeMalformed},
		{`{"alg":"HS256","crit":[]}`, CodeMalformed},
		{`{"alg":"HS256","crit":["exp"]}`, CodeMalformed},
		{`{"alg":"HS256","crit":["b64"],"b64":false}`, CodeMalformed},
		{`{"alg":"HS256","b64":false}`, CodeMalformed},
		{`{"alg":"HS256","cty":"JWT"}`, CodeMalformed},
		{`{"alg":"HS256","zip":"DEF"}`, CodeMalformed},
		{`{"alg":"dir","enc":"A128GCM"}`, CodeMalformed},
	} {
		t.Run(c.header, func(t *testing.T) {
			if id := wantCode(t, v, forge(t, hs256, c.header, goodBody), c.want); id != nil && id.User != "ada" {
				t.Errorf("user is %q", id.User)
			}
		})
	}
}

func TestHostileShapes(t *testing.T) {
	v := mustNew(t, Options{Keys: []Key{hs256}})
	good := forge(t, hs256, `{"alg":"HS256"}`, goodBody)
	p, _ := split(good)
	for name, c := range map[string]struct {
		token string
		want  Code
	}{
		"good":                     {good, ""},
		"nothing":                  {"", CodeMalformed},
		"one dot":                  {p.signed, CodeMalformed},
		"three dots":               {good + ".", CodeMalformed},
		"five parts, as a JWE":     {good + ".a.b", CodeMalformed},
		"two dots alone":           {"..", CodeMalformed},
		"no header":                {"." + p.payload + "." + p.signature, CodeMalformed},
		"no payload":               {p.header + ".." + p.signature, CodeMalformed},
		"no signature":             {p.signed + ".", CodeMalformed},
		"8 KiB of dots":            {strings.Repeat(".", 8192), CodeTooLong},
		"4 KiB of dots":            {strings.Repeat(".", 4096), CodeMalformed},
		"too long by one":          {strings.Repeat("a", 4097), CodeTooLong},
		"padding":                  {good + "=", CodeMalformed},
		"line break":               {p.header + "." + p.payload + "\n." + p.signature, CodeMalformed},
		"standard base64":          {p.signed + ".+" + p.signature[1:], CodeMalformed},
		"leading space":            {" " + good, CodeMalformed},
		"trailing NUL":             {good + "\x00", CodeMalformed},
		"Bearer":                   {"Bearer " + good, CodeMalformed},
		"base64 of one character":  {p.signed + ".a", CodeMalformed},
		"short signature":          {p.signed + "." + p.signature[:20], CodeBadSignature},
		"empty HMAC":               {p.signed + ".AA", CodeBadSignature},
		"payload of another":       {p.header + "." + b64(`{"sub":"eve","exp":1800003600}`) + "." + p.signature, CodeBadSignature},
		"header of another":        {b64(`{"alg":"HS256","typ":"JWT"}`) + "." + p.payload + "." + p.signature, CodeBadSignature},
		"JSON serialization":       {`{"payload":"` + p.payload + `"}`, CodeMalformed},
		"unsecured, RFC 7519 §6.1": {vectorNone, CodeMalformed},
		"none with a signature":    {b64(`{"alg":"none"}`) + "." + p.payload + "." + p.signature, CodeUnknownKey},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, v, c.token, c.want) })
	}
}

// Refusals before the first look at JSON cost nothing that grows.
func TestDotsAllocateNothing(t *testing.T) {
	v := mustNew(t, Options{Keys: []Key{hs256}, MaxToken: 65536})
	for _, token := range []string{strings.Repeat(".", 65536), "a.b.c" + strings.Repeat(".", 4096), strings.Repeat("a", 65536), strings.Repeat("a", 70000)} {
		if n := testing.AllocsPerRun(10, func() { _, _ = v.verify(token) }); n > 0 {
			t.Errorf("%v allocations for %.10q…", n, token)
		}
	}
}

func TestHostileJSON(t *testing.T) {
	v := mustNew(t, Options{Keys: []Key{hs256}, MaxToken: 65536})
	nested := func(n int) string {
		return `{"sub":"ada","exp":1800003600,"info":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	many := func(n int) string {
		var b strings.Builder
		b.WriteString(`{"sub":"ada","exp":1800003600`)
		for i := range n {
			fmt.Fprintf(&b, `,"x%d":0`, i)
		}
		return b.String() + "}"
	}
	for name, c := range map[string]struct {
		body string
		want Code
	}{
		"sub twice":               {`{"sub":"ada","sub":"eve","exp":1800003600}`, CodeMalformed},
		"sub twice, escaped":      {`{"sub":"ada","s\u0075b":"eve","exp":1800003600}`, CodeMalformed},
		"twice, deep":             {`{"sub":"ada","exp":1800003600,"info":[{"a":{"b":1,"b":1}}]}`, CodeMalformed},
		"allow twice inside":      {`{"sub":"ada","exp":1800003600,"allow":{"publish":["a"],"publish":["*"]}}`, CodeMalformed},
		"nested 15":               {nested(15), ""},
		"nested 16":               {nested(16), CodeMalformed},
		"nested 20000":            {nested(20000), CodeMalformed},
		"objects nested":          {`{"sub":"ada","exp":1800003600,"info":` + strings.Repeat(`{"a":`, 16) + "1" + strings.Repeat("}", 16) + `}`, CodeMalformed},
		"128 members":             {many(126), ""},
		"129 members":             {many(127), CodeMalformed},
		"half a surrogate pair":   {`{"sub":"a\ud800","exp":1800003600}`, CodeBadClaims},
		"in a name":               {`{"sub":"ada","exp":1800003600,"\ud800":1,"\ud801":2}`, CodeMalformed},
		"names in capitals":       {`{"SUB":"ada","EXP":1800003600}`, CodeBadClaims},
		"capitals beside":         {`{"sub":"ada","SUB":"eve","exp":1800003600,"Exp":1}`, ""},
		"not UTF-8":               {"{\"sub\":\"a\xff\",\"exp\":1800003600}", CodeMalformed},
		"array":                   {`["sub"]`, CodeMalformed},
		"two objects":             {goodBody + goodBody, CodeMalformed},
		"comment":                 {`{"sub":"ada",/**/"exp":1800003600}`, CodeMalformed},
		"NaN":                     {`{"sub":"ada","exp":NaN}`, CodeMalformed},
		"strings full of escapes": {`{"sub":"ada","exp":1800003600,"info":"\"}\\"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if id := wantCode(t, v, forge(t, hs256, `{"alg":"HS256"}`, c.body), c.want); id != nil && id.User != "ada" {
				t.Errorf("user is %q", id.User)
			}
		})
	}
}

// A public key is no secret: a token that is signed with its text by HMAC is refused for its alg.
func TestAlgorithmConfusion(t *testing.T) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		verifies, signs := keysFor(alg)
		v := mustNew(t, Options{Keys: []Key{verifies}})
		wantCode(t, v, mustSign(t, signs, Claims{}), "")
		for _, hs := range []string{"HS256", "HS384", "HS512"} {
			a := findAlgorithm(hs)
			signed := b64(`{"alg":"`+hs+`"}`) + "." + b64(goodBody)
			for _, secret := range [][]byte{verifies.PEM, []byte(strings.TrimSpace(string(verifies.PEM))), nil, {0}} {
				signature, err := a.method.Sign(signed, secret)
				if err != nil {
					t.Fatal(err)
				}
				wantCode(t, v, signed+"."+base64.RawURLEncoding.EncodeToString(signature), CodeUnknownKey)
				// And with the header of the key's own algorithm.
				own := b64(`{"alg":"`+alg+`"}`) + "." + b64(goodBody)
				signature, err = a.method.Sign(own, secret)
				if err != nil {
					t.Fatal(err)
				}
				wantCode(t, v, own+"."+base64.RawURLEncoding.EncodeToString(signature), CodeBadSignature)
			}
		}
	}
}

// The alg of a token can not choose another algorithm of the same family either.
func TestAlgorithmIsTheKeys(t *testing.T) {
	for _, alg := range algorithms {
		if alg.name == "EdDSA" {
			continue
		}
		verifies, signs := keysFor(alg.name)
		v := mustNew(t, Options{Keys: []Key{verifies}})
		for _, other := range algorithms {
			if other.name == alg.name || other.family != alg.family || other.curve != alg.curve {
				continue
			}
			by := signs
			by.Alg = other.name
			wantCode(t, v, mustSign(t, by, Claims{}), CodeUnknownKey)
			wantCode(t, v, forge(t, by, `{"alg":"`+alg.name+`"}`, goodBody), CodeBadSignature)
		}
	}
}

// GHSA-g6vg-wj8f-48cj: two issuers, the same kid.
func TestKeysOfTwoIssuersWithOneKid(t *testing.T) {
	a := Key{ID: "1", Alg: "HS256", Issuer: "https://a.example", Secret: secret32}
	b := Key{ID: "1", Alg: "HS256", Issuer: "https://b.example", Secret: secret64}
	v := mustNew(t, Options{Keys: []Key{a, b}})
	wantCode(t, v, mustSign(t, a, Claims{}), "")
	wantCode(t, v, mustSign(t, b, Claims{}), "")
	wantCode(t, v, mustSign(t, a, Claims{Issuer: b.Issuer}), CodeBadSignature)
	wantCode(t, v, mustSign(t, b, Claims{Issuer: a.Issuer}), CodeBadSignature)
	wantCode(t, v, mustSign(t, a, Claims{Issuer: "https://c.example"}), CodeBadIssuer)
	wantCode(t, v, mustSign(t, a, Claims{Issuer: "https://a.example/"}), CodeBadIssuer)
	wantCode(t, v, forge(t, a, `{"alg":"HS256","kid":"1"}`, goodBody), CodeBadIssuer)
	wantCode(t, v, forge(t, a, `{"alg":"HS256","kid":"1"}`, `{"iss":["https://a.example"],"sub":"ada","exp":1800003600}`), CodeBadClaims)
	wantCode(t, v, forge(t, a, `{"alg":"HS256","kid":"2"}`, `{"iss":"https://a.example","sub":"ada","exp":1800003600}`), CodeUnknownKey)
}

func TestWhichKeysAreTried(t *testing.T) {
	secret := func(n byte) []byte { return []byte(strings.Repeat(string('A'+n), 1) + string(secret32)) }
	key := func(n byte, id string) Key { return Key{ID: id, Alg: "HS256", Secret: secret(n)} }
	named := []Key{key(0, "a"), key(1, "b"), key(2, ""), key(3, "")}
	five := append([]Key{key(4, "c")}, named...)
	claims := goodBody
	for _, c := range []struct {
		name   string
		keys   []Key
		signer int
		kid    string
		want   Code
	}{
		{"by its kid", named, 0, "a", ""},
		{"with another's kid", named, 0, "b", CodeBadSignature},
		{"unnamed key, known kid", named, 2, "a", CodeBadSignature},
		{"unnamed key, unknown kid", named, 3, "zzz", ""},
		{"unnamed key, no kid", named, 3, "", ""},
		{"named key, unknown kid", named, 0, "zzz", CodeBadSignature},
		{"named key, no kid", named, 1, "", ""},
		{"no kid, five keys", five, 1, "", CodeUnknownKey},
		{"kid, five keys", five, 1, "b", ""},
		{"unknown kid, named keys only", named[:2], 0, "zzz", CodeUnknownKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := `{"alg":"HS256"}`
			if c.kid != "" {
				header = `{"alg":"HS256","kid":"` + c.kid + `"}`
			}
			wantCode(t, mustNew(t, Options{Keys: c.keys}), forge(t, key(byte(c.signer), ""), header, claims), c.want)
		})
	}
}

// Centrifugo CVE-2026-32301 and its kind: nothing that an unverified token says may reach the network.
func TestNoConnectionBecauseOfAToken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed below
			}
			accepted.Add(1)
			conn.Close()
		}
	}()
	url := "http://" + listener.Addr().String() + "/"
	_, signs := keysFor("RS256")
	server := newFakeIssuer(jwkSet(jwkOf(otherRSA().private.Public(), `"kid":"a"`)))
	v := mustNew(t, Options{JWKS: []JWKS{{URL: "https://id.example/keys", Issuer: "https://id.example"}}, HTTP: server.client()})
	stop := server.run(t, v)
	for _, iss := range []string{url, "https://id.example"} {
		for _, header := range []string{
			`{"alg":"RS256","kid":"zzz"}`,
			`{"alg":"RS256","kid":"` + url + `"}`,
			`{"alg":"RS256","jku":"` + url + `"}`,
			`{"alg":"RS256","kid":"a","jku":"` + url + `","x5u":"` + url + `"}`,
			`{"alg":"RS256","kid":"a","jwk":` + jwkOf(rsaPair().private.Public()) + `}`,
		} {
			if _, err := v.Verify(forge(t, signs, header, `{"iss":"`+iss+`","sub":"ada","exp":1800003600,"aud":"`+url+`"}`)); err == nil {
				t.Errorf("%s of %s is accepted", header, iss)
			}
		}
	}
	stop() // all that was under way has ended
	listener.Close()
	<-done
	if n := accepted.Load(); n != 0 {
		t.Errorf("%d connections were made to where the tokens point", n)
	}
	for _, request := range server.requests() {
		if request.url != "https://id.example/keys" {
			t.Errorf("%s was asked for", request.url)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		name   string
		claims string // beside sub
		after  time.Duration
		want   Code
	}{
		{"fresh", `"exp":1800000060`, 0, ""},
		{"in its last second", `"exp":1800000060`, 59 * time.Second, ""},
		{"expired, within leeway", `"exp":1800000060`, 89 * time.Second, ""},
		{"expired", `"exp":1800000060`, 90 * time.Second, CodeExpired},
		{"expired long ago", `"exp":1`, 0, CodeExpired},
		{"at the epoch", `"exp":0`, 0, CodeExpired},
		{"clock 5 min behind", `"exp":1800000060,"nbf":1800000000`, -5 * time.Minute, CodeNotYet},
		{"clock 5 min ahead", `"exp":1800000060,"nbf":1800000000`, 5 * time.Minute, CodeExpired},
		{"nbf within leeway", `"exp":1800000060,"nbf":1800000030`, 0, ""},
		{"nbf in the future", `"exp":1800000060,"nbf":1800000031`, 0, CodeNotYet},
		{"iat in the future", `"exp":1800000060,"iat":1800000031`, 0, ""}, // RFC 7519 §4.1.6 gives it no such meaning
		{"exp missing", `"nbf":1`, 0, CodeBadClaims},
		{"exp null", `"exp":null`, 0, CodeBadClaims},
		{"exp float", `"exp":1800000060.5`, 0, CodeBadClaims},
		{"exp whole float", `"exp":1800000060.0`, 0, CodeBadClaims},
		{"exp 1e30", `"exp":1e30`, 0, CodeBadClaims},
		{"exp 1e9", `"exp":1e9`, 0, CodeBadClaims},
		{"exp negative", `"exp":-1`, 0, CodeBadClaims},
		{"exp minus nought", `"exp":-0`, 0, CodeBadClaims},
		{"exp string", `"exp":"1800000060"`, 0, CodeBadClaims},
		{"exp true", `"exp":true`, 0, CodeBadClaims},
		{"exp list", `"exp":[1800000060]`, 0, CodeBadClaims},
		{"exp in the year 9999", `"exp":253402300799`, 0, ""},
		{"exp in the year 10000", `"exp":253402300800`, 0, CodeBadClaims},
		{"exp 2^63", `"exp":9223372036854775808`, 0, CodeBadClaims},
		{"exp in milliseconds", `"exp":1800000060000`, 0, CodeBadClaims},
		{"nbf float", `"exp":1800000060,"nbf":0.5`, 0, CodeBadClaims},
		{"nbf string", `"exp":1800000060,"nbf":""`, 0, CodeBadClaims},
		{"iat negative", `"exp":1800000060,"iat":-1`, 0, CodeBadClaims},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := mustNew(t, Options{Keys: []Key{hs256}, Now: func() time.Time { return noon.Add(c.after) }})
			token := forge(t, hs256, `{"alg":"HS256"}`, `{"sub":"ada",`+c.claims+`}`)
			wantCode(t, v, token, c.want)
			wantCode(t, v, token, c.want) // the second time it may be remembered
		})
	}
}

func TestExpiryIsWhenVerifyBeginsToRefuse(t *testing.T) {
	now := noon
	v := mustNew(t, Options{Keys: []Key{hs256}, Now: func() time.Time { return now }})
	token := mustSign(t, hs256, Claims{TTL: time.Minute})
	id := wantCode(t, v, token, "")
	now = id.Expires.Add(-time.Nanosecond)
	wantCode(t, v, token, "")
	now = id.Expires
	wantCode(t, v, token, CodeExpired)
	now = noon // a clock that is set back
	wantCode(t, v, token, "")
	if !id.Issued.Equal(noon) || !id.Expires.Equal(noon.Add(90*time.Second)) {
		t.Errorf("issued %v, expires %v", id.Issued, id.Expires)
	}
}

func TestNoLeewayAndNoExpiry(t *testing.T) {
	v := mustNew(t, Options{Keys: []Key{hs256}, Leeway: -1, NoExpiry: true})
	wantCode(t, v, forge(t, hs256, `{"alg":"HS256"}`, `{"sub":"ada","exp":1800000000}`), CodeExpired)
	wantCode(t, v, forge(t, hs256, `{"alg":"HS256"}`, `{"sub":"ada","exp":1800000001}`), "")
	wantCode(t, v, forge(t, hs256, `{"alg":"HS256"}`, `{"sub":"ada","exp":null}`), CodeBadClaims)
	if id := wantCode(t, v, mustSign(t, hs256, Claims{NoExpiry: true}), ""); !id.Expires.IsZero() {
		t.Errorf("expires at %v", id.Expires)
	}
}
