package loop

// round is the connections that wait to be flushed, first come, first served. It
// belongs to its reactor.
//
// What is written to a connection that waits already goes out with the rest, when
// its turn comes. So it pays to hand new events on before all have had theirs: those
// still to come take the new messages along, and only those who have been are put
// in line again. A message then waits for one way round at most, where it would
// wait for two if nothing were handed on before the end. But each time has its
// price for every connection that is written to, which is why it is done at
// stations, of which there are few.
type round struct {
	conns   []*Conn // the first `passed` of them have had their turn
	passed  int
	served  int64 // connections, since the start
	station int64 // of served: where events are handed on again
}

const (
	stations    = 8   // on the way round
	sliceLength = 256 // connections flushed in a turn: about 2 ms of system calls
)

// add puts c, which is not in line, at the end.
func (q *round) add(c *Conn) { q.conns = append(q.conns, c) }

// len is how many wait.
func (q *round) len() int { return len(q.conns) - q.passed }

// end is what served will be when all have been that wait now.
func (q *round) end() int64 { return q.served + int64(q.len()) }

// next takes the first of those that wait: there must be one.
func (q *round) next() *Conn {
	c := q.conns[q.passed]
	q.conns[q.passed] = nil
	q.passed++
	q.served++
	switch {
	case q.passed == len(q.conns):
		q.conns, q.passed = q.conns[:0], 0
	case q.passed >= sliceLength && q.passed >= len(q.conns)/2: // or a line that never gets empty would grow without end
		rest := copy(q.conns, q.conns[q.passed:])
		clear(q.conns[rest:])
		q.conns, q.passed = q.conns[:rest], 0
	}
	return c
}

// stops reports whether events may be handed on here.
func (q *round) stops() bool { return q.served >= q.station }

// leave sets the next station, once events have been handed on.
func (q *round) leave() {
	q.station = q.served + int64(min(q.len(), max(sliceLength, q.len()/stations)))
}
