package config

import (
	"bytes"
	"cmp"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Auth is how tokens (JWT, RFC 7519) are judged. Without any key no token is valid.
type Auth struct {
	Issuer         string        `yaml:"issuer" help:"The iss that tokens must have, unless their key names one of its own; empty asks for none"`
	Audience       string        `yaml:"audience" help:"The aud that tokens must have, one of theirs at least; empty asks for none"`
	Leeway         time.Duration `yaml:"leeway" range:"0s..10m" help:"By how much the clocks of this node and of whoever makes the tokens may differ when exp, nbf and iat are judged"`
	RequireExp     bool          `yaml:"require_exp" help:"Refuses tokens that never expire"`
	Cookie         string        `yaml:"cookie" help:"Name of a cookie that is taken for a token where a client shows no other; needs origins, because browsers send cookies along for every page; empty takes none"`
	HMACSecret     Secret        `yaml:"hmac_secret" help:"Secret that tokens are signed with by HS256, at least 32 bytes: short for one item of auth.keys; other users of this machine can see flags, so prefer the file or auth.hmac_secret_file"`
	HMACSecretFile string        `yaml:"hmac_secret_file" help:"File that holds such a secret, without white space at its ends; a relative path begins where sluice was started"`

	Keys []Key  `yaml:"keys" kong:"-" help:"Keys that tokens may be signed with; each is good for exactly one algorithm and one issuer" example:"- {id: 2026-01, alg: RS256, issuer: https://id.example, file: /etc/sluice/2026-01.pem}"`
	JWKS []JWKS `yaml:"jwks" kong:"-" help:"Key sets (RFC 7517) that identity providers publish; each is good for one issuer" example:"- {url: https://id.example/.well-known/jwks.json, issuer: https://id.example, algs: [RS256]}"`
}

// Key is one key that tokens may be signed with; one of File, Secret and PEM is set.
type Key struct {
	ID     string `yaml:"id" help:"The kid of the tokens that it signed; empty for tokens without one; unique for its algorithm and issuer"`
	Alg    string `yaml:"alg" oneof:"HS256|HS384|HS512|RS256|RS384|RS512|ES256|ES384|ES512|EdDSA" help:"The only algorithm that it is good for, whatever a token says"`
	Issuer string `yaml:"issuer" help:"The iss that its tokens must have; left out it is auth.issuer"`
	File   string `yaml:"file" help:"File that holds the secret of an HS key, without white space at its ends, or the public key of any other as PEM"`
	Secret Secret `yaml:"secret" help:"The secret of an HS key itself, at least as long as its hash: 32, 48 or 64 bytes"`
	PEM    string `yaml:"pem" help:"The public key itself, as PEM"`
}

// JWKS is a key set that is fetched from its issuer.
type JWKS struct {
	URL     string        `yaml:"url" help:"Where the set is fetched from: https://, or http:// on this machine"`
	Issuer  string        `yaml:"issuer" help:"The iss that its tokens must have; left out it is auth.issuer"`
	Algs    []string      `yaml:"algs" oneof:"RS256|RS384|RS512|ES256|ES384|ES512|EdDSA" help:"The algorithms that its keys are good for, each of them for its own kind"`
	Refresh time.Duration `yaml:"refresh" range:"1m..168h" help:"Time between two fetches; a token with an unknown kid may bring one forward"`
}

// Configured says whether there is anything a token could be verified with.
func (a *Auth) Configured() bool {
	return a.HMACSecret != "" || a.HMACSecretFile != "" || len(a.Keys) > 0 || len(a.JWKS) > 0
}

// StaticKeys returns the keys with what is left out filled in: their issuers, and auth.hmac_secret or its file as the
// key that it is short for. The slice is the caller's.
func (a *Auth) StaticKeys() []Key {
	keys := slices.Clone(a.Keys)
	if a.HMACSecret != "" || a.HMACSecretFile != "" {
		keys = append(keys, Key{Alg: "HS256", Secret: a.HMACSecret, File: a.HMACSecretFile})
	}
	for i := range keys {
		keys[i].Issuer = cmp.Or(keys[i].Issuer, a.Issuer)
	}
	return keys
}

// KeySets returns the key sets with their issuers filled in. The slice is the caller's, the Algs are shared.
func (a *Auth) KeySets() []JWKS {
	sets := slices.Clone(a.JWKS)
	for i := range sets {
		sets[i].Issuer = cmp.Or(sets[i].Issuer, a.Issuer)
	}
	return sets
}

func (v *validator) auth() {
	auth := &v.config.Auth
	if auth.Cookie != "" {
		v.cookie(auth.Cookie)
	}
	if auth.HMACSecret != "" {
		v.fault("auth.hmac_secret", checkSecret(auth.HMACSecret, "HS256"))
	}
	if auth.HMACSecretFile != "" {
		v.fault("auth.hmac_secret_file", checkFile(auth.HMACSecretFile))
		if auth.HMACSecret != "" {
			v.fault("auth.hmac_secret_file", fmt.Errorf("%s has the secret already; keep one", v.config.typed("auth.hmac_secret")))
		}
	}
	for i := range auth.Keys {
		if path := itemPath("auth.keys", i); !v.broken[path] {
			v.key(path, &auth.Keys[i])
		}
	}
	v.distinctKeys(auth)
	for i := range auth.JWKS {
		if path := itemPath("auth.jwks", i); !v.broken[path] {
			v.keySet(path, &auth.JWKS[i])
		}
	}
}

func (v *validator) cookie(name string) {
	if !token.MatchString(name) {
		v.fault("auth.cookie", fmt.Errorf("%q is not a cookie's name: letters, digits and !#$%%&'*+-.^_`|~ only", name))
	}
	if len(v.config.Origins) == 0 && !v.broken["origins"] {
		v.fault("auth.cookie", errors.New("browsers send the cookie along for whatever page opens the connection, "+
			"so any page could act as its visitor; list the pages that may connect in origins"))
	}
}

// key judges one key's material against its algorithm.
func (v *validator) key(path string, key *Key) {
	if v.broken[path+".alg"] {
		return // nobody knows what kind of key it should be
	}
	given := 0
	for _, text := range []string{key.File, string(key.Secret), key.PEM} {
		if text != "" {
			given++
		}
	}
	symmetric := strings.HasPrefix(key.Alg, "HS")
	switch {
	case given == 0 && symmetric:
		v.fault(path, fmt.Errorf("has no secret; %s needs secret or file", key.Alg))
	case given == 0:
		v.fault(path, fmt.Errorf("has no key; %s needs a public key in pem or file", key.Alg))
	case given > 1:
		v.fault(path, errors.New("has more than one of file, secret and pem; keep one"))
	case symmetric && key.PEM != "":
		v.fault(path+".pem", fmt.Errorf("%s has no public key: everybody who knows this one could make tokens; give it a secret or a file", key.Alg))
	case !symmetric && key.Secret != "":
		v.fault(path+".secret", fmt.Errorf("%s is verified with a public key; give it in pem or file", key.Alg))
	case key.Secret != "":
		v.fault(path+".secret", checkSecret(key.Secret, key.Alg))
	case key.PEM != "":
		v.fault(path+".pem", checkPEM(key.PEM))
	default:
		v.fault(path+".file", checkFile(key.File))
	}
}

// distinctKeys sees to it that a token's issuer, algorithm and kid lead to one key.
func (v *validator) distinctKeys(auth *Auth) {
	type identity struct{ issuer, alg, id string }
	first := map[identity]string{} // the path of the key that has it
	for i, key := range auth.StaticKeys() {
		path, name := itemPath("auth.keys", i), itemPath("auth.keys", i)+".id"
		switch {
		case i < len(auth.Keys):
		case auth.HMACSecret != "":
			path, name = "auth.hmac_secret", "auth.hmac_secret"
		default:
			path, name = "auth.hmac_secret_file", "auth.hmac_secret_file"
		}
		if v.broken[path] || v.broken[path+".alg"] {
			continue
		}
		is := identity{key.Issuer, key.Alg, key.ID}
		if other, taken := first[is]; taken {
			v.fault(name, fmt.Errorf("%s has the same id %q, algorithm and issuer; a token could not say which of the two it means",
				v.config.typed(other), key.ID))
			continue
		}
		first[is] = path
	}
}

func (v *validator) keySet(path string, set *JWKS) {
	v.fault(path+".url", checkKeySetURL(set.URL))
	if len(set.Algs) == 0 {
		v.fault(path+".algs", errors.New("is empty; without an algorithm no token of it is valid; remove it to get the default"))
	}
}

// checkKeySetURL never repeats the URL: where it cannot be read, nobody knows which part of it is a password.
func checkKeySetURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "":
		return errors.New("is not a URL; write one like https://id.example/.well-known/jwks.json")
	case u.User != nil:
		return errors.New("has a user name or a password in it, which is not sent; key sets are public, take it out")
	case u.Scheme == "http" && !isLoopback(net.JoinHostPort(u.Hostname(), "80")):
		return errors.New("http:// lets everybody on the way put in keys of their own; use https://")
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("scheme %q is not known; use https", u.Scheme)
	}
	return nil
}

