package auth

import (
	"fmt"
	"testing"
	"time"
)

func TestRevoked(t *testing.T) {
	now := noon
	var r Revoked
	v := mustNew(t, Options{Keys: []Key{hs256}, Revoked: &r, Now: func() time.Time { return now }})
	in := func(seconds int64) int64 { return noon.Unix() + seconds }
	token := func(user, jti string, issued int64) string {
		iat := ""
		if issued != 0 {
			iat = fmt.Sprintf(`,"iat":%d`, issued)
		}
		return forge(t, hs256, `{"alg":"HS256"}`, fmt.Sprintf(`{"sub":%q,"jti":%q,"exp":%d%s}`, user, jti, in(100000), iat))
	}
	r.Token("j1", in(100))
	r.Token("j1", in(50)) // the longer one counts
	r.User("ada", in(-10), in(200))
	for _, row := range []struct {
		name, token string
		after       time.Duration
		want        Code // "": it is valid
	}{
		{"another user's, another jti", token("bob", "j2", in(-100)), 0, ""},
		{"this jti", token("bob", "j1", in(-100)), 0, CodeRevoked},
		{"until then", token("bob", "j1", in(-100)), 100 * time.Second, CodeRevoked},
		{"not any longer", token("bob", "j1", in(-100)), 101 * time.Second, ""},
		{"issued before", token("ada", "j3", in(-11)), 0, CodeRevoked},
		{"issued in that second", token("ada", "j3", in(-10)), 0, CodeRevoked},
		{"issued after", token("ada", "j3", in(-9)), 0, ""},
		{"who knows when", token("ada", "j3", 0), 0, CodeRevoked},
		{"issued before, long after", token("ada", "j3", in(-11)), 201 * time.Second, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			for range 2 { // the second time from the cache
				now = noon.Add(row.after)
				wantCode(t, v, row.token, row.want)
			}
		})
	}
	if r.Len() != 2 {
		t.Errorf("%d are kept", r.Len())
	}
	r.Forget(noon.Add(150 * time.Second))
	if r.Len() != 1 {
		t.Errorf("%d are kept after one is over", r.Len())
	}
	r.Forget(noon.Add(201 * time.Second))
	if r.Len() != 0 {
		t.Errorf("%d are kept after all are over", r.Len())
	}
}

func TestRevokedIsBounded(t *testing.T) {
	var r Revoked
	till := time.Now().Unix() + 1000
	for i := range MostRevoked {
		if !r.Token(fmt.Sprint(i), till) {
			t.Fatalf("%d is too many", i)
		}
	}
	if r.Token("one more", till) || r.User("one more", 1, till) {
		t.Error("there is no bound")
	}
	if !r.Token("7", till+1) {
		t.Error("one that is known cannot be prolonged")
	}
}
