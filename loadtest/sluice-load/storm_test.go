package main

import (
	"strings"
	"testing"

	"sluice/loadtest/internal/proof"
)

func TestStorm(t *testing.T) {
	h := newHub(t)
	report, table, err := load(t, h, "storm", "--url", h.ws("/ws?channel={channel}"), "-n", "50", "--for", "10ms", "--workers", "2", "--sources", "3")
	if err != nil {
		t.Fatal(err)
	}
	if s := report.Storm; s == nil || s.Sources != 3 || !s.Complete || s.Half <= 0 || s.Half > s.Most || s.Most > s.All {
		t.Errorf("%+v", s)
	}
	if c := report.Connections; c.Opened != 50 || c.Handshake.Count != 50 || !strings.Contains(table, "from 3 addresses") {
		t.Errorf("%+v\n%s", c, table)
	}
}

// TestFanoutAtAShareOfTheMaximum looks for the maximum first, and proves what is delivered meanwhile.
func TestFanoutAtAShareOfTheMaximum(t *testing.T) {
	h := newHub(t)
	report, table, err := load(t, h, fanoutArgs(h, "--rate", "50%")...)
	if err != nil {
		t.Fatal(err)
	}
	got := report.Traffic
	if got.Published != 40 || got.PublishLag == nil || got.PublishLag.Count != 40 || got.Maximum == nil || got.Maximum.Share != 0.5 || got.Maximum.Published <= 0 || got.Maximum.Burst != 32 {
		t.Errorf("%+v, maximum %+v", got, got.Maximum)
	}
	if got.Proof != (proof.Counts{Delivered: 50 * (64 + 40)}) { // 40 messages in bursts of 32 are 64
		t.Errorf("%+v", got.Proof)
	}
	if !strings.Contains(table, "the following at 50 % of it") {
		t.Errorf("table:\n%s", table)
	}
}

func TestPace(t *testing.T) {
	for text, want := range map[string]pace{"0": {}, "400": {perSecond: 400}, "0.5": {perSecond: 0.5}, "50%": {share: 0.5}} {
		var p pace
		if err := p.UnmarshalText([]byte(text)); err != nil || p != want {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
		if back, err := p.MarshalText(); err != nil || string(back) != text {
			t.Errorf("%s: written as %s, %v", text, back, err)
		}
	}
	for _, bad := range []string{"", "x", "-1", "0%", "101%", "NaN", "1e999", "50 %"} {
		if err := new(pace).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
