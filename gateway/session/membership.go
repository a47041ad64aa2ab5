package session

import (
	"iter"
	"strings"

	"sluice/gateway/hub"
	"sluice/loop"
)

// memberships are those of a connection that has its channels from the beginning.
// The zero value has room for one channel.
type memberships struct {
	member hub.Member
	more   *further // nil: it has one channel
}

// further are the memberships of the second channel and all others. They do not
// move: channels refer to them.
type further []hub.Member

// room makes room for n channels.
func (s *memberships) room(n int) {
	if n > 1 {
		more := make(further, n-1)
		s.more = &more
	}
}

// members are all memberships, in the order of the request.
func (s *memberships) members() iter.Seq[*hub.Member] {
	return func(yield func(*hub.Member) bool) {
		if !yield(&s.member) || s.more == nil {
			return
		}
		for i := range *s.more {
			if !yield(&(*s.more)[i]) {
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
		if wanted == nil || wanted(m.Name()) {
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

func (s *memberships) leave(h *Handler) {
	for m := range s.members() {
		h.local.Leave(m)
	}
}
