package hub

import "sluice/pubsub"

// chain follows the log of one channel through what comes live: every message
// names the one before it, so a hole shows with the next message, and is filled
// from the log before anything goes on. It decides; its caller sends, reads the log
// and keeps the order. The zero value knows no position yet.
//
// What it promises of the messages that it hands on: their order is the log's, none
// comes twice, and where the log has held or holds one that was left out, a gap has
// been told in its place. Where the log could not be read for long, a gap is told, and
// behind that one message may come again.
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
	old    int        // of held, those from before something may have been missed: the log may not have them any more
	unsure bool       // it gave up: the log may have gone back behind last
	doubts uint32     // counts the times that something may have been missed
}

// verdict is what a chain has its caller do, in this order.
type verdict struct {
	emit []*Message // hand on; nil in the place of messages that may be missing for good: tell the gap
	ask  bool       // read the log after chain.last, for filled
}

func (v *verdict) gap() {
	if n := len(v.emit); n == 0 || v.emit[n-1] != nil {
		v.emit = append(v.emit, nil)
	}
}

const (
	maxHeld     = 4096    // messages that wait for a reading of the log
	maxHeldSize = 8 << 20 // bytes of them
	maxTries    = 5       // readings of the log that lead nowhere
	fillLimit   = 1000    // entries of one reading
	fillSize    = 1 << 20 // bytes of their payloads, but for the first
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

// knows reports that m has been handed on.
func (c *chain) knows(m *Message) bool {
	return m.Epoch == c.epoch && (m.Position < c.last && !c.unsure || m.Position == c.last)
}

// live takes a message that does not follow.
func (c *chain) live(m *Message) verdict {
	if c.knows(m) {
		return verdict{}
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
		c.again, c.old = true, len(c.held)
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

// filled takes what the log holds after last, as it was read for the given asking. A
// reading that failed is tried again, a few
// times.
func (c *chain) filled(asked uint32, h pubsub.History, err error) (v verdict) {
	if !c.asking || asked != c.asked {
		return verdict{}
	}
	c.tries++
	switch {
	case err != nil && c.tries > maxTries:
		return c.abandon()
	case err != nil:
		return c.ask()
	}
	c.unsure = false
	proven := h.Proven
	if h.Last < c.last || h.Epoch != c.epoch { // the log has gone back, or began anew: go on from what it is now
		c.rewind(&h)
		v.gap()
	}
	for i := range h.Entries {
		e := &h.Entries[i]
		if e.Position <= c.last {
			continue
		}
		if e.Before != c.last && !(proven && i == 0) {
			v.gap()
		}
		m := message(c.name, e)
		m.Epoch = h.Epoch
		c.goOn(m)
		v.emit = append(v.emit, m)
	}
	c.forget(&h, &v)
	if h.More {
		c.tries = 0 // it leads on
		v.ask = c.ask().ask
		return v
	}
	if c.last != h.Last { // the log has lost its end
		v.gap()
	}
	c.release(&v)
	return v
}

// rewind goes back to where the log is, or to what waits of it.
func (c *chain) rewind(h *pubsub.History) {
	c.last, c.epoch = min(c.last, h.Last), h.Epoch
	for _, m := range c.held {
		if m.Epoch == c.epoch {
			c.last = min(c.last, m.Before)
		}
	}
}

// forget drops what has waited and is handed on, and what the log has lost since it
// came.
func (c *chain) forget(h *pubsub.History, v *verdict) {
	var kept []*Message
	old := 0
	for i, m := range c.held {
		switch {
		case m.Epoch == c.epoch && m.Position <= c.last:
			continue
		case i < c.old && !c.again && (m.Epoch != h.Epoch || m.Position > h.Last):
			v.gap()
			continue
		case i < c.old:
			old++
		}
		kept = append(kept, m)
	}
	c.held, c.old = kept, old
}

// release hands on what has waited, as far as it follows.
func (c *chain) release(v *verdict) {
	for i, m := range c.held {
		switch {
		case m.Position <= c.last: // the log that it stood in is gone
			v.gap()
		case m.Epoch == c.epoch && (m.Before == c.last || v.isLoose()):
			c.goOn(m)
			v.emit = append(v.emit, m)
		case c.tries > maxTries && !c.again:
			c.held, c.old = c.held[i:], max(0, c.old-i)
			v.emit = append(v.emit, c.abandon().emit...)
			return
		default:
			c.held, c.old = c.held[i:], max(0, c.old-i)
			v.ask = c.ask().ask
			return
		}
	}
	c.drop()
	if c.again {
		c.tries = 0
		v.ask = c.ask().ask
		return
	}
	c.asking = false
}

// isLoose says whether a gap has just been told, behind which anything may come.
func (v *verdict) isLoose() bool { return len(v.emit) > 0 && v.emit[len(v.emit)-1] == nil }

// abandon gives up to find out what was missed, and goes on with what has waited.
func (c *chain) abandon() (v verdict) {
	v.gap()
	for _, m := range c.held {
		if m.Position <= c.last {
			continue
		}
		if m.Before != c.last {
			v.gap()
		}
		c.goOn(m)
		v.emit = append(v.emit, m)
	}
	if c.old == len(c.held) { // none has come since the last doubt
		v.gap()
	}
	c.drop()
	c.asking, c.again, c.unsure = false, false, true
	c.asked++
	return v
}

func (c *chain) drop() { c.held, c.size, c.old = nil, 0, 0 }

// learn takes the newest position of the log where none is known, and reports whether
// it did. What is published after it will be looked for; what was before is not handed
// on: all who listen must have it.
func (c *chain) learn(h *pubsub.History) bool {
	if c.last != 0 || c.asking {
		return false
	}
	c.last, c.epoch = h.Last, h.Epoch
	return true
}
