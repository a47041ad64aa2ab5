package loop

import (
	"testing"

	"pgregory.net/rapid"
)

// Whoever is in line has one turn, in the order they came, whatever comes between;
// the next station is never further than it may be; and the line takes the memory
// of those who wait, not of all who ever did.
func TestRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q round
		var line []*Conn // what q must be
		served, since, most := 0, 0, 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "add") {
				for range rapid.IntRange(1, 5*sliceLength).Draw(t, "many") {
					c := new(Conn)
					line = append(line, c)
					q.add(c)
				}
				most = max(most, len(line))
			}
			if q.stops() {
				q.leave()
				since, most = 0, len(line)
				if len(line) > 0 && q.stops() {
					t.Fatalf("a station that is none, %d wait", len(line))
				}
			} else if since > max(sliceLength, most/stations) {
				t.Fatalf("%d served since the last station, of %d", since, most)
			}
			for range min(len(line), rapid.IntRange(0, 2*sliceLength).Draw(t, "serve")) {
				if got := q.next(); got != line[0] {
					t.Fatalf("not the first in line, after %d served", served)
				}
				line = line[1:]
				served++
				since++
				if q.stops() {
					break
				}
			}
			if q.len() != len(line) || q.served != int64(served) || q.end() != int64(served+len(line)) {
				t.Fatalf("%d wait, %d served, the end is %d; want %d, %d, %d", q.len(), q.served, q.end(), len(line), served, served+len(line))
			}
			if spare := len(q.conns) - len(line); spare > max(sliceLength, len(line)) {
				t.Fatalf("%d places for %d in line", len(q.conns), len(line))
			}
		}
	})
}

// A line that never gets empty does not grow, and comes to a station all the same.
func TestRoundWithoutEnd(t *testing.T) {
	var q round
	for range 3 * sliceLength {
		q.add(new(Conn))
	}
	visits := 0
	for range 100 {
		if q.stops() {
			visits++
			q.leave()
		}
		for range sliceLength {
			q.next()
			q.add(new(Conn))
		}
	}
	if cap(q.conns) > 16*sliceLength {
		t.Errorf("room for %d", cap(q.conns))
	}
	if visits != 100 {
		t.Errorf("events were handed on %d times in 100 slices", visits)
	}
}
