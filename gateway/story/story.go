package story

import "time"

// The states of a connection.
const (
	Opening = "opening" // its handshake has not been answered
	Open    = "open"
	Closing = "closing" // its close frame or its last bytes are on their way
	Ended   = "ended"
)

// Story is what is known of a connection.
type Story struct {
	Conn     string    `json:"conn"`
	Node     string    `json:"node"`
	State    string    `json:"state"`
	Dialect  string    `json:"dialect"` // plain, v1, sse, centrifuge, echo; http: none yet
	User     string    `json:"user"`    // "": anonymous
	Remote   string    `json:"remote"`  // the client's address, as a balancer says where one is believed; without a port where that names none
	Accepted time.Time `json:"accepted"`

	Channels []Channel `json:"channels,omitempty"` // up to MaxChannels; of one that has ended only their names
	More     int       `json:"more_channels,omitempty"`
	Entries  uint32    `json:"inbox_entries"` // that it has caused, those with ids of the client's own excepted

	Queue *Queue `json:"queue,omitempty"` // of one that has not ended
	Wire  *Wire  `json:"wire,omitempty"`
	End   *End   `json:"end,omitempty"` // of one that has
}

// MaxChannels are those that a Story lists.
const MaxChannels = 100

// Channel is a channel that the connection is subscribed to.
type Channel struct {
	Name     string `json:"name"`
	State    string `json:"state,omitempty"`    // waits for Redis, reads the log, live
	Position uint64 `json:"position,omitempty"` // of the newest message that this node has handed to its subscribers
}

// Queue is what waits for the connection in this process.
type Queue struct {
	Bytes   int  `json:"bytes"`
	Blocked bool `json:"socket_full"` // the kernel takes no more
}

// Wire is the TCP connection, whose other end is a balancer where there is one.
type Wire struct {
	Silent      float64 `json:"silent_seconds"`  // since anything came
	Pinged      bool    `json:"ping_unanswered"` // a ping is under way
	RTT         float64 `json:"rtt_seconds"`     // smoothed, as the kernel measures it
	In          uint64  `json:"bytes_in"`        // with frame headers and the handshake
	Out         uint64  `json:"bytes_out"`       // of them, what the other end has acknowledged
	Unsent      uint32  `json:"unsent_bytes"`    // that the kernel has taken and not sent
	Retransmits uint32  `json:"retransmits"`
}

// End is how it ended.
type End struct {
	At     time.Time `json:"at"`
	Code   uint16    `json:"code"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`              // node, service, client, network
	Cause  string    `json:"cause,omitempty"` // of the node's: the code by which metrics count the reason
}

// Who ended a connection.
const (
	ByNode    = "node"
	ByService = "service" // which told the nodes to
	ByClient  = "client"
	ByNetwork = "network" // the socket ended without a close frame
)
