package loop

import "sync"

// mailbox carries events into one reactor: any goroutine puts, only the
// reactor takes. Order is kept per putting goroutine. gnet's own task queue
// could not serve: beyond 1,024 tasks it is no longer first in, first out.
type mailbox struct {
	maxCount, maxSize int // bounds of what offer accepts: events, bytes

	mu   sync.Mutex
	in   []any // guarded by mu
	size int   // bytes of the events in in, as told to offer; guarded by mu

	out []any // owned by the reactor: the slice of the last take, reused
}

// put adds an event that must not be lost. The caller bounds how many of them
// there can be.
func (m *mailbox) put(event any) {
	m.mu.Lock()
	m.in = append(m.in, event)
	m.mu.Unlock()
}

// offer adds an event of size bytes unless the mailbox is full.
func (m *mailbox) offer(event any, size int) (ok bool) {
	m.mu.Lock()
	ok = len(m.in) < m.maxCount && m.size+size <= m.maxSize
	if ok {
		m.in = append(m.in, event)
		m.size += size
	}
	m.mu.Unlock()
	return ok
}

// take empties the mailbox. The result is valid until the next take.
func (m *mailbox) take() []any {
	clear(m.out) // what the events refer to may go now
	next := m.out[:0]
	if cap(next) > maxIdleMailbox {
		next = nil
	}
	m.mu.Lock()
	m.out, m.in = m.in, next
	m.size = 0
	m.mu.Unlock()
	return m.out
}

// depth is how many events wait. Any goroutine.
func (m *mailbox) depth() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.in)
}

// maxIdleMailbox is the capacity, in events, that a mailbox keeps between
// bursts: 64 KiB of interface values.
const maxIdleMailbox = 4096
