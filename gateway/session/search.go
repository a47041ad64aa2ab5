package session

import (
	"sluice/gateway/hub"
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

// lister is a dialect that tells of its connections.
type lister interface {
	host
	kind() Kind
	eachChannel(f func(name string))
}

func (h *Handler) search(s *Search) {
	var f Found
	for _, c := range h.sought(s) {
		l, ok := c.Session.(lister)
		if !ok {
			continue // a handshake under way
		}
		if f.Total++; len(f.Conns) < s.Most {
			f.Conns = append(f.Conns, h.describe(c, l, s.Channels))
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

func (h *Handler) describe(c *loop.Conn, l lister, most int) Described {
	d := Described{Name: hub.ConnName(h.node.Life, c.ID()), User: l.self().user(), Dialect: KindNames[l.kind()], Remote: c.Remote().String()}
	if c.Remote().Port() == 0 { // it is what a load balancer said
		d.Remote = c.Remote().Addr().String()
	}
	l.eachChannel(func(name string) {
		if len(d.Channels) < most {
			d.Channels = append(d.Channels, name)
		} else {
			d.More++
		}
	})
	return d
}

func (*plain) kind() Kind       { return KindPlain }
func (*events) kind() Kind      { return KindEvents }
func (*wrapped) kind() Kind     { return KindEnvelope }
func (*centrifugal) kind() Kind { return KindCentrifuge }
func (*echo) kind() Kind        { return KindEcho }

func (*echo) eachChannel(func(string)) {}

func (s *memberships) eachChannel(f func(string)) {
	for m := range s.members() {
		if name := m.Name(); name != "" {
			f(name)
		}
	}
}

func (s *wrapped) eachChannel(f func(string)) {
	for _, sub := range s.subs {
		f(sub.Name())
	}
}

func (s *centrifugal) eachChannel(f func(string)) {
	for _, one := range s.subs.list {
		f(one.name)
	}
}
