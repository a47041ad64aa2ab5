package loop

import (
	"sync/atomic"
	"time"
)

// counters are one reactor's figures. The reactor adds, any goroutine reads.
// The padding keeps two reactors' counters off one cache line.
type counters struct {
	_           [64]byte
	connections atomic.Int64 // open sockets, whatever their state
	opened      atomic.Int64 // sockets that the event loop took over
	upgraded    atomic.Int64 // handshakes answered 101
	streamed    atomic.Int64 // requests answered with an event stream
	framesOut   atomic.Int64 // references queued, one for a batch
	sends       atomic.Int64 // send system calls
	waiting     atomic.Int64 // connections whose sockets are full, now
	blocked     atomic.Int64 // sends that the socket did not take whole
	panics      atomic.Int64
	misproxied  atomic.Int64 // connections dropped because of their PROXY header
	unanswered  atomic.Int64 // pings without an answer
	lost        atomic.Int64 // offers refused by a full mailbox
	turns       atomic.Int64
	limits      [Limits]atomic.Int64
	lastTurn    atomic.Int64 // nanoseconds of the engine's clock
	rung        atomic.Int64 // the same: when the ticker rang, which the reactor has not answered; 0: it has
	stalls      [Stalls]atomic.Int64
	turn        Durations // of turns
	kinds       [Kinds]traffic
	handshake   Durations // from accepting a socket to answering its request with something that lasts
	lag         Durations // from the ticker's ring to the turn
	delivery    Durations // from receiving a burst to having flushed the last connection
	longest     peak      // turn
	_           [64]byte
}

// Stats is a snapshot of an engine's figures, summed over its reactors. All
// but Connections, Mailbox, Waiting, Backlog and Incomplete only ever grow.
type Stats struct {
	Connections    int64 // open sockets now
	Mailbox        int64 // events waiting now
	Accepted       int64 // sockets accepted
	AcceptErrors   int64 // accept failures (EMFILE and its kind)
	Upgraded       int64 // handshakes answered 101
	Streamed       int64 // requests answered with an event stream
	Dropped        int64 // sockets closed at once, because too many were being told 503
	Refused        int64 // requests answered 503 because of the connection cap
	Misproxied     int64 // connections dropped because of their PROXY header
	Timeouts       int64 // handshakes and messages that did not finish in time
	Unanswered     int64 // connections ended because a ping was not answered, or nothing of what was sent
	MessagesIn     int64 // data messages received
	BytesIn        int64 // bytes read
	FramesOut      int64 // frames queued; frames batched for a channel count as one
	BytesOut       int64 // bytes written
	Sends          int64 // send system calls
	Blocked        int64 // sends that the socket did not take whole
	Waiting        int64 // connections whose sockets are full, now
	Overflows      int64 // connections closed because their queue was full
	Excesses       int64 // connections closed because they sent too much
	Backlog        int64 // bytes that wait for clients whose sockets are full, now
	Incomplete     int64 // bytes of messages that are not complete, now
	Panics         int64 // panics survived
	MailboxRefused int64 // messages lost because a reactor's mailbox was full
	Turns          int64 // turns taken by reactors

	Limits [Limits]int64 // how often clients reached each
	Stalls [Stalls]int64 // how often reactors were held up by each

	Kinds [Kinds]Traffic // of connections by kind; MessagesIn, BytesIn and BytesOut are sums of theirs

	Turn      Distribution  // of turns
	Longest   time.Duration // the longest turn of the last 15 to 30 seconds
	Lag       Distribution  // of how long reactors left what comes waiting, ten samples a second for each
	Handshake Distribution  // from accepting a socket to Conn.Upgrade or Conn.Stream
	Delivery  Distribution  // from Reactor.Wake's received to the flush of the last connection, by burst and reactor
}

// add sums a reactor's counters into s.
func (s *Stats) add(c *counters) {
	s.Connections += c.connections.Load()
	s.Upgraded += c.upgraded.Load()
	s.Streamed += c.streamed.Load()
	s.Misproxied += c.misproxied.Load()
	s.Unanswered += c.unanswered.Load()
	s.FramesOut += c.framesOut.Load()
	s.Sends += c.sends.Load()
	s.Blocked += c.blocked.Load()
	s.Waiting += c.waiting.Load()
	s.Panics += c.panics.Load()
	s.MailboxRefused += c.lost.Load()
	s.Turns += c.turns.Load()
	for l := range c.limits {
		s.Limits[l] += c.limits[l].Load()
	}
	for i := range c.stalls {
		s.Stalls[i] += c.stalls[i].Load()
	}
	for k := range c.kinds {
		s.Kinds[k].add(&c.kinds[k])
	}
	s.Handshake.Count(&c.handshake)
	s.Turn.Count(&c.turn)
	s.Lag.Count(&c.lag)
	s.Delivery.Count(&c.delivery)
	s.Longest = max(s.Longest, c.longest.most())
}

// sumUp fills in what follows from the limits that were reached.
func (s *Stats) sumUp() {
	for k := range s.Kinds {
		s.MessagesIn += s.Kinds[k].MessagesIn
		s.BytesIn += s.Kinds[k].BytesIn
		s.BytesOut += s.Kinds[k].BytesOut
	}
	s.Refused = s.Limits[LimitConnections]
	s.Limits[LimitConnections] += s.Dropped
	s.Timeouts = s.Limits[LimitHandshakeTime] + s.Limits[LimitMessageTime]
	s.Overflows = s.Limits[LimitQueue] + s.Limits[LimitBacklog]
	s.Excesses = s.Limits[LimitMessageRate] + s.Limits[LimitByteRate] + s.Limits[LimitControlRate] + s.Limits[LimitIncomplete]
}
