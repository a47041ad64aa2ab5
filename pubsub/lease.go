package pubsub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Peer is one node, as it introduces itself to the others.
type Peer struct {
	ID      string `json:"id"`      // the node's name
	Life    string `json:"life"`    // this run of it; unique
	Reply   string `json:"reply"`   // channel on which it listens, with prefix
	Address string `json:"address"` // for people
	Started int64  `json:"started"` // Unix milliseconds
	TTL     int64  `json:"ttl"`     // of its lease, milliseconds; Lease sets it

	// Where it records its open connections: Inboxes.Bury.
	Inbox      string `json:"inbox,omitempty"`       // key of the stream; empty: nowhere
	InboxParts int    `json:"inbox_parts,omitempty"` // InboxesOptions.Parts

	// Age, in what Peers returns: how long ago this node saw the lease renewed;
	// exact to LeaseOptions.Every.
	Age time.Duration `json:"-"`
}

// LeaseOptions configure a Lease. A zero field means its default.
type LeaseOptions struct {
	Prefix string // of the keys. Default "sluice:"
	Self   Peer   // Life is required; under it, or one derived from it, this node is known

	// TTL is how long a lease lives that is not renewed. It should be the same
	// on all nodes. Default 5 s.
	TTL     time.Duration
	Every   time.Duration // between renewals, less up to a tenth. Default TTL/5, at most TTL/4
	Timeout time.Duration // for one round of commands. Default 3/10 of TTL, at most TTL/2-Every
	// BuryTimeout is what Bury has before another node may try. Default 30 s.
	BuryTimeout time.Duration

	LeaseEvents
}

// LeaseEvents are what Lease.Run tells. Any may be nil. They are called from
// its goroutine, one at a time, and must not block; Bury and BuryFailed have a
// goroutine of their own.
type LeaseEvents struct {
	Joined func(Peer) // another node is there; at the start, each that is there already
	Left   func(Peer) // it ended as it should
	Died   func(Peer) // it is dead, and so is its life. Every node hears it, once

	// Bury cleans up what a dead node has left: presence, disconnect entries.
	// One node at a time is asked, and again, or another one, after BuryTimeout
	// until it has returned nil once: it must bear being repeated. It runs
	// beside the others, one at a time, and should return soon after ctx ends.
	Bury       func(ctx context.Context, dead Peer) error
	BuryFailed func(dead Peer, err error)

	// Lapsed says that other nodes have declared this one dead, because its
	// lease had run out, and that it goes on under another life. What others
	// should know of it has to be written to Redis again, under now.Life.
	Lapsed func(was, now Peer)
	// Forgotten says that Redis has lost its data, this node's registration
	// among it. The life goes on; what others should know has to be written again.
	Forgotten func()

	Down func(err error)           // renewing failed, for the first time or for another reason
	Up   func(after time.Duration) // it works again
}

func (o LeaseOptions) withDefaults() LeaseOptions {
	def(&o.Prefix, "sluice:")
	def(&o.TTL, 5*time.Second)
	def(&o.Every, o.TTL/5)
	o.Every = min(o.Every, o.TTL/4)
	def(&o.Timeout, o.TTL*3/10)
	o.Timeout = min(o.Timeout, o.TTL/2-o.Every)
	def(&o.BuryTimeout, 30*time.Second)
	o.Self.TTL = o.TTL.Milliseconds()
	return o
}

// LeaseStats is a snapshot of a Lease. Counters only grow.
type LeaseStats struct {
	Peers      int           // nodes whose lease stands, this one included
	Age        time.Duration // since the lease was last renewed for certain; -1: never
	Renewals   int64
	Failures   int64 // rounds that failed
	Deaths     int64 // of other nodes, that this one has heard of
	Burials    int64 // by this node
	BuryFailed int64
	Lapses     int64 // how often this node was declared dead
	LastError  string
}

// pipeliner is what Lease needs of Redis. All commands are idempotent.
type pipeliner interface {
	Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error)
}

// Lease tells the nodes of an installation of each other, and each node of
// another's death.
//
// A run of a node is a life. While it renews its lease it is alive; when the
// lease has run out, some node declares it dead. That is final: a node that
// was only slow finds its life ended and goes on under a new one (Lapsed), so
// nothing that still bears the dead life can be mistaken for the living.
//
// # The bound
//
// A death is noticed within TTL + Every + Timeout (7.5 s with the defaults) of
// the last moment of life. The clock is Redis' own expiry; those of the nodes
// need not agree. If Redis itself was in trouble, the bound counts from the
// end of that instead.
//
// # Trouble
//
// When Redis stops or is unreachable, all leases run out though nobody is
// dead. Hence a node judges others only if its own contact with Redis has been
// good for a whole TTL: no round failed, none came late by TTL/2 or more, and
// its own lease was always still there. Others that were in the same trouble
// have had TTL/Every renewals by then. So a restart with or without data, a
// failover that loses writes, a step of Redis' clock, or FLUSHALL kills
// nobody. A Redis that goes back to an old snapshot can have a death declared
// a second time.
//
// # In Redis
//
// Plain commands (SET GET HSET HGETALL HDEL DEL MGET), no scripts. All keys share
// a slot; an ACL needs ~<prefix>{nodes}*.
//
//	<prefix>{nodes}              hash: life → Peer, until the life has ended and been buried
//	<prefix>{nodes}.lease.<life> expires after the node's TTL
//	<prefix>{nodes}.end.<life>   "left" or "died", for a day; written with NX: declaring a death is atomic
//	<prefix>{nodes}.bury.<life>  who buries it; expires after BuryTimeout
//
// A lease costs two pipelines every Every. What a node remembers is bounded by
// what stands in the hash, and nothing stays there but the living and those
// whom Bury has failed for.
type Lease struct {
	opts   LeaseOptions
	client pipeliner
	now    func() time.Time // tests set it
	burial sync.WaitGroup

	mu      sync.Mutex
	self    Peer             // guarded by mu
	peers   map[string]*peer // guarded by mu; by life, without self. Only Run writes
	stats   LeaseStats       // guarded by mu
	renewed time.Time        // guarded by mu; a moment before the last renewal known to have happened
	burying bool             // guarded by mu
	deserts bool             // guarded by mu

	// The rest is Run's.
	number     int64     // of the last renewal: the lease's value, so that others see it change
	lives      int       // how many this node has had
	registered bool      // under this life
	good       time.Time // when the last round began; zero: it failed
	calm       time.Time // since when contact with Redis is good
	downSince  time.Time // zero: not down
	reason     string    // what Down was told last
	due        *Peer     // to be buried by this node: claimed, and not begun
}

