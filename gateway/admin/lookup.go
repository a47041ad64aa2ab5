package admin

import (
	"context"
	"net/http"
	"time"
	"unicode/utf8"
)

// Channel is what is known of a channel.
type Channel struct {
	Name    string `json:"name"`
	Members int    `json:"members"` // connections of this node
	Heard   bool   `json:"heard"`   // Redis has confirmed it: what is published arrives
	Rules   Rules  `json:"rules"`

	Log   *Log   `json:"log,omitempty"`   // nil: it keeps none
	Who   *Who   `json:"who,omitempty"`   // nil: its namespace keeps no presence
	Fault string `json:"fault,omitempty"` // why Redis did not tell of one of the two
}

// Rules are those of a channel's namespace.
type Rules struct {
	Namespace   string  `json:"namespace"`
	Subscribe   string  `json:"subscribe"`
	Publish     string  `json:"publish"`
	Policy      string  `json:"policy"`
	Inbox       string  `json:"inbox"`
	Durable     bool    `json:"durable"`
	LastValue   bool    `json:"last_value"`
	HistorySize int     `json:"history_size"`
	HistoryTTL  float64 `json:"history_ttl"` // s
	Presence    bool    `json:"presence"`
	JoinLeave   bool    `json:"join_leave"`
	Relay       bool    `json:"relay"`
}

// Log is where a durable channel's log stands. Positions are text: they go beyond what some
// readers of JSON take for an integer.
type Log struct {
	Last    string     `json:"last"` // position of the newest message, or where the channel began
	Epoch   string     `json:"epoch"`
	Entries int64      `json:"entries"` // kept
	Newest  *time.Time `json:"newest"`  // when it was published; nil: there is none
}

// Who is who is present on a channel, on all nodes.
type Who struct {
	Connections int64     `json:"connections"`
	Users       int64     `json:"users"`
	Some        []Present `json:"some"` // of them
}

// Present is one connection.
type Present struct {
	Conn  string    `json:"conn"`
	User  string    `json:"user"`
	Since time.Time `json:"since"`
}

// Query says which connections of this node are wanted: one of the three is set.
type Query struct {
	User, Channel, Conn string
}

// Conns are connections of this node.
type Conns struct {
	Total int    `json:"total"`
	Conns []Conn `json:"conns"` // MaxConns of them at most
}

// Conn is one.
type Conn struct {
	Conn     string   `json:"conn"` // its name in the inbox
	User     string   `json:"user"` // "": anonymous
	Dialect  string   `json:"dialect"`
	Remote   string   `json:"remote"`
	Channels []string `json:"channels"` // MaxChannels of them at most
	More     int      `json:"more"`     // channels that are left out
}

// What one answer has at most.
const (
	MaxConns    = 100
	MaxChannels = 20
)

func (o Options) serveChannel(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if o.Channel == nil {
		refuse(w, http.StatusNotImplemented, codeNotAvailable, "this node does not tell of channels")
		return
	}
	if err := o.checkChannel(name); err != nil {
		refuse(w, http.StatusBadRequest, codeBadRequest, "channel %q: %v", clip(name), err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), redisPatience)
	defer cancel()
	c, err := o.Channel(ctx, name)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, codeInternal, "the channel cannot be shown: %v", err)
		return
	}
	reply(w, http.StatusOK, c)
}

// maxName is the longest name of a user or a connection, bytes.
const maxName = 255

func (o Options) serveConns(w http.ResponseWriter, r *http.Request) {
	if o.Conns == nil {
		refuse(w, http.StatusNotImplemented, codeNotAvailable, "this node does not tell of connections")
		return
	}
	v := r.URL.Query()
	q := Query{User: v.Get("user"), Channel: v.Get("channel"), Conn: v.Get("conn")}
	name, given := "", 0
	for _, one := range []string{q.User, q.Channel, q.Conn} {
		if one != "" {
			name, given = one, given+1
		}
	}
	if given != 1 || len(name) > maxName || !utf8.ValidString(name) {
		refuse(w, http.StatusBadRequest, codeBadRequest, "one of user, channel and conn is needed, with up to %d bytes", maxName)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), redisPatience)
	defer cancel()
	c, err := o.Conns(ctx, q)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, codeInternal, "the connections cannot be listed: %v", err)
		return
	}
	if c.Conns == nil {
		c.Conns = []Conn{} // [] in JSON, not null
	}
	reply(w, http.StatusOK, c)
}
