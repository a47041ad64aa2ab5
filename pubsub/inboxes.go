package pubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// InboxesOptions configure Inboxes. A zero field means its default.
type InboxesOptions struct {
	// InboxOptions hold for each stream, but for QueueEntries and QueueBytes, which
	// are for all of them together. Stream is the usual one; what clients' connections
	// do is recorded there.
	InboxOptions
	// Streams are the keys of further ones, which Entry.Stream names.
	Streams []string
	// Parts is how many Redis Streams each of them is made of: the key itself if it is
	// 1, the default, otherwise <key>.0 and so on. All entries of a connection that go
	// to one stream go to the same part.
	Parts int
	// Recorded gets, after Forgotten, what the record holds, page by page: of a
	// connection that has ended a disconnect entry should be added again. It may be
	// nil, is called from Watch's goroutine and should not take long.
	Recorded func([]Recorded)
	// WatchEvery is between two looks at how far services have read. Default 10 s.
	WatchEvery time.Duration
	// Trimmed says that entries were, or are about to be, trimmed before a consumer
	// group has read them. It may be nil, and is called from Watch's goroutine, once
	// for each group until it has caught up.
	Trimmed func(StreamLag, GroupLag)
	// Place says which servers have the part with that number. Default: those that
	// NewInboxes was given.
	Place func(part int) Keys
}

// Inboxes are the inbox streams of an installation. Each Redis Stream has a writer
// of its own: one that is not taken does not hold up the others. Any goroutine may
// call the methods; Run runs once.
type Inboxes struct {
	opts    InboxesOptions
	usual   []*Inbox            // the parts of the usual stream
	streams map[string][]*Inbox // the parts of each, by its key
	all     []*Inbox
	quota   *quota

	resweep atomic.Bool // what the records hold has to be told to Recorded

	mu   sync.Mutex
	lags []StreamLag // guarded by mu; never changed once there
}

// NewInboxes returns writers for all streams. Nothing is written before Run.
func NewInboxes(keys Keys, o InboxesOptions) *Inboxes {
	o.InboxOptions = o.InboxOptions.withDefaults()
	def(&o.Parts, 1)
	if o.Place == nil {
		o.Place = func(int) Keys { return keys }
	}
	def(&o.WatchEvery, 10*time.Second)
	b := &Inboxes{opts: o, streams: map[string][]*Inbox{}, quota: &quota{maxEntries: int64(o.QueueEntries), maxBytes: o.QueueBytes}}
	b.usual = b.add(o.Stream, o.Life)
	for _, stream := range o.Streams {
		if b.streams[stream] == nil {
			b.add(stream, "")
		}
	}
	return b
}

func (b *Inboxes) add(stream, life string) []*Inbox {
	parts := make([]*Inbox, b.opts.Parts)
	for i, key := range partKeys(stream, b.opts.Parts) {
		o := b.opts.InboxOptions
		o.Stream, o.Life = key, life
		if down := o.Down; down != nil && (b.opts.Parts > 1 || len(b.opts.Streams) > 0) { // else there is no other
			o.Down = func(err error) { down(fmt.Errorf("%s: %w", key, err)) }
		}
		forgotten := o.Forgotten
		o.Forgotten = func() {
			b.resweep.Store(true)
			if forgotten != nil {
				forgotten()
			}
		}
		parts[i] = newInbox(b.opts.Place(i), o, b.quota)
	}
	b.streams[stream] = parts
	b.all = append(b.all, parts...)
	return parts
}

// partKeys are the keys of the Redis Streams that a stream is made of.
func partKeys(stream string, parts int) []string {
	if parts <= 1 {
		return []string{stream}
	}
	keys := make([]string, parts)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s.%d", stream, i)
	}
	return keys
}

// Add is Inbox.Add, of the one that has e.Stream and e.Conn. A stream that is not
// known is the usual one.
func (b *Inboxes) Add(e Entry) error {
	parts := b.usual
	if e.Stream != "" {
		if named := b.streams[e.Stream]; named != nil {
			parts = named
		}
	}
	if len(parts) == 1 {
		return parts[0].Add(e)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(e.Conn)) // it never fails
	return parts[h.Sum32()%uint32(len(parts))].Add(e)
}