// peer is another life: of a node, or an ended one that is not yet buried.
type peer struct {
	Peer
	lease string    // as last seen
	seen  time.Time // when it was seen to change
	ended bool      // told
	known bool      // its lease was seen: Joined was told
}

// NewLease returns a Lease whose keys are on the server that has them. It does
// nothing before Run.
func NewLease(keys Keys, o LeaseOptions) *Lease {
	o = o.withDefaults()
	return newLease(keyed{keys, registry(o.Prefix)}, o)
}

func newLease(client pipeliner, o LeaseOptions) *Lease {
	o = o.withDefaults()
	return &Lease{opts: o, client: client, now: time.Now, self: o.Self, lives: 1, peers: map[string]*peer{}}
}

// Run renews the lease until ctx ends, and returns ctx.Err(). Then the others
// hear Left, if Redis can be reached within Timeout.
func (l *Lease) Run(ctx context.Context) error {
	if l.opts.Self.Life == "" {
		return errors.New("pubsub: a lease needs a life")
	}
	for ctx.Err() == nil {
		began := l.now()
		err := l.round(ctx)
		if ctx.Err() != nil {
			break // the end, not a failure
		}
		l.report(err)
		l.startBurial(ctx)
		every := l.opts.Every - rand.N(l.opts.Every/10+1)
		pause(ctx, every-l.now().Sub(began))
	}
	l.burial.Wait()
	l.mu.Lock()
	deserts := l.deserts
	l.mu.Unlock()
	if !deserts {
		l.leave(context.WithoutCancel(ctx))
	}
	return ctx.Err()
}

// Desert says that this node leaves something behind that others have to bury: when
// Run ends it does not leave, but lets its lease run out.
func (l *Lease) Desert() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deserts = true
}

// leave ends this life as it should. Others take what cannot be written for a death.
func (l *Lease) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	life := l.Self().Life
	cmds, err := l.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.SetArgs(ctx, l.key("end", life), endLeft, redis.SetArgs{Mode: "NX", TTL: endKept})
		p.HDel(ctx, l.registry(), life)
		p.Del(ctx, l.key("lease", life))
		return nil
	})
	l.registered, l.good = false, time.Time{}
	l.report(firstError(cmds, err))
}

// report notes how a round went.
func (l *Lease) report(err error) {
	now := l.now()
	if err == nil {
		if since := l.downSince; !since.IsZero() {
			l.downSince, l.reason = time.Time{}, ""
			if f := l.opts.Up; f != nil {
				f(now.Sub(since))
			}
		}
		return
	}
	l.good = time.Time{}
	l.mu.Lock()
	l.stats.Failures++
	l.stats.LastError = err.Error()
	l.mu.Unlock()
	if l.downSince.IsZero() {
		l.downSince = now
	}
	if reason := reasonOf(err); reason != l.reason {
		l.reason = reason
		if f := l.opts.Down; f != nil {
			f(fmt.Errorf("pubsub: renewing this node's lease: %w", err))
		}
	}
}

// reasonOf tells errors apart: by the first word of what Redis answered.
func reasonOf(err error) string {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return "unreachable"
	}
	word, _, _ := strings.Cut(answer.Error(), " ")
	return word
}

// Self is this node under its present life.
func (l *Lease) Self() Peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.self
}

// Peers returns the nodes that are alive as far as this one knows, itself
// included, by id and life.
func (l *Lease) Peers() []Peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	var list []Peer
	if !l.renewed.IsZero() {
		self := l.self
		self.Age = now.Sub(l.renewed)
		list = append(list, self)
	}
	for _, p := range l.peers {
		if p.known && !p.ended {
			one := p.Peer
			one.Age = now.Sub(p.seen)
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b Peer) int {
		return strings.Compare(a.ID+"\x00"+a.Life, b.ID+"\x00"+b.Life)
	})
	return list
}

// Stats returns a snapshot.
func (l *Lease) Stats() LeaseStats {
	peers := len(l.Peers())
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Peers, s.Age = peers, -1
	if !l.renewed.IsZero() {
		s.Age = l.now().Sub(l.renewed)
	}
	return s
}

func (l *Lease) registry() string { return registry(l.opts.Prefix) }

func registry(prefix string) string { return prefix + "{nodes}" }

func (l *Lease) key(what, life string) string { return l.registry() + "." + what + "." + life }

// describe is the Peer in the registry's words, and back. What cannot be read
// is a node all the same.
func (p Peer) describe() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers can be marshalled
	}
	return string(text)
}

func described(life, text string) Peer {
	var p Peer
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		p = Peer{}
	}
	p.Life = life
	return p
}

// next is the life after this one.
func (l *Lease) next() string {
	l.lives++
	return l.opts.Self.Life + "." + strconv.Itoa(l.lives)
}
