package auth

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync/atomic"
)

// Key is a static key. Its algorithm is fixed here, whatever tokens say theirs is.
type Key struct {
	ID     string // kid; "" is for any kid, and for tokens without one
	Alg    string // HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA
	Issuer string // iss that it signs for; "" means Options.Issuer
	Secret []byte // HS…: the shared secret, as random as can be, and as long as the hash at least
	PEM    []byte // others: the public key for a Verifier, the private one for Sign
}

// key is one that tokens are verified with. Only retired changes.
type key struct {
	id     string
	alg    *algorithm
	public any // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey

	retired atomic.Bool // its JWKS does not list it any more: tokens remembered under it do not count
}

// verifies reports whether the signature was made with the key. signed is header and payload with the dot between
// them, as they stand in the token. Secrets are compared in constant time.
func (k *key) verifies(signed string, signature []byte) bool {
	return k.alg.method.Verify(signed, signature, k.public) == nil
}

// newKey checks a static key; errors say what is wrong with it and never what it is.
func newKey(k Key) (*key, error) {
	alg := findAlgorithm(k.Alg)
	if alg == nil {
		return nil, fmt.Errorf("alg %q is none of %s", k.Alg, algNames)
	}
	if k.ID != "" && !isName(k.ID) {
		return nil, errors.New("its ID is longer than 255 bytes, or cannot be printed")
	}
	made := &key{id: k.ID, alg: alg}
	if alg.family == hmacKeys {
		if len(k.PEM) > 0 {
			return nil, fmt.Errorf("%s takes a secret, not PEM; for a public key set the alg that it is used with", alg.name)
		}
		if err := checkSecret(alg, k.Secret); err != nil {
			return nil, err
		}
		made.public = bytes.Clone(k.Secret)
		return made, nil
	}
	if len(k.Secret) > 0 {
		return nil, fmt.Errorf("%s takes a public key in PEM, not a secret", alg.name)
	}
	public, err := parsePublic(k.PEM)
	if err != nil {
		return nil, err
	}
	if why := alg.fits(public); why != "" {
		return nil, errors.New(why)
	}
	made.public = public
	return made, nil
}

// checkSecret refuses secrets that can be guessed, and public keys: everybody can sign with those.
func checkSecret(alg *algorithm, secret []byte) error {
	switch _, err := x509.ParsePKIXPublicKey(secret); {
	case len(secret) == 0:
		return fmt.Errorf("%s needs a secret", alg.name)
	case bytes.Contains(secret, []byte("-----BEGIN")) || err == nil:
		return fmt.Errorf("its secret is a key file: whoever has the public key could sign; set the alg that the key is used with, RS256 perhaps, and give it as PEM")
	case len(secret) < alg.bytes:
		return fmt.Errorf("its secret has %d bytes, %s needs %d or more: openssl rand -base64 %d", len(secret), alg.name, alg.bytes, alg.bytes)
	}
	var seen [256]bool
	different := 0
	for _, b := range secret {
		if !seen[b] {
			seen[b] = true
			different++
		}
	}
	if different < 8 {
		return fmt.Errorf("its secret is made of %d different bytes and can be guessed: openssl rand -base64 %d", different, alg.bytes)
	}
	return nil
}

func parsePublic(text []byte) (any, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it has no PEM block: a public key begins with -----BEGIN PUBLIC KEY-----")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it has more than one PEM block; give each key by itself")
	}
	var public any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("it is a private key, which a gateway has no use for: openssl pkey -in private.pem -pubout")
	case "CERTIFICATE":
		return nil, errors.New("it is a certificate; give the public key in it: openssl x509 -in cert.pem -pubkey -noout")
	default:
		return nil, fmt.Errorf("its PEM block is %q, not PUBLIC KEY", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("its public key can not be read: %w", err)
	}
	return public, nil
}
