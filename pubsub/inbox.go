package pubsub

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Entry is one event for the backend's workers. See the package
// documentation for the stream's fields.
type Entry struct {
	Type    string // connect, message, rpc, subscribe, unsubscribe, disconnect
	ID      string // the client's idempotency id, or ours
	Conn    string // connection id
	User    string // "" is an anonymous user
	Channel string
	Call    string // rpc: what the answer must name
	Method  string // rpc
	Reply   string // the channel, with prefix, on which this node listens for answers
	Node    string // this node's id
	Stream  string // of Inboxes: the key of the stream it goes to; "": the usual one
	Data    []byte // Add owns it from then on; nil: no field, empty: an empty field
	Time    time.Time

	// Done may be nil. Otherwise it is called exactly once for every entry
	// that Add took, from the writer's goroutine, and must not block. nil
	// means that Redis has the entry; an error is or wraps ErrInboxRefused,
	// ErrInboxUnknown, ErrInboxUnavailable or ErrInboxClosed.
	Done func(err error)
}

// What can become of an entry. Of all but ErrInboxUnknown it is certain that
// the entry is not in the stream.
var (
	ErrInboxFull        = errors.New("pubsub: the inbox queue is full: Redis does not take entries as fast as clients send them")
	ErrInboxClosed      = errors.New("pubsub: the inbox is closed: this node is stopping")
	ErrInboxUnavailable = errors.New("pubsub: the inbox is unavailable: Redis cannot be reached")
	ErrInboxRefused     = errors.New("pubsub: Redis refuses the inbox entry")
	ErrInboxUnknown     = errors.New("pubsub: unknown whether Redis took the inbox entry: send it again with the same id")
)

// InboxOptions configure an Inbox. A zero field means its default.
type InboxOptions struct {
	Stream       string        // key of the stream, with prefix. Default "sluice:inbox"
	MaxLen       int64         // entries kept, about (MAXLEN ~); negative: no bound. Default 1,000,000
	QueueEntries int           // entries waiting here. Default 65,536
	QueueBytes   int64         // bytes waiting here. Default 64 MiB
	Batch        int           // entries in one pipeline. Default 512
	BatchBytes   int64         // bytes in one pipeline, but at least one entry. Default 1 MiB
	Timeout      time.Duration // for one pipeline, and for one PING. Default 2 s
	DrainTimeout time.Duration // for what is queued when Run's context ends. Default 2 s
	ProbeEvery   time.Duration // between PINGs while Redis is down. Default 250 ms

	// Life is this node's, by its lease. With it, entries of type connect and
	// disconnect are recorded (inbox.lua): each is written once and never given up,
	// however often it has to be sent, and where this node dies another one completes
	// them. Empty: they are entries like any others.
	Life string
	// Forgotten says that the record of open connections has lost some, because
	// Redis has lost data or there was no room to remember what it would not take.
	// Those that are open should be added again, with connect. It may be nil, is
	// called from the writer's goroutine, when Redis takes entries, and must not block.
	Forgotten func()

	// Owing says that Redis answers and refuses recorded entries: once for a pipeline
	// of them, every second. It may be nil, and is called like Down.
	Owing func(err error)
	// Down and Up say that Redis stopped and started to take entries. Any may
	// be nil. They are called from the writer's goroutine and must not block.
	Down func(err error)
	Up   func(after time.Duration)
}

func (o InboxOptions) withDefaults() InboxOptions {
	def(&o.Stream, "sluice:inbox")
	def(&o.MaxLen, 1_000_000)
	def(&o.QueueEntries, 1<<16)
	def(&o.QueueBytes, 64<<20)
	def(&o.Batch, 512)
	def(&o.BatchBytes, 1<<20)
	def(&o.Timeout, 2*time.Second)
	def(&o.DrainTimeout, 2*time.Second)
	def(&o.ProbeEvery, 250*time.Millisecond)
	return o
}

// InboxStats is a snapshot of an Inbox. Counters only grow.
type InboxStats struct {
	Added       int64 // taken by Add
	Written     int64 // Redis has them
	Refused     int64 // Redis said no
	Unknown     int64 // no answer: sent, perhaps taken
	Unavailable int64 // never sent, because Redis could not be reached
	Abandoned   int64 // never sent, because Run ended
	Needless    int64 // recorded entries that Redis had already, or that another node had completed
	Repeated    int64 // times that a recorded entry had to be put back to be sent again
	Forgotten   int64 // times that InboxOptions.Forgotten was called
	Buried      int64 // disconnect entries written for nodes that had died
	Rejected    int64 // not taken by Add: full, closed or down

	QueueEntries int
	QueueBytes   int64
	Owed         int           // recorded entries that Redis did not take yet; not among those of the queue
	OldestWait   time.Duration // of the oldest entry that is queued or under way; 0: none

	Down        bool // Redis is known to be down: Add refuses
	LastError   string
	LastErrorAt time.Time
}

