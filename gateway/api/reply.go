package api

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Codes of errors, those of Centrifugo.
const (
	CodeInternal         = 100 // the node or Redis failed: it is not known whether the command was carried out
	CodeUnauthorized     = 101
	CodePermissionDenied = 103
	CodeMethodNotFound   = 104
	CodeLimitExceeded    = 106
	CodeBadRequest       = 107 // the command must change before it can succeed
	CodeNotAvailable     = 108 // the namespace of the channel, or this gateway, has not got it
	CodeUnrecoverable    = 112 // the log does not reach back to the position
)

// Error is what a command gets that cannot be carried out.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"` // for people
}

func (e *Error) Error() string { return fmt.Sprintf("%d %s", e.Code, e.Message) }

func badRequest(format string, args ...any) error {
	return &Error{CodeBadRequest, fmt.Sprintf(format, args...)}
}

// asError is err for the caller. What is none of the package's own is Redis'.
func asError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{CodeInternal, err.Error()}
}

// reply is the answer to one command: one of the two is set.
type reply struct {
	Error  *Error `json:"error,omitempty"`
	Result any    `json:"result,omitempty"`
}

// line is the answer as a line of JSON.
func (r reply) line() []byte { return marshal(r) }

func refusal(code int, message string) []byte { return marshal(reply{Error: &Error{code, message}}) }

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // nothing that is answered here cannot be written
		b = []byte(`{"error":{"code":100,"message":"the answer could not be written as JSON"}}`)
	}
	return append(b, '\n')
}
