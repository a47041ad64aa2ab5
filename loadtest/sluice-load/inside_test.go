package main

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestInside: what a server says of itself counts from when the run began to look.
func TestInside(t *testing.T) {
	pages := []string{
		"sluice_sends_total 10\nsluice_reactor_turn_seconds_bucket{le=\"0.001\"} 5\nsluice_reactor_turn_seconds_bucket{le=\"+Inf\"} 5\nsluice_reactor_turn_seconds_sum 1\nsluice_reactor_turn_seconds_count 5\n",
		"sluice_sends_total 25\nsluice_reactor_turn_seconds_bucket{le=\"0.001\"} 8\nsluice_reactor_turn_seconds_bucket{le=\"+Inf\"} 9\nsluice_reactor_turn_seconds_sum 3\nsluice_reactor_turn_seconds_count 9\n" +
			"sluice_reactor_longest_turn_seconds 0.25\n",
	}
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(pages[min(int(asked.Add(1)), len(pages))-1])) // a client that is gone has failed by itself
	}))
	t.Cleanup(func() { server.Close(); http.DefaultClient.CloseIdleConnections() })
	r, err := newRun(&outside{ctx: t.Context()}, &common{Metrics: server.URL, Connections: 1, Processes: 1}, "test", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.lookInside(); err != nil {
		t.Fatal(err)
	}
	if err := r.sumUpInside(); err != nil {
		t.Fatal(err)
	}
	in := r.report.Inside
	if in.Counts["sluice_sends_total"] != 15 || in.LongestTurn != 250_000 || len(in.Spreads) != 1 {
		t.Fatalf("%+v", in)
	}
	if s := in.Spreads[0]; s.Count != 4 || s.Mean != 500_000 || s.P50 != 1000 || !math.IsInf(float64(s.Max), 1) {
		t.Errorf("%+v", s)
	}
	if text, err := json.Marshal(in); err != nil || !strings.Contains(string(text), `"max_us":null`) {
		t.Errorf("%s, %v", text, err)
	}
	var table strings.Builder
	r.report.Table(&table)
	for _, want := range []string{"reactor turns", "4: p50 ≤ 1.00 ms", "longest beyond the last bucket; 1 above 1.00 ms", "250.00 ms within", "writes to sockets"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
}