// checkSecret asks for as many bytes as the algorithm's hash has (RFC 7518 §3.2). It does not repeat the secret.
func checkSecret(secret Secret, alg string) error {
	if string(secret) == redacted {
		return errors.New("is " + redacted + ", which stands for a hidden one in a printed configuration; put the real one in")
	}
	least := map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}[alg]
	if len(secret) < least {
		return fmt.Errorf("is %d bytes; %s needs at least %d, which nobody can guess: openssl rand -base64 %d", len(secret), alg, least, least)
	}
	return nil
}

// checkPEM sees to it that there is a key, and that it is no private one; which kind it is, is judged by its reader.
func checkPEM(text string) error {
	block, rest := pem.Decode([]byte(text))
	switch {
	case isPrivate(text):
		return errors.New("is a private key, which only whoever makes the tokens may have; give the public one: openssl pkey -pubout")
	case block == nil:
		return errors.New("is not PEM; it begins with -----BEGIN PUBLIC KEY----- and has line breaks; in YAML write pem: | and the lines below")
	case len(bytes.TrimSpace(rest)) > 0:
		return errors.New("holds more than one key; give each an item of its own")
	}
	return nil
}

func isPrivate(text string) bool { return strings.Contains(text, "PRIVATE KEY") }

// checkFile looks whether there is a file, and leaves what is in it to its reader.
func checkFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("there is no such file: %w", err)
	}
	if info.IsDir() {
		return fmt.Errorf("%s is a folder; name the file in it", path)
	}
	return nil
}

// warnAuth speaks of tokens that nobody can have, and of tokens that too many have.
func (c *Config) warnAuth(warn func(format string, args ...any)) {
	const keys = "auth.hmac_secret, auth.hmac_secret_file, auth.keys or auth.jwks"
	auth := &c.Auth
	switch {
	case !auth.Configured() && !c.Anonymous && !c.Dev:
		warn("nobody can connect: there is no key to verify tokens with; set %s, or let everybody in with anonymous, or dev on a laptop", keys)
	case !auth.Configured():
		for _, set := range []struct{ key, value string }{{"auth.issuer", auth.Issuer}, {"auth.audience", auth.Audience}, {"auth.cookie", auth.Cookie}} {
			if set.value != "" {
				warn("%s: does nothing, there is no key to verify tokens with; set %s", c.typed(set.key), keys)
			}
		}
	}
	for i, set := range auth.KeySets() {
		path := itemPath("auth.jwks", i)
		if set.Issuer == "" {
			warn("%s: tokens of any issuer are accepted that a key of this set signed; set auth.issuer, or issuer beside the url", c.typed(path))
		}
		if auth.Audience == "" {
			warn("%s: tokens that this issuer made for any other application are accepted too; set auth.audience", c.typed(path))
		}
	}
}
