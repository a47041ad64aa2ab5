package auth

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// list is a JSON list of n strings.
func list(n int, format string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(`"`+format+`"`, i)
	}
	return "[" + strings.Join(items, ",") + "]"
}

func TestClaims(t *testing.T) {
	const rest = `,"exp":1800003600`
	long := strings.Repeat("x", 255)
	for _, c := range []struct {
		name, body string
		want       Code
	}{
		{"sub", `"sub":"ada"` + rest, ""},
		{"sub of 255 bytes", `"sub":"` + long + `"` + rest, ""},
		{"sub of 256 bytes", `"sub":"x` + long + `"` + rest, CodeBadClaims},
		{"sub beyond ASCII", `"sub":"Ада 愛 👩"` + rest, ""},
		{"sub missing", `"x":1` + rest, CodeBadClaims},
		{"sub empty", `"sub":""` + rest, CodeBadClaims},
		{"sub null", `"sub":null` + rest, CodeBadClaims},
		{"sub a number", `"sub":42` + rest, CodeBadClaims},
		{"sub with a line break", `"sub":"a\nb"` + rest, CodeBadClaims},
		{"sub with NUL", `"sub":"a\u0000"` + rest, CodeBadClaims},
		{"sub with an escape", `"sub":"\u001b[2J"` + rest, CodeBadClaims},
		{"sub with invisible space", `"sub":"a\u200b"` + rest, CodeBadClaims},
		{"sub with bidi override", `"sub":"a\u202e"` + rest, CodeBadClaims},

		{"jti", `"sub":"ada","jti":"1"` + rest, ""},
		{"jti a number", `"sub":"ada","jti":1` + rest, CodeBadClaims},
		{"jti empty", `"sub":"ada","jti":""` + rest, CodeBadClaims},
		{"iss a number", `"sub":"ada","iss":1` + rest, CodeBadClaims},

		{"channel, by which nobody connects", `"sub":"ada","channel":"a"` + rest, CodeBadClaims},
		{"channel a number", `"sub":"ada","channel":1` + rest, CodeBadClaims},
		{"channels", `"sub":"ada","channels":["a","b"]` + rest, ""},
		{"channels none", `"sub":"ada","channels":[]` + rest, ""},
		{"channels 128", `"sub":"ada","channels":` + list(128, "c%d") + rest, ""},
		{"channels 129", `"sub":"ada","channels":` + list(129, "c%d") + rest, CodeBadClaims},
		{"channels null", `"sub":"ada","channels":null` + rest, CodeBadClaims},
		{"channels a string", `"sub":"ada","channels":"a"` + rest, CodeBadClaims},
		{"channels of numbers", `"sub":"ada","channels":[1]` + rest, CodeBadClaims},
		{"channels of null", `"sub":"ada","channels":[null]` + rest, CodeBadClaims},
		{"channels empty name", `"sub":"ada","channels":[""]` + rest, CodeBadClaims},
		{"channels long name", `"sub":"ada","channels":["x` + long + `"]` + rest, CodeBadClaims},
		{"channels with CR LF", `"sub":"ada","channels":["a\r\nb"]` + rest, CodeBadClaims},
		{"channels an object", `"sub":"ada","channels":{"a":{}}` + rest, CodeBadClaims},

		{"allow", `"sub":"ada","allow":{"subscribe":["a.*"],"publish":[]}` + rest, ""},
		{"allow nothing", `"sub":"ada","allow":{}` + rest, ""},
		{"allow null", `"sub":"ada","allow":null` + rest, CodeBadClaims},
		{"allow true", `"sub":"ada","allow":true` + rest, CodeBadClaims},
		{"allow a list", `"sub":"ada","allow":["*"]` + rest, CodeBadClaims},
		{"allow misspelt", `"sub":"ada","allow":{"subscribes":["a"]}` + rest, CodeBadClaims},
		{"allow capital", `"sub":"ada","allow":{"Subscribe":["a"]}` + rest, CodeBadClaims},
		{"allow a string", `"sub":"ada","allow":{"publish":"*"}` + rest, CodeBadClaims},
		{"allow 64 patterns", `"sub":"ada","allow":{"publish":` + list(64, "c%d*") + `}` + rest, ""},
		{"allow 65 patterns", `"sub":"ada","allow":{"publish":` + list(65, "c%d*") + `}` + rest, CodeBadClaims},
		{"allow empty pattern", `"sub":"ada","allow":{"publish":[""]}` + rest, CodeBadClaims},
		{"allow long pattern", `"sub":"ada","allow":{"publish":["*` + long + `"]}` + rest, CodeBadClaims},

		{"info any", `"sub":"ada","info":[1,{"a":null}]` + rest, ""},
		{"info null", `"sub":"ada","info":null` + rest, ""},
		{"unknown claims", `"sub":"ada","https://example.com/role":{"admin":true},"scope":"a b"` + rest, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantCode(t, mustNew(t, Options{Keys: []Key{hs256}}), forge(t, hs256, `{"alg":"HS256"}`, "{"+c.body+"}"), c.want)
		})
	}
}

