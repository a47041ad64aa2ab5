package peer

import (
	"encoding/binary"
	"hash/maphash"
	"maps"
	"net/netip"
	"sync"
)

// Counter counts the connections of each client. A client is an IPv4 address or an IPv6 /64, the least that a subscriber is given: one host
// has all of its 2⁶⁴ addresses. The zero value is ready. Its memory is bounded by the clients that are connected.
type Counter struct {
	shards [64]shard
}

// shard is the part of the clients that one lock guards, on a cache line of its own.
type shard struct {
	mu     sync.Mutex
	counts map[network]int32 // never zero
	peak   int               // most clients since counts was made: maps only grow
	_      [40]byte
}

// network is a client as a map key without pointers, which the garbage collector need not look into.
type network struct {
	bits uint64 // an IPv4 address, or the first half of one of IPv6
	v4   bool
}

// seed keeps clients from choosing addresses that meet in one shard.
var seed = maphash.MakeSeed()

// minPeak is how many clients a shard must have had for its map to be worth replacing by a smaller one.
const minPeak = 128

func networkOf(addr netip.Addr) network {
	if addr = addr.Unmap(); addr.Is4() {
		b := addr.As4()
		return network{uint64(binary.BigEndian.Uint32(b[:])), true}
	}
	b := addr.As16()
	return network{binary.BigEndian.Uint64(b[:8]), false}
}

func (c *Counter) shard(client network) *shard {
	return &c.shards[maphash.Comparable(seed, client)%uint64(len(c.shards))]
}

// Add counts a connection from addr and returns how many its client now has, this one with them. Each Add has its Done, also of a
// connection that is refused for being too many. Any goroutine may call.
func (c *Counter) Add(addr netip.Addr) (n int) {
	client := networkOf(addr)
	s := c.shard(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = map[network]int32{}
	}
	count := s.counts[client] + 1
	s.counts[client] = count
	s.peak = max(s.peak, len(s.counts))
	return int(count)
}

// Done takes back one Add of addr; without one it changes nothing. A client without connections is forgotten. Any goroutine may call.
func (c *Counter) Done(addr netip.Addr) {
	client := networkOf(addr)
	s := c.shard(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	if count := s.counts[client]; count > 1 {
		s.counts[client] = count - 1
		return
	}
	delete(s.counts, client)
	if s.peak > minPeak && len(s.counts) < s.peak/4 {
		s.shrink()
	}
}

// shrink replaces the map by one of the size that is needed, so that a burst of clients is not paid for ever after. It copies fewer
// clients than have left since the last time.
func (s *shard) shrink() {
	smaller := make(map[network]int32, len(s.counts))
	maps.Copy(smaller, s.counts)
	s.counts, s.peak = smaller, len(smaller)
}

// Count is how many connections the client of addr has. Any goroutine may call.
func (c *Counter) Count(addr netip.Addr) int {
	client := networkOf(addr)
	s := c.shard(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.counts[client])
}

// Clients is how many clients have connections, for a metric. Shards are counted one after the other. Any goroutine may call.
func (c *Counter) Clients() int {
	clients := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		clients += len(s.counts)
		s.mu.Unlock()
	}
	return clients
}