// Keys knows which server has which key. Redis is one. Its clients must not repeat
// commands by themselves, or entries would be written twice.
type Keys interface {
	Client(key string) *redis.Client // nil: it is not known
	// Misplaced says that the server which Client named has refused a command
	// because the key is elsewhere. false: there is no elsewhere.
	Misplaced() bool
}

// Inbox appends entries to one Redis stream, in the order of Add, in
// pipelined batches from one goroutine (Run). Add and Stats may be called from
// any goroutine.
//
// An entry is sent once. While Redis is known to be down, because a batch
// failed and no PING has been answered since, entries fail at once instead of
// waiting for a Redis that would get them stale. Recorded entries are different:
// they are owed until Redis has them.
type Inbox struct {
	opts  InboxOptions
	keys  Keys
	quota *quota
	wake  chan struct{} // holds a token when the queue may have become non-empty

	mu        sync.Mutex
	queue     []waiting  // guarded by mu
	bytes     int64      // guarded by mu; of the queue
	owed      []waiting  // guarded by mu; recorded entries to be sent again, before the queue
	owedBytes int64      // guarded by mu
	owedNext  time.Time  // guarded by mu; when the next attempt is due
	record    record     // guarded by mu
	lost      bool       // guarded by mu; Forgotten has to be called
	flight    time.Time  // guarded by mu; when the oldest entry of the batch under way was added
	running   bool       // guarded by mu
	closed    bool       // guarded by mu
	down      bool       // guarded by mu
	downSince time.Time  // guarded by mu
	stats     InboxStats // guarded by mu; counters and last error only
}

type waiting struct {
	entry Entry
	added time.Time
}

// NewInbox returns an Inbox that writes to the server which has the stream.
func NewInbox(keys Keys, o InboxOptions) *Inbox {
	o = o.withDefaults()
	return newInbox(keys, o, &quota{maxEntries: int64(o.QueueEntries), maxBytes: o.QueueBytes})
}

func newInbox(keys Keys, o InboxOptions, r *quota) *Inbox {
	return &Inbox{opts: o, keys: keys, quota: r, wake: make(chan struct{}, 1), record: record{life: o.Life}}
}

// Add queues e. The error, if any, is ErrInboxFull, ErrInboxUnavailable or
// ErrInboxClosed; then e is not taken and Done is not called. Before Run
// started, entries only queue. A recorded entry is refused for ErrInboxClosed alone.
func (b *Inbox) Add(e Entry) error {
	b.mu.Lock()
	tracked := b.tracks(&e)
	size := e.size()
	err := b.admit(size)
	switch {
	case err == nil:
		b.queue = append(b.queue, waiting{e, time.Now()})
		b.bytes += size
	case tracked && !b.closed:
		lost := b.owe(waiting{e, time.Now()})
		b.stats.Added++
		b.mu.Unlock()
		b.forgot(lost)
		return nil
	default:
		b.stats.Rejected++
		b.mu.Unlock()
		return err
	}
	b.stats.Added++
	b.mu.Unlock()
	b.rouse()
	return nil
}

// admit finds room for an entry of size bytes, or says why it is not taken. b.mu
// is held.
func (b *Inbox) admit(size int64) error {
	switch {
	case b.closed:
		return ErrInboxClosed
	case b.down:
		return ErrInboxUnavailable
	case !b.quota.take(size):
		return ErrInboxFull
	}
	return nil
}

// quota is what may wait in inboxes that share it. Any goroutine may use it.
type quota struct {
	maxEntries, maxBytes int64
	entries, bytes       atomic.Int64
}

// take reports whether there is room for one more entry, of size bytes; in an empty
// one, of any size.
func (r *quota) take(size int64) bool {
	n, bytes := r.entries.Add(1), r.bytes.Add(size)
	if n > r.maxEntries || n > 1 && bytes > r.maxBytes {
		r.give(1, size)
		return false
	}
	return true
}

func (r *quota) give(entries int, size int64) {
	r.entries.Add(-int64(entries))
	r.bytes.Add(-size)
}

// entryOverhead is what an entry costs in the queue besides its bytes.
const entryOverhead = 256

func (e *Entry) size() int64 {
	return int64(entryOverhead + len(e.Type) + len(e.ID) + len(e.Conn) + len(e.User) + len(e.Channel) +
		len(e.Call) + len(e.Method) + len(e.Reply) + len(e.Node) + len(e.Data))
}

// Stats returns a snapshot.
func (b *Inbox) Stats() InboxStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.QueueEntries, s.QueueBytes, s.Owed, s.Down = len(b.queue), b.bytes, len(b.owed), b.down
	oldest := b.flight
	if oldest.IsZero() && len(b.queue) > 0 {
		oldest = b.queue[0].added
	}
	if len(b.owed) > 0 && (oldest.IsZero() || b.owed[0].added.Before(oldest)) {
		oldest = b.owed[0].added
	}
	if !oldest.IsZero() {
		s.OldestWait = time.Since(oldest)
	}
	return s
}

var errInboxRunning = errors.New("pubsub: Inbox.Run is called a second time")
