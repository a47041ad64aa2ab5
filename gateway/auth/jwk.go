package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// webKey is a JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2), as far as we look at it.
type webKey struct {
	Type   string   `json:"kty"`
	ID     string   `json:"kid"`
	Alg    string   `json:"alg"`
	Use    string   `json:"use"`
	Ops    []string `json:"key_ops"`
	Curve  string   `json:"crv"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	Secret string   `json:"d"` // the private part of any asymmetric key
}

// parseWebKeys reads a JWK Set. Keys that can not be used are told to ignored, with the reason; a document without
// any that can is an error.
func parseWebKeys(document []byte, algs []string, ignored func(kid, why string)) ([]*key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("the answer is not a JWK Set: %w", err)
	}
	var keys []*key
	for n, raw := range set.Keys {
		if n == mostKeys {
			ignored("", fmt.Sprintf("the set has %d keys, at most %d are used", len(set.Keys), mostKeys))
			break
		}
		var w webKey
		if err := json.Unmarshal(raw, &w); err != nil {
			ignored("", "it is not a JWK: "+err.Error())
			continue
		}
		made, err := w.keys(algs)
		if err != nil {
			ignored(w.ID, err.Error())
			continue
		}
		for _, k := range made {
			if why := clashes(keys, k); why != "" {
				ignored(w.ID, why)
				continue
			}
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("none of the %d keys in the answer can be used", len(set.Keys))
	}
	return keys, nil
}

// keys are one for each algorithm that the JWK may be used with: its own, or if it names none, those that fit it.
func (w *webKey) keys(algs []string) ([]*key, error) {
	switch {
	case w.ID != "" && !isName(w.ID):
		return nil, errors.New("its kid is longer than 255 bytes, or cannot be printed")
	case w.Use != "" && w.Use != "sig":
		return nil, errors.New("its use is not sig")
	case len(w.Ops) > 0 && !slices.Contains(w.Ops, "verify"):
		return nil, errors.New("its key_ops have no verify")
	case w.Secret != "":
		return nil, errors.New("its private part is published, so that everybody can sign with it; the issuer must replace it")
	case w.Alg != "" && !slices.Contains(algs, w.Alg):
		return nil, fmt.Errorf("its alg %.20q is not one that is allowed here", w.Alg)
	}
	public, err := w.public()
	if err != nil {
		return nil, err
	}
	var made []*key
	why := "no alg that is allowed here is for " + familyOf(public).String()
	for _, name := range algs {
		alg := findAlgorithm(name)
		if w.Alg == name || w.Alg == "" && alg.family == familyOf(public) {
			if why = alg.fits(public); why == "" {
				made = append(made, &key{id: w.ID, alg: alg, public: public})
			}
		}
	}
	if len(made) == 0 {
		return nil, errors.New(why)
	}
	return made, nil
}

// public is the key in the standard library's form.
func (w *webKey) public() (any, error) {
	switch w.Type {
	case "RSA":
		return w.rsa()
	case "EC":
		return w.ecdsa()
	case "OKP":
		x, err := base64.RawURLEncoding.DecodeString(w.X)
		if w.Curve != "Ed25519" || err != nil || len(x) != ed25519.PublicKeySize {
			return nil, errors.New("it is not an Ed25519 key of 32 bytes")
		}
		return ed25519.PublicKey(x), nil
	case "oct":
		return nil, errors.New("it is a shared secret, and published")
	}
	return nil, fmt.Errorf("its kty %.20q is none of RSA, EC, OKP", w.Type)
}

func (w *webKey) rsa() (any, error) {
	n, err := base64.RawURLEncoding.DecodeString(w.N)
	e, err2 := base64.RawURLEncoding.DecodeString(w.E)
	if err != nil || err2 != nil || len(n) == 0 || len(e) == 0 || len(n) > maxRSA/8+1 || len(e) > 4 {
		return nil, errors.New("its n or e is not an RSA modulus or exponent in base64url")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
}

func (w *webKey) ecdsa() (any, error) {
	alg := map[string]*algorithm{"P-256": findAlgorithm("ES256"), "P-384": findAlgorithm("ES384")}[w.Curve]
	if alg == nil {
		return nil, fmt.Errorf("its crv %.20q is none of P-256, P-384", w.Curve)
	}
	x, err := base64.RawURLEncoding.DecodeString(w.X)
	y, err2 := base64.RawURLEncoding.DecodeString(w.Y)
	size := alg.curve.Params().BitSize / 8
	if err != nil || err2 != nil || len(x) != size || len(y) != size {
		return nil, fmt.Errorf("its x or y is not a coordinate of %d bytes in base64url (RFC 7518 §6.2.1.2)", size)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(alg.curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, errors.New("its x and y are no point of the curve")
	}
	return public, nil
}
