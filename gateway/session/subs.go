package session

import (
	"slices"
	"time"

	"sluice/gateway/hub"
)

// sub is one subscription of a centrifugal connection. It does not move: its channel
// refers to its member.
type sub struct {
	member hub.Member
	name   string // its channel's, also when the member has left
	asked  *asked // until it has been answered
	token  *shown // nil: none was needed
	due    int64  // the second of Handler.expiry in which its token is over; 0: it has none, or one for good
	kind   subKind
}

// asked is what a subscription's answer needs.
type asked struct {
	command uint32    // that asked for it
	epoch   string    // that the client's position is of; "": it does not say
	expires time.Time // when its token does; zero: never, or it has none
	until   int64     // the second of Handler.expiry up to which Redis is waited for; 0: the client does not wait, or connect does
}

// subKind is a subscription's yes-or-no facts.
type subKind uint8

const (
	subGiven    subKind = 1 << iota // by the connection's token; not asked for by the client
	subLogged                       // it follows the channel's log: positioned and recoverable
	subResuming                     // the client has said what it had
	subSteered                      // a service has subscribed it
	subStrict                       // it would rather be refused than not be recovered
)

func (k subKind) has(x subKind) bool { return k&x != 0 }

// subs are a connection's subscriptions. Most have few, which a list finds as fast as
// a map would, in an eighth of the memory.
type subs struct {
	list  []*sub
	index map[string]*sub // by name; nil while the list is short
}

// maxScanned is the longest list, in subscriptions, that is searched without an index.
const maxScanned = 16

func (s *subs) find(name string) *sub {
	if s.index != nil {
		return s.index[name]
	}
	for _, one := range s.list {
		if one.name == name {
			return one
		}
	}
	return nil
}

func (s *subs) add(one *sub) {
	s.list = append(s.list, one)
	if s.index != nil {
		s.index[one.name] = one
		return
	}
	if len(s.list) > maxScanned {
		s.index = make(map[string]*sub, 2*len(s.list))
		for _, one := range s.list {
			s.index[one.name] = one
		}
	}
}

func (s *subs) remove(one *sub) {
	i := slices.Index(s.list, one)
	last := len(s.list) - 1
	s.list[i] = s.list[last]
	s.list[last] = nil
	s.list = s.list[:last]
	delete(s.index, one.name) // of nil it deletes nothing
	if last == 0 {
		*s = subs{}
	}
}
