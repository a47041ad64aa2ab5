package auth

import (
	"encoding/base64"
	"encoding/pem"
	"testing"
	"time"
)

// The examples of the RFCs. Their payloads have no sub, or are no JSON at all, so that the signature is looked at by
// itself where Verify has more to ask.
const (
	vectorPayload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

	// RFC 7515 A.1 and RFC 7519 §3.1
	vectorHS256  = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + vectorPayload + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	vectorSecret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"

	// RFC 7515 A.2
	vectorRS256 = "eyJhbGciOiJSUzI1NiJ9." + vectorPayload + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7" +
		"AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K" +
		"0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrB" +
		"p0igcN_IoypGlUPQGe77Rw"
	vectorRSA = `{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs` +
		`D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV` +
		`MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}`

	// RFC 7515 A.3
	vectorES256 = "eyJhbGciOiJFUzI1NiJ9." + vectorPayload + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	vectorP256  = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`

	// RFC 8037 A.2, A.4
	vectorEdDSA   = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	vectorEd25519 = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`

	// RFC 7519 §6.1: unsecured
	vectorNone = "eyJhbGciOiJub25lIn0." + vectorPayload + "."
)

func vectorKeys(t *testing.T, alg string) *key {
	t.Helper()
	if alg == "HS256" {
		secret, err := base64.RawURLEncoding.DecodeString(vectorSecret)
		if err != nil {
			t.Fatal(err)
		}
		k, err := newKey(Key{Alg: alg, Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	jwk := map[string]string{"RS256": vectorRSA, "ES256": vectorP256, "EdDSA": vectorEd25519}[alg]
	keys, err := parseWebKeys([]byte(jwkSet(jwk)), []string{alg}, func(_, why string) { t.Error(why) })
	if err != nil {
		t.Fatal(err)
	}
	return keys[0]
}

func TestVectorsOfTheRFCs(t *testing.T) {
	for alg, token := range map[string]string{"HS256": vectorHS256, "RS256": vectorRS256, "ES256": vectorES256, "EdDSA": vectorEdDSA} {
		t.Run(alg, func(t *testing.T) {
			k := vectorKeys(t, alg)
			p, refusal := split(token)
			if refusal != nil {
				t.Fatal(refusal)
			}
			head, refusal := parseHeader(p.header)
			if refusal != nil || head.alg != alg {
				t.Fatalf("header is %+v, %v", head, refusal)
			}
			signature, refusal := decodePart(p.signature)
			if refusal != nil {
				t.Fatal(refusal)
			}
			if !k.verifies(p.signed, signature) {
				t.Error("the signature does not verify")
			}
			for n := range signature {
				broken := append([]byte(nil), signature...)
				broken[n] ^= 1
				if k.verifies(p.signed, broken) {
					t.Errorf("it verifies with byte %d changed", n)
				}
			}
			if k.verifies(p.signed+"A", signature) || k.verifies(p.signed, nil) || k.verifies(p.signed, append(signature, 0)) {
				t.Error("it verifies for other text, or with another length")
			}
		})
	}
}

// The whole way: the RFC's token has expired long ago; before that it lacked a sub.
func TestVectorHS256ThroughVerify(t *testing.T) {
	secret := vectorKeys(t, "HS256").public.([]byte)
	v := mustNew(t, Options{Keys: []Key{{Alg: "HS256", Secret: secret, Issuer: "joe"}}, Now: func() time.Time { return time.Unix(1300819379, 0) }})
	if _, err := v.Verify(vectorHS256); err != errSub {
		t.Errorf("refused with %v, want for its missing sub: the signature is good", err)
	}
	wantCode(t, v, vectorHS256[:len(vectorHS256)-1]+"l", CodeMalformed) // the same bytes, but for bits that stand for nothing
	wantCode(t, v, vectorHS256[:len(vectorHS256)-2]+"Xo", CodeBadSignature)
	wantCode(t, v, vectorNone, CodeMalformed)
}

// RFC 7515 A.2's key in PEM and as JWK are the same key.
func TestPEMAndJWKAgree(t *testing.T) {
	for _, p := range []pair{rsaPair(), p256Pair(), p384Pair(), edPair()} {
		block, _ := pem.Decode(p.public)
		if block == nil {
			t.Fatal("no PEM")
		}
		fromPEM, err := parsePublic(p.public)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := parseWebKeys([]byte(jwkSet(jwkOf(p.private.Public(), `"kid":"a"`))), []string{"RS256", "ES256", "ES384", "EdDSA"}, func(_, why string) { t.Error(why) })
		if err != nil {
			t.Fatal(err)
		}
		if !keys[0].equal(&key{id: "a", alg: keys[0].alg, public: fromPEM}) {
			t.Errorf("%T differs", fromPEM)
		}
	}
}
