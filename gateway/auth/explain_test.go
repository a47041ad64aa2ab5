package auth

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestExplain(t *testing.T) {
	v := mustNew(t, Options{Keys: []Key{
		{ID: "a", Alg: "HS256", Issuer: "us", Secret: secret32},
		{ID: "b", Alg: "EdDSA", Issuer: "them", PEM: edPair().public},
	}})
	a, b := &KeyName{ID: "a", Alg: "HS256", Issuer: "us"}, &KeyName{ID: "b", Alg: "EdDSA", Issuer: "them"}
	hs, ed := Key{ID: "a", Alg: "HS256", Issuer: "us", Secret: secret32}, Key{ID: "b", Alg: "EdDSA", Issuer: "them", PEM: edPair().own}
	other := Key{ID: "a", Alg: "HS256", Issuer: "us", Secret: secret64}
	hour := noon.Add(-time.Hour)
	for _, c := range []struct {
		name, token   string
		refusal       error
		key           *KeyName
		issued, until time.Time
		claims        string
	}{
		{"valid", mustSign(t, hs, Claims{}), nil, a, noon, noon.Add(time.Hour), `{"sub":"ada","iss":"us","iat":1800000000,"exp":1800003600}`},
		{"another key's", mustSign(t, ed, Claims{}), nil, b, noon, noon.Add(time.Hour), `{"sub":"ada","iss":"them","iat":1800000000,"exp":1800003600}`},
		{"expired", mustSign(t, hs, Claims{Issued: hour, TTL: time.Minute}), errExpired, a, hour, hour.Add(time.Minute), `{"sub":"ada","iss":"us","iat":1799996400,"exp":1799996460}`},
		{"signed, and lacking exp", forge(t, hs, `{"alg":"HS256"}`, `{"iss":"us","sub":"x"}`), errNoExp, a, time.Time{}, time.Time{}, `{"iss":"us","sub":"x"}`},
		{"signed by nobody we know", mustSign(t, other, Claims{}), errSignature, nil, noon, noon.Add(time.Hour), `{"sub":"ada","iss":"us","iat":1800000000,"exp":1800003600}`},
		{"dates that are none", forge(t, other, `{"alg":"HS256"}`, `{"iss":"us","exp":1e9,"iat":"x"}`), errSignature, nil, time.Time{}, time.Time{}, `{"iss":"us","exp":1e9,"iat":"x"}`},
		{"no JSON", b64("x") + "." + b64("y") + ".AA", errJSON, nil, time.Time{}, time.Time{}, ""},
		{"no token", "x", errShape, nil, time.Time{}, time.Time{}, ""},
		{"too long", strings.Repeat("x", 5000), errTooLong, nil, time.Time{}, time.Time{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := v.Explain(c.token)
			if e.Refusal != c.refusal || (e.Identity == nil) != (c.refusal != nil) {
				t.Errorf("refusal %v, identity %v, want %v", e.Refusal, e.Identity, c.refusal)
			}
			if !reflect.DeepEqual(e.Key, c.key) {
				t.Errorf("key %+v, want %+v", e.Key, c.key)
			}
			if !e.Issued.Equal(c.issued) || !e.Expires.Equal(c.until) || !e.NotBefore.IsZero() || string(e.Claims) != c.claims {
				t.Errorf("issued %v, expires %v, claims %s", e.Issued, e.Expires, e.Claims)
			}
		})
	}
}
