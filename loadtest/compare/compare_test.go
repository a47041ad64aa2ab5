package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/loadtest/internal/meter"
	"sluice/loadtest/internal/proof"
	"sluice/pubsub/redisproc"
)

// sample is a result of three rounds with four peers, the second of them a floor, the last one without echo.
func sample() *Result {
	figures := func(one, rate, echo []float64) (rounds []map[string]float64) {
		for i := range one {
			round := map[string]float64{"one": one[i], "burst-rate": rate[i]}
			if echo != nil {
				round["echo1"] = echo[i]
			}
			rounds = append(rounds, round)
		}
		return rounds
	}
	return &Result{
		Started: time.Date(2026, 11, 26, 15, 50, 0, 0, time.UTC), Commit: "abc1234", Note: "All else was quiet.", Pinned: "servers pinned to core 0, generator and Redis to 1",
		Machine: meter.Machine{Cores: 2, CPU: "Xeon", Kernel: "6.18"},
		Plan:    Plan{Rounds: 3, Subscribers: 10000, Crowd: 2000, Stalled: 500, Echoes: 100, Rate: 10, Window: 3 * time.Second},
		Peers: []*Outcome{
			{Name: "ours", Figures: figures([]float64{4.4, 9, 4.2}, []float64{5e6, 4e6, 4.5e6}, []float64{6, 7, 8}), Proof: proof.Counts{Delivered: 1234567}},
			{Name: "floor", Floor: true, Figures: figures([]float64{3, 3, 3}, []float64{9e6, 9e6, 9e6}, []float64{5, 5, 5}), Proof: proof.Counts{Delivered: 10}},
			{Name: "near", Version: "1.2", Figures: figures([]float64{4.6, 4.5, 4.5}, []float64{1e5, 1e5, 1e5}, []float64{5, 4, 6}),
				Proof: proof.Counts{Delivered: 90, Missing: 7, Duplicates: 2, OutOfOrder: 1, Stale: 1, Corrupt: 1}, Lost: 3, Errors: map[string]int64{"connect: ECONNREFUSED": 3}},
			{Name: "half", Figures: figures([]float64{8, 10}, []float64{2e5, 4e5}, nil), Failed: []string{"echo1, round 1:\n it  fell over"}},
		},
		Absent: []Absence{{"gone", "npm error"}},
	}
}

func TestMedians(t *testing.T) {
	r := sample()
	for _, test := range []struct {
		peer int
		key  string
		want float64
	}{{0, "one", 4.4}, {0, "burst-rate", 4.5e6}, {3, "one", 9}, {3, "burst-rate", 3e5}} {
		if got := r.Peers[test.peer].median(test.key); got != test.want {
			t.Errorf("%s of %s: %v, want %v", test.key, r.Peers[test.peer].Name, got, test.want)
		}
	}
	if v := r.Peers[3].median("echo1"); !math.IsNaN(v) {
		t.Errorf("the median of nothing is %v", v)
	}
}

func TestWhoWins(t *testing.T) {
	r := sample()
	for _, test := range []struct {
		row  row
		want []string
	}{
		{row{key: "one"}, []string{"ours", "near"}}, // within a twentieth; the floor is none of them
		{row{key: "burst-rate", more: true}, []string{"ours"}},
		{row{key: "echo1"}, []string{"near"}}, // a peer wins, and the table says so
		{row{key: "unknown"}, nil},
	} {
		if got := r.winners(&test.row); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, want %v", test.row.key, got, test.want)
		}
	}
	r.Peers[2].Figures[0]["zero"], r.Peers[0].Figures[0]["zero"] = 0, 1
	if got := r.winners(&row{key: "zero"}); !reflect.DeepEqual(got, []string{"near"}) {
		t.Errorf("nothing at all against one: %v", got)
	}
}

func TestMarkdown(t *testing.T) {
	r := sample()
	long, short := r.markdown(false), r.markdown(true)
	for _, line := range []string{
		"| medians of 3 rounds | ours | floor | near 1.2 | half |",
		"| CPU per delivery, one message at a time to 10,000 subscribers | **4.40 µs (4.20 µs … 9 µs)** | 3 µs | **4.50 µs (4.50 µs … 4.60 µs)** | 9 µs (8 µs … 10 µs) |",
		"| CPU per echo, 100 connections, one in flight | 7 µs (6 µs … 8 µs) | 5 µs | **5 µs (4 µs … 6 µs)** | – |",
		"| messages lost, twice, out of order or wrong | none of 1.23 M | none of 10 | 7 lost, 2 twice, 2 out of order, 1 wrong of 97 | – |",
		"| connections that failed or ended unasked | 0 | 0 | 3 | 0 |",
		"Measured 2026-11-26 15:50 UTC, commit abc1234, on 2 cores of Xeon, Linux 6.18; servers pinned to core 0, generator and Redis to 1. All else was quiet. The best of a row is bold",
		"half, a run that could not be done: echo1, round 1: it fell over",
		"near, 3 connections: connect: ECONNREFUSED",
		"gone could not be installed: npm error",
	} {
		if !strings.Contains(long, line) {
			t.Errorf("not in the table: %s\n%s", line, long)
		}
	}
	if !strings.Contains(short, "| **4.40 µs** | 3 µs | **4.50 µs** | 9 µs |") || !strings.Contains(short, "](docs/compare-burst.svg)") || strings.Contains(short, "compare-one") || !strings.Contains(long, "](../../docs/compare-one.svg)") || strings.Contains(short, "echoes a second") || strings.Contains(long, "memory per idle") {
		t.Errorf("the short table:\n%s", short)
	}
	var page bytes.Buffer
	if err := r.page().Write(&page); err != nil || !strings.Contains(page.String(), "it fell over") {
		t.Errorf("the page: %v", err)
	}
}

