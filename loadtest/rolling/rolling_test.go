package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/loadtest/internal/history"
	"sluice/loadtest/internal/program/programtest"
)

// built is the sluice that the tests run, built by TestMain.
var built string

func TestMain(m *testing.M) { os.Exit(programtest.Main(m, &built)) }

// small is a run that is over in seconds. What clients got is asserted; how even it went is not, because that depends on
// what else the machine does.
func small(out *bytes.Buffer) options {
	return options{Program: built, Balancer: "../../deploy/haproxy/haproxy.cfg", Nodes: 2, Clients: 60, Channels: 6, Rate: 60,
		Window: time.Second, Slowstart: time.Millisecond, Pause: 3 * time.Second, Backoff: 100 * time.Millisecond, MaxBackoff: time.Second, Within: 0.5, Out: out}
}

func TestRestarts(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	dir := t.TempDir()
	rep, err := measure(t.Context(), small(&out), dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	rep.print(&out)
	t.Logf("\n%s", &out)
	for _, f := range rep.failed(true) {
		t.Error(f)
	}
	if len(rep.Drains) != 2 || rep.Followed.Recovered < 60 || rep.Followed.Delivered != int64(10*rep.Published) {
		t.Errorf("%d drains, %+v of %d messages", len(rep.Drains), rep.Followed, rep.Published)
	}
	for _, name := range []string{"rolling.html", "rolling.json", "rolling-connections.svg", "rolling-reconnects.svg"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(b) < 1000 {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

func TestJoins(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	o := small(&out)
	o.Join, o.MaxAge, o.Limit = true, 5*time.Second, time.Minute
	rep, err := measure(t.Context(), o, "")
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	rep.print(&out)
	t.Logf("\n%s", &out)
	for _, f := range rep.failed(true) {
		t.Error(f)
	}
}

func TestVerdicts(t *testing.T) {
	good := func() *report {
		return &report{Drains: []drained{{drain: drain{Node: "n", Held: 100}, Came: 100, Mean: 20, Peak: 40}}}
	}
	if f := good().failed(false); len(f) != 0 {
		t.Errorf("all was well, and %q", f)
	}
	for _, test := range []struct {
		name   string
		change func(*report)
		word   string
		busy   bool // it is judged there, too
	}{
		{"lost", func(r *report) { r.Followed.Undetected = 1 }, "lost", true},
		{"told", func(r *report) { r.Followed.Gaps = 1 }, "load afresh", true},
		{"away", func(r *report) { r.Lost = 1 }, "did not come back", true},
		{"cut", func(r *report) { r.Cut = 1 }, "were cut", true},
		{"too few", func(r *report) { r.Drains[0].Came = 99 }, "only 99", true},
		{"uneven", func(r *report) { r.Drains[0].Peak = 51 }, "unevenly", false},
		{"late", func(r *report) { r.Drains[0].Late = 6 }, "later than", false},
		{"no share", func(r *report) { r.Joined = &join{Node: "n"} }, "share", true},
	} {
		r := good()
		test.change(r)
		if f := r.failed(false); len(f) != 1 || !strings.Contains(f[0], test.word) {
			t.Errorf("%s: %q", test.name, f)
		}
		if f := r.failed(true); (len(f) == 1) != test.busy {
			t.Errorf("%s, on a busy machine: %q", test.name, f)
		}
	}
}

func TestMessages(t *testing.T) {
	for _, n := range []int{0, 7, 123456} {
		text := messageText("d:0001", n)
		if got, ok := messageNumber("d:0001", text); !ok || got != n || len(text) < 100 {
			t.Errorf("%d: got %d, %v, %q", n, got, ok, text)
		}
		for _, bad := range []string{text + ".", text[1:], "d:0002" + text[6:], "", "d:0001 x "} {
			if _, ok := messageNumber("d:0001", bad); ok {
				t.Errorf("%q is taken for a message", bad)
			}
		}
	}
}

func TestFrontConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte("frontend public\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := frontConfig(file, t.TempDir(), 3); err == nil || !strings.Contains(err.Error(), "LB_LISTEN") {
		t.Errorf("a file without the lines: %v", err)
	}
}

// TestAges: a message's age counts in the second in which it came, and a second without any has none.
func TestAges(t *testing.T) {
	began := time.Unix(100, 0)
	r := &rig{over: 102.9e9, crowd: &crowd{back: []comeback{{Left: 101e9, Back: 102.5e9}}, failed: []int64{102e9}}}
	rep := &report{began: began.UnixNano()}
	rep.seconds(r, &history.Logs{
		Logs: []history.Log{{Messages: []history.Published{{Sent: 100.1e9, Acked: 100.2e9}, {Sent: 100.3e9, Acked: 100.4e9}}}},
		Followers: []history.Follower{{Heard: []history.Heard{{Kind: history.HeardMessage, At: 100.2e9}, {Kind: history.HeardMessage, Number: 1, At: 102.3e9}}},
			{Heard: []history.Heard{{Kind: history.HeardRecovered, At: 101.1e9}, {Kind: history.HeardMessage, Number: 1, At: 101.2e9}}}}, // it had been away
	})
	want := []second{{Published: 2, Delivered: 1, Half: 100, Most: 100}, {Left: 1, Delivered: 1}, {Back: 1, Failed: 1, Delivered: 1, Half: 2000, Most: 2000}}
	if fmt.Sprint(rep.Seconds) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", rep.Seconds, want)
	}
}
