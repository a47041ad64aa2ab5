package auth

import "time"

// Explanation is what a token says, whether it is to be believed or not, and what is made of it. It is for people who ask why.
type Explanation struct {
	Header, Claims             []byte    // the JSON; nil where the token has none that can be read
	Issued, NotBefore, Expires time.Time // iat, nbf and exp; zero where the token has none that can be read
	Key                        *KeyName  // the key that has signed it; nil if none of ours did, and then nothing in it is proven
	Identity                   *Identity // nil: it is refused
	Refusal                    error     // why
}

// KeyName tells which of the keys one is.
type KeyName struct {
	ID, Alg, Issuer string
	URL             string // of the JWKS that lists it; "" for a static one
}

// Explain says what Verify does with the token, and why.
func (v *Verifier) Explain(token string) Explanation {
	var e Explanation
	e.Identity, e.Refusal = v.Verify(token)
	if len(token) > v.opts.MaxToken {
		return e
	}
	p, refusal := split(token)
	if refusal != nil {
		return e
	}
	e.Header = readable(p.header)
	e.Claims = readable(p.payload)
	body, _ := parseObject(e.Claims) // nil has no members
	for _, f := range []struct {
		name string
		to   *time.Time
	}{{"iat", &e.Issued}, {"nbf", &e.NotBefore}, {"exp", &e.Expires}} {
		if raw := body.get(f.name); raw != nil {
			if at, ok := decodeDate(raw); ok {
				*f.to = at
			}
		}
	}
	if signed, refusal := v.authenticate(p); refusal == nil {
		e.Key = v.nameOf(signed.key)
	}
	return e
}

// readable is the JSON of a part, nil where it is none.
func readable(part string) []byte {
	text, err := decodePart(part)
	if err != nil {
		return nil
	}
	if _, err := parseObject(text); err != nil {
		return nil
	}
	return text
}

func (v *Verifier) nameOf(k *key) *KeyName {
	name := &KeyName{ID: k.id, Alg: k.alg.name}
	for _, i := range v.issuers {
		for _, one := range i.static {
			if one == k {
				name.Issuer = i.name
				return name
			}
		}
		for _, one := range i.jwks.keys() {
			if one == k {
				name.Issuer, name.URL = i.name, i.jwks.given.URL
				return name
			}
		}
	}
	return name
}
