package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/loadtest/grafana"
	"sluice/loadtest/internal/plot"
	"sluice/loadtest/internal/program/programtest"
	"sluice/loadtest/prometheus"
)

// built is the sluice that the tests run, built by TestMain.
var built string

func TestMain(m *testing.M) { os.Exit(programtest.Main(m, &built)) }

// A run that is as short as it can be draws every panel; how much is in them depends on what else the machine does.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	load := filepath.Join(dir, "sluice-load")
	if out, err := exec.Command("go", "build", "-o", load, "sluice/loadtest/sluice-load").CombinedOutput(); err != nil {
		t.Fatalf("building sluice-load: %v\n%s", err, out)
	}
	var out, complaints bytes.Buffer
	if status := command(t.Context(), []string{"-program", built, "-load", load, "-deploy", "../../deploy", "-for", "15s", "-clients", "20", "-out", dir}, &out, &complaints); status != 0 {
		t.Fatalf("status %d\n%s%s", status, &out, &complaints)
	}
	t.Logf("\n%s", &out)
	b, err := os.ReadFile(filepath.Join(dir, "dashboard.html"))
	if err != nil {
		t.Fatal(err)
	}
	board, err := grafana.Read("../../deploy/grafana/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range board.Rows {
		for _, p := range row.Panels {
			if !strings.Contains(string(b), "<title>"+p.Title+"</title>") {
				t.Errorf("the page lacks %s", p.Title)
			}
		}
	}
	for _, s := range scenes {
		if !strings.Contains(out.String(), s.name) {
			t.Errorf("%s is not said", s.name)
		}
	}
	if !strings.Contains(string(b), "node1") || !strings.Contains(string(b), "node2") {
		t.Error("the page does not name the nodes")
	}
}

func TestStopsWhenTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, complaints bytes.Buffer
	if status := command(ctx, []string{"-program", built, "-deploy", "../../deploy", "-out", t.TempDir()}, &out, &complaints); status != 1 || !strings.Contains(complaints.String(), "context canceled") {
		t.Errorf("status %d: %s", status, &complaints)
	}
	if status := command(t.Context(), []string{"-no-such-flag"}, &out, &complaints); status != 2 {
		t.Errorf("a flag that is not there: status %d", status)
	}
}

// What cannot be drawn is left out, and a line has a gap where there was nothing.
func TestLine(t *testing.T) {
	r := &rig{began: time.Unix(100, 0)}
	line := r.line(prometheus.Series{Times: []float64{101, 102, 103, 107, 108}, Values: []float64{0.5, math.NaN(), 1, math.Inf(1), 2}}, units["s"])
	want := plot.Series{X: []float64{1, 1.001, 3, 3.001, 8}, Y: []float64{5e5, math.NaN(), 1e6, math.NaN(), 2e6}}
	if !slices.Equal(line.X, want.X) || !slices.EqualFunc(line.Y, want.Y, func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }) {
		t.Errorf("got %v, want %v", line, want)
	}
}