// Busy reports whether what can wait should: Redis is down, or behind.
func (b *Inboxes) Busy() bool {
	if b.quota.entries.Load() > int64(b.opts.QueueEntries)/2 {
		return true
	}
	for _, inbox := range b.usual {
		if inbox.isBusy() {
			return true
		}
	}
	return false
}

func (b *Inbox) isBusy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.down || len(b.owed) > 0
}

// Run runs all of them until ctx ends; see Inbox.Run.
func (b *Inboxes) Run(ctx context.Context) error {
	var all sync.WaitGroup
	errs := make([]error, len(b.all))
	for i, inbox := range b.all {
		all.Go(func() { errs[i] = inbox.Run(ctx) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return ctx.Err()
}

// SetLife says under which life, by its lease, this node goes on: Inbox.SetLife.
func (b *Inboxes) SetLife(life string) {
	for _, inbox := range b.usual {
		inbox.SetLife(life)
	}
}

// Bury completes the entries of a node's life that is over: for each connection that
// its record says is open, a disconnect entry with the data "1006 the node has died".
// It returns how many it wrote. It may be repeated, and done by several at once: each
// entry is written once. For LeaseEvents.Bury.
func (b *Inboxes) Bury(ctx context.Context, dead Peer) (wrote int, err error) {
	if dead.Inbox == "" {
		return 0, nil // it records nothing
	}
	for i, key := range partKeys(dead.Inbox, dead.InboxParts) {
		n, buried := newInbox(b.opts.Place(i), InboxOptions{Stream: key, MaxLen: b.opts.MaxLen}.withDefaults(), nil).bury(ctx, dead)
		wrote += n
		err = errors.Join(err, buried)
	}
	b.count(wrote)
	return wrote, err
}

// count notes entries that were written for others.
func (b *Inboxes) count(buried int) {
	first := b.usual[0]
	first.mu.Lock()
	defer first.mu.Unlock()
	first.stats.Buried += int64(buried)
}

// Stats is the sum of all; the worst, where there is nothing to add up.
func (b *Inboxes) Stats() InboxStats {
	var sum InboxStats
	for _, inbox := range b.all {
		s := inbox.Stats()
		sum.Added += s.Added
		sum.Written += s.Written
		sum.Refused += s.Refused
		sum.Unknown += s.Unknown
		sum.Unavailable += s.Unavailable
		sum.Abandoned += s.Abandoned
		sum.Needless += s.Needless
		sum.Repeated += s.Repeated
		sum.Forgotten += s.Forgotten
		sum.Buried += s.Buried
		sum.Rejected += s.Rejected
		sum.QueueEntries += s.QueueEntries
		sum.QueueBytes += s.QueueBytes
		sum.Owed += s.Owed
		sum.OldestWait = max(sum.OldestWait, s.OldestWait)
		sum.Down = sum.Down || s.Down
		if s.LastErrorAt.After(sum.LastErrorAt) {
			sum.LastError, sum.LastErrorAt = s.LastError, s.LastErrorAt
		}
	}
	return sum
}

// Latest reads the newest entries of all streams (XREVRANGE), count at most, newest
// first.
func (b *Inboxes) Latest(ctx context.Context, count int) ([]redis.XMessage, error) {
	var all []redis.XMessage
	for _, inbox := range b.all {
		client := inbox.keys.Client(inbox.opts.Stream)
		if client == nil {
			return nil, fmt.Errorf("pubsub: reading %s: %w", inbox.opts.Stream, errNoServer)
		}
		some, err := client.XRevRangeN(ctx, inbox.opts.Stream, "+", "-", int64(count)).Result()
		if err != nil {
			return nil, fmt.Errorf("pubsub: reading %s: %w", inbox.opts.Stream, err)
		}
		all = append(all, some...)
	}
	if len(b.all) > 1 {
		slices.SortStableFunc(all, func(a, b redis.XMessage) int { return compareIDs(b.ID, a.ID) })
	}
	return all[:min(len(all), count)], nil
}

// compareIDs orders ids of entries: "<milliseconds>-<number>".
func compareIDs(a, b string) int {
	ams, an, _ := strings.Cut(a, "-")
	bms, bn, _ := strings.Cut(b, "-")
	return cmp.Or(cmp.Compare(len(ams), len(bms)), cmp.Compare(ams, bms), cmp.Compare(len(an), len(bn)), cmp.Compare(an, bn))
}
