package main

import (
	"io"
	"net"
	"sync"
)

// front stands in for a load balancer: it hands each connection to the node that has the fewest of it, and is not leaving.
type front struct {
	address  string // host:port
	nodes    []*node
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	open  map[net.Conn]bool // guarded by mu
	ended bool              // guarded by mu
}

func newFront(nodes []*node) (*front, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &front{address: l.Addr().String(), nodes: nodes, listener: l, open: map[net.Conn]bool{}}
	f.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // it was closed
			}
			f.running.Go(func() { f.serve(c) })
		}
	})
	return f, nil
}

func (f *front) serve(client net.Conn) {
	defer client.Close()
	var to *node
	for _, n := range f.nodes {
		if !n.leaving.Load() && (to == nil || n.connections.Load() < to.connections.Load()) {
			to = n
		}
	}
	if to == nil {
		return
	}
	to.connections.Add(1)
	defer to.connections.Add(-1)
	node, err := net.Dial("tcp", to.public)
	if err != nil {
		return // the client comes back
	}
	defer node.Close()
	if !f.keep(client, node) {
		return
	}
	defer f.forget(client, node)
	done := make(chan struct{})
	go func() { // ends with the connection
		_, _ = io.Copy(node, client) // either way it has ended
		node.Close()
		close(done)
	}()
	_, _ = io.Copy(client, node) // as above
	client.Close()
	<-done
}

// keep remembers connections for close; false: it has been called.
func (f *front) keep(conns ...net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range conns {
		f.open[c] = true
	}
	return !f.ended
}

func (f *front) forget(conns ...net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range conns {
		delete(f.open, c)
	}
}

func (f *front) close() {
	f.listener.Close()
	f.mu.Lock()
	f.ended = true
	for c := range f.open {
		c.Close()
	}
	f.mu.Unlock()
	f.running.Wait()
}
