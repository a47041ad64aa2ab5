package session

import (
	"slices"
	"strings"
)

// subs are the subscriptions of a connection that takes up and gives up channels; S is what
// its dialect keeps of each. Most connections have one, which stands in the connection
// itself. Those that have more have few, which a list finds as fast as a map would, in an
// eighth of the memory. Subscriptions do not move: channels refer to their members.
type subs[S any, P named[S]] struct {
	first S               // free while it has no name
	more  *furtherSubs[P] // nil: there are no others
}

// named is a pointer to something that has a membership: its name is the channel's, "" before it
// has joined and when it has left.
type named[S any] interface {
	*S
	Name() string
}

// furtherSubs are the subscriptions beside the first.
type furtherSubs[P any] struct {
	list  []P
	index map[string]P // by name; nil while the list is short
}

// maxScanned is the longest list, in subscriptions, that is searched without an index.
const maxScanned = 16

// place is where the next subscription is to be: it joins its channel there, and is added then.
func (s *subs[S, P]) place() P {
	if P(&s.first).Name() != "" {
		return new(S)
	}
	s.first = *new(S)
	return &s.first
}

// add takes in a subscription that has joined.
func (s *subs[S, P]) add(one P) {
	if one == P(&s.first) {
		return
	}
	if s.more == nil {
		s.more = new(furtherSubs[P])
	}
	m := s.more
	m.list = append(m.list, one)
	if m.index != nil {
		m.index[one.Name()] = one
		return
	}
	if len(m.list) > maxScanned {
		m.index = make(map[string]P, 2*len(m.list))
		for _, one := range m.list {
			m.index[one.Name()] = one
		}
	}
}

// remove is the reverse of add, before the subscription leaves its channel.
func (s *subs[S, P]) remove(one P) {
	if one == P(&s.first) {
		return // it is free when it has left
	}
	m := s.more
	i, last := slices.Index(m.list, one), len(m.list)-1
	m.list[i], m.list[last] = m.list[last], nil
	m.list = m.list[:last]
	delete(m.index, one.Name()) // of nil it deletes nothing
	if last == 0 {
		s.more = nil
	}
}

// find is the subscription to a channel, nil if there is none.
func (s *subs[S, P]) find(name string) P {
	switch {
	case name == "":
		return nil
	case P(&s.first).Name() == name:
		return &s.first
	case s.more == nil:
		return nil
	case s.more.index != nil:
		return s.more.index[name]
	}
	for _, one := range s.more.list {
		if one.Name() == name {
			return one
		}
	}
	return nil
}

// all yields every subscription. The one that is yielded may be removed meanwhile: the last
// takes its place, and is next.
func (s *subs[S, P]) all(yield func(P) bool) {
	if P(&s.first).Name() != "" && !yield(&s.first) {
		return
	}
	for i := 0; s.more != nil && i < len(s.more.list); {
		one := s.more.list[i]
		if !yield(one) {
			return
		}
		if s.more != nil && i < len(s.more.list) && s.more.list[i] == one {
			i++
		}
	}
}

// count is how many there are.
func (s *subs[S, P]) count() (n int) {
	if P(&s.first).Name() != "" {
		n = 1
	}
	if s.more != nil {
		n += len(s.more.list)
	}
	return n
}

// channels are the names of all, put together with spaces, which no name contains.
func (s *subs[S, P]) channels() string {
	if s.more == nil {
		return P(&s.first).Name()
	}
	var names []string
	for one := range s.all {
		names = append(names, one.Name())
	}
	return strings.Join(names, " ")
}
