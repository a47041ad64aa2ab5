package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"

	"github.com/golang-jwt/jwt/v5"
)

// family is the kind of key that an algorithm takes.
type family uint8

const (
	hmacKeys family = iota + 1
	rsaKeys
	ecdsaKeys
	ed25519Keys
)

func (f family) String() string {
	switch f {
	case hmacKeys:
		return "a shared secret"
	case rsaKeys:
		return "an RSA key"
	case ecdsaKeys:
		return "an elliptic curve key"
	case ed25519Keys:
		return "an Ed25519 key"
	}
	return "a key of another kind"
}

// algorithm is a signature algorithm of RFC 7518 §3.1 or RFC 8037 §3.1.
type algorithm struct {
	name   string
	family family
	method jwt.SigningMethod
	bytes  int            // least length of the secret (RFC 7518 §3.2); 0 for other families
	curve  elliptic.Curve // nil for other families
}

// algorithms are all that can be configured. There is no "none" among them.
var algorithms = []algorithm{
	{name: "HS256", family: hmacKeys, method: jwt.SigningMethodHS256, bytes: 32},
	{name: "HS384", family: hmacKeys, method: jwt.SigningMethodHS384, bytes: 48},
	{name: "HS512", family: hmacKeys, method: jwt.SigningMethodHS512, bytes: 64},
	{name: "RS256", family: rsaKeys, method: jwt.SigningMethodRS256},
	{name: "RS384", family: rsaKeys, method: jwt.SigningMethodRS384},
	{name: "RS512", family: rsaKeys, method: jwt.SigningMethodRS512},
	{name: "PS256", family: rsaKeys, method: jwt.SigningMethodPS256},
	{name: "PS384", family: rsaKeys, method: jwt.SigningMethodPS384},
	{name: "PS512", family: rsaKeys, method: jwt.SigningMethodPS512},
	{name: "ES256", family: ecdsaKeys, method: jwt.SigningMethodES256, curve: elliptic.P256()},
	{name: "ES384", family: ecdsaKeys, method: jwt.SigningMethodES384, curve: elliptic.P384()},
	{name: "EdDSA", family: ed25519Keys, method: jwt.SigningMethodEdDSA},
}

const algNames = "HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"

func findAlgorithm(name string) *algorithm {
	for i := range algorithms {
		if algorithms[i].name == name {
			return &algorithms[i]
		}
	}
	return nil
}

// Bounds on an RSA modulus in bits: less is broken (RFC 7518 §3.3), more costs a reactor too much.
const (
	minRSA = 2048
	maxRSA = 8192
)

// familyOf is the kind of a public key; 0 for none that an algorithm takes.
func familyOf(public any) family {
	switch public.(type) {
	case []byte:
		return hmacKeys
	case *rsa.PublicKey:
		return rsaKeys
	case *ecdsa.PublicKey:
		return ecdsaKeys
	case ed25519.PublicKey:
		return ed25519Keys
	}
	return 0
}

// fits says why the algorithm can not use the public key; "" if it can.
func (a *algorithm) fits(public any) string {
	if is := familyOf(public); is != a.family {
		return "it is " + is.String() + ", " + a.name + " needs " + a.family.String()
	}
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA {
			return "its RSA modulus is not of 2048 to 8192 bits"
		}
		if k.E < 3 || k.E%2 == 0 || k.E > 1<<31-1 {
			return "its RSA exponent is not an odd number of 3 to 2^31-1"
		}
	case *ecdsa.PublicKey:
		if k.Curve != a.curve {
			return "its curve is " + k.Curve.Params().Name + ", " + a.name + " needs " + a.curve.Params().Name
		}
	}
	return ""
}
