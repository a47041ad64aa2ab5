package hostile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// attack is a row in one way of sending it, or something that takes more than one
// connection. Several may be made at the same time.
type attack struct {
	name string
	run  func(ctx context.Context, n *Node) error
}

// attacks are all that can be made on one node, which was started with SoakFlags.
func attacks() []attack {
	rows := slices.Concat(Handshakes(), Frames(), Slow(), Compressed(), Tokens(), Centrifuge())
	rows = slices.DeleteFunc(rows, func(r Row) bool { return r.Name == "does not answer pings" || r.Name == "urgent bytes" }) // they wait for an idle node, or a short ping
	var all []attack
	for i := range rows {
		for _, how := range rows[i].Hows() {
			all = append(all, attack{rows[i].Name + ", " + how.String(), func(ctx context.Context, n *Node) error { return rows[i].Run(ctx, n, how) }})
		}
	}
	return append(all,
		attack{"a hundred connections without a request", func(ctx context.Context, n *Node) error {
			return again(100, func(int) error { return visit(ctx, n, "", 0) })
		}},
		attack{"a hundred handshakes that are not waited for", func(ctx context.Context, n *Node) error {
			return again(100, func(int) error { return visit(ctx, n, Request("/ws?channel=crowd"), 0) })
		}},
		attack{"fifty wrong tokens", func(ctx context.Context, n *Node) error {
			return again(50, func(i int) error {
				wrong := forge(fmt.Sprint(unknown, i), ourHeader, claims("42", "9999999999"))
				return visit(ctx, n, Request("/ws?channel=a", "Authorization: Bearer "+wrong), 401)
			})
		}},
		attack{"fifty visits to as many channels", func(ctx context.Context, n *Node) error {
			return again(50, func(int) error { return visit(ctx, n, Request(fmt.Sprintf("/ws?channel=c%x", rand.Uint32())), 101) })
		}},
		attack{"subscribes to much and never reads", neverReads},
	)
}

func again(times int, do func(i int) error) error {
	for i := range times {
		if err := do(i); err != nil {
			return err
		}
	}
	return nil
}

// visit connects, says something, waits for a status if there is to be one, and
// leaves by RST, so that no port is kept for it.
func visit(ctx context.Context, n *Node, words string, status int) error {
	p, err := Dial(ctx, n.Public)
	if err != nil {
		return err
	}
	defer p.vanish()
	send(p, n.Preamble+words, Whole)
	if status == 0 {
		return nil
	}
	if got, rest, err := p.ReadResponse(); got != status {
		return fmt.Errorf("answered %d %q, want %d: %w", got, rest, status, err)
	}
	return nil
}

// vanish ends a connection by RST.
func (p *Peer) vanish() {
	_ = p.SetLinger(0) // it fails only where the connection has gone
	_ = p.Close()
}

// neverReads is published more than queue.max, of which it reads nothing until it
// is cut. Who has too much for longer than a second is cut when more comes.
func neverReads(ctx context.Context, n *Node) error {
	channel := fmt.Sprintf("much:%x", rand.Uint64())
	p, err := Open(ctx, n, "/ws?channel="+channel)
	if err != nil {
		return err
	}
	defer p.vanish()
	if err := p.SetReadBuffer(4096); err != nil {
		return err
	}
	much := strings.Repeat("x", 32<<10)
	if err := n.Publish(ctx, channel, slices.Repeat([]string{much}, 64)...); err != nil {
		return err
	}
	return Eventually(ctx, func() error {
		nodes, err := n.Do(ctx, []string{"PUBSUB", "NUMSUB", "sluice:" + channel})
		if err != nil || nodes == 0 {
			return err
		}
		select { // others need the broker, too
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		return errors.Join(errors.New("it is still subscribed"), n.Publish(ctx, channel, much))
	})
}
