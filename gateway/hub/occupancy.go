package hub

// Occupancy is how many members each channel has on this node. It reports false where
// there are more channels than most.
func (h *Hub) Occupancy(most int) (map[string]int, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.channels) > most {
		return nil, false
	}
	members := make(map[string]int, len(h.channels))
	for name, c := range h.channels {
		members[name] = c.members
	}
	return members, true
}
