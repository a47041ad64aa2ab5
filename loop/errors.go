package loop

import (
	"errors"
	"time"

	"sluice/codec"
)

// Refusals that this package makes itself. They are constants of the program:
// nothing of the client stands in them.
var (
	errFull     = &codec.HTTPError{Status: 503, Reason: "this node has as many connections as it may"}
	errTimeout  = &codec.HTTPError{Status: 408, Reason: "the request did not arrive in time"}
	errNotReady = &codec.HTTPError{Status: 503, Reason: "not ready: a channel could not be subscribed in time"}
	errEager    = &codec.HTTPError{Status: 400, Reason: "too many bytes before the handshake was answered"}
	errEnded    = &codec.HTTPError{Status: 503, Reason: "this node is going away"}
	errBroken   = &codec.HTTPError{Status: 500, Reason: "internal error"}
	errPanic    = &codec.Error{Code: codec.StatusInternalError, Reason: "internal error"}
	errDawdling = &codec.Error{Code: codec.StatusPolicyViolation, Reason: "a message did not arrive in time"}
	errSlow     = &codec.Error{Code: codec.StatusTryAgainLater, Reason: "too slow: the send queue is full"}
	errChatty   = &codec.Error{Code: codec.StatusPolicyViolation, Reason: "too many messages"}
	errVoluble  = &codec.Error{Code: codec.StatusPolicyViolation, Reason: "too many bytes"}
	errNagging  = &codec.Error{Code: codec.StatusPolicyViolation, Reason: "too many pings or pongs"}
	errCrowded  = &codec.Error{Code: codec.StatusTryAgainLater, Reason: "this node holds too many incomplete messages"}
	errSilent   = &codec.Error{Code: codec.StatusAbnormal, Reason: "ping not answered"}
)

const (
	maxLinger  = 2 * time.Second // for a client to read why it was refused
	maxDiscard = 1 << 20         // bytes it may still send meanwhile
)

// asRefusal is err as the codec's request reader promises it.
func asRefusal(err error) *codec.HTTPError {
	var refusal *codec.HTTPError
	if errors.As(err, &refusal) {
		return refusal
	}
	return &codec.HTTPError{Status: 400, Reason: "bad request"}
}

// asViolation is err as the codec's decoder promises it.
func asViolation(err error) *codec.Error {
	var violation *codec.Error
	if errors.As(err, &violation) {
		return violation
	}
	return errPanic
}
