package auth

import (
	"errors"
	"testing"
	"time"
)

// A token is for a connection or for one subscription, and never for the other.
func TestSubscriptionToken(t *testing.T) {
	verifies, signs := keysFor("HS256")
	v := mustNew(t, Options{Keys: []Key{verifies}, Now: atNoon})
	one := mustSign(t, signs, Claims{User: "ada", Channel: "room:1", TTL: time.Hour, Issued: noon})
	all := mustSign(t, signs, Claims{User: "ada", TTL: time.Hour, Issued: noon})
	old := mustSign(t, signs, Claims{User: "ada", Channel: "room:1", TTL: time.Hour, Issued: noon.Add(-2 * time.Hour)})
	for range 2 { // the second time from the cache
		if who, err := v.VerifySubscription(one); err != nil || who.User != "ada" || who.Channel != "room:1" {
			t.Errorf("a subscription's token names %+v, %v", who, err)
		}
		wantCode(t, v, one, CodeBadClaims)
		wantCode(t, v, all, "")
		for token, want := range map[string]error{all: errNoOne, old: errExpired, "x": errShape} {
			if who, err := v.VerifySubscription(token); who != nil || !errors.Is(err, want) {
				t.Errorf("%.40s…: %v, %v; want %v", token, who, err, want)
			}
		}
	}
}
