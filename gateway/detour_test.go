package main

import (
	"io"
	"net"
	"sync"
	"testing"
)

// detour is a way to nodes that can be cut and laid to another one, as a load balancer
// does when a node goes.
type detour struct {
	ln    net.Listener
	going sync.WaitGroup

	mu    sync.Mutex
	to    string     // guarded by mu
	conns []net.Conn // guarded by mu
}

func newDetour(t *testing.T, to net.Addr) *detour {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &detour{ln: ln, to: to.String()}
	d.going.Go(d.accept)
	t.Cleanup(func() {
		_ = ln.Close() // the test's own
		d.cut(to)
		d.going.Wait()
	})
	return d
}

func (d *detour) accept() {
	for {
		client, err := d.ln.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		node, err := net.Dial("tcp", d.to)
		if err != nil {
			_ = client.Close() // it tries again
			d.mu.Unlock()
			continue
		}
		d.conns = append(d.conns, client, node)
		d.mu.Unlock()
		for _, way := range [][2]net.Conn{{client, node}, {node, client}} {
			d.going.Go(func() {
				_, _ = io.Copy(way[0], way[1]) // it ends when either side does
				_ = way[0].Close()
				_ = way[1].Close()
			})
		}
	}
}

// cut ends all connections. Whoever comes back comes to another node.
func (d *detour) cut(to net.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = to.String()
	for _, c := range d.conns {
		_ = c.Close() // both ends
	}
	d.conns = nil
}
