package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Error codes of the JSON replies; the numbers are those of Centrifugo's server
// API, so that a client library written for it reads them rightly.
const (
	codeInternal         = 100 // the node or Redis failed: the same request may succeed later
	codePermissionDenied = 103 // not from this Host, Origin or page
	codeNotFound         = 104
	codeBadRequest       = 107 // the request must change before it can succeed
	codeNotAvailable     = 108 // this node is not set up for it
)

type apiError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// refuse answers {"error":{"code":…,"message":…}}; the message is for people.
func refuse(w http.ResponseWriter, status, code int, format string, args ...any) {
	reply(w, status, struct {
		Error apiError `json:"error"`
	}{apiError{code, fmt.Sprintf(format, args...)}})
}

func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // a time outside years 0..9999 in what Info or Inbox returned
		status = http.StatusInternalServerError
		body = []byte(`{"error":{"code":100,"message":"the answer could not be written as JSON"}}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // fails only when the caller has gone: nobody is left to tell
}
