package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Rule is what happens to bytes that go in one direction. The zero value passes
// them.
type Rule struct {
	Hold    bool          // nothing is passed on
	Delay   time.Duration // each byte comes this much later; throughput does not suffer
	Corrupt int           // one bit is turned in every Corrupt-th byte; 0: none
}

// Rules are for both directions.
type Rules struct {
	Up   Rule // client to server
	Down Rule // server to client
}

// Both is the same rule for both directions.
func Both(r Rule) Rules { return Rules{r, r} }

// How says how a connection ends.
type How uint8

const (
	Finish How = iota // FIN, as a process that closes it
	Reset             // RST, as a machine that knows nothing of it
)

// Stats count since the start.
type Stats struct {
	Accepted  int64 // connections
	Refused   int64 // of these, the server could not be reached
	Open      int64 // now
	Up, Down  int64 // bytes passed on
	Corrupted int64 // bytes
	Cut       int64 // connections, by Cut
}

// Proxy passes connections on to one server. Its methods may be called from any
// goroutine.
type Proxy struct {
	Addr string // for clients

	target string
	listen net.Listener
	ctx    context.Context // ends with Close
	stop   context.CancelFunc
	all    sync.WaitGroup // every goroutine of the proxy

	accepted, refused, up, down, corrupted, cut atomic.Int64

	mu      sync.Mutex
	rules   Rules              // guarded by mu
	changed chan struct{}      // guarded by mu; closed when rules are no longer so
	links   map[*link]struct{} // guarded by mu
}

// Start listens on a free port of loopback for what goes to target. Close must
// be called.
func Start(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting a proxy for %s: %w", target, err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, listen: l, changed: make(chan struct{}), links: map[*link]struct{}{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.all.Go(p.accept)
	return p, nil
}

func (p *Proxy) accept() {
	for {
		c, err := p.listen.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no files for the moment
			if !p.sleep(10 * time.Millisecond) {
				return
			}
			continue
		}
		p.accepted.Add(1)
		l := &link{p: p, client: c.(*net.TCPConn)} // what listening on "tcp" gives
		l.ctx, l.stop = context.WithCancel(p.ctx)
		p.mu.Lock()
		p.links[l] = struct{}{}
		p.mu.Unlock()
		p.all.Go(l.run)
	}
}

// sleep is false when the proxy was closed meanwhile.
func (p *Proxy) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-p.ctx.Done():
		return false
	}
}

// Set makes rules hold from now on, for what has not been passed on yet.
func (p *Proxy) Set(r Rules) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = r
	close(p.changed)
	p.changed = make(chan struct{})
}

// now are the rules, and what is closed once they change.
func (p *Proxy) now() (Rules, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rules, p.changed
}

// Cut ends every connection that there is, on both sides, and says how many they
// were. What was held back in them is lost.
func (p *Proxy) Cut(how How) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut.Add(int64(len(p.links))) // before anybody hears of it
	for l := range p.links {
		l.end(how)
	}
	return len(p.links)
}

// Stats are the counts.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	open := len(p.links)
	p.mu.Unlock()
	return Stats{Accepted: p.accepted.Load(), Refused: p.refused.Load(), Open: int64(open), Up: p.up.Load(), Down: p.down.Load(),
		Corrupted: p.corrupted.Load(), Cut: p.cut.Load()}
}

// Close ends the proxy and its connections, and waits for both.
func (p *Proxy) Close() error {
	err := p.listen.Close()
	p.stop()
	p.all.Wait()
	return err
}
