package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEveryAlgorithm(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(alg.name, func(t *testing.T) {
			verifies, signs := keysFor(alg.name)
			v := mustNew(t, Options{Keys: []Key{verifies}})
			token := mustSign(t, signs, Claims{})
			wantCode(t, v, token, "")
			p, _ := split(token)
			_, other := keysFor(alg.name)
			switch alg.family {
			case hmacKeys:
				other.Secret = bytes.ToUpper(secret64)
			case rsaKeys:
				other.PEM = otherRSA().own
			default:
				return // one key of the kind is enough: the payload below is changed for all
			}
			wantCode(t, v, mustSign(t, other, Claims{}), CodeBadSignature)
			wantCode(t, v, p.header+"."+b64(`{"sub":"eve","exp":1800003600}`)+"."+p.signature, CodeBadSignature)
		})
	}
}

func TestOtherKeyOfTheSameKind(t *testing.T) {
	v := mustNew(t, Options{Keys: []Key{{Alg: "ES256", PEM: p256Pair().public}}})
	wantCode(t, v, mustSign(t, Key{Alg: "ES256", PEM: p256Pair().own}, Claims{}), "")
	wantCode(t, v, mustSign(t, Key{Alg: "ES256", PEM: otherP256().own}, Claims{}), CodeBadSignature)
}

func TestKeyFaults(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	rsa1024 := newPair(small, nil).public
	evenExponent := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY",
		Bytes: x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: rsaPair().private.Public().(*rsa.PublicKey).N, E: 4})})
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(rsaPair().private.Public().(*rsa.PublicKey))})
	der, _ := pem.Decode(p256Pair().public)
	for _, c := range []struct {
		name string
		key  Key
		want string // in the error; "" for none
	}{
		{"HS256", Key{Alg: "HS256", Secret: secret32}, ""},
		{"HS384", Key{Alg: "HS384", Secret: secret64[:48]}, ""},
		{"HS512", Key{Alg: "HS512", Secret: secret64}, ""},
		{"PKCS #1", Key{Alg: "RS256", PEM: pkcs1}, ""},
		{"with white space around", Key{Alg: "RS256", PEM: []byte("\n\n" + string(pkcs1) + "\n\n")}, ""},

		{"no alg", Key{Secret: secret32}, `alg "" is none of HS256`},
		{"none", Key{Alg: "none"}, `alg "none" is none of HS256`},
		{"lower case", Key{Alg: "hs256", Secret: secret32}, `alg "hs256" is none of`},
		{"ID too long", Key{ID: strings.Repeat("x", 256), Alg: "HS256", Secret: secret32}, "ID is longer than 255"},
		{"no secret", Key{Alg: "HS256"}, "HS256 needs a secret"},
		{"31 bytes", Key{Alg: "HS256", Secret: secret32[:31]}, "31 bytes, HS256 needs 32 or more: openssl rand -base64 32"},
		{"47 bytes", Key{Alg: "HS384", Secret: secret64[:47]}, "47 bytes, HS384 needs 48"},
		{"63 bytes", Key{Alg: "HS512", Secret: secret64[:63]}, "63 bytes, HS512 needs 64"},
		{"all alike", Key{Alg: "HS256", Secret: bytes.Repeat([]byte("changeme"[:6]), 8)}, "made of 6 different bytes"},
		{"PEM as secret", Key{Alg: "HS256", Secret: rsaPair().public}, "secret is a key file"},
		{"PEM as secret, indented", Key{Alg: "HS256", Secret: append([]byte("  "), rsaPair().public...)}, "secret is a key file"},
		{"DER as secret", Key{Alg: "HS256", Secret: der.Bytes}, "secret is a key file"},
		{"PEM for HMAC", Key{Alg: "HS256", PEM: rsaPair().public}, "HS256 takes a secret, not PEM"},
		{"both", Key{Alg: "HS256", Secret: secret32, PEM: rsaPair().public}, "HS256 takes a secret, not PEM"},
		{"secret for RSA", Key{Alg: "RS256", Secret: secret32}, "RS256 takes a public key in PEM"},

		{"no PEM", Key{Alg: "RS256"}, "no PEM block"},
		{"no PEM at all", Key{Alg: "RS256", PEM: []byte("ssh-rsa AAAA")}, "no PEM block"},
		{"two", Key{Alg: "RS256", PEM: slices.Concat(rsaPair().public, otherRSA().public)}, "more than one PEM block"},
		{"private", Key{Alg: "RS256", PEM: rsaPair().own}, "openssl pkey -in private.pem -pubout"},
		{"certificate", Key{Alg: "RS256", PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE"})}, "openssl x509 -in cert.pem -pubkey"},
		{"other block", Key{Alg: "RS256", PEM: pem.EncodeToMemory(&pem.Block{Type: "X509 CRL"})}, `"X509 CRL", not PUBLIC KEY`},
		{"garbage", Key{Alg: "RS256", PEM: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})}, "can not be read"},
		{"RSA 1024", Key{Alg: "RS256", PEM: rsa1024}, "not of 2048 to 8192 bits"},
		{"even exponent", Key{Alg: "RS256", PEM: evenExponent}, "exponent"},
		{"EC for RSA", Key{Alg: "RS256", PEM: p256Pair().public}, "it is an elliptic curve key, RS256 needs an RSA key"},
		{"RSA for EC", Key{Alg: "ES256", PEM: rsaPair().public}, "it is an RSA key, ES256 needs an elliptic curve key"},
		{"RSA for EdDSA", Key{Alg: "EdDSA", PEM: rsaPair().public}, "EdDSA needs an Ed25519 key"},
		{"P-384 for ES256", Key{Alg: "ES256", PEM: p384Pair().public}, "its curve is P-384, ES256 needs P-256"},
		{"P-521 for ES384", Key{Alg: "ES384", PEM: p521Pair().public}, "its curve is P-521, ES384 needs P-384"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(Options{Keys: []Key{c.key}})
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
			if err != nil && len(c.key.Secret) > 8 && strings.Contains(err.Error(), string(c.key.Secret)) {
				t.Error("the error repeats the secret")
			}
		})
	}
}

