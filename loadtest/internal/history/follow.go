package history

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Followed are the figures of durable channels. The first seven are violations.
type Followed struct {
	Undetected     int64 `json:"undetected_gaps"` // messages missing between two that came in one chain
	FalseRecovered int64 `json:"false_recovered"` // messages missing after recovered:true
	Duplicate      int64 `json:"duplicate"`       // a position twice in one chain
	OutOfOrder     int64 `json:"out_of_order"`    // a position behind a later one in one chain
	Altered        int64 `json:"altered"`         // not what anybody sent, or on another channel
	Misplaced      int64 `json:"misplaced"`       // at another position than the service was told
	Stuck          int64 `json:"stuck"`           // followers that did not come to the end of their log

	Delivered int64 `json:"delivered"`
	Twice     int64 `json:"published_twice"` // deliveries of a message that Redis has published a second time, when it was sent again
	Vain      int64 `json:"taken_in_vain"`   // messages that a server took after another one had taken its place: nobody can know
	Recovered int64 `json:"recovered"`       // resumed, nothing missed
	Resets    int64 `json:"resets"`          // recovered:false
	Gaps      int64 `json:"gaps"`            // gap notices
	Trimmed   int64 `json:"told_of_trimmed"` // of resets and gaps: on logs that are kept short
	Needless  int64 `json:"told_needlessly"` // of the others: Redis had lost nothing that the follower had or missed
}

// Add adds o to f.
func (f *Followed) Add(o Followed) {
	for i, n := range o.fields() {
		*f.fields()[i] += *n
	}
}

func (f *Followed) fields() []*int64 {
	return []*int64{&f.Undetected, &f.FalseRecovered, &f.Duplicate, &f.OutOfOrder, &f.Altered, &f.Misplaced, &f.Stuck,
		&f.Delivered, &f.Twice, &f.Vain, &f.Recovered, &f.Resets, &f.Gaps, &f.Trimmed, &f.Needless}
}

// Violations is how many there are of any kind.
func (f *Followed) Violations() (n int64) {
	for _, v := range f.fields()[:7] {
		n += *v
	}
	return n
}

// FollowVerdict is what Follow finds.
type FollowVerdict struct {
	Total   Followed
	ByFault []Followed // by index in Logs.Faults: of the last fault that had begun
	Before  Followed   // before the first
	Oddness []string   // the first violations, for people
}

// Follow judges what followers were told. Each is in a chain, which begins with its
// first subscription and anew with recovered:false and with a gap notice. Within a
// chain it must have got every message that Redis has given a service a position
// for, each once, in order.
func Follow(h *Logs) FollowVerdict {
	v := FollowVerdict{ByFault: make([]Followed, len(h.Faults))}
	for i := range h.Logs {
		told := byPosition(&h.Logs[i])
		for j := range h.Followers {
			if f := &h.Followers[j]; f.Log == i {
				c := chain{h: h, v: &v, f: f, log: &h.Logs[i], told: told}
				c.follow()
			}
		}
	}
	return v
}

// place is a message where Redis has told a service that it is.
type place struct {
	position uint64
	number   int32
}

func byPosition(l *Log) (list []place) {
	for n, m := range l.Messages {
		if m.Position != 0 {
			list = append(list, place{m.Position, int32(n)})
		}
	}
	slices.SortFunc(list, func(a, b place) int { return cmp.Compare(a.position, b.position) })
	return list
}

// chain is how far a follower has come in its log.
type chain struct {
	h    *Logs
	v    *FollowVerdict
	f    *Follower
	log  *Log
	told []place

	began   int64            // when the follower was told that something may be missing; what was sent before then need not come any more
	loose   bool             // it has been told so, and no position
	last    uint64           // newest position heard of
	base    uint64           // all up to here has been looked for
	epoch   string           // of base; "": not known
	seen    map[uint64]int32 // by position: number
	resumed bool             // no message has come since recovered:true
	notice  Heard            // the last thing that was no message
}

func (c *chain) follow() {
	for _, e := range c.f.Heard {
		if e.Kind < HeardMessage {
			c.notice = e
		}
		switch e.Kind {
		case HeardSubscribed:
			c.begin(e)
		case HeardRecovered:
			c.book(e.At, Followed{Recovered: 1})
			c.resumed = true
			if c.loose && e.Since >= c.base {
				c.loose, c.base = false, e.Since
			}
		case HeardReset:
			c.reset(e, e.Since, Followed{Resets: 1})
			c.begin(e)
		case HeardGap:
			c.reset(e, c.last, Followed{Gaps: 1})
			c.loose, c.began, c.resumed, c.epoch, c.seen = true, e.At, false, "", nil
			c.base = c.last
		case HeardAltered:
			c.odd(e, Followed{Altered: 1}, "got what nobody sent there")
		case HeardMessage:
			c.message(e)
		}
	}
	if n := c.log.Final; n >= 0 {
		if final := c.log.Messages[n].Position; c.last < final {
			c.odd(Heard{At: c.log.Messages[n].Acked}, Followed{Stuck: 1}, "has come to %d only, the last message is %d", c.last, final)
		}
	}
}

// begin begins a chain at a position.
func (c *chain) begin(e Heard) {
	c.loose, c.resumed, c.epoch, c.seen = false, false, "", nil
	c.last, c.base = e.Position, e.Position
}

