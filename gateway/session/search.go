package session

import (
	"sluice/gateway/hub"
	"sluice/gateway/story"
	"sluice/loop"
)

// Search asks a reactor for connections of its own: those of a user, those on a channel, or
// the one of a name. One of the three is set.
type Search struct {
	User, Channel, Conn string

	Most     int          // connections that are described
	Channels int          // channels that are named of each
	Answer   chan<- Found // has room for the answers of all reactors: they never wait
}

// Found is one reactor's answer.
type Found struct {
	Total int // connections that there are; of a channel only those that are described are counted
	Conns []Described
}

// Described is one connection.
type Described struct {
	Name     string // in the inbox
	User     string // "": anonymous
	Dialect  string
	Remote   string
	Channels []string // some of them
	More     int      // how many others
}

func (h *Handler) search(s *Search) {
	var f Found
	for _, c := range h.sought(s) {
		who, ok := c.Session.(host)
		if !ok {
			continue // a handshake under way
		}
		if f.Total++; len(f.Conns) < s.Most {
			f.Conns = append(f.Conns, h.describe(c, who.self(), s.Channels))
		}
	}
	select {
	case s.Answer <- f:
	default: // nobody made room for it
	}
}

// sought are the connections that are searched for.
func (h *Handler) sought(s *Search) []*loop.Conn {
	switch {
	case s.User != "":
		return h.crew.users.all(s.User)
	case s.Channel != "":
		return h.local.Conns(s.Channel, s.Most)
	}
	id, ok := hub.ParseConn(h.node.Life, s.Conn)
	if !ok || id.Reactor() != h.r.Index() {
		return nil
	}
	if c := h.r.Conn(id); c != nil {
		return []*loop.Conn{c}
	}
	return nil
}

func (h *Handler) describe(c *loop.Conn, g *guest, most int) Described {
	d := Described{Name: hub.ConnName(h.node.Life, c.ID()), User: g.user(), Dialect: dialectOf(c), Remote: story.Address(c.Remote())}
	for m := range membersOf(c) {
		switch name := m.Name(); {
		case name == "":
		case len(d.Channels) < most:
			d.Channels = append(d.Channels, name)
		default:
			d.More++
		}
	}
	return d
}
