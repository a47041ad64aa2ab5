package loop

import "time"

// The wheel turns by one slot every tickLength. A deadline is kept to within
// one tick; all deadlines of this package are seconds.
const (
	tickLength = 100 * time.Millisecond
	wheelSlots = 512 // 51.2 s in one turn, a power of two; later deadlines wait more turns
)

// timer is a connection's one deadline, linked into a wheel.
type timer struct {
	next, prev *Conn  // in the slot's list; prev == nil: first of it
	due        uint32 // tick
	armed      bool
}

// wheel is a timing wheel (Varghese and Lauck, 1987): setting, moving and
// dropping a deadline costs a few pointer writes, and 15,000 idle connections
// cost nothing between their pings. Owned by its reactor.
type wheel struct {
	now    uint32 // tick: deadlines are counted from here
	turned uint32 // tick up to which expired deadlines were called; behind now only inside turn
	slots  [wheelSlots]*Conn
	due    []*Conn // collect's result, reused
}

// after is the tick d from now, at least the next one.
func (w *wheel) after(d time.Duration) uint32 { return w.now + ticks(d) }

// ticks is d in ticks, rounded up, at least one.
func ticks(d time.Duration) uint32 {
	return uint32(max(1, (d+tickLength-1)/tickLength))
}

// set gives c the deadline due, in place of any it had.
func (w *wheel) set(c *Conn, due uint32) {
	w.drop(c)
	head := &w.slots[due%wheelSlots]
	c.timer = timer{next: *head, due: due, armed: true}
	if *head != nil {
		(*head).timer.prev = c
	}
	*head = c
}

// drop takes c's deadline away.
func (w *wheel) drop(c *Conn) {
	t := &c.timer
	if !t.armed {
		return
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	if t.prev != nil {
		t.prev.timer.next = t.next
	} else {
		w.slots[t.due%wheelSlots] = t.next
	}
	*t = timer{}
}

// turn moves the wheel to the tick now and calls expired for every connection
// whose deadline has come, after dropping the deadline. expired may set and
// drop any deadlines; those it sets count from now, also when the wheel is
// several ticks late, so none of them comes in the same turn.
func (w *wheel) turn(now uint32, expired func(*Conn)) {
	if now-w.turned > wheelSlots { // every slot once is enough
		w.turned = now - wheelSlots
	}
	w.now = now
	for w.turned != now {
		w.turned++
		for _, c := range w.collect(w.turned % wheelSlots) {
			if !c.timer.armed { // else an earlier one's expiry gave it a new deadline
				expired(c)
			}
		}
	}
}

// collect takes those of a slot whose deadline has come. They are taken out
// before any of them is acted upon, because that may relink the list.
func (w *wheel) collect(slot uint32) []*Conn {
	clear(w.due)
	w.due = w.due[:0]
	for c := w.slots[slot]; c != nil; {
		next := c.timer.next
		if int32(c.timer.due-w.turned) <= 0 { // else it waits for a later round
			w.drop(c)
			w.due = append(w.due, c)
		}
		c = next
	}
	return w.due
}