func TestAudience(t *testing.T) {
	for _, c := range []struct {
		own, aud string // aud "" is none
		want     Code
	}{
		{"", ``, ""},
		{"", `"sluice"`, CodeBadAudience},
		{"", `[]`, CodeBadClaims},
		{"sluice", ``, CodeBadAudience},
		{"sluice", `"sluice"`, ""},
		{"sluice", `["other","sluice"]`, ""},
		{"sluice", `["other"]`, CodeBadAudience},
		{"sluice", `"other"`, CodeBadAudience},
		{"sluice", `"Sluice"`, CodeBadAudience},
		{"sluice", `"sluice.evil.example"`, CodeBadAudience},
		{"sluice", `""`, CodeBadClaims},
		{"sluice", `[]`, CodeBadClaims},
		{"sluice", `null`, CodeBadClaims},
		{"sluice", `[null]`, CodeBadClaims},
		{"sluice", `[["sluice"]]`, CodeBadClaims},
		{"sluice", `{"sluice":1}`, CodeBadClaims},
		{"sluice", `7`, CodeBadClaims},
		{"sluice", list(32, "a%d"), CodeBadAudience},
		{"sluice", list(33, "a%d"), CodeBadClaims},
	} {
		t.Run(c.own+" "+c.aud, func(t *testing.T) {
			body := goodBody
			if c.aud != "" {
				body = `{"sub":"ada","exp":1800003600,"aud":` + c.aud + `}`
			}
			wantCode(t, mustNew(t, Options{Keys: []Key{hs256}, Audience: c.own}), forge(t, hs256, `{"alg":"HS256"}`, body), c.want)
		})
	}
}

func TestAudienceThatNobodyConfigured(t *testing.T) {
	wantErr(t, mustNew(t, Options{Keys: []Key{hs256}}), mustSign(t, hs256, Claims{Audience: "sluice"}), errNoAudience)
}

func TestIssuerOption(t *testing.T) {
	v := mustNew(t, Options{Keys: []Key{hs256}, Issuer: "us"})
	wantCode(t, v, mustSign(t, hs256, Claims{Issuer: "us"}), "")
	wantCode(t, v, mustSign(t, hs256, Claims{Issuer: "them"}), CodeBadIssuer)
	wantCode(t, v, mustSign(t, hs256, Claims{}), CodeBadIssuer)
	any := mustNew(t, Options{Keys: []Key{hs256}})
	wantCode(t, any, mustSign(t, hs256, Claims{}), "")
	if id := wantCode(t, any, mustSign(t, hs256, Claims{Issuer: "them"}), ""); id.Issuer != "them" {
		t.Errorf("issuer is %q", id.Issuer)
	}
	none := mustNew(t, Options{})
	wantCode(t, none, mustSign(t, hs256, Claims{}), CodeBadIssuer)
}

func TestIdentity(t *testing.T) {
	v := mustNew(t, Options{Keys: []Key{hs256}})
	id := wantCode(t, v, forge(t, hs256, `{"alg":"HS256"}`, `{"sub":"ada","exp":1800003600,"jti":"j-1","iss":"us",
		"channels":["a","b","a","*"],"allow":{"subscribe":["news.*","x"],"publish":["room.*.say"],"presence":["p*"]},"info":{"name" : "Ada"}}`), "")
	if id.User != "ada" || id.ID != "j-1" || id.Issuer != "us" || string(id.Info) != `{"name" : "Ada"}` {
		t.Errorf("identity is %+v", id)
	}
	if want := []string{"a", "b", "*"}; !slices.Equal(id.Channels, want) {
		t.Errorf("channels are %q, want %q: each once", id.Channels, want)
	}
	if !id.MaySeePresence("pool") || id.MaySeePresence("news.a") {
		t.Errorf("may see presence by %q", id.Allow.Presence)
	}
	for channel, want := range map[string][2]bool{
		"news.":      {true, false},
		"news.a.b":   {true, false},
		"news":       {false, false},
		"x":          {true, false},
		"room.1.say": {false, true},
		"room..say":  {false, true},
		"a":          {false, false}, // channels is no permission
		"*":          {false, false},
		"":           {false, false},
	} {
		if got := [2]bool{id.MaySubscribe(channel), id.MayPublish(channel)}; got != want {
			t.Errorf("%q: may subscribe, publish %v, want %v", channel, got, want)
		}
	}
	if plain := wantCode(t, v, forge(t, hs256, `{"alg":"HS256"}`, goodBody), ""); plain.MaySubscribe("a") || plain.MayPublish("a") ||
		!reflect.DeepEqual(plain.Allow, Allow{}) || plain.Info != nil || plain.Channels != nil || !plain.Issued.IsZero() {
		t.Errorf("a plain token gives %+v", plain)
	}
}

func TestInfoDoesNotKeepThePayload(t *testing.T) {
	v := mustNew(t, Options{Keys: []Key{hs256}})
	id := wantCode(t, v, forge(t, hs256, `{"alg":"HS256"}`, `{"sub":"ada","exp":1800003600,"info":1,"x":"`+strings.Repeat("x", 1000)+`"}`), "")
	if cap(id.Info) > 64 {
		t.Errorf("info of 1 byte holds %d", cap(id.Info))
	}
}

// Reasons go to logs and to clients as they are.
func TestErrorsAreConstantAndDistinct(t *testing.T) {
	all := []*Error{
		ErrNoToken, errSeveral, errScheme, errTooLong, errShape, errBase64, errJSON, errTwice, errDeep, errHeaderAlg, errHeaderKid,
		errHeaderTyp, errHeaderExtra, errIssuer, errAlg, errKid, errNoKid, errNotFetched, errSignature, errIss, errSub, errNoExp,
		errExp, errNbf, errIat, errAudClaim, errJti, errChannels, errAllow, errPatterns, errAudience, errNoAudience, errNotYet, errExpired, errRevoked,
	}
	codes, reasons := map[Code]bool{}, map[string]bool{}
	for _, e := range all {
		if !slices.Contains(Codes(), e.Code) {
			t.Errorf("code %q is not in Codes", e.Code)
		}
		if reasons[e.Reason] || e.Error() != e.Reason {
			t.Errorf("reason %q", e.Reason)
		}
		codes[e.Code], reasons[e.Reason] = true, true
	}
	if len(codes) != len(Codes()) {
		t.Errorf("%d codes are used, there are %d", len(codes), len(Codes()))
	}
}
