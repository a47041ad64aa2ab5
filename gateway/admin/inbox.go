package admin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// MaxInboxCount is the most entries one GET /api/inbox returns.
const MaxInboxCount = 200

const defaultInboxCount = 20

// InboxEntry is one entry of the inbox stream: something a client did or sent.
type InboxEntry struct {
	Stream  string    // the entry's id in the Redis stream, "1735689600000-0"
	Type    string    // connect, message, rpc, subscribe, unsubscribe, disconnect
	ID      string    // idempotency id
	Conn    string    // connection
	User    string    // "" if anonymous
	Channel string    // "" if it belongs to none
	Call    string    // rpc only, like Method
	Method  string    //
	Node    string    //
	Data    []byte    // as the client sent it; need not be UTF-8
	Time    time.Time // when the node received it
}

// MarshalJSON writes Data as a string "data" if it is UTF-8, as base64 "b64data" if not.
func (e InboxEntry) MarshalJSON() ([]byte, error) {
	form := struct {
		Stream  string     `json:"stream"`
		Type    string     `json:"type"`
		ID      string     `json:"id,omitempty"`
		Conn    string     `json:"conn,omitempty"`
		User    string     `json:"user,omitempty"`
		Channel string     `json:"channel,omitempty"`
		Call    string     `json:"call,omitempty"`
		Method  string     `json:"method,omitempty"`
		Node    string     `json:"node,omitempty"`
		Data    *string    `json:"data,omitempty"`
		B64Data string     `json:"b64data,omitempty"`
		Time    *time.Time `json:"time,omitempty"`
	}{Stream: e.Stream, Type: e.Type, ID: e.ID, Conn: e.Conn, User: e.User, Channel: e.Channel, Call: e.Call, Method: e.Method, Node: e.Node}
	if !e.Time.IsZero() {
		form.Time = &e.Time
	}
	switch {
	case e.Data == nil:
	case utf8.Valid(e.Data):
		s := string(e.Data)
		form.Data = &s
	default:
		form.B64Data = base64.StdEncoding.EncodeToString(e.Data)
	}
	return json.Marshal(form)
}

func (o Options) serveInbox(w http.ResponseWriter, r *http.Request) {
	if o.Inbox == nil {
		refuse(w, http.StatusNotImplemented, codeNotAvailable, "this node has no inbox to read")
		return
	}
	count := defaultInboxCount
	if s := r.URL.Query().Get("count"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > MaxInboxCount {
			refuse(w, http.StatusBadRequest, codeBadRequest, "count is %q; it must be a number from 1 to %d", clip(s), MaxInboxCount)
			return
		}
		count = n
	}
	ctx, cancel := context.WithTimeout(r.Context(), redisPatience)
	defer cancel()
	entries, err := o.Inbox(ctx, count)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, codeInternal, "the inbox could not be read: %v", err)
		return
	}
	if entries == nil {
		entries = []InboxEntry{} // [] in JSON, not null
	}
	reply(w, http.StatusOK, struct {
		Entries []InboxEntry `json:"entries"`
	}{entries})
}
