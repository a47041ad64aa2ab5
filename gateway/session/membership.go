package session

import (
	"iter"
	"strings"

	"sluice/gateway/hub"
	"sluice/loop"
)

// memberships are those of a connection that does not change its channels itself.
// The zero value has room for one channel.
type memberships struct {
	member hub.Member
	more   *further // nil: it has one channel
}

// further are the memberships of the second channel and all others. They do not
// move: channels refer to them.
type further struct {
	asked []hub.Member  // and given
	added []*hub.Member // by services
}

// room makes room for n channels.
func (s *memberships) room(n int) {
	if n > 1 {
		s.more = &further{asked: make([]hub.Member, n-1)}
	}
}

// members are all memberships, in the order of the request, those that a service has
// ended among them: they have no name any more.
func (s *memberships) members() iter.Seq[*hub.Member] {
	return func(yield func(*hub.Member) bool) {
		if !yield(&s.member) || s.more == nil {
			return
		}
		for i := range s.more.asked {
			if !yield(&s.more.asked[i]) {
				return
			}
		}
		for _, m := range s.more.added {
			if !yield(m) {
				return
			}
		}
	}
}

// channels are the names of those of the connection's channels that are wanted,
// nil for all, put together with spaces, which no name contains.
func (s *memberships) channels(wanted func(string) bool) string {
	var names []string
	for m := range s.members() {
		if name := m.Name(); name != "" && (wanted == nil || wanted(name)) {
			if s.more == nil {
				return m.Name()
			}
			names = append(names, m.Name())
		}
	}
	return strings.Join(names, " ")
}

// channelNames are those of all channels.
func (s *memberships) channelNames() string { return s.channels(nil) }

func (s *memberships) drained(h *Handler, c *loop.Conn) {
	for m := range s.members() {
		h.local.Drained(c, m)
	}
}

func (s *memberships) leave(h *Handler, c *loop.Conn) {
	for m := range s.members() {
		h.leave(c, m)
	}
}

// find is the membership of a channel, nil if there is none, and how many there are.
func (s *memberships) find(channel string) (found *hub.Member, n int) {
	for m := range s.members() {
		switch m.Name() {
		case "":
			continue
		case channel:
			found = m
		}
		n++
	}
	return found, n
}
