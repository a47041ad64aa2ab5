package hub

import "sluice/loop"

// Look is how many members a channel has on this node, and whether Redis has confirmed it.
func (h *Hub) Look(channel string) (members int, confirmed bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	c := h.channels[channel]
	if c == nil {
		return 0, false
	}
	return c.members, c.isConfirmed()
}

// Conns are connections of this reactor that are members of a channel, most of them at
// most, in no order.
func (l *Local) Conns(channel string, most int) (conns []*loop.Conn) {
	l.hub.mu.RLock()
	c := l.hub.channels[channel]
	l.hub.mu.RUnlock()
	p := l.parts[c] // nothing where there is no such channel
	if p == nil {
		return nil
	}
	add := func(places []place) {
		for _, at := range places[:min(len(places), most-len(conns))] {
			conns = append(conns, at.conn)
		}
	}
	for r := range p.rows() {
		add(r.places)
	}
	if p.more == nil {
		return conns
	}
	for _, g := range p.more.groups {
		add(g.waiting)
	}
	for _, w := range p.more.wishes {
		add([]place{w.place})
	}
	return conns
}
