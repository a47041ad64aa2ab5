package codec

import (
	"unicode/utf8"
)

// StatusCode is the reason for a close, as RFC 6455 §7.4 and the IANA registry number it.
type StatusCode uint16

// The registered status codes (RFC 6455 §7.4.1 and the IANA WebSocket registry).
const (
	StatusNormal             StatusCode = 1000
	StatusGoingAway          StatusCode = 1001
	StatusProtocolError      StatusCode = 1002
	StatusUnsupportedData    StatusCode = 1003
	StatusNoStatus           StatusCode = 1005 // never on the wire: a close frame without a payload
	StatusAbnormal           StatusCode = 1006 // never on the wire: the connection ended without a close frame
	StatusInvalidPayload     StatusCode = 1007
	StatusPolicyViolation    StatusCode = 1008
	StatusMessageTooBig      StatusCode = 1009
	StatusMandatoryExtension StatusCode = 1010
	StatusInternalError      StatusCode = 1011
	StatusServiceRestart     StatusCode = 1012
	StatusTryAgainLater      StatusCode = 1013
	StatusBadGateway         StatusCode = 1014
	StatusTLSHandshake       StatusCode = 1015 // never on the wire
)

// maxReason is what a control frame's 125 bytes leave for the reason after the code (§5.5).
const maxReason = maxControl - 2

// Sendable reports whether c may stand in a close frame on the wire (§7.4.1, §7.4.2): 1000–1003, 1007–1014, 3000–4999.
func (c StatusCode) Sendable() bool {
	switch {
	case c >= 1000 && c <= 1003, c >= 1007 && c <= 1014, c >= 3000 && c <= 4999:
		return true
	}
	return false
}

// String is a short stable name, fit for a metric label: the unregistered ranges share one name each, so that a peer
// cannot make labels.
func (c StatusCode) String() string {
	switch c {
	case StatusNormal:
		return "normal"
	case StatusGoingAway:
		return "going_away"
	case StatusProtocolError:
		return "protocol_error"
	case StatusUnsupportedData:
		return "unsupported_data"
	case StatusNoStatus:
		return "no_status"
	case StatusAbnormal:
		return "abnormal"
	case StatusInvalidPayload:
		return "invalid_payload"
	case StatusPolicyViolation:
		return "policy_violation"
	case StatusMessageTooBig:
		return "message_too_big"
	case StatusMandatoryExtension:
		return "mandatory_extension"
	case StatusInternalError:
		return "internal_error"
	case StatusServiceRestart:
		return "service_restart"
	case StatusTryAgainLater:
		return "try_again_later"
	case StatusBadGateway:
		return "bad_gateway"
	case StatusTLSHandshake:
		return "tls_handshake"
	}
	switch {
	case c >= 3000 && c <= 3999:
		return "library"
	case c >= 4000 && c <= 4999:
		return "application"
	}
	return "invalid"
}

// Error is a violation of the protocol by the peer. All are package values: compare with ==, nothing is allocated.
// Code and Reason are what the close frame tells the peer; Reason is constant and at most 123 bytes.
type Error struct {
	Code   StatusCode
	Reason string
}

func (e *Error) Error() string { return e.Code.String() + ": " + e.Reason }

// The violations that a Decoder, an Inflater or ParseClose can find.
var (
	ErrReservedBits        = &Error{StatusProtocolError, "reserved bit set without an extension"}
	ErrOpcode              = &Error{StatusProtocolError, "unknown opcode"}
	ErrUnmasked            = &Error{StatusProtocolError, "client frame is not masked"}
	ErrMasked              = &Error{StatusProtocolError, "server frame is masked"}
	ErrControlFragmented   = &Error{StatusProtocolError, "control frame is fragmented"}
	ErrControlTooLong      = &Error{StatusProtocolError, "control frame is longer than 125 bytes"}
	ErrLengthNotMinimal    = &Error{StatusProtocolError, "payload length is not minimally encoded"}
	ErrLengthSign          = &Error{StatusProtocolError, "payload length has its highest bit set"}
	ErrContinuation        = &Error{StatusProtocolError, "continuation frame without a message to continue"}
	ErrInterleaved         = &Error{StatusProtocolError, "new message inside a fragmented one"}
	ErrMessageTooBig       = &Error{StatusMessageTooBig, "message too big"}
	ErrTooManyFragments    = &Error{StatusPolicyViolation, "message has too many fragments"}
	ErrInvalidText         = &Error{StatusInvalidPayload, "text is not valid UTF-8"}
	ErrDeflate             = &Error{StatusInvalidPayload, "compressed message is broken"}
	ErrInflateRatio        = &Error{StatusMessageTooBig, "message inflates more than a thousandfold"}
	ErrCloseLength         = &Error{StatusProtocolError, "close payload of one byte"}
	ErrCloseCode           = &Error{StatusProtocolError, "close code may not be sent"}
	ErrCloseReasonEncoding = &Error{StatusInvalidPayload, "close reason is not valid UTF-8"}
)

// ParseClose reads the payload of a close frame (§5.5.1, §7.4). An empty one means StatusNoStatus. The error is always an
// *Error, and the code then is the error's: one byte or a code that may not be sent is 1002, a reason that is not UTF-8 is 1007.
// The reason is a copy.
func ParseClose(payload []byte) (StatusCode, string, error) {
	switch len(payload) {
	case 0:
		return StatusNoStatus, "", nil
	case 1:
		return ErrCloseLength.Code, "", ErrCloseLength
	}
	code := StatusCode(payload[0])<<8 | StatusCode(payload[1])
	if !code.Sendable() {
		return ErrCloseCode.Code, "", ErrCloseCode
	}
	if !utf8.Valid(payload[2:]) {
		return ErrCloseReasonEncoding.Code, "", ErrCloseReasonEncoding
	}
	return code, string(payload[2:]), nil
}

// AppendClose appends a whole unmasked close frame. StatusNoStatus, and any other code that may not be sent, gives an empty
// payload. The reason is cut at a rune boundary to 123 bytes, and before its first byte that is not UTF-8.
func AppendClose(dst []byte, code StatusCode, reason string) []byte {
	if !code.Sendable() {
		return AppendHeader(dst, OpClose, 0)
	}
	reason = reason[:reasonLength(reason)]
	dst = AppendHeader(dst, OpClose, 2+len(reason))
	dst = append(dst, byte(code>>8), byte(code))
	return append(dst, reason...)
}

func reasonLength(reason string) int {
	n := 0
	for n < len(reason) {
		r, size := utf8.DecodeRuneInString(reason[n:])
		if n+size > maxReason || r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}
