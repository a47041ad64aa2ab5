package hostile

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
)

// secured starts a node that speaks TLS.
func secured(t *testing.T, flags ...string) *Node {
	t.Helper()
	own, client, err := Secured(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, append(own, flags...)...)
	n.TLS = client
	return n
}

func TestTLS(t *testing.T) {
	t.Parallel()
	judge(t, secured(t, Impatient...), TLS())
}

// helloOf is the first flight of a client.
func helloOf(t *testing.T, config *tls.Config) string {
	t.Helper()
	ours, theirs := net.Pipe()
	var ended sync.WaitGroup
	ended.Go(func() { _ = tls.Client(theirs, config).Handshake() }) // it fails
	b := make([]byte, 16<<10)
	n, err := ours.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	_ = ours.Close()
	ended.Wait()
	return string(b[:n])
}

// TestTLSHandshakeFlood: handshakes that never end take no more than their share of
// memory, and those who come and go leave nothing behind, not even in the line; who is
// there is served meanwhile.
func TestTLSHandshakeFlood(t *testing.T) {
	t.Parallel()
	n := secured(t, append(slices.Clone(steady), "--tls-handshakes", "16")...)
	o := watch(t, n)
	hello := helloOf(t, n.TLS)
	const stay, visits = 400, 3000
	var held []*Peer
	var mu sync.Mutex
	inCrowds(t, 8, stay, func(int) error {
		p, err := Dial(t.Context(), n.Public)
		if err != nil {
			return err
		}
		send(p, hello, Whole)
		mu.Lock()
		defer mu.Unlock()
		held = append(held, p)
		return nil
	})
	waiting := func(want float64) error {
		return Eventually(t.Context(), func() error {
			now, err := n.Figures()
			if err != nil {
				return errors.Join(err, n.Alive())
			}
			if running, line := now["sluice_tls_handshakes"], now["sluice_tls_handshakes_waiting"]; running != 16 || line != want {
				return fmt.Errorf("%v handshakes are under way, %v wait, want %v", running, line, want)
			}
			return nil
		})
	}
	if err := waiting(stay - 16); err != nil {
		t.Error(err)
	}
	inCrowds(t, 8, visits, func(int) error {
		p, err := Dial(t.Context(), n.Public)
		if err != nil {
			return err
		}
		defer p.vanish()
		send(p, hello, Whole)
		return nil
	})
	if err := waiting(stay - 16); err != nil {
		t.Errorf("of those who went some are in line: %v", err)
	}
	if _, err := o.Beat(t.Context()); err != nil {
		t.Error(err)
	}
	if grown, err := o.Grown(); err != nil || grown > 64<<20 {
		t.Errorf("the node's memory has grown by %d bytes, %v", grown, err)
	}
	for _, p := range held {
		p.vanish()
	}
	o.undisturbed(t)
}

// TestTLSHandshakesOfOneAddress: one address has no more handshakes than it may, and
// those that it has do not keep others from theirs.
func TestTLSHandshakesOfOneAddress(t *testing.T) {
	t.Parallel()
	const each, tries = 10, 50
	n := secured(t, append(slices.Clone(steady), "--tls-handshakes-per-address", fmt.Sprint(each))...)
	o := watch(t, n)
	before := figures(t, n)
	hello := helloOf(t, n.TLS)
	var held []*Peer
	for range tries {
		p, err := Dial(t.Context(), n.Public)
		if err != nil {
			t.Fatal(err)
		}
		defer p.vanish()
		send(p, hello, Whole)
		held = append(held, p)
	}
	count(t, n, before, failed("per_address"), tries-each)
	for _, p := range held {
		p.vanish()
	}
	o.undisturbed(t)
	if p, err := Open(t.Context(), n, "/echo"); err != nil {
		t.Error(err)
	} else {
		p.vanish()
	}
}
