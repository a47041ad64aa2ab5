package pubsub

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Attendee is a connection that is subscribed to a channel.
type Attendee struct {
	Conn  string // its name in the inbox
	User  string // "" is anonymous
	Info  []byte // JSON for others to see, nil if there is none; Presence owns it from then on
	Since time.Time
}

// PresenceOptions configure a Presence. A zero field means its default.
type PresenceOptions struct {
	Prefix string // of keys. Default "sluice:"
	Life   string // required: this node's, as its lease has it

	// TTL is for how long an entry stands that is not renewed, in whole seconds: after
	// that it is gone though nobody has noticed that its node is. Default 10 min.
	TTL time.Duration

	Calls        int           // calls in one pipeline: channels that are written at once. Default 64
	Changes      int           // entries in one call: Redis serves nobody else meanwhile. Default 100
	Timeout      time.Duration // for one pipeline. Default 2 s
	DrainTimeout time.Duration // for what is to be written when Run's context ends. Default 2 s
	RetryEvery   time.Duration // between attempts for what has failed. Default 1 s

	// Announces says whether comings and goings are published on a channel. nil: never.
	Announces func(channel string) bool

	// Down and Up say that Redis stopped and started to take entries. Any may be nil.
	// They are called from the writer's goroutine and must not block.
	Down func(err error)
	Up   func(after time.Duration)
}

func (o PresenceOptions) withDefaults() PresenceOptions {
	def(&o.Prefix, "sluice:")
	def(&o.TTL, 10*time.Minute)
	def(&o.Calls, 64)
	def(&o.Changes, 100)
	def(&o.Timeout, 2*time.Second)
	def(&o.DrainTimeout, 2*time.Second)
	def(&o.RetryEvery, time.Second)
	if o.Announces == nil {
		o.Announces = func(string) bool { return false }
	}
	o.TTL = max(o.TTL.Truncate(time.Second), time.Second)
	return o
}

// PresenceStats is a snapshot of a Presence. Counters only grow.
type PresenceStats struct {
	Entries int // of this node: connections, once for each channel
	Pending int // channels with something that Redis does not have yet
	Down    bool

	Written  int64 // entries written and removed, again after a loss included
	Failed   int64 // calls and commands that failed; they are repeated
	Buried   int64 // entries of dead nodes that this one has removed
	Outdated int64 // entries removed that nobody stood for any more
	Resyncs  int64 // how often all entries were written again

	LastError string
}

// Presence keeps in Redis who is subscribed to the channels of this node: for each
// connection an entry, as functions_presence.lua has it. Join and Leave only change
// what is wanted, and may be called from any goroutine; Run carries it out, and
// writes only what has come of it: who comes and goes quicker than Redis takes it
// leaves nothing behind.
//
// What is in Redis is what is wanted as soon as Redis takes writes, whatever happened
// before: what failed is repeated until it has been answered, and after each Resync all
// entries are written again under a new generation, and what then still stands under
// an older one is removed.
//
// # The bounds
//
// A node that dies is buried (Bury) by another one as soon as its death is known: see
// Lease. Where that does not happen, because no other node runs, or Redis has lost
// what it knew of the dead one, its entries are gone TTL after it last renewed them,
// which it does every third of that.
//
// # In Redis
//
// The keys of the channels, see functions_presence.lua, and for each life of a node
//
//	<prefix>{nodes}.who.<life>  set: channels where it has entries, or is about to
//
// by which another one finds them. It is written before the entries are.
type Presence struct {
	opts PresenceOptions
	far  far
	wake chan struct{} // holds a token when there may be something to write

	mu         sync.Mutex
	life       string           // guarded by mu
	generation uint64           // guarded by mu; counts Resync and Reborn
	rooms      map[string]*room // guarded by mu; by channel
	queue      []*room          // guarded by mu; to be written
	failed     []*room          // guarded by mu; to be written again, after a pause
	byAge      list.List        // guarded by mu; of rooms, who was renewed longest ago first
	recheck    bool             // guarded by mu; the index may have channels that are none of ours
	past       []string         // guarded by mu; lives of this node under which something may still stand
	running    bool             // guarded by mu
	down       time.Time        // guarded by mu; since when Redis takes nothing; zero: it does
	entries    int              // guarded by mu; wanted
	stats      PresenceStats    // guarded by mu; counters and last error only
}

// far is what Presence needs of Redis.
type far interface {
	calls(ctx context.Context, calls []call) []answer
	// Pipelined is for the keys of all nodes, which are in one slot.
	Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error)
}

// NewPresence returns a Presence that keeps its entries in r. It does nothing before
// Run.
func NewPresence(r *Redis, o PresenceOptions) *Presence {
	o = o.withDefaults()
	return newPresence(whole{r, keyed{r, registry(o.Prefix)}}, o)
}

// whole is a Redis, by channel and by the key of the nodes.
type whole struct {
	*Redis
	keyed
}

var _ far = whole{}

func newPresence(far far, o PresenceOptions) *Presence {
	o = o.withDefaults()
	p := &Presence{opts: o, far: far, wake: make(chan struct{}, 1), life: o.Life, generation: 1, rooms: map[string]*room{}}
	p.byAge.Init()
	return p
}

// Join says that a connection is subscribed to a channel, or, of one that is, that
// something else holds for it now.
func (p *Presence) Join(channel string, a Attendee) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.room(channel)
	if r.join(a) {
		p.entries++
	}
	p.enqueue(r)
}

// Leave says that it is not any more. Of one that was not it means nothing.
func (p *Presence) Leave(channel, conn string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rooms[channel]
	if r == nil || !r.leave(conn) {
		return
	}
	p.entries--
	p.enqueue(r)
}

// Keep has all leave the channels that are not to be kept: presence has been switched off
// there. kept must not call back.
func (p *Presence) Keep(kept func(channel string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for channel, r := range p.rooms {
		if kept(channel) {
			continue
		}
		if n := r.vacate(); n > 0 {
			p.entries -= n
			p.enqueue(r)
		}
	}
}

// Resync says that Redis may have lost entries, or have some again: it was started
// anew, or another server took over. All are written again.
func (p *Presence) Resync() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resync()
}

// Reborn says that the node's life is another one now: the other nodes took it for
// dead, and remove its entries.
func (p *Presence) Reborn(life string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.past = append(p.past, p.life)
	p.life = life
	p.resync()
}

// resync begins a new generation. p.mu is held.
func (p *Presence) resync() {
	p.generation++
	p.recheck = true
	p.stats.Resyncs++
	p.nudge()
}

// room is the channel's, made where there is none. p.mu is held.
func (p *Presence) room(channel string) *room {
	r := p.rooms[channel]
	if r == nil {
		r = newRoom(channel, p.life, p.generation)
		p.rooms[channel] = r
		r.age = p.byAge.PushBack(r)
		r.renewed = time.Now()
	}
	return r
}

// enqueue has a room written, if there is something to write. p.mu is held.
func (p *Presence) enqueue(r *room) {
	if !r.queued {
		r.queued = true
		p.queue = append(p.queue, r)
	}
	p.nudge()
}

func (p *Presence) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Stats returns a snapshot.
func (p *Presence) Stats() PresenceStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Entries, s.Pending, s.Down = p.entries, len(p.queue)+len(p.failed), !p.down.IsZero()
	return s
}

var errPresenceRunning = errors.New("pubsub: Presence.Run is called a second time")
