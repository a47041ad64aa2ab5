package hostile

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Impatient are the settings that Slow is written for: what takes long takes two
// seconds, and an answer to a ping three. A machine that is busy may need most of that
// for clients who are not slow at all.
var Impatient = []string{
	"--handshake-timeout", "2s", "--message-timeout", "2s", "--ping-interval", "4s", "--ping-timeout", "3s", "--close-timeout", "1s",
}

// Slow are clients that are slow or silent, on a node that is Impatient.
func Slow() []Row {
	late := Row{Want: "408"}
	rows := []Row{
		late.with("never sends anything", silence),
		late.with("a byte of its request now and then", drip(swap(), 60*time.Millisecond)),
		late.with("all of its request but the last byte", say(swap()[:len(swap())-1])),
		{Name: "leaves before its request is complete", Play: then(say(swap()[:20]), hangUp), Want: "gone", Reason: nothing},
		{Name: "resets before its request is complete", Play: then(say(swap()[:20]), reset), Want: "gone", Reason: nothing},
	}
	for _, r := range []Row{
		{Name: "the header of a frame, not whole", Play: say(Bytes("82 FF 00 00 00")), Want: "…, close 1008"},
		{Name: "a frame that never ends", Play: say(Bytes("81 FE 1000 00000000 'the beginning'")), Want: "…, close 1008"},
		{Name: "a message without FIN", Play: say(Frame(0x01, "the beginning")), Want: "…, close 1008"},
		{Name: "a fragment now and then", Play: drip(Frame(0x01, "a")+strings.Repeat(Frame(0x00, "b"), 100), 5*time.Millisecond), Want: "…, close 1008"},
		{Name: "does not answer pings", Play: silence, Want: "ping , gone"},
		{Name: "leaves without a close frame", Play: then(say(Frame(0x81, "hello")), hangUp), Want: "…, gone"},
		{Name: "leaves in the middle of a frame", Play: then(say(Bytes("81 FE 1000 00000000 'the'")), hangUp), Want: "gone"},
		{Name: "resets in the middle of a frame", Play: then(say(Bytes("81 FE 1000 00000000 'the'")), reset), Want: "gone"},
		{Name: "breaks the protocol, does not leave", Play: say(Bytes("FF")), Want: "close 1002"},
		{Name: "breaks the protocol, sends on for ever", Play: sendOn(Bytes("FF")), Want: "close 1002"},
		{Name: "closes, sends on for ever", Play: sendOn(CloseFrame(1000, "")), Want: "close 1000"},
		{Name: "urgent bytes", Play: urgent, Want: "…, gone"},
	} {
		r.Path = "/echo"
		rows = append(rows, r)
	}
	return rows
}

func (r Row) with(name string, play Play) Row {
	r.Name, r.Play = name, play
	return r
}

func silence(context.Context, *Node, *Peer) error { return nil }

// say writes at once and reports nothing: what went wrong shows in the answer.
func say(bytes string) Play {
	return func(_ context.Context, _ *Node, p *Peer) error {
		send(p, bytes, Whole)
		return nil
	}
}

// drip writes a byte at a time, with pauses.
func drip(bytes string, pause time.Duration) Play {
	return func(ctx context.Context, _ *Node, p *Peer) error {
		for _, b := range []byte(bytes) {
			if _, err := p.Write([]byte{b}); err != nil {
				return nil // the node has lost patience, which is what is wanted
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
			}
		}
		return nil
	}
}

func then(plays ...Play) Play {
	return func(ctx context.Context, n *Node, p *Peer) error {
		for _, play := range plays {
			if err := play(ctx, n, p); err != nil {
				return err
			}
		}
		return nil
	}
}

// hangUp shuts the sending side down and goes on reading, which to the node looks
// like the end of the client's process.
func hangUp(_ context.Context, _ *Node, p *Peer) error { return p.CloseWrite() }

// reset ends the connection with RST.
func reset(_ context.Context, _ *Node, p *Peer) error {
	if err := p.SetLinger(0); err != nil {
		return err
	}
	return p.Close()
}

// sendOn writes bytes and then whatever, until the node has had enough.
func sendOn(bytes string) Play {
	return func(ctx context.Context, _ *Node, p *Peer) error {
		send(p, bytes, Whole)
		junk := []byte(strings.Repeat("junk", 1<<10))
		for ctx.Err() == nil {
			if _, err := p.Write(junk); err != nil {
				if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
					return errors.New("the node takes bytes for ever")
				}
				return nil
			}
		}
		return ctx.Err()
	}
}

// urgent sends TCP urgent data, which an event loop may not read and may not
// stumble over for ever.
func urgent(ctx context.Context, n *Node, p *Peer) error {
	raw, err := p.SyscallConn()
	if err != nil {
		return err
	}
	for range 10 {
		var failed error
		if err := raw.Control(func(fd uintptr) { failed = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) }); err != nil {
			return err
		}
		if failed != nil {
			return fmt.Errorf("sending urgent data: %w", failed)
		}
	}
	if err := idle(ctx, n); err != nil {
		return err
	}
	return p.CloseWrite()
}

// idle checks that the node does not spin. It is looked at several times: others
// use its processors, too.
func idle(ctx context.Context, n *Node) error {
	return Eventually(ctx, func() error {
		before, err := n.CPU()
		if err != nil {
			return err
		}
		const while = 200 * time.Millisecond
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(while):
		}
		now, err := n.CPU()
		if used := now - before; err == nil && used > while/2 {
			return fmt.Errorf("the node used %s of CPU in %s with nothing to do", used, while)
		}
		return err
	})
}
