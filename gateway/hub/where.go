package hub

import "sluice/pubsub"

// Where is how far a member has come with its channel, in words, and the newest position that this node has handed to the channel's
// members; 0: none yet.
func (m *Member) Where() (stage string, at pubsub.Position) {
	if m.channel == nil {
		return "", 0
	}
	switch m.stage {
	case joined:
		stage = "waits for Redis"
	case resuming, catching:
		stage = "reads the log"
	case live:
		stage = "live"
	}
	return stage, m.channel.newest()
}

// newest is the position of the last message that was handed on, 0 if none had one.
func (c *Channel) newest() pubsub.Position {
	c.hub.mu.RLock()
	s := c.stream
	c.hub.mu.RUnlock()
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chain.last
}
