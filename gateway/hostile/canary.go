package hostile

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// Canary is a well-behaved client of /echo that is asked now and then whether it
// is still served.
type Canary struct {
	p      *Peer
	writes sync.Mutex // held for a write
	texts  chan string
	ended  chan struct{} // closed when the reader has ended
	err    error         // why; read after ended
	count  int
}

// NewCanary connects a canary. Close must be called.
func NewCanary(ctx context.Context, n *Node) (*Canary, error) {
	p, err := Open(ctx, n, "/echo")
	if err != nil {
		return nil, err
	}
	if err := p.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	c := &Canary{p: p, texts: make(chan string, 16), ended: make(chan struct{})}
	go c.read()
	return c, nil
}

// read answers pings and hands messages on until the connection ends.
func (c *Canary) read() {
	defer close(c.ended)
	for {
		op, payload, err := c.p.ReadFrame()
		if err != nil {
			c.err = err
			return
		}
		switch op {
		case opPing:
			c.err = c.write(Frame(0x80|opPong, string(payload)))
		case opClose:
			c.err = fmt.Errorf("the node closed it: %s %q", describe(op, payload), payload[min(2, len(payload)):])
		default:
			select {
			case c.texts <- string(payload):
			default:
				c.err = fmt.Errorf("messages that nobody asked for: %q", payload)
			}
		}
		if c.err != nil {
			return
		}
	}
}

func (c *Canary) write(frame string) error {
	c.writes.Lock()
	defer c.writes.Unlock()
	_, err := io.WriteString(c.p, frame)
	return err
}

// Beat asks for an echo and says how long that took.
func (c *Canary) Beat(ctx context.Context) (time.Duration, error) {
	c.count++
	text := fmt.Sprintf("canary %d", c.count)
	began := time.Now()
	if err := c.write(Frame(0x81, text)); err != nil {
		return 0, fmt.Errorf("the canary is gone: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	select {
	case got := <-c.texts:
		if got != text {
			return 0, fmt.Errorf("the canary got %q, want %q", got, text)
		}
		return time.Since(began), nil
	case <-c.ended:
		return 0, fmt.Errorf("the canary is gone: %w", c.err)
	case <-ctx.Done():
		return 0, fmt.Errorf("the canary got no answer: %w", ctx.Err())
	}
}

// Close ends it.
func (c *Canary) Close() {
	_ = c.p.Close() // a peer has nothing to lose
	<-c.ended
}
