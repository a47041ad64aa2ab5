package redisproc

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
)

// ports are those this program has handed out: none is handed out twice.
var ports = struct {
	sync.Mutex
	taken map[int]bool
}{taken: map[int]bool{}}

// FreePort chooses a port of loopback that nobody listens on, for a server of
// these tests that must be told one before it starts. It lies below those that the
// kernel gives to outgoing connections: one of these could take it while its
// server is down for a moment, a client that dials the dead server above all,
// which may even reach itself.
func FreePort() (int, error) {
	const low, high = 10000, 32768
	top := high
	var first, last int
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if _, err := fmt.Sscan(string(b), &first, &last); err == nil && first > low+1000 {
			top = min(high, first)
		}
	}
	ports.Lock()
	defer ports.Unlock()
	var err error
	for range 100 {
		port := low + rand.IntN(top-low)
		if ports.taken[port] {
			continue
		}
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close() // nothing was accepted; the port is what was wanted
			ports.taken[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("finding a free port between %d and %d: %w", low, top, err)
}
