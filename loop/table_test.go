package loop

import (
	"testing"

	"pgregory.net/rapid"
)

func TestConnID(t *testing.T) {
	for _, row := range []struct {
		generation    uint32
		reactor, slot int
	}{{0, 0, 0}, {1, 2, 3}, {1<<32 - 1, maxReactors - 1, maxSlots - 1}} {
		id := makeID(row.generation, row.reactor, row.slot)
		if id.generation() != row.generation || id.Reactor() != row.reactor || id.slot() != row.slot {
			t.Errorf("%v became %x", row, id)
		}
	}
}

// An identity never means another connection, however often slots are reused.
func TestTableModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table table
		live := map[ConnID]*Conn{}
		var ids []ConnID
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				c := &Conn{}
				id := table.add(c, 5)
				if _, again := live[id]; again || id.Reactor() != 5 {
					t.Fatalf("identity %x", id)
				}
				live[id] = c
				ids = append(ids, id)
			},
			"remove": func(t *rapid.T) {
				for id := range live {
					table.remove(id)
					delete(live, id)
					break
				}
			},
			"": func(t *rapid.T) {
				for _, id := range ids {
					if got := table.get(id); got != live[id] {
						t.Fatalf("%x is %p, want %p", id, got, live[id])
					}
				}
				n := 0
				table.each(func(*Conn) { n++ })
				if n != len(live) {
					t.Fatalf("%d connections, want %d", n, len(live))
				}
			},
		})
	})
}

func TestConnOfAnotherReactor(t *testing.T) {
	n := start(t, Options{}, &script{})
	dialOpen(t, n.addr, 0)
	until(t, "the connection", func() bool { return n.Stats().Upgraded == 1 })
	n.on(func(r *Reactor) {
		r.conns.each(func(c *Conn) {
			if r.Conn(c.ID()) != c {
				t.Error("not found")
			}
			for _, id := range []ConnID{0, c.ID() + 1, c.ID() | 1<<slotBits, c.ID() + 1<<32, 1<<64 - 1} {
				if r.Conn(id) != nil {
					t.Errorf("%x found by %x", c.ID(), id)
				}
			}
			if c.Reactor() != r || !c.Remote().Addr().Is4() || !c.Remote().Addr().IsLoopback() {
				t.Errorf("reactor %v, peer %s", c.Reactor(), c.Remote())
			}
		})
	})
}