func TestOptionFaults(t *testing.T) {
	hs := func(id, issuer string, secret []byte) Key {
		return Key{ID: id, Alg: "HS256", Issuer: issuer, Secret: secret}
	}
	ok := "https://id.example/keys"
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"nothing", Options{}, ""},
		{"http to this machine", Options{JWKS: []JWKS{{URL: "http://localhost:1/"}}}, ""},
		{"http to ::1", Options{JWKS: []JWKS{{URL: "http://[::1]:1/"}}}, ""},
		{"same ID, other alg", Options{Keys: []Key{hs("a", "", secret32), {ID: "a", Alg: "RS256", PEM: rsaPair().public}}}, ""},
		{"same ID, other issuer", Options{Keys: []Key{hs("a", "x", secret32), hs("a", "y", secret32)}}, ""},
		{"issuer by default", Options{Issuer: "x", Keys: []Key{hs("a", "", secret32)}, JWKS: []JWKS{{URL: ok, Issuer: "y"}}}, ""},

		{"http", Options{JWKS: []JWKS{{URL: "http://id.example/keys"}}}, "is not https: whoever is on the way"},
		{"http to another loopback-like host", Options{JWKS: []JWKS{{URL: "http://localhost.evil.example/"}}}, "is not https"},
		{"http to 10.0.0.1", Options{JWKS: []JWKS{{URL: "http://10.0.0.1/"}}}, "is not https"},
		{"file", Options{JWKS: []JWKS{{URL: "file:///etc/passwd"}}}, "is not https://host/path"},
		{"no scheme", Options{JWKS: []JWKS{{URL: "id.example/keys"}}}, "is not https://host/path"},
		{"no URL", Options{JWKS: []JWKS{{}}}, "is not https://host/path"},
		{"password", Options{JWKS: []JWKS{{URL: "https://a:hunter2@id.example/"}}}, "a user or password"},
		{"unreadable", Options{JWKS: []JWKS{{URL: "https://a:hunter2@id.example:x/"}}}, "can not be read"},
		{"HS in a JWKS", Options{JWKS: []JWKS{{URL: ok, Algs: []string{"HS256"}}}}, "which nobody publishes"},
		{"unknown alg in a JWKS", Options{JWKS: []JWKS{{URL: ok, Algs: []string{"none"}}}}, `alg "none" is none of`},
		{"refresh too often", Options{JWKS: []JWKS{{URL: ok, Refresh: time.Second}}}, "refresh must be 1m to 168h, is 1s"},
		{"two JWKS of one issuer", Options{JWKS: []JWKS{{URL: ok, Issuer: "x"}, {URL: ok + "2", Issuer: "x"}}}, `issuer "x" has more than one JWKS`},
		{"two JWKS of none", Options{JWKS: []JWKS{{URL: ok}, {URL: ok + "2"}}}, "more than one JWKS"},
		{"some name issuers", Options{Keys: []Key{hs("a", "x", secret32), hs("b", "", secret64)}}, "name all"},
		{"keys do, JWKS does not", Options{Keys: []Key{hs("a", "x", secret32)}, JWKS: []JWKS{{URL: ok}}}, "name all"},
		{"same ID and alg", Options{Keys: []Key{hs("a", "", secret32), hs("a", "", secret64)}}, "same ID and alg"},
		{"five without ID", Options{Keys: slices.Repeat([]Key{hs("", "", secret32)}, 5)}, "has 4 HS256 keys without an ID"},
		{"65 keys", Options{Keys: slices.Repeat([]Key{hs("", "", secret32)}, 65)}, "65 static keys are given, at most 64"},
		{"leeway", Options{Leeway: time.Hour}, "leeway: at most 10m, is 1h0m0s"},
		{"cookie", Options{Cookie: "a b"}, `cookie "a b"`},
		{"cookie with =", Options{Cookie: "a=b"}, `cookie "a=b"`},
		{"longest token", Options{MaxToken: 1 << 20}, "64 to 65536 bytes, is 1048576"},
		{"audience", Options{Audience: "a\nb"}, "audience: must be 1 to 255"},
		{"issuer", Options{Issuer: strings.Repeat("x", 256)}, "issuer: must be 1 to 255"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(c.o)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error repeats the password")
			}
		})
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	_, err := New(Options{
		Keys:   []Key{{ID: "short", Alg: "HS256", Secret: []byte("x")}, {ID: "odd", Alg: "XX"}},
		JWKS:   []JWKS{{URL: "http://id.example/"}},
		Cookie: "a b", Leeway: time.Hour,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`key 1 ("short")`, `key 2 ("odd")`, "JWKS 1", "cookie", "leeway"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in %v", want, err)
		}
	}
}

