package hostile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestNeverReads: who takes nothing costs a bounded number of bytes, is cut, and
// nobody else notices.
func TestNeverReads(t *testing.T) {
	t.Parallel()
	n := start(t, append(slices.Clone(steady), "--queue-max", "256KiB", "--close-timeout", "500ms")...)
	o, err := Watch(t.Context(), n, reactors)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	before, err := n.Figures()
	if err != nil {
		t.Fatal(err)
	}
	const slow = 4
	for range slow {
		p, err := Open(t.Context(), n, "/ws?channel=news")
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
	}
	payload := strings.Repeat("x", 32<<10)
	err = Eventually(t.Context(), func() error {
		if err := n.Publish(t.Context(), "news", slices.Repeat([]string{payload}, 16)...); err != nil {
			return err
		}
		if _, err := o.Beat(t.Context()); err != nil {
			return fmt.Errorf("%w: %w", ErrHopeless, err)
		}
		now, err := n.Figures()
		if err != nil {
			return err
		}
		// A burst may be bigger than queue.max, sixteen times as big, for a second.
		if got := now["sluice_backlog_bytes"]; got > slow*16*256<<10 {
			return fmt.Errorf("%w: %v bytes wait for %d clients", ErrHopeless, got, slow)
		}
		if got := now["sluice_slow_consumers_total"] - before["sluice_slow_consumers_total"]; got != slow {
			return fmt.Errorf("%v of %d were closed", got, slow)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// They do not even take their close frame: the node gives up.
	err = Eventually(t.Context(), func() error {
		now, err := n.Figures()
		if err != nil {
			return err
		}
		if got := reasons(before, now); got[`sluice_closed_total{code="try_again_later"}`] != slow || len(got) != 1 {
			return fmt.Errorf("counted: %v", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := o.Leftovers(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWindowOpensAndCloses: who reads little and slowly, but reads, gets all of
// it, in order.
func TestWindowOpensAndCloses(t *testing.T) {
	t.Parallel()
	n := start(t, steady...)
	p, err := Open(t.Context(), n, "/ws?channel=news")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var payloads []string
	for i := range 90 { // less than queue.max
		payloads = append(payloads, fmt.Sprintf("%d %s", i, strings.Repeat("x", 10_000)))
	}
	if err := n.Publish(t.Context(), "news", payloads...); err != nil {
		t.Fatal(err)
	}
	for i, want := range payloads {
		time.Sleep(2 * time.Millisecond) // the slowness, not a synchronisation
		op, got, err := p.ReadFrame()
		if err != nil || op != opText || string(got) != want {
			t.Fatalf("message %d: %s, %v", i, describe(op, got), err)
		}
	}
}
