package centrifuge

import (
	"github.com/centrifugal/protocol"

	"sluice/codec"
)

// Errors with which commands are answered. SDKs repeat a command after a temporary one, and fetch
// a new token after ErrTokenExpired; others end the subscription or the call that they are about.
// They are shared and never changed.
var (
	ErrInternal          = &protocol.Error{Code: 100, Message: "internal server error", Temporary: true}
	ErrUnauthorized      = &protocol.Error{Code: 101, Message: "unauthorized"}
	ErrUnknownChannel    = &protocol.Error{Code: 102, Message: "unknown channel"}
	ErrPermissionDenied  = &protocol.Error{Code: 103, Message: "permission denied"}
	ErrMethodNotFound    = &protocol.Error{Code: 104, Message: "method not found"}
	ErrAlreadySubscribed = &protocol.Error{Code: 105, Message: "already subscribed"}
	ErrLimitExceeded     = &protocol.Error{Code: 106, Message: "limit exceeded"}
	ErrBadRequest        = &protocol.Error{Code: 107, Message: "bad request"}
	ErrNotAvailable      = &protocol.Error{Code: 108, Message: "not available"}
	ErrTokenExpired      = &protocol.Error{Code: 109, Message: "token expired"}
	ErrExpired           = &protocol.Error{Code: 110, Message: "expired"}
	ErrTooManyRequests   = &protocol.Error{Code: 111, Message: "too many requests", Temporary: true}
	ErrUnrecoverable     = &protocol.Error{Code: 112, Message: "unrecoverable position"}
)

// Disconnection is the code and reason of a close frame. With a code from 3000 to 3499 SDKs
// connect again, after a while; from 3500 to 3999 they do not.
type Disconnection struct {
	Code   codec.StatusCode
	Reason string
}

// The close frames that are sent. The package of sessions has the table of what is closed with which.
var (
	Shutdown          = Disconnection{3001, "shutdown"}
	ServerError       = Disconnection{3004, "internal server error"}
	Expired           = Disconnection{3005, "connection expired"}
	Slow              = Disconnection{3008, "slow"}
	InsufficientState = Disconnection{3010, "insufficient state"}
	TooManyRequests   = Disconnection{3013, "too many requests"}
	InvalidToken      = Disconnection{3500, "invalid token"}
	BadRequest        = Disconnection{3501, "bad request"}
	Stale             = Disconnection{3502, "stale"}
	ForceDisconnect   = Disconnection{3503, "force disconnect"}
	ConnectionLimit   = Disconnection{3504, "connection limit"}
	ChannelLimit      = Disconnection{3505, "channel limit"}
	PermissionDenied  = Disconnection{3507, "permission denied"}
)

// Closed is a WebSocket close code (RFC 6455 §7.4.1) as the code by which SDKs know the same
// reason. Those that tell of broken frames stay: for SDKs they are the way between that has failed. So
// does 1009, after which SDKs do not come back: they would send the same again.
func Closed(code codec.StatusCode) codec.StatusCode {
	switch code {
	case codec.StatusServiceRestart: // the node goes away
		return Shutdown.Code
	case codec.StatusTryAgainLater: // it has read too slowly, or the node is short of memory
		return Slow.Code
	case codec.StatusPolicyViolation: // it has sent too much
		return TooManyRequests.Code
	case codec.StatusInternalError:
		return ServerError.Code
	default:
		return code
	}
}

// Unsubscription is why the server ends a subscription. With a code from 2500 on SDKs subscribe
// again at once, with the position that they have.
type Unsubscription struct {
	Code   uint32
	Reason string
}

// The ends of subscriptions.
var (
	Unsubscribe         = Unsubscription{2000, "server unsubscribe"}
	Insufficient        = Unsubscription{2500, "insufficient state"}
	SubscriptionExpired = Unsubscription{2501, "subscription expired"}
)
