package session

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"sluice/loop"
)

// The table against a list of what it should hold.
func TestCallsAgainstAList(t *testing.T) {
	type expected struct {
		number uint64
		conn   loop.ConnID
		due    time.Time
	}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		var counters CallCounters
		table := newCalls(&counters)
		var want []expected // oldest first
		now := time.Unix(0, 0)
		for step := range 2000 {
			now = now.Add(time.Duration(random.IntN(10)))
			conn := loop.ConnID(random.IntN(5))
			switch random.IntN(4) {
			case 0, 1:
				due := now.Add(100)
				want = append(want, expected{table.add(conn, due, nil), conn, due})
			case 2:
				if len(want) == 0 {
					continue
				}
				i := random.IntN(len(want))
				e := want[i]
				if k := table.take(e.number, e.conn+1); k != nil {
					t.Fatalf("seed %d, step %d: a stranger's answer took call %d", seed, step, e.number)
				}
				if k := table.take(e.number, e.conn); k == nil || k.number != e.number {
					t.Fatalf("seed %d, step %d: call %d is not there", seed, step, e.number)
				}
				if k := table.take(e.number, e.conn); k != nil {
					t.Fatalf("seed %d, step %d: call %d was answered twice", seed, step, e.number)
				}
				want = slices.Delete(want, i, i+1)
			case 3:
				if random.IntN(20) == 0 {
					table.forget(conn)
					want = slices.DeleteFunc(want, func(e expected) bool { return e.conn == conn })
				}
			}
			for k := table.expired(now); k != nil; k = table.expired(now) {
				if len(want) == 0 || want[0].number != k.number || want[0].due.After(now) {
					t.Fatalf("seed %d, step %d: call %d has expired, of %v", seed, step, k.number, want)
				}
				want = want[1:]
			}
			if len(want) > 0 && !want[0].due.After(now) {
				t.Fatalf("seed %d, step %d: call %d has not expired", seed, step, want[0].number)
			}
			for conn := range loop.ConnID(5) {
				n := 0
				for _, e := range want {
					if e.conn == conn {
						n++
					}
				}
				if got := table.waiting(conn); got != n {
					t.Fatalf("seed %d, step %d: %d calls of connection %d wait, want %d", seed, step, got, conn, n)
				}
			}
			if got := counters.Pending.Load(); got != int64(len(want)) || len(table.open) != len(want) {
				t.Fatalf("seed %d, step %d: %d calls are counted, %d in the table, want %d", seed, step, got, len(table.open), len(want))
			}
		}
		for conn := range loop.ConnID(5) {
			table.forget(conn)
		}
		if table.old != nil || table.young != nil || len(table.conns) != 0 || counters.Pending.Load() != 0 {
			t.Errorf("seed %d: something stays in the table: %+v", seed, table)
		}
	}
}
