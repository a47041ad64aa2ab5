package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Verifier decides whom tokens name. It may be used by many goroutines.
type Verifier struct {
	opts    Options
	issuers map[string]*issuer // by iss; with one under "", that is the only one
	jwks    []*jwks
	seen    *cache
	running atomic.Bool
}

var errRunning = errors.New("auth: Run is called while it runs")

// New checks the options, and says everything that is wrong with them at once. Nothing is fetched before Run.
func New(o Options) (*Verifier, error) {
	o = o.withDefaults()
	v := &Verifier{opts: o, issuers: map[string]*issuer{}, seen: newCache(o.Cache)}
	var f faults
	o.check(&f)
	for n, given := range o.Keys {
		k, err := newKey(given)
		if err != nil {
			f.add("key %d (%q): %w", n+1, given.ID, err)
			continue
		}
		i := v.issuer(given.Issuer)
		if why := clashes(i.static, k); why != "" {
			f.add("key %d (%q): %s", n+1, given.ID, why)
		}
		i.static = append(i.static, k)
	}
	if err := errors.Join(f...); err != nil {
		return nil, err
	}
	client := newClient(o.HTTP)
	for _, given := range o.JWKS {
		j := newJWKS(given, client, o.Events)
		v.issuer(given.Issuer).jwks = j
		v.jwks = append(v.jwks, j)
	}
	return v, nil
}

func (v *Verifier) issuer(name string) *issuer {
	i := v.issuers[name]
	if i == nil {
		i = &issuer{name: name}
		v.issuers[name] = i
	}
	return i
}

// clashes says why a key can not stand beside those of the same issuer; "" if it can.
func clashes(keys []*key, k *key) string {
	unnamed := 0
	for _, other := range keys {
		if other.alg != k.alg || other.id != k.id {
			continue
		}
		if k.id != "" {
			return "another key of the issuer has the same ID and alg"
		}
		unnamed++
	}
	if unnamed >= maxTries {
		return fmt.Sprintf("the issuer has %d %s keys without an ID already, and each costs a try; give them IDs", maxTries, k.alg.name)
	}
	return ""
}

// Fetched says whether every key set has been fetched once: before, its tokens are not
// let in.
func (v *Verifier) Fetched() bool {
	for _, j := range v.jwks {
		if !j.fetched() {
			return false
		}
	}
	return true
}

// Run fetches the JWKS now and then, until ctx ends, and returns ctx's error once all its goroutines have ended. It
// must run for tokens to be verified with keys from a JWKS; static keys do not need it.
func (v *Verifier) Run(ctx context.Context) error {
	if !v.running.CompareAndSwap(false, true) {
		return errRunning
	}
	defer v.running.Store(false)
	var all sync.WaitGroup
	for _, j := range v.jwks {
		all.Go(func() { j.run(ctx) })
	}
	<-ctx.Done()
	all.Wait()
	return ctx.Err()
}

// Verify says whom the token names. It never waits, and refuses with an *Error.
func (v *Verifier) Verify(token string) (*Identity, error) {
	id, err := v.verify(token)
	switch {
	case err != nil:
		return nil, err
	case v.isRevoked(id):
		return nil, errRevoked
	case id.Channel != "": // or who may be in one channel would be in by it
		return nil, errOneOnly
	}
	return id, nil
}

// VerifySubscription says whom a token names that is for one channel, which is in
// Identity.Channel. It never waits, and refuses with an *Error.
func (v *Verifier) VerifySubscription(token string) (*Identity, error) {
	id, err := v.verify(token)
	switch {
	case err != nil:
		return nil, err
	case v.isRevoked(id):
		return nil, errRevoked
	case id.Channel == "": // a connection's token is good for what it says, not for any channel
		return nil, errNoOne
	}
	return id, nil
}

func (v *Verifier) isRevoked(id *Identity) bool {
	return v.opts.Revoked != nil && v.opts.Revoked.Has(id, v.opts.Now())
}

func (v *Verifier) verify(token string) (*Identity, *Error) {
	if len(token) > v.opts.MaxToken {
		return nil, errTooLong
	}
	parts, err := split(token)
	if err != nil {
		return nil, err
	}
	now := v.opts.Now()
	sum := sha256.Sum256([]byte(token))
	if seen, ok := v.seen.get(sum); ok {
		if err := seen.times.check(now, v.opts.Leeway); err != nil {
			v.seen.remove(sum)
			return nil, err
		}
		return seen.identity, nil
	}
	signed, err := v.authenticate(parts)
	if err != nil {
		return nil, err
	}
	seen := verified{key: signed.key}
	if seen.identity, seen.times, err = signed.claims.identity(&v.opts); err != nil {
		return nil, err
	}
	if err := seen.times.check(now, v.opts.Leeway); err != nil {
		return nil, err
	}
	v.seen.put(sum, seen)
	return seen.identity, nil
}

