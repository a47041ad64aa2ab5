package main

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sluice/loadtest/internal/fleet"
	"sluice/loadtest/internal/proof"
)

// TestFanoutOfSeveralProcesses: what is lost, repeated or misplaced is found whichever process it happens to.
func TestFanoutOfSeveralProcesses(t *testing.T) {
	for _, test := range []struct {
		name   string
		tamper func(h *hub) func(int, []byte, func([]byte))
		want   proof.Counts
	}{
		{"all is well", func(*hub) func(int, []byte, func([]byte)) { return nil }, proof.Counts{Delivered: 2000}},
		{"one lost in each third", func(*hub) func(int, []byte, func([]byte)) {
			return func(i int, p []byte, send func([]byte)) {
				times(i, 10, func(p []byte, send func([]byte)) {
					if i%20 != 0 {
						send(p)
					}
				})(i, p, send)
			}
		}, proof.Counts{Delivered: 1997, Missing: 3}},
		{"one twice everywhere", func(*hub) func(int, []byte, func([]byte)) {
			return func(i int, p []byte, send func([]byte)) {
				times(i, 39, func(p []byte, send func([]byte)) { send(p); send(p) })(i, p, send)
			}
		}, proof.Counts{Delivered: 2000, Duplicates: 50}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // most of the time goes into starting processes
			h := newHub(t)
			h.tamper = test.tamper(h)
			args := fanoutArgs(h, "--processes", "3", "--workers", "2")
			if test.want.Missing > 0 {
				args = append(args, "--quiet", "3s") // what is lost is waited for
			}
			report, table, err := load(t, h, args...)
			if report.Traffic == nil || (err == nil) != (test.want == proof.Counts{Delivered: 2000}) {
				t.Fatalf("%v\n%s", err, table)
			}
			if got := report.Traffic.Proof; got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			if c := report.Connections; c.Opened != 50 || c.Handshake.Count != 50 {
				t.Errorf("connections %+v", c)
			}
			if l := report.Traffic.Latency; l.Count != test.want.Delivered || l.P50 <= 0 {
				t.Errorf("latency %+v", l)
			}
		})
	}
}

func TestIdleAndStormOfSeveralProcesses(t *testing.T) {
	h := newHub(t)
	for _, scenario := range []string{"idle", "storm"} {
		report, table, err := load(t, h, scenario, "--url", h.ws("/ws?channel={channel}"), "-n", "50", "--for", "10ms", "--processes", "3")
		if err != nil || report.Connections.Opened != 50 || report.Connections.Handshake.Count != 50 {
			t.Errorf("%s: %v\n%s", scenario, err, table)
		}
		if n := len(report.Timeline.Samples); n == 0 || report.Timeline.Samples[n-1].Open != 50 {
			t.Errorf("%s: timeline %+v", scenario, report.Timeline)
		}
		if s := report.Storm; scenario == "storm" && (s == nil || !s.Complete || s.Half <= 0 || s.Half > s.All) {
			t.Errorf("%+v", s)
		}
	}
}

// TestAProcessThatEnds: the run is over, and says why.
func TestAProcessThatEnds(t *testing.T) {
	h := newHub(t)
	r, err := newRun(&outside{ctx: t.Context(), args: []string{"idle", "--url", h.ws("/ws"), "-n", "4", "--processes", "2"}}, &common{Connections: 4, Processes: 2}, "test", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.crew, err = startCrew(r.outside, 2, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.crew.stop)
	if got := r.crew.ask(order{Do: doStats}); len(got) != 1 || got[0].Stats != (fleet.Stats{}) || r.crew.trouble() != nil {
		t.Fatalf("%+v, %v", got, r.crew.trouble())
	}
	if err := syscall.Kill(r.crew.hands[0].process.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for r.crew.ask(order{Do: doStats}) != nil {
	}
	if err := r.crew.trouble(); err == nil || !strings.Contains(err.Error(), "2. process") {
		t.Errorf("%v", err)
	}
	if err := r.until(func() bool { return false }); !errors.Is(err, r.crew.trouble()) {
		t.Errorf("%v", err)
	}
}

func TestShares(t *testing.T) {
	for _, processes := range []int{1, 3, 7} {
		all := 0
		for part := range processes {
			all += share(50, processes, part)
		}
		if all != 50 {
			t.Errorf("%s processes have %d of 50", strconv.Itoa(processes), all)
		}
	}
}
