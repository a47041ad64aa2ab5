package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestSecretsAreNotSeen(t *testing.T) {
	c := Default()
	c.Auth.HMACSecret = secret32
	c.Auth.Keys = []Key{{ID: "a", Alg: "HS256", Secret: secret32}}
	c.Auth.Keys = append(c.Auth.Keys, Key{ID: "b", Alg: "HS512", Secret: secret32}) // a fault that names it
	marshalled, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{string(marshalled)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown = append(shown, fmt.Sprintf(verb, c), fmt.Sprintf(verb, c.Auth.HMACSecret))
	}
	if err := c.Validate(); err == nil {
		t.Error("the short secret was accepted")
	} else {
		shown = append(shown, err.Error())
	}
	var out strings.Builder
	if err := c.YAML(&out); err != nil {
		t.Fatal(err)
	}
	for _, text := range append(append(shown, out.String()), c.Warnings()...) {
		if strings.Contains(text, secret32[:8]) || strings.Contains(text, fmt.Sprintf("%x", secret32[:8])) {
			t.Errorf("shown: %s", text)
		}
	}
	if string(c.Auth.HMACSecret) != secret32 {
		t.Error("the secret itself is lost")
	}
	if Secret("").String() != "" {
		t.Error("an empty secret looks like one")
	}
}

// A private key is refused, and hidden even by those who print without asking Validate.
func TestPrivateKeysAreNotPrinted(t *testing.T) {
	c := Default()
	c.Auth.Keys = []Key{{Alg: "ES256", PEM: "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"}}
	var out strings.Builder
	if err := c.YAML(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "AAAA") {
		t.Errorf("printed:\n%s", out.String())
	}
}