// authentic is a payload that one of our keys has signed.
type authentic struct {
	key    *key
	claims claims
}

// authenticate finds the key that the token is signed with. Until it has, the token is read for two purposes only:
// which issuer's keys to try, and which of them.
func (v *Verifier) authenticate(p parts) (authentic, *Error) {
	head, err := parseHeader(p.header)
	if err != nil {
		return authentic{}, err
	}
	payload, err := decodePart(p.payload)
	if err != nil {
		return authentic{}, err
	}
	body, err := parseObject(payload)
	if err != nil {
		return authentic{}, err
	}
	i, err := v.findIssuer(body)
	if err != nil {
		return authentic{}, err
	}
	signature, err := decodePart(p.signature)
	if err != nil {
		return authentic{}, err
	}
	var room [maxTries]*key
	keys, err := i.candidates(head.alg, head.kid, room[:])
	if err != nil {
		return authentic{}, err
	}
	for _, k := range keys {
		if k.verifies(p.signed, signature) {
			return authentic{k, claims(body)}, nil
		}
	}
	return authentic{}, errSignature
}

// findIssuer settles whose keys are asked.
func (v *Verifier) findIssuer(body object) (*issuer, *Error) {
	if any := v.issuers[""]; any != nil {
		return any, nil
	}
	raw := body.get("iss")
	if raw == nil {
		return nil, errIssuer
	}
	name, ok := decodeName(raw)
	if !ok {
		return nil, errIss
	}
	if i := v.issuers[name]; i != nil {
		return i, nil
	}
	return nil, errIssuer
}

// parts are a token in the JWS compact serialization (RFC 7515 §7.1), each in base64url.
type parts struct {
	header, payload, signature string
	signed                     string // header and payload with the dot between them
}

// split finds the two dots. It looks at every byte once and allocates nothing, whatever the token is made of.
func split(token string) (parts, *Error) {
	first, last := -1, -1
	for i := range len(token) {
		switch c := token[i]; {
		case c == '.' && first < 0:
			first = i
		case c == '.' && last < 0:
			last = i
		case c == '.':
			return parts{}, errShape
		case !isBase64URL(c):
			return parts{}, errBase64
		}
	}
	if first <= 0 || last <= first+1 || last == len(token)-1 {
		return parts{}, errShape
	}
	return parts{token[:first], token[first+1 : last], token[last+1:], token[:last]}, nil
}

func isBase64URL(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// decodePart decodes base64url without padding (RFC 7515 §2). Bits that stand for nothing must be zero, so that a
// token has one spelling.
func decodePart(part string) ([]byte, *Error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errBase64
	}
	return b, nil
}

// header is what a JOSE header says (RFC 7515 §4.1). Its jku, jwk, x5u and x5c are not looked at.
type header struct{ alg, kid string }

func parseHeader(part string) (header, *Error) {
	text, err := decodePart(part)
	if err != nil {
		return header{}, err
	}
	o, err := parseObject(text)
	if err != nil {
		return header{}, err
	}
	var h header
	var ok bool
	if h.alg, ok = decodeName(o.get("alg")); !ok {
		return header{}, errHeaderAlg
	}
	if raw := o.get("kid"); raw != nil {
		if h.kid, ok = decodeName(raw); !ok {
			return header{}, errHeaderKid
		}
	}
	if raw := o.get("typ"); raw != nil && !isTokenType(raw) {
		return header{}, errHeaderTyp
	}
	for _, name := range [...]string{"crit", "b64", "cty", "enc", "zip"} {
		if o.get(name) != nil {
			return header{}, errHeaderExtra
		}
	}
	return h, nil
}

// isTokenType keeps out what issuers sign for other purposes, such as logout+jwt (RFC 8725 §3.11).
func isTokenType(raw []byte) bool {
	typ, ok := decodeString(raw)
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	return ok && (typ == "jwt" || typ == "at+jwt")
}

// times are when a token is good.
type times struct{ notBefore, expires time.Time } // zero: no bound

func (t times) check(now time.Time, leeway time.Duration) *Error {
	if !t.notBefore.IsZero() && now.Add(leeway).Before(t.notBefore) {
		return errNotYet
	}
	if !t.expires.IsZero() && !now.Before(t.expires.Add(leeway)) {
		return errExpired
	}
	return nil
}
