package pubsub

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeCluster is a Redis Cluster as far as subscribe connections see it, for a
// synctest bubble. All slots belong to the server at home, but those of channels
// that are given to another server, or to none.
type fakeCluster struct {
	mu      sync.Mutex
	owner   map[string]string  // guarded by mu; by channel, with prefix; "": nobody has it
	conns   map[*fakeConn]bool // guarded by mu
	down    map[string]bool    // guarded by mu; servers that cannot be reached
	blind   bool               // guarded by mu; nobody says who has what
	stale   *found             // guarded by mu; what is said instead of the truth
	running sync.WaitGroup
}

const home = "a:1"

// fakeConn is the far end of one.
type fakeConn struct {
	net.Conn
	addr string
	subs map[string]bool // guarded by fakeCluster.mu
	out  chan string
}

// lag is how long a fake server takes to execute a command, and then to send
// something.
const lag = time.Millisecond

func newFakeCluster() *fakeCluster {
	return &fakeCluster{owner: map[string]string{}, conns: map[*fakeConn]bool{}, down: map[string]bool{}}
}

// options are for a broker that sees this Cluster.
func (c *fakeCluster) options() Options {
	return Options{URL: "redis+cluster://" + home, ProbeEvery: -1, fakes: fakes{dial: c.dial, look: c.look, reigns: func(string) bool { return false }}}
}

func (c *fakeCluster) dial(_ context.Context, addr string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down[addr] {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	conn := &fakeConn{Conn: far, addr: addr, subs: map[string]bool{}, out: make(chan string, 10_000)}
	c.conns[conn] = true
	c.running.Go(func() { c.read(conn) })
	c.running.Go(func() {
		for text := range conn.out {
			time.Sleep(lag)
			_, _ = conn.Write([]byte(text)) // who does not read has hung up
		}
	})
	return near, nil
}

// read executes what comes on a connection.
func (c *fakeCluster) read(conn *fakeConn) {
	in := bufio.NewReader(conn)
	for {
		command, err := readCommand(in)
		time.Sleep(lag)
		c.mu.Lock()
		if err != nil {
			conn.Close()
			delete(c.conns, conn)
			close(conn.out)
			c.mu.Unlock()
			return
		}
		conn.out <- c.execute(conn, command)
		c.mu.Unlock()
	}
}

// execute answers a command. c.mu is held.
func (c *fakeCluster) execute(conn *fakeConn, command []string) string {
	verb := command[0]
	if verb != "SSUBSCRIBE" && verb != "SUNSUBSCRIBE" {
		return polite(command)
	}
	name := command[1]
	switch c.at(name) {
	case "":
		return "-CLUSTERDOWN Hash slot not served\r\n"
	case conn.addr:
		delete(conn.subs, name)
		if verb == "SSUBSCRIBE" {
			conn.subs[name] = true
		}
		return confirmation(strings.ToLower(verb), name, len(conn.subs))
	}
	return fmt.Sprintf("-MOVED %d %s\r\n", keySlot(name), c.at(name))
}

// at is the server that has a channel. c.mu is held.
func (c *fakeCluster) at(name string) string {
	if addr, ok := c.owner[name]; ok {
		return addr
	}
	return home
}

// give gives a channel's slot to a server; "" is none.
func (c *fakeCluster) give(name, addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.at(name)
	c.owner[name] = addr
	for conn := range c.conns {
		if conn.addr == old && addr != old && conn.subs[name] {
			delete(conn.subs, name)
			conn.out <- confirmation("sunsubscribe", name, len(conn.subs))
		}
	}
}

// publish sends a message to those who hear a channel.
func (c *fakeCluster) publish(name, payload string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		if conn.addr == c.at(name) && conn.subs[name] {
			conn.out <- strings.Replace(message(name, payload), "$7\r\nmessage", "$8\r\nsmessage", 1)
		}
	}
}

// kill breaks all connections to a server.
func (c *fakeCluster) kill(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		if conn.addr == addr {
			conn.Close()
		}
	}
}

// has is the server that has a channel.
func (c *fakeCluster) has(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at(name)
}

// set changes how the Cluster is.
func (c *fakeCluster) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// truth is who has what. c.mu is held.
func (c *fakeCluster) truth() found {
	f := found{slots: new([slots]string)}
	addrs := map[string]bool{home: true}
	for slot := range f.slots {
		f.slots[slot] = home
	}
	for name, addr := range c.owner {
		f.slots[keySlot(name)] = addr
		if addr != "" {
			addrs[addr] = true
		}
	}
	f.addrs = slices.Sorted(maps.Keys(addrs))
	return f
}

func (c *fakeCluster) look(ctx context.Context) (found, error) {
	time.Sleep(lag)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.blind:
		return found{}, errors.New("nobody answers")
	case c.stale != nil:
		return *c.stale, nil
	}
	return c.truth(), nil
}

// run runs a broker on the Cluster until stop.
func (c *fakeCluster) run(t testing.TB, o Options, sink Sink) (b *Redis, stop func()) {
	t.Helper()
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, sink) }()
	return b, sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		c.running.Wait()
	})
}

// standing is the lanes in which each channel stands.
func (r *Redis) standing() map[string][]string {
	r.routes.RLock()
	defer r.routes.RUnlock()
	all := []*lane{r.limbo}
	for _, s := range append(slices.Clone(r.layout.servers), r.leaving...) {
		all = append(all, s.lanes...)
	}
	standing := map[string][]string{}
	for _, l := range all {
		for _, name := range l.wishes.names() {
			standing[name] = append(standing[name], l.name)
		}
	}
	return standing
}
