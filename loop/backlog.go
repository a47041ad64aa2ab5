package loop

// backlog is the chunks of an outbox behind its first one. Most connections
// need none, and those that do need it for the length of a burst: so they
// borrow it from their reactor.
type backlog struct {
	chunks [][]byte
	head   int // of chunks, where the next one is; those before it are gone
}

func (b *backlog) len() int { return len(b.chunks) - b.head }

// next is the chunk that pop would take.
func (b *backlog) next() []byte { return b.chunks[b.head] }

// waiting are all chunks, in order.
func (b *backlog) waiting() [][]byte { return b.chunks[b.head:] }

func (b *backlog) push(chunk []byte) {
	if len(b.chunks) == cap(b.chunks) && b.head > len(b.chunks)/2 { // reuse the space before growing
		n := copy(b.chunks, b.chunks[b.head:])
		clear(b.chunks[n:])
		b.chunks, b.head = b.chunks[:n], 0
	}
	b.chunks = append(b.chunks, chunk)
}

func (b *backlog) pop() []byte {
	chunk := b.chunks[b.head]
	b.chunks[b.head] = nil
	b.head++
	return chunk
}

// backlogs lends backlogs. Owned by its reactor.
type backlogs struct {
	idle   []*backlog
	unused int // the fewest that were idle since the last trim
}

const (
	minBacklog  = 4       // chunks that a new backlog has room for
	maxBacklog  = 64      // chunks: a backlog that grew beyond is not kept
	maxBacklogs = 1 << 13 // kept idle: 12 MiB at most, and only between bursts that follow each other closely
)

// take lends a backlog.
func (s *backlogs) take() *backlog {
	n := len(s.idle) - 1
	if n < 0 {
		return &backlog{chunks: make([][]byte, 0, minBacklog)}
	}
	b := s.idle[n]
	s.idle[n] = nil
	s.idle = s.idle[:n]
	s.unused = min(s.unused, n)
	return b
}

// give takes an empty backlog back.
func (s *backlogs) give(b *backlog) {
	if cap(b.chunks) > maxBacklog || len(s.idle) >= maxBacklogs {
		return
	}
	b.chunks, b.head = b.chunks[:0], 0
	s.idle = append(s.idle, b)
}

// trim lets half of those go that nobody needed since the last trim.
func (s *backlogs) trim() {
	rest := len(s.idle) - (s.unused+1)/2
	clear(s.idle[rest:])
	s.idle = s.idle[:rest]
	s.unused = rest
}
