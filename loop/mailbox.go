package loop

import "sync"

// mailbox carries events into one reactor: any goroutine puts, only the
// reactor takes. Order is kept per putting goroutine. gnet's own task queue
// could not serve: beyond 1,024 tasks it is no longer first in, first out.
type mailbox struct {
	maxCount, maxSize int // bounds of what offer accepts: events, bytes

	mu     sync.Mutex
	in     []any // guarded by mu
	size   int   // bytes of the events in in, as told to offer; guarded by mu
	closed bool  // guarded by mu

	arrivals []arrival // guarded by mu; of the bursts that what is in in belongs to, oldest first

	out []any // owned by the reactor: the last take's, reused
}

// put adds an event that must not be lost. The caller bounds how many of them
// there can be.
func (m *mailbox) put(event any) {
	m.mu.Lock()
	if !m.closed {
		m.in = append(m.in, event)
	}
	m.mu.Unlock()
}

// offer adds an event of size bytes unless the mailbox is full.
func (m *mailbox) offer(event any, size int) (ok bool) {
	m.mu.Lock()
	ok = len(m.in) < m.maxCount && size <= m.maxSize-m.size && !m.closed
	if ok {
		m.in = append(m.in, event)
		m.size += size
	}
	m.mu.Unlock()
	return ok
}

// take empties the mailbox, and appends when what it held had arrived. The events are
// valid until release.
func (m *mailbox) take(arrivals []arrival) ([]any, []arrival) {
	m.mu.Lock()
	m.out, m.in = m.in, m.out
	m.size = 0
	arrivals = append(arrivals, m.arrivals...)
	m.arrivals = m.arrivals[:0]
	m.mu.Unlock()
	return m.out, arrivals
}

// release forgets the events of the last take, so that what they refer to may
// go.
func (m *mailbox) release() {
	if cap(m.out) > maxIdleMailbox {
		m.out = nil
		return
	}
	clear(m.out)
	m.out = m.out[:0]
}

// depth is how many events wait. Any goroutine.
func (m *mailbox) depth() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.in)
}

// close drops what waits and whatever may come: the reactor has ended.
func (m *mailbox) close() {
	m.mu.Lock()
	m.in, m.size, m.closed = nil, 0, true
	m.mu.Unlock()
}

// maxIdleMailbox is the capacity, in events, that a mailbox keeps between
// bursts: 64 KiB of interface values.
const maxIdleMailbox = 4096