func TestNewKeepsNothingOfTheCallers(t *testing.T) {
	secret := bytes.Clone(secret32)
	v := mustNew(t, Options{Keys: []Key{{Alg: "HS256", Secret: secret}}})
	clear(secret)
	wantCode(t, v, mustSign(t, hs256, Claims{}), "")
}

func TestWebKeys(t *testing.T) {
	r, e, p384, ed := rsaPair().private.Public(), p256Pair().private.Public(), p384Pair().private.Public(), edPair().private.Public()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"RS256", "PS256", "ES256", "EdDSA"}
	for _, c := range []struct {
		name string
		jwk  string
		want string // the algs, or why it is ignored
	}{
		{"RSA without alg", jwkOf(r), "RS256 PS256"},
		{"RSA with alg", jwkOf(r, `"alg":"PS256"`), "PS256"},
		{"EC", jwkOf(e), "ES256"},
		{"Ed25519", jwkOf(ed), "EdDSA"},
		{"for signatures", jwkOf(r, `"use":"sig"`, `"alg":"RS256"`, `"key_ops":["verify"]`, `"x5c":["MII"]`), "RS256"},
		{"for encryption", jwkOf(r, `"use":"enc"`, `"alg":"RSA-OAEP"`), "its use is not sig"},
		{"for signing", jwkOf(r, `"key_ops":["sign"]`), "no verify"},
		{"alg not allowed", jwkOf(r, `"alg":"RS512"`), `alg "RS512" is not one that is allowed`},
		{"alg none", jwkOf(r, `"alg":"none"`), `alg "none" is not one`},
		{"alg HS256", jwkOf(r, `"alg":"HS256"`), `alg "HS256" is not one`},
		{"alg of another kind", jwkOf(r, `"alg":"ES256"`), "it is an RSA key, ES256 needs"},
		{"private part", jwkOf(ed, `"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"`), "its private part is published"},
		{"secret", `{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}`, "shared secret, and published"},
		{"unknown kty", `{"kty":"AKP"}`, `kty "AKP" is none of`},
		{"no kty", `{}`, `kty "" is none of`},
		{"not an object", `7`, "it is not a JWK"},
		{"n a number", `{"kty":"RSA","n":7}`, "it is not a JWK"},
		{"RSA 1024", jwkOf(small.Public()), "not of 2048 to 8192 bits"},
		{"RSA huge", `{"kty":"RSA","n":"` + strings.Repeat("A", 8000) + `","e":"AQAB"}`, "n or e is not"},
		{"RSA nothing", `{"kty":"RSA"}`, "n or e is not"},
		{"RSA e of 1", strings.Replace(jwkOf(r), "AQAB", "AQ", 1), "exponent is not an odd number"},
		{"RSA e even", strings.Replace(jwkOf(r), "AQAB", "AQAA", 1), "exponent is not an odd number"},
		{"RSA e long", strings.Replace(jwkOf(r), "AQAB", "AQABAQAB", 1), "n or e is not"},
		{"padded", strings.Replace(jwkOf(r), "AQAB", "AQAB====", 1), "n or e is not"},
		{"P-384, not allowed", jwkOf(p384), "its curve is P-384, ES256 needs P-256"},
		{"P-521", `{"kty":"EC","crv":"P-521"}`, `crv "P-521" is none of`},
		{"short coordinate", `{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}`, "not a coordinate of 32 bytes"},
		{"off the curve", `{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 42) + `E","y":"` + strings.Repeat("A", 42) + `E"}`, "no point of the curve"},
		{"X25519", `{"kty":"OKP","crv":"X25519","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}`, "not an Ed25519 key"},
		{"Ed25519, short", `{"kty":"OKP","crv":"Ed25519","x":"AAAA"}`, "not an Ed25519 key"},
		{"kid unprintable", jwkOf(r, `"kid":"a\u0000"`), "its kid is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var why []string
			keys, err := parseWebKeys([]byte(jwkSet(c.jwk)), all, func(_, w string) { why = append(why, w) })
			var algs []string
			for _, k := range keys {
				algs = append(algs, k.alg.name)
			}
			if got := strings.Join(append(algs, why...), " "); !strings.Contains(got, c.want) || len(keys) > 0 && got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if (err != nil) != (len(keys) == 0) {
				t.Errorf("%d keys and error %v", len(keys), err)
			}
		})
	}
}

