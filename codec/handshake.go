package codec

import (
	"crypto/sha1"
	"encoding/base64"
	"strings"
)

// maxProtocols bounds the subprotocols that a client may offer, so that telling duplicates stays linear.
const maxProtocols = 32

// acceptGUID is hashed with the key to prove that the server speaks WebSocket (RFC 6455 §1.3).
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// Upgrade is a client's opening handshake (§4.1), checked.
type Upgrade struct {
	Key        string   // Sec-WebSocket-Key
	Protocols  []string // subprotocols offered, most wanted first; tokens without duplicates, at most 32
	Extensions []string // extensions offered, each with its parameters; opaque bytes of the client, not checked
	Origin     string   // Origin header, "" when absent (not a browser)
}

// WantsUpgrade reports whether the request asks for WebSocket: an Upgrade header with that token among others.
func (r *Request) WantsUpgrade() bool { return r.hasElement("Upgrade", "websocket") }

// hasElement reports whether a list header, over all its lines, has an element, case-insensitive.
func (r *Request) hasElement(name, want string) bool {
	for i := range r.fields {
		f := &r.fields[i]
		if len(f.name) != len(name) || !strings.EqualFold(f.name, name) {
			continue
		}
		if !elements(f.value, func(e string) bool { return !strings.EqualFold(e, want) }) {
			return true
		}
	}
	return false
}

// Upgrade makes every check of §4.2.1. The error is always an *HTTPError. What it refuses: methods other than GET (405), HTTP/1.0 (505: an
// Upgrade header there means nothing, RFC 9110 §7.8), expectations (417), a missing upgrade or another version than 13 (426), everything else
// malformed (400). Host and body were RequestReader's to check.
func (r *Request) Upgrade() (Upgrade, error) {
	u, err := r.upgrade()
	if err != nil {
		return Upgrade{}, err
	}
	return u, nil
}

func (r *Request) upgrade() (u Upgrade, err *HTTPError) {
	if err := r.checkUpgrade(); err != nil {
		return u, err
	}
	var n int
	if u.Key, n = r.one("Sec-WebSocket-Key"); n != 1 || !isKey(u.Key) {
		return u, ErrBadKey
	}
	if u.Origin, n = r.one("Origin"); n > 1 {
		return u, ErrBadOrigin
	}
	if u.Protocols, err = r.protocols(); err != nil {
		return u, err
	}
	for i := range r.fields {
		if f := &r.fields[i]; strings.EqualFold(f.name, "Sec-WebSocket-Extensions") {
			elements(f.value, func(e string) bool { u.Extensions = append(u.Extensions, e); return true })
		}
	}
	return u, nil
}

func (r *Request) checkUpgrade() *HTTPError {
	if r.Method != "GET" {
		return ErrMethod
	}
	if r.HTTP10 {
		return ErrVersion
	}
	if _, n := r.one("Expect"); n > 0 {
		return ErrExpect
	}
	if !r.WantsUpgrade() {
		return ErrUpgradeRequired
	}
	if !r.hasElement("Connection", "upgrade") {
		return ErrBadConnection
	}
	if version, n := r.one("Sec-WebSocket-Version"); n != 1 || version != "13" {
		return ErrWebSocketVersion
	}
	return nil
}

// protocols collects the subprotocols offered, which must be tokens and must not repeat (§4.1).
func (r *Request) protocols() (offered []string, err *HTTPError) {
	for i := range r.fields {
		f := &r.fields[i]
		if !strings.EqualFold(f.name, "Sec-WebSocket-Protocol") {
			continue
		}
		elements(f.value, func(e string) bool {
			err = checkProtocol(offered, e)
			offered = append(offered, e)
			return err == nil
		})
		if err != nil {
			return nil, err
		}
	}
	return offered, nil
}

func checkProtocol(offered []string, protocol string) *HTTPError {
	if len(offered) == maxProtocols || !isEvery(protocol, inToken) {
		return ErrBadProtocol
	}
	for _, other := range offered {
		if other == protocol {
			return ErrBadProtocol
		}
	}
	return nil
}

// isKey reports whether key is the canonical base64 of 16 bytes.
func isKey(key string) bool {
	if len(key) != 24 {
		return false
	}
	var decoded [18]byte
	n, err := base64.StdEncoding.Strict().Decode(decoded[:], []byte(key))
	return err == nil && n == 16
}

// AppendAccept appends the Sec-WebSocket-Accept value that answers key (§4.2.2).
func AppendAccept(dst []byte, key string) []byte {
	var proof [64]byte
	sum := sha1.Sum(append(append(proof[:0], key...), acceptGUID...))
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}

// AppendSwitch appends the 101 response (§4.2.2). protocol and extensions are left out when empty, and also when they hold any
// byte outside a token (protocol) or a list of tokens with parameters (extensions): no bytes can end the line they stand in.
func AppendSwitch(dst []byte, key, protocol, extensions string) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = AppendAccept(dst, key)
	if protocol != "" && isEvery(protocol, inToken) {
		dst = append(dst, "\r\nSec-WebSocket-Protocol: "...)
		dst = append(dst, protocol...)
	}
	if extensions != "" && isEvery(extensions, inToken|inParameters) {
		dst = append(dst, "\r\nSec-WebSocket-Extensions: "...)
		dst = append(dst, extensions...)
	}
	return append(dst, "\r\n\r\n"...)
}
