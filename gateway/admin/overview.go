package admin

import "time"

// Sample is what the plots of the console show of one moment. Counters have grown since
// the node began: a rate is the difference of two samples over their distance.
type Sample struct {
	Time          int64   `json:"time"` // ms since 1970
	Connections   int64   `json:"connections"`
	Subscriptions int64   `json:"subscriptions"`
	Channels      int64   `json:"channels"`
	DeliveryP50   float64 `json:"delivery_p50"` // s, of what was delivered since the sample before; -1: nothing was
	DeliveryP99   float64 `json:"delivery_p99"`
	MessagesIn    int64   `json:"messages_in"`  // counter: from clients
	Deliveries    int64   `json:"deliveries"`   // counter: from Redis, for channels with members here
	MessagesOut   int64   `json:"messages_out"` // counter: to clients
	BytesIn       int64   `json:"bytes_in"`     // counter
	BytesOut      int64   `json:"bytes_out"`    // counter
	Backlog       int64   `json:"backlog"`      // bytes that wait for clients whose sockets are full
	ProofAge      float64 `json:"proof_age"`    // s, of the link whose newest probe is the oldest; -1: one has never proven anything
	Probe         float64 `json:"probe"`        // s, that the slowest link's newest probe took through Redis and back
	InboxWritten  int64   `json:"inbox_written"`
	InboxFailed   int64   `json:"inbox_failed"` // counter, like inbox_written
	InboxLag      int64   `json:"inbox_lag"`    // entries that the consumer group furthest behind has not been given
	Missed        int64   `json:"missed"`       // counter: messages lost or dropped, and gaps
	Refused       int64   `json:"refused"`      // counter: requests
	Closed        int64   `json:"closed"`       // counter: WebSocket connections ended
}

// Overview is what the console shows of a node and its newest sample.
type Overview struct {
	Info
	Leaving    bool        `json:"leaving"` // it drains: clients are told to come back
	Limit      int64       `json:"connections_limit"`
	Sample     Sample      `json:"sample"`
	Links      []Link      `json:"links"`
	Reactors   []Reactor   `json:"reactors"`
	Dialects   []Dialect   `json:"dialects"`
	Inbox      InboxState  `json:"inbox"`
	Losses     []Count     `json:"losses"`   // that there were
	Refusals   []Count     `json:"refusals"` // by reason
	Limits     []Count     `json:"limits"`   // reached by clients, by setting
	Closes     []Close     `json:"closes"`
	Namespaces []Namespace `json:"namespaces"`
	GapsOpen   int64       `json:"gaps_open"` // that have not ended
}

// Link is one subscribe connection to Redis.
type Link struct {
	Name      string  `json:"name"`
	Connected bool    `json:"connected"`
	ProofAge  float64 `json:"proof_age"` // s; -1: never proven
	Probe     float64 `json:"probe"`     // s
	Channels  int     `json:"channels"`
	Messages  int64   `json:"messages"` // counter
}

// Reactor is one event loop.
type Reactor struct {
	Index       int     `json:"index"`
	Connections int64   `json:"connections"`
	LongestTurn float64 `json:"longest_turn"` // s, of the last 15 to 30 seconds
}

// InboxState is how far what clients say has come.
type InboxState struct {
	Down    bool     `json:"down"`
	Queue   int64    `json:"queue"` // entries that wait for Redis
	Wait    float64  `json:"wait"`  // s, that the oldest of them has
	Streams []Stream `json:"streams"`
}

// Stream is one inbox stream in Redis.
type Stream struct {
	Name   string  `json:"name"`
	Length int64   `json:"length"`
	Groups []Group `json:"groups"`
}

// Group is a consumer group of it.
type Group struct {
	Name    string  `json:"name"`
	Unread  int64   `json:"unread"` // entries that it has not been given; -1: Redis does not know
	Pending int64   `json:"pending"`
	Idle    float64 `json:"idle"` // s, since the oldest of those was given to a worker
}

// Count is a counter with a name.
type Count struct {
	Name    string `json:"name"`
	N       int64  `json:"n"`
	Meaning string `json:"meaning,omitempty"` // to an operator
}

// Close is how many WebSocket connections have ended in one way.
type Close struct {
	Code string `json:"code"`
	By   string `json:"by"` // node or client
	N    int64  `json:"n"`

	Reason  string `json:"reason,omitempty"` // the node's
	Meaning string `json:"meaning,omitempty"`
}

// Dialect is what those who speak it come to. All but Clients are counters.
type Dialect struct {
	Name     string `json:"name"`
	Clients  int64  `json:"clients"`
	In       int64  `json:"messages_in"`
	Out      int64  `json:"messages_out"`
	BytesIn  int64  `json:"bytes_in"`
	BytesOut int64  `json:"bytes_out"`
}

// Namespace is what is counted for one.
type Namespace struct {
	Name string  `json:"name"`
	Gaps []Count `json:"gaps"` // by cause

	Channels      int64 `json:"channels"`
	Subscriptions int64 `json:"subscriptions"`
	Messages      int64 `json:"messages"`     // counter: from Redis
	Out           int64 `json:"messages_out"` // counter: to clients
}

// remembered is for how many samples the plots go back.
const remembered = 300

// compared is how many overviews back the one is that the newest is compared with.
const compared = 60

// sampleEvery is how often a node looks at itself.
const sampleEvery = time.Second
