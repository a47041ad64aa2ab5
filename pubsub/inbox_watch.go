package pubsub

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// StreamLag is how far services have read one Redis Stream.
type StreamLag struct {
	Stream string     // its key
	Length int64      // entries in it
	MaxLen int64      // of them, before the oldest are trimmed; 0: any number
	Groups []GroupLag // by name, MaxGroups at most
	More   int        // groups that are not among them
}

// GroupLag is how far one consumer group has.
type GroupLag struct {
	Name    string
	Lag     int64         // entries that it has not been given; -1: Redis does not know
	Pending int64         // entries that its consumers have been given and not acknowledged
	Idle    time.Duration // since the oldest of those was given to a consumer last
}

// MaxGroups is how many consumer groups of a stream are looked at.
const MaxGroups = 16

// Trimmed is how many entries were trimmed before the group had read them.
func (s *StreamLag) Trimmed(g GroupLag) int64 { return max(0, g.Lag-s.Length) }

// endangered reports whether unread entries are trimmed, or soon will be: nine tenths
// of what the stream may hold are unread.
func (s *StreamLag) endangered(g GroupLag) bool {
	return s.Trimmed(g) > 0 || s.MaxLen > 0 && g.Lag >= s.MaxLen/10*9
}

// Lags is how far services had read when Watch looked last.
func (b *Inboxes) Lags() []StreamLag {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lags
}

// Watch looks after the streams until ctx ends, every WatchEvery: how far services
// have read, and whether the records hold what they should. It returns ctx.Err().
func (b *Inboxes) Watch(ctx context.Context) error {
	told := map[string]bool{} // groups whose unread entries are in danger
	tick := time.NewTicker(b.opts.WatchEvery)
	defer tick.Stop()
	for {
		b.look(ctx, told)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (b *Inboxes) look(ctx context.Context, told map[string]bool) {
	lags := make([]StreamLag, 0, len(b.all))
	for _, inbox := range b.all {
		if lag, err := inbox.lag(ctx); err == nil {
			lags = append(lags, lag)
			b.warn(lag, told)
		} else if ctx.Err() == nil {
			inbox.noteError(err)
		}
	}
	b.mu.Lock()
	b.lags = lags
	b.mu.Unlock()
	for _, inbox := range b.usual {
		inbox.checkRecord(ctx)
	}
	if !b.resweep.Swap(false) {
		return
	}
	for _, inbox := range b.usual {
		if err := inbox.eachRecorded(ctx, b.opts.Recorded); err != nil {
			b.resweep.Store(true) // the next time
		}
	}
}

// warn tells of groups whose unread entries are in danger, once.
func (b *Inboxes) warn(lag StreamLag, told map[string]bool) {
	for _, g := range lag.Groups {
		key := lag.Stream + "\x00" + g.Name
		switch endangered := lag.endangered(g); {
		case !endangered:
			delete(told, key)
		case !told[key]:
			told[key] = true
			if f := b.opts.Trimmed; f != nil {
				f(lag, g)
			}
		}
	}
}

// lag asks Redis how far services have read the stream.
func (b *Inbox) lag(ctx context.Context) (StreamLag, error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	s := StreamLag{Stream: b.opts.Stream, MaxLen: max(0, b.opts.MaxLen)}
	client := b.keys.Client(b.opts.Stream)
	if client == nil {
		return s, errNoServer
	}
	groups, err := client.XInfoGroups(ctx, b.opts.Stream).Result()
	if isNoKey(err) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	slices.SortFunc(groups, func(a, b redis.XInfoGroup) int { return strings.Compare(a.Name, b.Name) })
	if n := len(groups); n > MaxGroups {
		groups, s.More = groups[:MaxGroups], n-MaxGroups
	}
	var length *redis.IntCmd
	oldest := make([]*redis.XPendingExtCmd, len(groups))
	cmds, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		length = p.XLen(ctx, b.opts.Stream)
		for i, g := range groups {
			oldest[i] = p.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: b.opts.Stream, Group: g.Name, Start: "-", End: "+", Count: 1})
		}
		return nil
	})
	if err = firstError(cmds, err); err != nil {
		return s, err
	}
	s.Length = length.Val()
	for i, g := range groups {
		one := GroupLag{Name: g.Name, Lag: g.Lag, Pending: g.Pending}
		if entries := oldest[i].Val(); len(entries) > 0 {
			one.Idle = entries[0].Idle
		}
		s.Groups = append(s.Groups, one)
	}
	return s, nil
}

func isNoKey(err error) bool {
	var said redis.Error
	return errors.As(err, &said) && strings.Contains(said.Error(), "no such key")
}

// checkRecord looks whether Redis has lost what it had recorded. Otherwise that is
// found with the next connection that opens or ends.
func (b *Inbox) checkRecord(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	b.mu.Lock()
	life, known := b.record.life, b.record.known
	b.mu.Unlock()
	client := b.keys.Client(b.opts.Stream)
	if life == "" || known == 0 || client == nil {
		return
	}
	text, err := client.HGet(ctx, recordKey(b.opts.Stream, life), numbering).Result()
	if ignoreNil(err) != nil {
		return
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		number = 0
	}
	b.mu.Lock()
	lost := life == b.record.life && number < known
	if lost {
		b.record.known = min(b.record.known, number)
	}
	b.mu.Unlock()
	b.forgot(lost)
}

// Recorded is a connection of this node that a record says is open.
type Recorded struct{ Conn, User, Channel string }

// eachRecorded gives f what this life's record holds, in pages.
func (b *Inbox) eachRecorded(ctx context.Context, f func([]Recorded)) error {
	b.mu.Lock()
	life := b.record.life
	b.mu.Unlock()
	if life == "" || f == nil {
		return nil
	}
	return eachField(ctx, keyed{b.keys, b.opts.Stream}, recordKey(b.opts.Stream, life), func(page []string) error {
		list := make([]Recorded, 0, len(page)/2)
		for i := 0; i+1 < len(page); i += 2 {
			if page[i] != numbering && page[i+1] != "" {
				o := readOpened(page[i+1])
				list = append(list, Recorded{page[i], o.User, o.Channel})
			}
		}
		f(list)
		return nil
	})
}

// readOpened is the reverse of opened.text. What cannot be read is a connection all
// the same.
func readOpened(text string) (o opened) {
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return opened{}
	}
	return o
}
