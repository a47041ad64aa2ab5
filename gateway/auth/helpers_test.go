package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"
)

// noon is when all tests take place that say nothing else.
var noon = time.Unix(1_800_000_000, 0)

func atNoon() time.Time { return noon }

var (
	secret32 = []byte("0123456789abcdefghijklmnopqrstuv")
	secret64 = []byte("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/")
)

// pair is a private key, and both halves in PEM.
type pair struct {
	private     crypto.Signer
	public, own []byte
}

func newPair(private crypto.Signer, err error) pair {
	if err != nil {
		panic(err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		panic(err)
	}
	own, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	return pair{private,
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: own})}
}

// Keys are made once: RSA ones take their time under the race detector.
var (
	rsaPair   = sync.OnceValue(func() pair { return newPair(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA  = sync.OnceValue(func() pair { return newPair(rsa.GenerateKey(rand.Reader, 2048)) })
	p256Pair  = sync.OnceValue(func() pair { return newPair(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	otherP256 = sync.OnceValue(func() pair { return newPair(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384Pair  = sync.OnceValue(func() pair { return newPair(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521Pair  = sync.OnceValue(func() pair { return newPair(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	edPair    = sync.OnceValue(func() pair { _, own, err := ed25519.GenerateKey(rand.Reader); return newPair(own, err) })
)

// keysFor are the two sides of a key for the algorithm.
func keysFor(alg string) (verifies, signs Key) {
	var p pair
	switch {
	case strings.HasPrefix(alg, "HS"):
		k := Key{Alg: alg, Secret: secret64}
		return k, k
	case alg == "ES256":
		p = p256Pair()
	case alg == "ES384":
		p = p384Pair()
	case alg == "EdDSA":
		p = edPair()
	default:
		p = rsaPair()
	}
	return Key{Alg: alg, PEM: p.public}, Key{Alg: alg, PEM: p.own}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// forge makes a token of any header and payload, signed with the key by the key's algorithm, whatever the header says.
func forge(t testing.TB, k Key, header, payload string) string {
	t.Helper()
	alg, private, err := signer(k)
	if err != nil {
		t.Fatal(err)
	}
	signed := b64(header) + "." + b64(payload)
	signature, err := alg.method.Sign(signed, private)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func mustSign(t testing.TB, k Key, c Claims) string {
	t.Helper()
	if c.User == "" {
		c.User = "ada"
	}
	if c.TTL == 0 && !c.NoExpiry {
		c.TTL = time.Hour
	}
	if c.Issued.IsZero() {
		c.Issued = noon
	}
	token, err := Sign(k, c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func mustNew(t testing.TB, o Options) *Verifier {
	t.Helper()
	if o.Now == nil {
		o.Now = atNoon
	}
	v, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantCode asserts that the token is refused with the code; "" that it is not.
func wantCode(t testing.TB, v *Verifier, token string, want Code) *Identity {
	t.Helper()
	id, err := v.Verify(token)
	var got Code
	if err != nil {
		refusal, ok := err.(*Error)
		if !ok {
			t.Fatalf("the refusal is a %T, not an *Error", err)
		}
		got = refusal.Code
	}
	if got != want {
		t.Errorf("code is %q (%v), want %q", got, err, want)
	}
	if (id == nil) != (err != nil) {
		t.Errorf("identity %v and error %v", id, err)
	}
	return id
}

// jwkOf is the public key as a JWK with further members, such as `"kid":"a"`.
func jwkOf(public crypto.PublicKey, members ...string) string {
	raw := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	var m []string
	switch k := public.(type) {
	case *rsa.PublicKey:
		m = []string{`"kty":"RSA"`, `"n":"` + raw(k.N.Bytes()) + `"`, `"e":"` + raw(big.NewInt(int64(k.E)).Bytes()) + `"`}
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		m = []string{`"kty":"EC"`, `"crv":"` + k.Curve.Params().Name + `"`,
			`"x":"` + raw(point[1:1+half]) + `"`, `"y":"` + raw(point[1+half:]) + `"`}
	case ed25519.PublicKey:
		m = []string{`"kty":"OKP"`, `"crv":"Ed25519"`, `"x":"` + raw(k) + `"`}
	}
	return "{" + strings.Join(append(m, members...), ",") + "}"
}

func jwkSet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
