package main

import (
	"strings"
	"testing"

	"sluice/loadtest/internal/proof"
)

func stallArgs(h *hub, more ...string) []string {
	return append([]string{"stall", "--url", h.ws("/ws?channel={channel}"), "-n", "50", "--warmup", "0s", "--for", "120s", "--messages", "40",
		"--burst", "8"}, more...)
}

// TestStall: the others get everything in both windows, and those that stalled get it when they read again.
func TestStall(t *testing.T) {
	h := newHub(t)
	report, table, err := load(t, h, stallArgs(h, "--stalled", "10")...)
	if err != nil || report.Stall == nil {
		t.Fatalf("%v\n%s", err, table)
	}
	s := report.Stall
	if s.Stalled != 10 || s.Others != 40 || s.Cut != 0 || s.Open != 10 || s.Late != (proof.Counts{Delivered: 10 * 40}) {
		t.Errorf("%+v", s)
	}
	if s.Without.Latency.Count != 40*40 || s.With.Latency.Count != 40*40 || s.Kept <= 0 {
		t.Errorf("the others: %+v, %+v, kept %v", s.Without, s.With, s.Kept)
	}
	if got := report.Traffic.Proof; got != (proof.Counts{Delivered: 50*40 + 40*40}) {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(table, "% of their rate") {
		t.Errorf("table:\n%s", table)
	}
}

// TestStallOfAServerThatEndsThem: that a server ends those that stall is told, and no fault.
func TestStallOfAServerThatEndsThem(t *testing.T) {
	h := newHub(t)
	h.tamper = func(i int, p []byte, send func([]byte)) {
		if s, err := proof.Parse(p, len(p)); err == nil && s.Kind == proof.Data && s.Seq == 60 && i == 0 {
			for c := range 10 {
				h.drop("news", c)
			}
		}
		send(p)
	}
	report, table, err := load(t, h, stallArgs(h, "--stalled", "10", "--concurrency", "1")...)
	if err != nil || report.Stall == nil {
		t.Fatalf("%v\n%s", err, table)
	}
	if s := report.Stall; s.Cut != 10 || s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

// TestStallOfAServerThatDropsMessages: what those missed that stalled is counted, and no fault.
func TestStallOfAServerThatDropsMessages(t *testing.T) {
	h := newHub(t)
	h.tamper = func(i int, p []byte, send func([]byte)) {
		if s, err := proof.Parse(p, len(p)); err == nil && s.Kind == proof.Data && s.Seq >= 50 && i < 10 {
			return
		}
		send(p)
	}
	report, table, err := load(t, h, stallArgs(h, "--stalled", "10", "--concurrency", "1", "--quiet", "2s")...) // what is missing is waited for
	if err != nil || report.Stall == nil {
		t.Fatalf("%v\n%s", err, table)
	}
	if s := report.Stall; s.Open != 10 || s.Late != (proof.Counts{Delivered: 10 * 10, Missing: 10 * 30}) {
		t.Errorf("%+v", s)
	}
}
