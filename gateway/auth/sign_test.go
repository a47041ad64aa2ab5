package auth

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestSignWhatVerifyTakes(t *testing.T) {
	for _, alg := range algorithms {
		verifies, signs := keysFor(alg.name)
		verifies.ID, signs.ID, verifies.Issuer, signs.Issuer = "k", "k", "us", "us"
		v := mustNew(t, Options{Keys: []Key{verifies}, Audience: "sluice"})
		id := wantCode(t, v, mustSign(t, signs, Claims{
			User: "ada", TTL: time.Minute, Audience: "sluice", ID: "j", Channels: []string{"a", "b"},
			Allow: Allow{Subscribe: []Pattern{"a.*"}, Publish: []Pattern{"<b>&"}}, Info: json.RawMessage(`{"n":1}`),
		}), "")
		want := &Identity{
			User: "ada", Issuer: "us", ID: "j", Issued: noon, Expires: noon.Add(90 * time.Second), Channels: []string{"a", "b"},
			Allow: Allow{Subscribe: []Pattern{"a.*"}, Publish: []Pattern{"<b>&"}}, Info: json.RawMessage(`{"n":1}`),
		}
		if !reflect.DeepEqual(id, want) {
			t.Errorf("%s: got %+v, want %+v", alg.name, id, want)
		}
	}
}

// Others must be able to read our tokens: the bytes are those of the RFCs.
func TestSignedTokenIsAnOrdinaryJWT(t *testing.T) {
	token := mustSign(t, Key{ID: "k", Alg: "HS256", Secret: secret32}, Claims{})
	parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return secret32, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithTimeFunc(atNoon), jwt.WithExpirationRequired(), jwt.WithStrictDecoding())
	if err != nil {
		t.Fatal(err)
	}
	if got := marshal(t, parsed.Header) + marshal(t, parsed.Claims); got != `{"alg":"HS256","kid":"k","typ":"JWT"}{"exp":1800003600,"iat":1800000000,"sub":"ada"}` {
		t.Errorf("it says %s", got)
	}
}

func TestSignTakesEveryPrivatePEM(t *testing.T) {
	r := rsaPair()
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(r.private.(*rsa.PrivateKey))})
	wantCode(t, mustNew(t, Options{Keys: []Key{{Alg: "RS256", PEM: r.public}}}), mustSign(t, Key{Alg: "RS256", PEM: pkcs1}, Claims{}), "")
	e := p256Pair()
	der, err := x509.MarshalECPrivateKey(e.private.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	sec1 := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07")})
	for _, text := range [][]byte{sec1, append(parameters, sec1...)} {
		wantCode(t, mustNew(t, Options{Keys: []Key{{Alg: "ES256", PEM: e.public}}}), mustSign(t, Key{Alg: "ES256", PEM: text}, Claims{}), "")
	}
}

func TestUsualAlg(t *testing.T) {
	for _, c := range []struct {
		own  []byte
		want string
		err  string
	}{
		{rsaPair().own, "RS256", ""},
		{p256Pair().own, "ES256", ""},
		{p384Pair().own, "ES384", ""},
		{edPair().own, "EdDSA", ""},
		{p521Pair().own, "", "its curve is P-521"},
		{rsaPair().public, "", "a token is signed with the private one"},
		{[]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n"), "", "not an unencrypted PRIVATE KEY"},
		{nil, "", "no PEM block"},
	} {
		got, err := UsualAlg(c.own)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q, %v, want %q, %q", got, err, c.want, c.err)
		}
	}
}

func TestVerifiesItsOtherHalf(t *testing.T) {
	for _, c := range []struct {
		public, own []byte
		want        bool
	}{
		{rsaPair().public, rsaPair().own, true},
		{p256Pair().public, p256Pair().own, true},
		{edPair().public, edPair().own, true},
		{rsaPair().public, otherRSA().own, false},
		{p256Pair().public, rsaPair().own, false},
		{nil, rsaPair().own, false},
		{rsaPair().public, nil, false},
	} {
		if got := (Key{PEM: c.public}).Verifies(c.own); got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}

func TestSignFaults(t *testing.T) {
	good := Claims{User: "ada", TTL: time.Hour}
	with := func(change func(*Claims)) Claims { c := good; change(&c); return c }
	for _, c := range []struct {
		name   string
		key    Key
		claims Claims
		want   string
	}{
		{"alg", Key{Alg: "none"}, good, `alg "none" is none of`},
		{"weak secret", Key{Alg: "HS256", Secret: secret32[:5]}, good, "5 bytes, HS256 needs 32"},
		{"public key", Key{Alg: "RS256", PEM: rsaPair().public}, good, "a token is signed with the private one"},
		{"no PEM", Key{Alg: "RS256", Secret: secret32}, good, "no PEM block"},
		{"garbage", Key{Alg: "RS256", PEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})}, good, "can not be read"},
		{"other curve", Key{Alg: "ES256", PEM: p384Pair().own}, good, "its curve is P-384"},
		{"other kind", Key{Alg: "EdDSA", PEM: p384Pair().own}, good, "EdDSA needs an Ed25519 key"},
		{"ID", Key{ID: "a\nb", Alg: "HS256", Secret: secret32}, good, "its ID is longer"},
		{"no user", hs256, with(func(c *Claims) { c.User = "" }), "sub is missing"},
		{"no time to live", hs256, with(func(c *Claims) { c.TTL = 0 }), "1s or more, is 0s"},
		{"negative", hs256, with(func(c *Claims) { c.TTL = -time.Hour }), "1s or more, is -1h0m0s"},
		{"both", hs256, with(func(c *Claims) { c.NoExpiry = true }), "either a time to live or no expiry"},
		{"channels", hs256, with(func(c *Claims) { c.Channels = []string{""} }), "channels is not a list"},
		{"patterns", hs256, with(func(c *Claims) { c.Allow.Publish = []Pattern{"a\nb"} }), "a list in allow"},
		{"info", hs256, with(func(c *Claims) { c.Info = json.RawMessage("{") }), "can not be written"},
		{"info twice", hs256, with(func(c *Claims) { c.Info = json.RawMessage(`{"a":1,"a":2}`) }), "a name stands twice"},
		{"issuer", hs256, with(func(c *Claims) { c.Issuer = "\x00" }), "iss is not"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if token, err := Sign(c.key, c.claims); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v, want an error with %q", token, err, c.want)
			}
		})
	}
}

func TestSignNow(t *testing.T) {
	token, err := Sign(hs256, Claims{User: "ada", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(Options{Keys: []Key{hs256}})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, v, token, "")
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil || strings.Contains(string(body), "allow") || strings.Contains(string(body), "aud") {
		t.Errorf("it says %s, %v: what is not set has no place in it", body, err)
	}
}
