package history

// History is one run. Times are nanoseconds of one clock.
type History struct {
	Streams       []Stream
	Subscriptions []Subscription
	Windows       []Window
	Faults        []Fault
	Carriers      []Carrier
	// Echoes: servers hand messages on to each other, so that one may come through
	// both while its channel goes from one to another.
	Echoes bool
}

// Stream is what one publisher sent to one channel; a message's number is its
// index.
type Stream struct {
	Channel  string
	Messages []Message
}

// Message was sent, and Redis may have said yes.
type Message struct {
	Sent  int64
	Acked int64  // 0: nobody knows whether Redis took it
	Via   string // the server that it was sent to
}

// Subscription is one connection's interest in one channel.
type Subscription struct {
	Node    string // one life of a node: after a restart it is another one
	Conn    int    // for people
	Channel string
	Opened  int64
	Stayed  bool // to the end of the run, after all was published and had time to arrive
	// Arrivals are in the order of the wire.
	Arrivals []Arrival
	Altered  int // arrivals that nobody sent in this form
}

// Arrival is a message that came.
type Arrival struct {
	Stream int32 // index in History.Streams
	Number int32
	At     int64
}

// Window is a node's word that messages may have been missed.
type Window struct {
	Node    string
	Channel string // "": any
	Link    string // what the messages would have come through; "": anything
	From    int64
	To      int64 // 0: it was still open at the end
	Seen    int64 // when it was first known
}

// Carrier says that messages of a channel went through Link. A channel without any
// may have gone through anything.
type Carrier struct {
	Channel string
	Link    string
	From    int64
	To      int64 // 0: to the end
}

// Fault is a time in which something was being broken, until all was well again.
type Fault struct {
	Begin  int64
	Healed int64 // when it was taken back; what follows is recovery
	End    int64
	Spoils bool // bytes were being corrupted until Healed
}
