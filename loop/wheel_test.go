package loop

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The wheel against a list of deadlines: what expires, and when, also after
// standing still.
func TestWheelModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w wheel
		w.now = rapid.Uint32().Draw(t, "epoch") // also near the wrap-around
		w.turned = w.now
		conns := make([]*Conn, 12)
		index := map[*Conn]int{}
		for i := range conns {
			conns[i] = &Conn{}
			index[conns[i]] = i
		}
		left := map[int]uint32{} // deadlines, in ticks from now
		rapidly := rapid.IntRange(0, len(conns)-1)
		due := rapid.OneOf(rapid.Uint32Range(1, 5), rapid.Uint32Range(1, 3*wheelSlots))
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				i, d := rapidly.Draw(t, "conn"), due.Draw(t, "due")
				w.set(conns[i], w.now+d)
				left[i] = d
			},
			"drop": func(t *rapid.T) {
				i := rapidly.Draw(t, "conn")
				w.drop(conns[i])
				delete(left, i)
			},
			"turn": func(t *rapid.T) {
				by := rapid.OneOf(rapid.Uint32Range(0, 3), rapid.Uint32Range(0, 5*wheelSlots)).Draw(t, "by")
				again := rapid.Uint32Range(0, 4).Draw(t, "again")
				var want []int
				for i, d := range left {
					if d <= by {
						want = append(want, i)
						delete(left, i)
					} else {
						left[i] = d - by
					}
				}
				var got []int
				now := w.now + by
				w.turn(now, func(c *Conn) {
					i := index[c]
					if slices.Contains(got, i) {
						t.Fatalf("%d expired twice in a turn", i)
					}
					got = append(got, i)
					if again > 0 { // a deadline set in the turn counts from its end
						w.set(c, w.now+again)
						left[i] = again
					}
				})
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("turned by %d: expired %v, want %v", by, got, want)
				}
			},
			"": func(t *rapid.T) {
				armed := map[int]uint32{}
				for slot, c := range w.slots {
					var prev *Conn
					for ; c != nil; prev, c = c, c.timer.next {
						if c.timer.prev != prev || !c.timer.armed || int(c.timer.due%wheelSlots) != slot {
							t.Fatalf("slot %d is badly linked", slot)
						}
						armed[index[c]] = c.timer.due - w.now
					}
				}
				if !maps.Equal(armed, left) {
					t.Fatalf("armed %v, want %v", armed, left)
				}
			},
		})
	})
}