func TestBlockOfAReadme(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	const head, tail = "# A\n\n<!-- compare: begin -->\n", "<!-- compare: end -->\n\nB\n"
	for _, text := range []string{"one\n", "two\nlines\n"} {
		if err := os.WriteFile(file, []byte(head+"old\n"+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := replaceBlock(file, text); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(file); string(got) != head+text+tail {
			t.Errorf("got %q", got)
		}
	}
	if err := os.WriteFile(file, []byte("none"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := replaceBlock(file, "x"); err == nil {
		t.Error("a file without marks was written")
	}
}

// TestReadmesHaveBlocks holds that what is published has a place.
func TestReadmesHaveBlocks(t *testing.T) {
	for _, file := range []string{"../../README.md", "README.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "<!-- compare: begin -->\n") || !strings.Contains(string(text), "<!-- compare: end -->\n") {
			t.Errorf("%s has no block for the table", file)
		}
	}
}

func TestResultIsReadAsItWasWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "result.json")
	r := sample()
	if err := r.write(file); err != nil {
		t.Fatal(err)
	}
	got, err := readResult(file)
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, r)
	}
}

// TestFlags holds that every scenario has the flags that sluice-load needs for a peer, and that versions are those that are asked for.
func TestFlags(t *testing.T) {
	r := &rig{ctx: t.Context(), out: "/out", dir: "/out/run", port: 9100, redis: 9102}
	plan := sample().Plan
	for _, p := range peers() {
		if len(p.command(r, true)) == 0 || p.install == nil || p.Style == "" || p.file() == "" {
			t.Errorf("%s: %+v", p.Name, p)
		}
		for _, s := range scenarios(&plan) {
			args := s.args(&plan)
			flags := s.flags(r, p, args)
			if s.echo && p.echo == nil {
				if flags != nil {
					t.Errorf("%s %s: %v", p.Name, s.name, flags)
				}
				continue
			}
			if !strings.Contains(strings.Join(flags, " "), "--url ws://127.0.0.1:9100/") {
				t.Errorf("%s %s: %v", p.Name, s.name, flags)
			}
			if args[0] == "idle" && strings.Contains(strings.Join(flags, " "), "--redis") {
				t.Errorf("%s idle: %v", p.Name, flags)
			}
			if p.Name == "Socket.IO" && s.name == "stalled" && !strings.Contains(strings.Join(flags, " "), `\xda\x40\x00`) {
				t.Errorf("%s %s: the length of 16 KiB is not in %v", p.Name, s.name, flags)
			}
		}
	}
	for file, wants := range map[string][]string{
		"peers/go.mod":          {"gorilla/websocket v" + gorillaVersion, "lxzan/gws v" + gwsVersion},
		"socketio/package.json": {`"socket.io": "` + socketioVersion + `"`},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s has not %s", file, want)
			}
		}
	}
}

func TestChoosing(t *testing.T) {
	if some, err := chosen(peers(), []string{"gws", "socket-io"}); err != nil || len(some) != 2 || some[0].Name != "gws" {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := chosen(peers(), []string{"nothing"}); err == nil || !strings.Contains(err.Error(), "bare-c-loop") {
		t.Errorf("an unknown peer: %v", err)
	}
	plan := sample().Plan
	if some, err := chosenScenarios(scenarios(&plan), []string{"idle", "half"}); err != nil || len(some) != 2 {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := chosenScenarios(scenarios(&plan), []string{"nothing"}); err == nil {
		t.Error("an unknown scenario was taken")
	}
}

// TestProcess starts a server, finds it listening and ends it; one that does not start says why.
func TestProcess(t *testing.T) {
	port, err := redisproc.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{ctx: t.Context(), dir: t.TempDir(), port: port, redis: port + 2}
	p, err := r.startRedis()
	if err != nil {
		t.Fatal(err)
	}
	if p.server != p.cmd.Process.Pid {
		t.Errorf("%d is measured, %d was started", p.server, p.cmd.Process.Pid)
	}
	p.stop()
	if _, err := r.start("false", "", r.addr(), []string{"sh", "-c", "echo no such luck; exit 1"}, false); err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("a server that ends at once: %v", err)
	}
}
