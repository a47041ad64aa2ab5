// Package auth says who is there, from a token.
//
//	request head ─▶ (*Verifier).Token ─▶ (*Verifier).Verify ─▶ *Identity ─▶ MaySubscribe, MayPublish
//	                where it stands       whose, till when       who, and what the issuer lets them do
//	                                            ▲
//	configuration ─▶ New ─ static keys ─────────┤
//	                 Run ─ JWKS, in the background, last good set
//
// Tokens are JSON Web Tokens (RFC 7519) in the compact serialization, signed (RFC 7515).
//
// Verify, Token and the methods of Identity may be called from any goroutine, a reactor's among them: they never
// wait for I/O. A token that was seen before costs a hash and a map look-up, about 1 µs; a new one its signature as
// well: some 7 µs with HS256, 30 µs with RS256, 70 µs with ES256, but 500 µs with ES384 (make bench P=./gateway/auth).
// Whatever needs the network is Run's, which owns its goroutines and ends with them.
//
// What a token can not do before its signature is verified:
//
//   - Choose the algorithm. A key is made for one algorithm, by the configuration or by the JWKS. The token's alg
//     must be that one; "none" is no algorithm of any key.
//   - Choose whose keys are asked. Keys are found under issuer, alg and kid together; a key of one issuer is never
//     tried on a token of another (GHSA-g6vg-wj8f-48cj is what happens otherwise).
//   - Reach the network. URLs in it (iss, jku, x5u) are never followed. A kid that nobody knows makes the JWKS of
//     its issuer, a URL of the configuration, be fetched early, once in 30 s at most.
//   - Cost much. It is bounded in bytes, and its dots and characters are checked, before anything is decoded. JSON
//     is bounded in depth and members; a name that stands twice in an object is refused, not resolved.
//
// What this package does not do: it knows nothing of Origin, namespaces, or revocation, which are the caller's, and
// it keeps no sessions. It does tell the caller when a token came from a cookie (Source.Ambient), because any page
// can make a browser send that, so that the exact Origin allow-list is mandatory then.
//
// The JWKS cache is our own rather than github.com/MicahParks/keyfunc: that one looks keys up by kid alone over all
// URLs, lets the verification of a token with an unknown kid wait for the refresh that it causes, and reads
// responses without a bound. Signatures are github.com/golang-jwt/jwt's and the standard library's; the parsing of
// tokens is ours, because encoding/json matches names without regard to case and lets the last duplicate win.
//
// Start at verify.go. Then keyset.go and claims.go, jwks.go for the background, and source.go for requests.
package auth
