package auth

// Code is a short label for a refusal, from a closed set: fit for a metric.
type Code string

// The codes. Codes lists them all.
const (
	CodeNone          Code = "none"           // the request carries no token
	CodeSeveralTokens Code = "several_tokens" // it carries different ones
	CodeTooLong       Code = "too_long"       // longer than Options.MaxToken
	CodeMalformed     Code = "malformed"      // not a JWS in compact form, or with a header that is not understood
	CodeBadIssuer     Code = "bad_issuer"     // of an issuer that has no keys here
	CodeUnknownKey    Code = "unknown_key"    // kid and alg name no key of the issuer
	CodeBadSignature  Code = "bad_signature"  // none of the keys that it names made it
	CodeBadClaims     Code = "bad_claims"     // signed, but a claim is missing or not what it should be
	CodeBadAudience   Code = "bad_audience"   // signed, for somebody else
	CodeNotYet        Code = "not_yet"        // nbf is in the future
	CodeExpired       Code = "expired"        // exp has passed
	CodeRevoked       Code = "revoked"        // it, or its user's, were taken back
)

// Codes are all codes there are, so that metrics can exist before the first refusal.
func Codes() []Code {
	return []Code{
		CodeNone, CodeSeveralTokens, CodeTooLong, CodeMalformed, CodeBadIssuer, CodeUnknownKey, CodeBadSignature,
		CodeBadClaims, CodeBadAudience, CodeNotYet, CodeExpired, CodeRevoked,
	}
}

// Error is why a token was refused. Its text is a constant: nothing of the token stands in it, so that it may be
// logged and sent to the client as it is. All are values of this package; compare with ==.
type Error struct {
	Code   Code
	Reason string // a sentence without capital and full stop
}

func (e *Error) Error() string { return e.Reason }

// Temporary reports whether the same token may be good in a moment.
func (e *Error) Temporary() bool { return e == errNotFetched }

// ErrNoToken is Token's answer to a request that carries none: whether it may be anonymous is for the caller.
var ErrNoToken = &Error{CodeNone, "no token was sent"}

var (
	errSeveral = &Error{CodeSeveralTokens, "the request carries different tokens; send one"}
	errScheme  = &Error{CodeMalformed, "the Authorization header is not Bearer and one token"}

	errTooLong = &Error{CodeTooLong, "the token is too long"}
	errShape   = &Error{CodeMalformed, "the token is not three parts with two dots between them"}
	errBase64  = &Error{CodeMalformed, "a part of the token is not base64url without padding"}
	errJSON    = &Error{CodeMalformed, "a part of the token is not one JSON object"}
	errTwice   = &Error{CodeMalformed, "a name stands twice in an object of the token"}
	errDeep    = &Error{CodeMalformed, "the token's JSON is nested too deeply, or has too many members"}

	errHeaderAlg   = &Error{CodeMalformed, "the header has no alg, or one that is not a string"}
	errHeaderKid   = &Error{CodeMalformed, "the header's kid is not a string of 1 to 255 printable bytes"}
	errHeaderTyp   = &Error{CodeMalformed, "the header's typ is not JWT or at+jwt"}
	errHeaderExtra = &Error{CodeMalformed, "the header demands what is not supported: crit, b64, cty, enc or zip"}

	errIssuer     = &Error{CodeBadIssuer, "no key is configured for the token's issuer"}
	errAlg        = &Error{CodeUnknownKey, "alg is none that a key of the issuer is for"}
	errKid        = &Error{CodeUnknownKey, "the issuer has no key with this kid and alg"}
	errNoKid      = &Error{CodeUnknownKey, "the token has no kid, and the issuer has too many keys to try them all"}
	errNotFetched = &Error{CodeUnknownKey, "the issuer's keys have not been fetched yet"}
	errSignature  = &Error{CodeBadSignature, "the signature does not verify"}

	errIss      = &Error{CodeBadClaims, "iss is not a string of 1 to 255 printable bytes"}
	errSub      = &Error{CodeBadClaims, "sub is missing, or is not a string of 1 to 255 printable bytes"}
	errNoExp    = &Error{CodeBadClaims, "exp is missing"}
	errExp      = &Error{CodeBadClaims, "exp is not a whole number of seconds since 1970"}
	errNbf      = &Error{CodeBadClaims, "nbf is not a whole number of seconds since 1970"}
	errIat      = &Error{CodeBadClaims, "iat is not a whole number of seconds since 1970"}
	errAudClaim = &Error{CodeBadClaims, "aud is not a string, or a list of 1 to 32 strings, of 1 to 255 printable bytes"}
	errJti      = &Error{CodeBadClaims, "jti is not a string of 1 to 255 printable bytes"}
	errChannels = &Error{CodeBadClaims, "channels is not a list of at most 128 names of 1 to 255 printable bytes"}
	errAllow    = &Error{CodeBadClaims, "allow is not an object with nothing but the lists subscribe, publish and presence"}
	errChannel  = &Error{CodeBadClaims, "channel is not a string of 1 to 255 printable bytes"}
	errOneOnly  = &Error{CodeBadClaims, "the token is for one channel: it lets nobody in"}
	errNoOne    = &Error{CodeBadClaims, "the token has no channel: it is not for a subscription"}
	errPatterns = &Error{CodeBadClaims, "a list in allow is not one of at most 64 patterns of 1 to 255 printable bytes"}

	errAudience   = &Error{CodeBadAudience, "aud does not name this service"}
	errNoAudience = &Error{CodeBadAudience, "the token has an aud, but this node is not told which one is its own"}
	errNotYet     = &Error{CodeNotYet, "the token is not valid yet"}
	errRevoked    = &Error{CodeRevoked, "the token has been revoked"}
	errExpired    = &Error{CodeExpired, "the token has expired"}
)
