package admin

import (
	"net/http"
	"time"
)

// Gap is a stretch of time in which this node may have missed messages.
type Gap struct {
	Link     string     `json:"link"`    // the subscribe connection
	Channel  string     `json:"channel"` // without the prefix; "": any that the connection carried
	Cause    string     `json:"cause"`   // connection, moved, mailbox, oversize
	From     time.Time  `json:"from"`
	To       *time.Time `json:"to"` // nil: it has not ended
	Channels int        `json:"channels"`
}

// Gaps is what a node remembers of them, on /api/gaps.
type Gaps struct {
	Node      string `json:"node"`
	Forgotten int64  `json:"forgotten"` // older ones that are not remembered
	Gaps      []Gap  `json:"gaps"`      // oldest first
}

func (o Options) serveGaps(w http.ResponseWriter, _ *http.Request) {
	if o.Gaps == nil {
		refuse(w, http.StatusNotImplemented, codeNotAvailable, "this node does not remember gaps")
		return
	}
	gaps := o.Gaps()
	if gaps.Gaps == nil {
		gaps.Gaps = []Gap{} // [] in JSON, not null
	}
	reply(w, http.StatusOK, gaps)
}
