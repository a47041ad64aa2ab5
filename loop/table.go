package loop

// ConnID names a connection of one process, also after it has ended: no other
// connection gets the same until a slot was reused 2³² times.
//
//	bits 63..32 generation of the slot, 31..24 reactor, 23..0 slot
type ConnID uint64

const (
	slotBits    = 24
	maxSlots    = 1 << slotBits
	maxReactors = 1 << 8
)

func makeID(generation uint32, reactor, slot int) ConnID {
	return ConnID(generation)<<32 | ConnID(reactor)<<slotBits | ConnID(slot)
}

// Reactor is the number of the reactor that owns the connection.
func (id ConnID) Reactor() int { return int(id >> slotBits & (maxReactors - 1)) }

func (id ConnID) slot() int          { return int(id & (maxSlots - 1)) }
func (id ConnID) generation() uint32 { return uint32(id >> 32) }

// table is a reactor's connections by slot. Owned by its reactor.
type table struct {
	slots []entry
	free  []int32 // empty slots
}

type entry struct {
	conn       *Conn
	generation uint32
	born       uint32 // the engine's tick in which conn came
}

// add gives c a slot and returns its identity.
func (t *table) add(c *Conn, reactor int) ConnID {
	var slot int
	if n := len(t.free); n > 0 {
		slot = int(t.free[n-1])
		t.free = t.free[:n-1]
	} else {
		slot = len(t.slots)
		t.slots = append(t.slots, entry{})
	}
	e := &t.slots[slot]
	e.conn = c
	e.generation++
	return makeID(e.generation, reactor, slot)
}

// get is the connection with that identity, or nil.
func (t *table) get(id ConnID) *Conn {
	if slot := id.slot(); slot < len(t.slots) {
		if e := t.slots[slot]; e.generation == id.generation() {
			return e.conn
		}
	}
	return nil
}

// bear notes when a connection came.
func (t *table) bear(id ConnID, tick uint32) { t.slots[id.slot()].born = tick }

// born is the tick in which it did, also when it has just been removed.
func (t *table) born(id ConnID) uint32 { return t.slots[id.slot()].born }

// remove frees the slot.
func (t *table) remove(id ConnID) {
	t.slots[id.slot()].conn = nil
	t.free = append(t.free, int32(id.slot()))
}

// all yields every connection. They may be removed meanwhile.
func (t *table) all(yield func(*Conn) bool) {
	for i := range t.slots {
		if c := t.slots[i].conn; c != nil && !yield(c) {
			return
		}
	}
}

// each calls f for every connection. f may remove connections.
func (t *table) each(f func(*Conn)) {
	for _, e := range t.slots {
		if e.conn != nil {
			f(e.conn)
		}
	}
}