func TestWebKeySets(t *testing.T) {
	ed := edPair().private.Public()
	ignored := 0
	count := func(string, string) { ignored++ }
	algs := []string{"EdDSA", "ES256"}

	many := make([]string, 100)
	for i := range many {
		many[i] = jwkOf(ed, `"kid":"k`+strings.Repeat("x", i)+`"`)
	}
	if keys, err := parseWebKeys([]byte(jwkSet(many...)), algs, count); err != nil || len(keys) != mostKeys || ignored != 1 {
		t.Errorf("%d keys of 100, %d ignored, %v", len(keys), ignored, err)
	}
	ignored = 0
	if keys, err := parseWebKeys([]byte(jwkSet(slices.Repeat([]string{jwkOf(ed)}, 6)...)), algs, count); err != nil || len(keys) != maxTries || ignored != 2 {
		t.Errorf("%d unnamed keys of 6, %d ignored, %v", len(keys), ignored, err)
	}
	ignored = 0
	twice := jwkSet(jwkOf(ed, `"kid":"a"`), jwkOf(ed, `"kid":"a"`), jwkOf(p256Pair().private.Public(), `"kid":"a"`))
	if keys, err := parseWebKeys([]byte(twice), algs, count); err != nil || len(keys) != 2 || ignored != 1 {
		t.Errorf("%d keys with one kid, %d ignored, %v", len(keys), ignored, err)
	}
	for _, document := range []string{``, `null`, `[]`, `{}`, `{"keys":null}`, `{"keys":{}}`, `{"keys":[]}`, `{"keys":[null]}`, strings.Repeat(`{"keys":[`, 20000)} {
		if keys, err := parseWebKeys([]byte(document), algs, count); err == nil {
			t.Errorf("%.20s… gives %d keys", document, len(keys))
		}
	}
}
