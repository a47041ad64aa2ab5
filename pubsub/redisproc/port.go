package redisproc

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
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
// which may even reach itself. It is this program's until it ends: no other one
// that chooses its ports here, a test of another package, gets it meanwhile.
func FreePort() (int, error) { return FreePorts(1) }

// FreePorts is FreePort for n ports in a row. It returns the first of them.
func FreePorts(n int) (int, error) {
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
		first := low + rand.IntN(top-low-n)
		if err = take(first, n); err == nil {
			return first, nil
		}
	}
	return 0, fmt.Errorf("finding %d free ports between %d and %d: %w", n, low, top, err)
}

// take makes n ports from first on this program's, or none of them. ports is
// locked.
func take(first, n int) (err error) {
	var claims []claim
	for port := first; port < first+n && err == nil; port++ {
		var c claim
		if c, err = newClaim(port); err == nil {
			claims = append(claims, c)
		}
	}
	if err != nil {
		for _, c := range claims {
			c.giveUp()
		}
		return err
	}
	for port := first; port < first+n; port++ {
		ports.taken[port] = true
	}
	return nil
}

// claim is the word of this program, for others like it, that a port is its own: a
// name that the kernel gives to one socket at a time, and that goes with the
// program, however that ends.
type claim int

// newClaim claims a port on which nobody listens.
func newClaim(port int) (claim, error) {
	if ports.taken[port] {
		return 0, fmt.Errorf("port %d is taken", port)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("claiming port %d: %w", port, err)
	}
	c := claim(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: fmt.Sprintf("@sluice port %d", port)}); err != nil {
		c.giveUp()
		return 0, fmt.Errorf("claiming port %d: %w", port, err)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		c.giveUp()
		return 0, err
	}
	l.Close() // nothing was accepted; the port is what was wanted
	return c, nil
}

func (c claim) giveUp() { _ = syscall.Close(int(c)) } // a socket that nobody has used