// reset counts that the follower was told to load everything anew, when it had all
// up to a position.
func (c *chain) reset(e Heard, from uint64, f Followed) {
	switch {
	case c.log.Trimmed:
		f.Trimmed = 1
	case !c.hasLost(from, e.At):
		f.Needless = 1
	}
	c.book(e.At, f)
}

// hasLost says whether Redis had lost anything by then from a position on.
func (c *chain) hasLost(from uint64, at int64) bool {
	first, _ := slices.BinarySearchFunc(c.told, from, func(p place, from uint64) int { return cmp.Compare(p.position, from) })
	return slices.ContainsFunc(c.told[first:], func(p place) bool {
		m := &c.log.Messages[p.number]
		return m.Lost != 0 && m.Lost <= at && m.Sent <= at
	})
}

func (c *chain) message(e Heard) {
	if e.Number < 0 || int(e.Number) >= len(c.log.Messages) {
		c.odd(e, Followed{Altered: 1}, "got message %d, which nobody sent", e.Number)
		return
	}
	m := &c.log.Messages[e.Number]
	f := Followed{Delivered: 1}
	epoch := m.Epoch
	if e.Position != m.Position {
		epoch = ""
		if m.Position != 0 && m.Calls < 2 {
			c.odd(e, Followed{Misplaced: 1}, "got message %d at %d, of which its service was told %d", e.Number, e.Position, m.Position)
		} else if m.Position != 0 {
			f.Twice = 1
		}
	}
	c.book(e.At, f)
	number, again := c.seen[e.Position]
	switch {
	case again && number != e.Number:
		c.odd(e, Followed{Misplaced: 1}, "got messages %d and %d, both at %d", number, e.Number, e.Position)
		return
	case again:
		c.odd(e, Followed{Duplicate: 1}, "got message %d at %d again", e.Number, e.Position)
		return
	case e.Position <= c.base && !c.loose, len(c.seen) > 0 && e.Position < c.last:
		c.odd(e, Followed{OutOfOrder: 1}, "got message %d at %d after %d", e.Number, e.Position, c.last)
		return
	}
	if c.seen == nil {
		c.seen = map[uint64]int32{}
	}
	c.seen[e.Position] = e.Number
	c.last = e.Position
	if epoch != "" { // else what lies between is looked for when the next one comes of which that is known
		c.lookBack(e, epoch)
	}
}

// lookBack looks for what should have come before a message.
func (c *chain) lookBack(e Heard, epoch string) {
	least := c.base + 1
	if c.loose && e.Position < c.base { // Redis has gone back
		least = 0
	}
	first, _ := slices.BinarySearchFunc(c.told, least, func(p place, least uint64) int { return cmp.Compare(p.position, least) })
	for _, p := range c.told[first:] {
		if p.position >= e.Position {
			break
		}
		m := &c.log.Messages[p.number]
		if _, came := c.seen[p.position]; came || c.loose && m.Sent <= c.began {
			continue
		}
		switch {
		case c.isVain(m, epoch):
			c.book(e.At, Followed{Vain: 1})
		case c.resumed:
			c.odd(e, Followed{FalseRecovered: 1}, "was told recovered:true and got %d (message %d) next, not %d (message %d)", e.Position, e.Number, p.position, p.number)
		default:
			c.odd(e, Followed{Undetected: 1}, "got %d (message %d) next, not %d (message %d)", e.Position, e.Number, p.position, p.number)
		}
	}
	c.loose, c.resumed, c.base, c.epoch = false, false, e.Position, epoch
}

// isVain says whether a message was taken by a server when the counting had begun
// anew at another one, in which all has come to the follower that it has been in
// since. Its service was told yes, and neither that other server nor a node nor a
// client can know of it.
func (c *chain) isVain(m *Published, epoch string) bool {
	began, err := strconv.ParseUint(epoch, 10, 64)
	return err == nil && m.Epoch != epoch && m.Position > began && (c.epoch == "" || c.epoch == epoch)
}

// book counts what happened at a moment.
func (c *chain) book(at int64, f Followed) {
	c.v.Total.Add(f)
	last := -1
	for i := range c.h.Faults {
		if c.h.Faults[i].Begin <= at {
			last = i
		}
	}
	if last >= 0 {
		c.v.ByFault[last].Add(f)
	} else {
		c.v.Before.Add(f)
	}
}

// odd books a violation.
func (c *chain) odd(e Heard, f Followed, format string, args ...any) {
	c.book(e.At, f)
	if len(c.v.Oddness) < maxOddness {
		c.v.Oddness = append(c.v.Oddness, fmt.Sprintf("follower %d of %s on %s at %s ", c.f.Number, c.log.Channel, e.Node, clock(e.At))+fmt.Sprintf(format, args...)+c.notice.since(c))
	}
}

// since says for people what a follower was told before, and how far it had come.
func (h Heard) since(c *chain) string {
	said := [...]string{"subscribed", "recovered:true", "recovered:false", "a gap"}[h.Kind]
	return fmt.Sprintf("; told %s at %s by %s, position %d, since %d; all looked for up to %d", said, clock(h.At), h.Node, h.Position, h.Since, c.base)
}
