package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// inCrowds calls do count times, from as many goroutines as crowd says.
func inCrowds(t *testing.T, crowd, count int, do func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	for first := range crowd {
		all.Go(func() {
			for i := first; i < count; i += crowd {
				if err := do(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// watch is Watch for a test.
func watch(t *testing.T, n *Node) *Oracle {
	t.Helper()
	o, err := Watch(t.Context(), n, reactors)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// undisturbed checks that those who were there before are served, and that
// nothing is left of the others.
func (o *Oracle) undisturbed(t *testing.T) {
	t.Helper()
	if _, err := o.Beat(t.Context()); err != nil {
		t.Error(err)
	}
	if err := o.Leftovers(t.Context()); err != nil {
		t.Error(err)
	}
}

// count waits until reasons, and no others, have been counted since before.
func count(t *testing.T, n *Node, before Figures, want string, times int) {
	t.Helper()
	err := Eventually(t.Context(), func() error {
		now, err := n.Figures()
		if err != nil {
			return errors.Join(err, n.Alive())
		}
		if got := reasons(before, now); len(got) != 1 || got[want] != float64(times) {
			return fmt.Errorf("counted: %v, want %s %d times", got, want, times)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func figures(t *testing.T, n *Node) Figures {
	t.Helper()
	f, err := n.Figures()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestConnectFlood: who connects and leaves, with a handshake or without, as fast
// as that goes, leaves nothing behind.
func TestConnectFlood(t *testing.T) {
	t.Parallel()
	n := start(t, steady...)
	o := watch(t, n)
	const flood = 3000
	for name, do := range map[string]func(p *Peer) error{
		"nothing is sent": func(*Peer) error { return nil },
		"a request is not waited for": func(p *Peer) error {
			send(p, Request("/ws?channel=a"), Whole)
			return nil
		},
		"a handshake": func(p *Peer) error {
			send(p, Request("/echo"), Whole)
			if status, rest, err := p.ReadResponse(); status != 101 {
				return fmt.Errorf("answered %d %q, %w", status, rest, err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			inCrowds(t, 16, flood, func(int) error {
				p, err := Dial(t.Context(), n.Public)
				if err != nil {
					return err
				}
				defer p.vanish()
				return do(p)
			})
			o.undisturbed(t)
		})
	}
}

// TestWrongTokens: ten thousand of them are each refused and counted, and none is
// remembered.
func TestWrongTokens(t *testing.T) {
	t.Parallel()
	n := start(t, guard(t)...)
	o := watch(t, n)
	before := figures(t, n)
	const tries = 10_000
	inCrowds(t, 16, tries, func(i int) error {
		p, err := Dial(t.Context(), n.Public)
		if err != nil {
			return err
		}
		defer p.vanish()
		wrong := forge(fmt.Sprint(unknown, i), ourHeader, claims(fmt.Sprint(i), "9999999999"))
		send(p, Request("/ws?channel=a", "Authorization: Bearer "+wrong), Whole)
		if status, rest, err := p.ReadResponse(); status != 401 {
			return fmt.Errorf("answered %d %q, %w", status, rest, err)
		}
		return nil
	})
	count(t, n, before, `sluice_refused_total{status="401"}`, tries)
	o.undisturbed(t)
	if grown, err := o.Grown(); err != nil || grown > 32<<20 {
		t.Errorf("the node's memory has grown by %d bytes, %v", grown, err)
	}
}

// TestChannelsComeAndGo: subscribing and leaving as fast as that goes, the same
// channel and ten thousand others, leaves no channel behind, here or at the
// broker, and loses nothing for who stays.
func TestChannelsComeAndGo(t *testing.T) {
	t.Parallel()
	n := start(t, steady...)
	o := watch(t, n)
	stays, err := Open(t.Context(), n, "/ws?channel=same")
	if err != nil {
		t.Fatal(err)
	}
	defer stays.Close()
	const each = 50 // channels of one connection
	path := func(i int) string {
		var b strings.Builder
		b.WriteString("/ws?channel=same")
		for j := range each {
			fmt.Fprintf(&b, "&channel=c%d", i*each+j)
		}
		return b.String()
	}
	const visits = 200
	inCrowds(t, 8, visits, func(i int) error {
		p, err := Open(t.Context(), n, path(i))
		if err != nil {
			return err
		}
		p.vanish()
		if p, err = Open(t.Context(), n, "/ws?channel=same"); err != nil {
			return err
		}
		p.vanish()
		return n.Publish(t.Context(), "same", fmt.Sprint(i))
	})
	seen := map[string]bool{}
	for range visits {
		op, payload, err := stays.ReadFrame()
		if err != nil || op != opText || seen[string(payload)] {
			t.Fatalf("%s, %v: lost, or not the first time", describe(op, payload), err)
		}
		seen[string(payload)] = true
	}
	stays.vanish()
	o.undisturbed(t)
	err = Eventually(t.Context(), func() error {
		for _, channel := range []string{"same", "c0", fmt.Sprint("c", visits*each-1)} {
			if nodes, err := n.Do(t.Context(), []string{"PUBSUB", "NUMSUB", "sluice:" + channel}); err != nil || nodes != 0 {
				return fmt.Errorf("%d nodes are subscribed to %s, %w", nodes, channel, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestHoarders: a thousand clients that each begin a message of 1-byte fragments
// and never end it hold no more than message.incomplete.
func TestHoarders(t *testing.T) {
	t.Parallel()
	n := start(t, append(slices.Clone(steady), "--message-incomplete", "8MiB", "--message-fragments", "100000", "--message-rate", "0")...)
	o := watch(t, n)
	const hoarders = 1000
	beginning := Frame(0x01, strings.Repeat("x", 16<<10)) + strings.Repeat(Frame(0x00, "x"), 300)
	var held []*Peer
	var mu sync.Mutex
	inCrowds(t, 8, hoarders, func(int) error {
		p, err := Open(t.Context(), n, "/echo")
		if err != nil {
			return err
		}
		mu.Lock()
		held = append(held, p)
		mu.Unlock()
		send(p, beginning, Whole)
		return nil
	})
	defer func() {
		for _, p := range held {
			p.vanish()
		}
	}()
	err := Eventually(t.Context(), func() error { // what they have sent is on its way
		now := figures(t, n)
		if held := now["sluice_incomplete_bytes"]; held > 8<<20 {
			return fmt.Errorf("%w: %v bytes are held", ErrHopeless, held)
		}
		switch refused := now["sluice_excesses_total"]; refused {
		case 0:
			return errors.New("none were closed")
		case hoarders:
			return fmt.Errorf("%w: all were closed", ErrHopeless)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if grown, err := o.Grown(); err != nil || grown > 64<<20 { // 8 MiB, as much again that was let go, and a thousand connections
		t.Errorf("the node's memory has grown by %d bytes, %v", grown, err)
	}
	for _, p := range held {
		p.vanish()
	}
	o.undisturbed(t)
}

// TestManySmallMessages: work for each message is done where it is read; no
// number of them is a number of goroutines.
func TestManySmallMessages(t *testing.T) {
	t.Parallel()
	n := start(t, append(slices.Clone(steady), "--message-rate", "0", "--message-bytes-rate", "0B", "--queue-max", "16MiB")...)
	o := watch(t, n)
	p, err := Open(t.Context(), n, "/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.SetDeadline(time.Now().Add(6 * Patience)); err != nil { // there are many of them
		t.Fatal(err)
	}
	const rounds, each = 100, 2000
	frames := strings.Repeat(Frame(0x82, "x"), each)
	sent := make(chan error, 1)
	go func() {
		for range rounds {
			if _, err := io.WriteString(p, frames); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range rounds * each {
		if op, payload, err := p.ReadFrame(); err != nil || op != opBinary || string(payload) != "x" {
			t.Fatalf("message %d: %s, %v", i, describe(op, payload), err)
		}
		if i%(rounds*each/10) == 0 {
			if got := figures(t, n)["go_goroutines"] - o.figures["go_goroutines"]; got > 6 {
				t.Errorf("%v goroutines more than before", got)
			}
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	p.vanish()
	o.undisturbed(t)
}

// TestPublishedWhileClosing: what is published to a client that closes comes
// before the answer to its close frame, or not at all.
func TestPublishedWhileClosing(t *testing.T) {
	t.Parallel()
	n := start(t, steady...)
	o := watch(t, n)
	ctx, stop := context.WithCancel(t.Context())
	storm := make(chan error, 1)
	go func() {
		for i := 0; ctx.Err() == nil; i++ {
			if err := n.Publish(ctx, "storm", slices.Repeat([]string{fmt.Sprint(i)}, 50)...); err != nil && ctx.Err() == nil {
				storm <- err
				return
			}
		}
		storm <- nil
	}()
	inCrowds(t, 4, 100, func(int) error {
		p, err := Open(t.Context(), n, "/ws?channel=storm")
		if err != nil {
			return err
		}
		defer p.Close()
		if _, _, err := p.ReadFrame(); err != nil {
			return err
		}
		if _, err := io.WriteString(p, CloseFrame(1000, "")); err != nil {
			return err
		}
		for {
			switch op, payload, err := p.ReadFrame(); {
			case err != nil:
				return fmt.Errorf("no answer to the close frame: %w", err)
			case op == opClose:
				if rest, err := io.ReadAll(p.r); len(rest) > 0 || err != nil && !isGone(err) {
					return fmt.Errorf("after %s came % x, %w", describe(op, payload), rest, err)
				}
				return nil
			}
		}
	})
	stop()
	if err := <-storm; err != nil {
		t.Error(err)
	}
	o.undisturbed(t)
}

// TestPongs: any number of answers to one ping is a sign of life, and nothing else.
func TestPongs(t *testing.T) {
	t.Parallel()
	n := start(t, "--ping-interval", "5s", "--ping-timeout", "4990ms")
	p, err := Open(t.Context(), n, "/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 2 {
		op, payload, err := p.ReadFrame()
		if err != nil || op != opPing {
			t.Fatalf("%s, %v", describe(op, payload), err)
		}
		if _, err := io.WriteString(p, strings.Repeat(Frame(0x80|opPong, string(payload)), 2)+Frame(0x80|opPong, "another")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(p, CloseFrame(1000, "")); err != nil {
		t.Fatal(err)
	}
	for {
		op, payload, err := p.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if op == opClose {
			if describe(op, payload) != "close 1000" {
				t.Error(describe(op, payload))
			}
			return
		}
	}
}

// TestTokensDriveNothing: what a token says of where its keys are makes nobody
// look there.
func TestTokensDriveNothing(t *testing.T) {
	t.Parallel()
	n := start(t, guard(t)...)
	lure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lure.Close()
	url := "http://" + lure.Addr().String() + "/"
	for i := range 100 {
		wrong := forge(unknown, fmt.Sprintf(`{"alg":"RS256","kid":"%d","jku":%q,"x5u":%q}`, i, url, url), fmt.Sprintf(`{"iss":%q,"sub":"42","exp":9999999999}`, url))
		p, err := Dial(t.Context(), n.Public)
		if err != nil {
			t.Fatal(err)
		}
		send(p, Request("/ws?channel=a", "Authorization: Bearer "+wrong), Whole)
		if status, rest, err := p.ReadResponse(); status != 401 {
			t.Fatalf("answered %d %q, %v", status, rest, err)
		}
		p.vanish()
	}
	if err := lure.(*net.TCPListener).SetDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if c, err := lure.Accept(); err == nil {
		t.Errorf("%s connected", c.RemoteAddr())
	}
}
