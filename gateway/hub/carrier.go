package hub

// carrier is which lane brings a channel's messages. It is one at a time: the one that
// confirmed the channel last, until it says that the channel has moved or that its connection has
// broken, and none from then on until one confirms it. Hub.mu guards it.
type carrier struct {
	lane      *lane  // that Redis confirmed the channel on last; nil: none yet
	confirmed uint64 // that lane's epoch when it did; 0: it moved away since
}

// isConfirmed says whether what is published now arrives.
func (c *carrier) isConfirmed() bool { return c.lane != nil && c.brings(c.lane) }

// hasMoved says whether it has moved away from the lane that confirmed it last.
func (c *carrier) hasMoved() bool { return c.lane != nil && c.confirmed == 0 }

// brings says whether what a lane delivers is to be taken. A server that the channel has moved away
// from may be a replica of the one that has it now, and say again what that says.
func (c *carrier) brings(l *lane) bool { return c.lane == l && c.confirmed == l.epoch }

// confirm notes that Redis has confirmed the channel on a lane.
func (c *carrier) confirm(l *lane) { *c = carrier{lane: l, confirmed: l.epoch} }

// move notes that the channel is not the lane's any more.
func (c *carrier) move(l *lane) {
	if c.lane == l {
		c.confirmed = 0
	}
}
