package auth

import (
	"encoding/json"
	"slices"
	"time"
)

// Bounds on lists in a token.
const (
	maxAudiences = 32
	maxChannels  = 128
	maxPatterns  = 64
)

// latest is the last second that a claim may name: the end of the year 9999.
const latest = 253402300799

// claims are those of a token whose signature has been verified (RFC 7519 §4). What we know must be what it should
// be; what we do not know is not looked at.
type claims object

// identity turns claims into what the caller gets.
func (c claims) identity(o *Options) (*Identity, times, *Error) {
	id := &Identity{}
	var t times
	var ok bool
	if id.User, ok = decodeName(c.get("sub")); !ok {
		return nil, t, errSub
	}
	for _, f := range []struct {
		name string
		to   *string
		err  *Error
	}{{"iss", &id.Issuer, errIss}, {"jti", &id.ID, errJti}, {"channel", &id.Channel, errChannel}} {
		if raw := c.get(f.name); raw != nil {
			if *f.to, ok = decodeName(raw); !ok {
				return nil, t, f.err
			}
		}
	}
	for _, f := range []struct {
		name string
		to   *time.Time
		err  *Error
	}{{"exp", &t.expires, errExp}, {"nbf", &t.notBefore, errNbf}, {"iat", &id.Issued, errIat}} {
		if raw := c.get(f.name); raw != nil {
			if *f.to, ok = decodeDate(raw); !ok {
				return nil, t, f.err
			}
		}
	}
	if t.expires.IsZero() && !o.NoExpiry {
		return nil, t, errNoExp
	}
	if !t.expires.IsZero() {
		id.Expires = t.expires.Add(o.Leeway)
	}
	if err := c.audience(o.Audience); err != nil {
		return nil, t, err
	}
	return id, t, c.rights(id)
}

func (c claims) get(name string) []byte { return object(c).get(name) }

// rights are channels, allow and info.
func (c claims) rights(id *Identity) *Error {
	if raw := c.get("channels"); raw != nil {
		names, ok := decodeNames(raw, maxChannels)
		if !ok {
			return errChannels
		}
		for _, name := range names {
			if !slices.Contains(id.Channels, name) {
				id.Channels = append(id.Channels, name)
			}
		}
	}
	if raw := c.get("allow"); raw != nil {
		allow, err := parseAllow(raw)
		if err != nil {
			return err
		}
		id.Allow = allow
	}
	if raw := c.get("info"); raw != nil {
		id.Info = json.RawMessage(slices.Clone(raw)) // not the whole payload with it
	}
	return nil
}

// audience checks aud, a string or a list of strings (RFC 7519 §4.1.3).
func (c claims) audience(own string) *Error {
	raw := c.get("aud")
	switch {
	case raw == nil && own == "":
		return nil
	case raw == nil:
		return errAudience
	}
	names, ok := decodeNames(raw, maxAudiences)
	if !ok {
		one, isOne := decodeName(raw)
		names, ok = []string{one}, isOne
	}
	switch {
	case !ok || len(names) == 0:
		return errAudClaim
	case own == "":
		return errNoAudience
	case !slices.Contains(names, own):
		return errAudience
	}
	return nil
}

// parseAllow refuses what it does not know: a right that is misspelt is one that is missing.
func parseAllow(raw []byte) (Allow, *Error) {
	var a Allow
	o, err := parseObject(raw)
	if err != nil {
		return a, errAllow
	}
	for _, m := range o {
		var to *[]Pattern
		switch m.name {
		case "subscribe":
			to = &a.Subscribe
		case "publish":
			to = &a.Publish
		case "presence":
			to = &a.Presence
		default:
			return a, errAllow
		}
		names, ok := decodeNames(m.raw, maxPatterns)
		if !ok {
			return a, errPatterns
		}
		for _, name := range names {
			*to = append(*to, Pattern(name))
		}
	}
	return a, nil
}

// decodeDate is a NumericDate (RFC 7519 §2) in digits alone: fractions, exponents and signs are refused, because
// parsers differ in what they make of 1e30.
func decodeDate(raw []byte) (time.Time, bool) {
	if len(raw) == 0 || len(raw) > len("253402300799") {
		return time.Time{}, false
	}
	var seconds int64
	for _, c := range raw {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
		seconds = seconds*10 + int64(c-'0')
	}
	return time.Unix(seconds, 0), seconds <= latest
}
