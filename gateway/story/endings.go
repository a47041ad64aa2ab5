package story

import (
	"net/netip"
	"strings"
	"time"
)

// Kept is how many endings a reactor remembers, of 144 bytes each and the texts that they refer to.
const Kept = 4096

// maxNames bounds the names of channels that are kept of one that has ended, in bytes.
const maxNames = 256

// Ending is what is remembered of a connection that has ended.
type Ending struct {
	ID       uint64 // within its node's life
	Dialect  string
	User     string
	Channels string // their names, with spaces between
	Reason   string
	By       string
	Remote   netip.AddrPort
	Accepted int64 // Unix nanoseconds, as At
	At       int64
	Entries  uint32
	Code     uint16
}

// Endings are the last ones of a reactor, and belong to it. They take memory as they come.
type Endings struct {
	ring []Ending
	next int // where the next one goes, once the ring is full
}

// Add remembers a connection's end, in place of the oldest if there are Kept already.
func (e *Endings) Add(one Ending) {
	if len(one.Channels) > maxNames { // the rest would be held, too
		one.Channels = strings.Clone(one.Channels[:strings.LastIndexByte(one.Channels[:maxNames], ' ')+1]) + "…"
	}
	if len(e.ring) < Kept {
		e.ring = append(e.ring, one)
		return
	}
	e.ring[e.next] = one
	e.next = (e.next + 1) % Kept
}

// Find is the ending of a connection, nil if it is not among the last.
func (e *Endings) Find(id uint64) *Ending {
	for i := range e.ring {
		if e.ring[i].ID == id {
			return &e.ring[i]
		}
	}
	return nil
}

// Of calls f for the endings of a user's connections, the newest first, until it returns false.
func (e *Endings) Of(user string, f func(*Ending) bool) {
	for i := range e.ring {
		at := (e.next - 1 - i + len(e.ring)) % len(e.ring)
		if len(e.ring) < Kept {
			at = len(e.ring) - 1 - i
		}
		if e.ring[at].User == user && !f(&e.ring[at]) {
			return
		}
	}
}

// Story is the whole of it; the node's part is left to the caller.
func (e *Ending) Story() Story {
	s := Story{State: Ended, Dialect: e.Dialect, User: e.User, Remote: Address(e.Remote), Accepted: time.Unix(0, e.Accepted), Entries: e.Entries,
		End: &End{At: time.Unix(0, e.At), Code: e.Code, Reason: e.Reason, By: e.By}}
	for name := range strings.FieldsSeq(e.Channels) {
		s.Channels = append(s.Channels, Channel{Name: name})
	}
	return s
}

// Address is a client's, without the port where that is not known: behind a balancer that names addresses alone.
func Address(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}
