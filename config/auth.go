package config

import (
	"cmp"
	"slices"
	"time"
)

// Auth is how tokens (JWT, RFC 7519) are judged. Without any key no token is valid.
type Auth struct {
	Issuer         string        `yaml:"issuer" help:"The iss that tokens must have whose key names none of its own; empty lets the iss be anything"`
	Audience       string        `yaml:"audience" help:"What must be among the aud of a token; empty takes only tokens without aud, the others are meant for somebody else"`
	Leeway         time.Duration `yaml:"leeway" range:"0s..10m" help:"By how much the clocks of this node and of whoever makes the tokens may differ when exp and nbf are judged"`
	Grace          time.Duration `yaml:"grace" range:"0s..1h" help:"How long after its token has expired a client stays connected that can bring a new one, as the SDKs of Centrifugo do on their own; others are closed at once"`
	RequireExp     bool          `yaml:"require_exp" help:"Refuses tokens that never expire"`
	Cookie         string        `yaml:"cookie" help:"Name of a cookie that is taken for a token where a client shows no other; needs origins, because browsers send cookies along for every page; empty takes none"`
	HMACSecret     Secret        `yaml:"hmac_secret" help:"Secret that tokens are signed with by HS256, at least 32 bytes, taken as they stand: shorthand for one item of auth.keys; other users of this machine can see flags, so prefer the file or auth.hmac_secret_file"`
	HMACSecretFile string        `yaml:"hmac_secret_file" help:"File that holds such a secret, without white space at its ends; a relative path begins where sluice was started"`

	Keys []Key  `yaml:"keys" kong:"-" help:"Keys that tokens may be signed with; each is good for exactly one algorithm and one issuer, whatever a token says" example:"- {id: 2026-01, alg: RS256, issuer: https://id.example, file: /etc/sluice/2026-01.pem}"`
	JWKS []JWKS `yaml:"jwks" kong:"-" help:"Key sets (RFC 7517) that identity providers publish; one for each issuer" example:"- {url: https://id.example/.well-known/jwks.json, issuer: https://id.example, algs: [RS256]}"`
}

// Key is one key that tokens may be signed with; one of File, Secret and PEM is set.
type Key struct {
	ID     string `yaml:"id" help:"The kid of the tokens that it signs, unique for its algorithm and issuer; empty for any kid that no other key has, and for tokens without one"`
	Alg    string `yaml:"alg" oneof:"HS256|HS384|HS512|RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|EdDSA" help:"The one algorithm that it is good for"`
	Issuer string `yaml:"issuer" help:"The iss that its tokens must have; left out it is auth.issuer"`
	File   string `yaml:"file" help:"File that holds the secret of an HS key, without white space at its ends, or the public key of any other as PEM"`
	Secret Secret `yaml:"secret" help:"The secret of an HS key itself, at least as long as its hash: 32, 48 or 64 bytes"`
	PEM    string `yaml:"pem" help:"The public key itself, as PEM"`
}

// JWKS is a key set that is fetched from its issuer.
type JWKS struct {
	URL     string        `yaml:"url" help:"Where the set is fetched from: https://, or http:// on this machine"`
	Issuer  string        `yaml:"issuer" help:"The iss that its tokens must have; left out it is auth.issuer"`
	Algs    []string      `yaml:"algs" oneof:"RS256|RS384|RS512|PS256|PS384|PS512|ES256|ES384|EdDSA" help:"The algorithms that its keys are good for, each of them for its own kind"`
	Refresh time.Duration `yaml:"refresh" range:"1m..24h" help:"Time between two fetches; a token with an unknown kid may bring one forward"`
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

// signer is a key or a key set: where it is configured, and whose tokens it signs.
type signer struct{ path, issuer string }

func (a *Auth) signers() []signer {
	var signers []signer
	if a.HMACSecret != "" {
		signers = append(signers, signer{"auth.hmac_secret", a.Issuer})
	}
	if a.HMACSecretFile != "" {
		signers = append(signers, signer{"auth.hmac_secret_file", a.Issuer})
	}
	for i, key := range a.Keys {
		signers = append(signers, signer{itemPath("auth.keys", i), cmp.Or(key.Issuer, a.Issuer)})
	}
	return append(signers, a.setSigners()...)
}

func (a *Auth) setSigners() []signer {
	var signers []signer
	for i, set := range a.JWKS {
		signers = append(signers, signer{itemPath("auth.jwks", i), cmp.Or(set.Issuer, a.Issuer)})
	}
	return signers
}
