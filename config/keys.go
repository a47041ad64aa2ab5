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
	"unicode"
	"unicode/utf8"
)

// This file judges the keys that tokens are verified with, as far as that needs no look into files.

// mostKeys is how many keys, and how many key sets, one node can have.
const mostKeys = 64

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
	v.atMost("auth.keys", len(auth.StaticKeys()))
	v.atMost("auth.jwks", len(auth.JWKS))
	v.name("auth.issuer", auth.Issuer)
	v.name("auth.audience", auth.Audience)
	for i := range auth.Keys {
		if path := itemPath("auth.keys", i); !v.broken[path] {
			v.key(path, &auth.Keys[i])
		}
	}
	for i := range auth.JWKS {
		if path := itemPath("auth.jwks", i); !v.broken[path] {
			v.keySet(path, &auth.JWKS[i])
		}
	}
	v.distinctKeys(auth)
	v.issuers(auth)
}

func (v *validator) atMost(key string, count int) {
	if count > mostKeys {
		v.fault(key, fmt.Errorf("there are %d; at most %d are possible", count, mostKeys))
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
	v.name(path+".id", key.ID)
	v.name(path+".issuer", key.Issuer)
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

// distinctKeys sees to it that issuer, algorithm and kid of a token lead to one key, and an issuer to one key set.
func (v *validator) distinctKeys(auth *Auth) {
	type identity struct{ issuer, alg, id string }
	keys := map[identity]string{} // the path of the key that has it
	for i, key := range auth.Keys {
		path, is := itemPath("auth.keys", i), identity{cmp.Or(key.Issuer, auth.Issuer), key.Alg, key.ID}
		if key.ID == "" || v.broken[path] || v.broken[path+".alg"] {
			continue
		}
		if other, taken := keys[is]; taken {
			v.fault(path+".id", fmt.Errorf("%q is already the id of %s, with the same algorithm and issuer; a token could not say which of the two it means",
				key.ID, v.config.typed(other)))
			continue
		}
		keys[is] = path
	}
	sets := map[string]string{} // by issuer, the path of its set
	for _, set := range auth.setSigners() {
		if other, taken := sets[set.issuer]; taken {
			v.fault(set.path, fmt.Errorf("%s is already the key set of issuer %q; give each an issuer of its own", v.config.typed(other), set.issuer))
			continue
		}
		sets[set.issuer] = set.path
	}
}

// issuers refuses keys that are good for any issuer beside some that are not: they could sign in the others' name.
func (v *validator) issuers(auth *Auth) {
	signers := auth.signers()
	named := slices.IndexFunc(signers, func(s signer) bool { return s.issuer != "" })
	if named < 0 {
		return
	}
	for _, s := range signers {
		if s.issuer == "" {
			v.fault(s.path, fmt.Errorf("has no issuer and could sign tokens in the name of %q, whose keys are %s; give it an issuer, or set auth.issuer",
				signers[named].issuer, v.config.typed(signers[named].path)))
		}
	}
}

// name judges what a token's iss, aud or kid is compared with. It may be empty.
func (v *validator) name(key, name string) {
	if len(name) > 255 || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		v.fault(key, fmt.Errorf("%q is not at most 255 printable bytes; no token can have it", name))
	}
}

func (v *validator) keySet(path string, set *JWKS) {
	v.fault(path+".url", checkKeySetURL(set.URL))
	v.name(path+".issuer", set.Issuer)
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
		return fmt.Errorf("cannot be found: %w", err)
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
	for _, set := range auth.setSigners() {
		if set.issuer == "" {
			warn("%s: tokens that its keys signed are accepted whatever their issuer; set auth.issuer, or issuer beside the url", c.typed(set.path))
		}
	}
}
