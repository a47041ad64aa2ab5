package peer

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"unsafe"
)

func TestCounterCountsClients(t *testing.T) {
	tests := []struct {
		name string
		a, b string
		same bool
	}{
		{"IPv4 address", "192.0.2.7", "192.0.2.7", true},
		{"IPv4 neighbours", "192.0.2.7", "192.0.2.8", false},
		{"IPv4 and the same mapped", "192.0.2.7", "::ffff:192.0.2.7", true},
		{"IPv6 /64", "2001:db8::7", "2001:db8::ffff:0:0:7", true},
		{"IPv6 neighbours", "2001:db8::7", "2001:db8:0:1::7", false},
		{"IPv4 and the /64 of the same number", "0.0.0.1", "0:0:0:1::", false},
		{"zone", "fe80::1%eth0", "fe80::2", true},
	}
	for _, tt := range tests {
		var c Counter
		a, b := netip.MustParseAddr(tt.a), netip.MustParseAddr(tt.b)
		want := 1
		if tt.same {
			want = 2
		}
		if first, second := c.Add(a), c.Add(b); first != 1 || second != want {
			t.Errorf("%s: %d, then %d, want 1, then %d", tt.name, first, second, want)
		}
		if clients := c.Clients(); clients != 3-want {
			t.Errorf("%s: %d clients", tt.name, clients)
		}
		c.Done(a)
		if n := c.Count(b); n != 1 {
			t.Errorf("%s: %d left after one is done", tt.name, n)
		}
		c.Done(b)
		if a, b, clients := c.Count(a), c.Count(b), c.Clients(); a != 0 || b != 0 || clients != 0 {
			t.Errorf("%s: %d and %d of %d clients left", tt.name, a, b, clients)
		}
	}
}

func TestCounterDoneWithoutAdd(t *testing.T) {
	var c Counter
	addr := netip.MustParseAddr("192.0.2.7")
	c.Done(addr)
	if n := c.Add(addr); n != 1 {
		t.Errorf("%d connections after one", n)
	}
	c.Done(addr)
	c.Done(addr)
	c.Done(netip.Addr{})
	if n, clients := c.Count(addr), c.Clients(); n != 0 || clients != 0 {
		t.Errorf("%d connections, %d clients left", n, clients)
	}
}

// Many goroutines on few addresses: no connection is lost, none is counted twice, and at the end nothing is left.
func TestCounterFromManyGoroutines(t *testing.T) {
	const goroutines, rounds, addresses = 8, 2000, 5
	var c Counter
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range rounds {
				addr := netip.AddrFrom4([4]byte{192, 0, 2, byte((g + i) % addresses)})
				if n := c.Add(addr); n < 1 || n > goroutines {
					t.Errorf("%d connections from %s", n, addr)
				}
				c.Done(addr)
			}
			c.Add(netip.AddrFrom4([4]byte{192, 0, 2, byte(g % addresses)}))
		})
	}
	all.Wait()
	left := 0
	for a := range addresses {
		left += c.Count(netip.AddrFrom4([4]byte{192, 0, 2, byte(a)}))
	}
	if left != goroutines || c.Clients() != addresses {
		t.Errorf("%d connections of %d clients, want %d of %d", left, c.Clients(), goroutines, addresses)
	}
	for g := range goroutines {
		c.Done(netip.AddrFrom4([4]byte{192, 0, 2, byte(g % addresses)}))
	}
	if c.Clients() != 0 {
		t.Errorf("%d clients left", c.Clients())
	}
}

// After a burst of clients the maps are small again, and what stayed is still counted.
func TestCounterShrinks(t *testing.T) {
	var c Counter
	const clients, stay = 1 << 16, 1 << 10
	addr := func(i int) netip.Addr {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(i))))
	}
	for i := range clients {
		c.Add(addr(i))
	}
	for i := stay; i < clients; i++ {
		c.Done(addr(i))
	}
	peak := 0
	for i := range c.shards {
		peak += c.shards[i].peak
	}
	if most := max(4*stay, minPeak*len(c.shards)); peak > most {
		t.Errorf("maps of %d clients kept for %d, at most %d may be", peak, stay, most)
	}
	for i := range stay {
		if n := c.Count(addr(i)); n != 1 {
			t.Fatalf("%d connections from %s", n, addr(i))
		}
	}
	if c.Clients() != stay {
		t.Errorf("%d clients, want %d", c.Clients(), stay)
	}
}

func TestCounterShardIsOneCacheLine(t *testing.T) {
	if size := unsafe.Sizeof(shard{}); size != 64 {
		t.Errorf("a shard takes %d bytes, not 64", size)
	}
}

func TestCounterAllocatesNothingForKnownClients(t *testing.T) {
	var c Counter
	addr := netip.MustParseAddr("192.0.2.7")
	c.Add(addr)
	if allocs := testing.AllocsPerRun(100, func() { c.Add(addr); c.Done(addr) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// BenchmarkCounter adds and takes back one connection while that many other clients are connected.
func BenchmarkCounter(b *testing.B) {
	for name, others := range map[string]int{"empty": 0, "100k": 100_000} {
		b.Run(name, func(b *testing.B) {
			var c Counter
			for i := range others {
				c.Add(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(i)))))
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := uint32(0); pb.Next(); i++ {
					addr := netip.AddrFrom4([4]byte{192, byte(i >> 16), byte(i >> 8), byte(i)})
					c.Add(addr)
					c.Done(addr)
				}
			})
		})
	}
}
