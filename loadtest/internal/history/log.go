package history

// Logs is what became of the durable channels in a run. Times are those of History.
type Logs struct {
	Logs      []Log
	Followers []Follower
	Faults    []Fault
}

// Log is what services published on one durable channel; a message's number is its
// index.
type Log struct {
	Channel  string
	Trimmed  bool // it is kept so short that clients miss more than it holds
	Messages []Published
	Final    int32 // number of the message that everybody must have come to; -1: none
}

// Published is a message with an idempotency key, which was sent until Redis said
// yes or the service gave up.
type Published struct {
	Sent     int64
	Acked    int64  // 0: nobody knows whether Redis took it
	Position uint64 // as Redis told the service
	Epoch    string // of Position
	Calls    int    // how often it was sent: each may have given it a position
	Lost     int64  // when that began by which Redis lost it; 0: the log has held it to the end
}

// Follower is a client of one channel, which is cut off and comes back, to any node,
// with the last position that it has.
type Follower struct {
	Number int // for people
	Log    int // index in Logs.Logs
	Heard  []Heard
}

// Heard is one thing that a follower was told.
type Heard struct {
	Kind     HeardKind
	Number   int32  // HeardMessage: of the message
	Position uint64 // of the message; else where to go on from, but for HeardGap
	Since    uint64 // HeardRecovered, HeardReset: what it had come back with
	Node     string
	At       int64
}

// HeardKind is what a node said.
type HeardKind uint8

// What a node says of a durable channel.
const (
	HeardSubscribed HeardKind = iota // the beginning; what is published after Position follows
	HeardRecovered                   // everything after Since follows
	HeardReset                       // something may be missing after Since; what is published after Position follows
	HeardGap                         // something may be missing before the next message
	HeardMessage
	HeardAltered // what nobody sent in this form
)
