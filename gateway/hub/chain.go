package hub

import "sluice/pubsub"

// chain follows the log of one channel through what comes live: every message
// names the one before it, so a hole shows with the next message, and is filled
// from the log before anything goes on. It decides; its caller sends, reads the log
// and keeps the order. The zero value knows no position yet.
//
// What it promises of the messages that it hands on: their order is the log's, none
// comes twice, and where the log has held or holds one that was left out, a gap has
// been told in its place.
type chain struct {
	name  string          // the channel's
	last  pubsub.Position // of the last message handed on; 0: not known
	epoch string          // when the counting began that last is of

	asking bool       // the log is being read; what comes live waits
	asked  uint32     // counts the askings: the answer to an older one is void
	tries  int        // answers in a row that have not settled it
	again  bool       // something may have been missed since the log was asked
	held   []*Message // what waits, in the order in which it came
	size   int        // bytes of it
	doubts uint32     // counts the times that something may have been missed
}

// verdict is what a chain has its caller do, in this order.
type verdict struct {
	gap  bool       // tell that something may have been missed for good
	emit []*Message // hand on
	ask  bool       // read the log after chain.last, for filled
}

const (
	maxHeld     = 4096    // messages that wait for a reading of the log
	maxHeldSize = 8 << 20 // bytes of them
	maxTries    = 5       // readings of the log that lead nowhere
	fillLimit   = 1000    // entries of one reading
)

// follows reports that m comes next, and goes on to it. It is what nearly always
// happens.
func (c *chain) follows(m *Message) bool {
	if c.asking || c.last != 0 && (m.Before != c.last || m.Epoch != c.epoch) {
		return false
	}
	c.goOn(m)
	return true
}

func (c *chain) goOn(m *Message) {
	c.last = m.Position
	if m.Epoch != "" { // entries of the log do not repeat it
		c.epoch = m.Epoch
	}
}

// live takes a message that does not follow.
func (c *chain) live(m *Message) verdict {
	if m.Position <= c.last && (m.Epoch == c.epoch || m.Epoch == "") {
		return verdict{} // it is known
	}
	c.held = append(c.held, m)
	c.size += len(m.Payload)
	switch {
	case len(c.held) > maxHeld || c.size > maxHeldSize:
		return c.abandon()
	case c.asking:
		return verdict{}
	}
	return c.ask()
}

// doubt says that messages may have been missed. It reports false if the chain
// cannot find out whether.
func (c *chain) doubt() (v verdict, covered bool) {
	c.doubts++
	switch {
	case c.last == 0:
		return verdict{}, false
	case c.asking:
		c.again = true
		return verdict{}, true
	}
	return c.ask(), true
}

func (c *chain) ask() verdict {
	if !c.asking {
		c.tries = 0
	}
	c.asking, c.again = true, false
	c.asked++
	return verdict{ask: true}
}

// filled takes what the log holds after last, as it was read for the given asking;
// limit was the most entries wanted. A reading that failed is tried again, a few
// times.
func (c *chain) filled(asked uint32, h pubsub.History, limit int, err error) (v verdict) {
	if !c.asking || asked != c.asked {
		return verdict{}
	}
	if c.tries++; c.tries > maxTries {
		return c.abandon()
	}
	if err != nil {
		return c.ask()
	}
	v.gap = c.isBroken(&h, limit)
	if h.Last < c.last || h.Epoch != c.epoch { // the log has gone back, or began anew: go on from what it is now
		c.last, c.epoch = min(c.last, h.Last), h.Epoch
		v.gap = true
	}
	for i := range h.Entries {
		if e := &h.Entries[i]; e.Position > c.last {
			m := message(c.name, e)
			m.Epoch = h.Epoch
			c.goOn(m)
			v.emit = append(v.emit, m)
		}
	}
	if isCut(&h, limit) {
		c.tries = 0 // it leads on
		v.ask = c.ask().ask
		return v
	}
	c.release(&v)
	return v
}

// isBroken says whether something is missing between last and the entries, among
// them, or behind them.
func (c *chain) isBroken(h *pubsub.History, limit int) bool {
	at := c.last
	for i := range h.Entries {
		e := &h.Entries[i]
		if e.Before != at && (i > 0 || !h.Proven) {
			return true
		}
		at = e.Position
	}
	return at != h.Last && !isCut(h, limit)
}

// isCut says whether the log holds more behind the entries.
func isCut(h *pubsub.History, limit int) bool {
	n := len(h.Entries)
	return n > 0 && n >= limit && h.Entries[n-1].Position < h.Last
}

// release hands on what has waited, as far as it follows.
func (c *chain) release(v *verdict) {
	loose := v.gap && len(v.emit) == 0 // a gap has been told in front of the first
	for i, m := range c.held {
		if m.Position <= c.last && m.Epoch == c.epoch {
			continue
		}
		if m.Before != c.last && !loose {
			c.held = c.held[i:]
			v.ask = c.ask().ask
			return
		}
		loose = false
		c.goOn(m)
		v.emit = append(v.emit, m)
	}
	c.drop()
	if c.again {
		c.tries = 0
		v.ask = c.ask().ask
		return
	}
	c.asking = false
}

// abandon gives up to find out what was missed.
func (c *chain) abandon() (v verdict) {
	v.gap = true
	for _, m := range c.held {
		if m.Position > c.last || m.Epoch != c.epoch {
			c.goOn(m)
			v.emit = append(v.emit, m)
		}
	}
	c.drop()
	c.asking, c.again = false, false
	c.asked++
	return v
}

func (c *chain) drop() { c.held, c.size = nil, 0 }

// learn takes the newest position of the log where none is known. What is published
// after it will be looked for; all who listen must have what was before.
func (c *chain) learn(h *pubsub.History) {
	if c.last == 0 && !c.asking {
		c.last, c.epoch = h.Last, h.Epoch
	}
}
