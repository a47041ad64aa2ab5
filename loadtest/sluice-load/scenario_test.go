package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"sluice/loadtest/internal/proof"
)

const subscriberCount = 50

// load runs the program with args against h and returns what it wrote to --json, its table and its error. What it wrote to --html
// must be a page.
func load(t *testing.T, h publisher, args ...string) (Report, string, error) {
	t.Helper()
	file, page := filepath.Join(t.TempDir(), "report.json"), filepath.Join(t.TempDir(), "report.html")
	var c cli
	parser, err := kong.New(&c, kong.Exit(func(int) { t.Fatal("the command line was refused") }))
	if err != nil {
		t.Fatal(err)
	}
	// Before the test's own flags, which win.
	args = append([]string{args[0], "--timeout", "30s"}, args[1:]...)
	k, err := parser.Parse(append(args, "--json", file, "--html", page))
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	err = k.Run(&outside{ctx: t.Context(), args: args, out: &table, log: io.Discard, publish: h})
	var report Report
	if text, readErr := os.ReadFile(file); readErr == nil {
		if err := json.Unmarshal(text, &report); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(page); err != nil || !bytes.Contains(text, []byte("<svg")) || !bytes.Contains(text, []byte("verdict")) && !bytes.Contains(text, []byte("FAULT")) {
			t.Errorf("%v, the page: %.200s", err, text)
		}
	}
	return report, table.String(), err
}

func fanoutArgs(h *hub, more ...string) []string {
	return append([]string{"fanout", "--url", h.ws("/ws?channel={channel}"), "-n", "50", "--warmup", "0s", "--for", "120s", "--messages", "40",
		"--burst", "8"}, more...)
}

// times gives f to the nth data message (from 0) for one subscriber; everything else passes.
func times(subscriber, seq int, f func(payload []byte, send func([]byte))) func(int, []byte, func([]byte)) {
	return func(i int, payload []byte, send func([]byte)) {
		stamp, err := proof.Parse(payload, len(payload))
		if err == nil && stamp.Kind == proof.Data && i == subscriber && stamp.Seq == uint64(seq) {
			f(payload, send)
			return
		}
		send(payload)
	}
}

func TestFanoutIsProved(t *testing.T) {
	altered := func(payload []byte) []byte {
		b := slices.Clone(payload)
		b[100] ^= 1
		return b
	}
	var held []byte
	tests := []struct {
		name   string
		tamper func(int, []byte, func([]byte))
		want   proof.Counts
	}{
		{name: "all is well", want: proof.Counts{Delivered: 2000}},
		{name: "one lost", tamper: times(3, 10, func([]byte, func([]byte)) {}), want: proof.Counts{Delivered: 1999, Missing: 1}},
		{name: "the last lost", tamper: times(3, 39, func([]byte, func([]byte)) {}), want: proof.Counts{Delivered: 1999, Missing: 1}},
		{name: "one twice", tamper: times(0, 10, func(p []byte, send func([]byte)) { send(p); send(p) }),
			want: proof.Counts{Delivered: 2000, Duplicates: 1}},
		{name: "two swapped", want: proof.Counts{Delivered: 2000, OutOfOrder: 1}, tamper: func(i int, p []byte, send func([]byte)) {
			times(49, 9, func(p []byte, _ func([]byte)) { held = slices.Clone(p) })(i, p, func(p []byte) {
				times(49, 10, func(p []byte, send func([]byte)) { send(p); send(held) })(i, p, send)
			})
		}},
		{name: "one altered", tamper: times(49, 0, func(p []byte, send func([]byte)) { send(altered(p)) }),
			want: proof.Counts{Delivered: 1999, Missing: 1, Corrupt: 1}},
		{name: "one cut short", tamper: times(7, 5, func(p []byte, send func([]byte)) { send(p[:len(p)-1]) }),
			want: proof.Counts{Delivered: 1999, Missing: 1, Corrupt: 1}},
		{name: "one of another channel", want: proof.Counts{Delivered: 2000, Misrouted: 1}, tamper: times(7, 5, func(p []byte, send func([]byte)) {
			send(p)
			s, _ := proof.Parse(p, len(p)) // it has just been made
			s.Channel++
			send(proof.Append(nil, s, len(p)))
		})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // most of the time goes into waiting for what will not come
			h := newHub(t)
			h.tamper = test.tamper
			args := fanoutArgs(h)
			if test.want.Missing > 0 {
				args = append(args, "--quiet", "400ms") // what is lost is waited for
			}
			report, table, err := load(t, h, args...)
			if report.Traffic == nil {
				t.Fatalf("no report: %v", err)
			}
			if got := report.Traffic.Proof; got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			if clean := test.tamper == nil; clean != (err == nil) || !clean && !errors.Is(err, errFaulty) || clean != strings.Contains(table, "no fault found") {
				t.Errorf("error %v, table:\n%s", err, table)
			}
			if l := report.Traffic.Latency; l.Count != test.want.Delivered || l.P50 <= 0 || l.Max < l.P50 {
				t.Errorf("latency %+v", l)
			}
		})
	}
}

func TestFanoutOverChannelsAndWorkers(t *testing.T) {
	h := newHub(t)
	report, _, err := load(t, h, fanoutArgs(h, "--channels", "7", "--workers", "3", "--quote", "--size", "1000")...)
	if err != nil {
		t.Fatal(err)
	}
	// 50 subscribers of 7 channels: the first has 8, the others 7; of 40 messages the first 5 channels get 6, the others 5.
	if want := (proof.Counts{Delivered: 8*6 + 4*7*6 + 2*7*5}); report.Traffic.Proof != want {
		t.Errorf("got  %+v\nwant %+v", report.Traffic.Proof, want)
	}
}

func TestFanoutAtARate(t *testing.T) {
	h := newHub(t)
	report, _, err := load(t, h, fanoutArgs(h, "--rate", "400")...)
	if err != nil {
		t.Fatal(err)
	}
	if got := report.Traffic; got.Proof != (proof.Counts{Delivered: 2000}) || got.Published != 40 || got.PublishLag == nil || got.PublishLag.Count != 40 {
		t.Errorf("%+v", got)
	}
}

func TestFanoutNoticesALostSubscriber(t *testing.T) {
	h := newHub(t)
	h.tamper = times(3, 10, func([]byte, func([]byte)) { h.drop("news", 3) })
	report, _, err := load(t, h, fanoutArgs(h, "--quiet", "400ms")...)
	if !errors.Is(err, errFaulty) || len(report.Errors) != 1 {
		t.Errorf("error %v, errors %v", err, report.Errors)
	}
	if got := report.Traffic.Proof; got != (proof.Counts{Delivered: 49*40 + 10}) {
		t.Errorf("%+v", got)
	}
}

func TestFanoutWithoutDeliveriesSaysWhatToDo(t *testing.T) {
	h := newHub(t)
	h.tamper = func(int, []byte, func([]byte)) {}
	_, _, err := load(t, h, fanoutArgs(h, "--timeout", "3s")...)
	if err == nil || errors.Is(err, errFaulty) || !strings.Contains(err.Error(), "same Redis, with the same prefix") {
		t.Errorf("error %v", err)
	}
}

func TestEchoIsProved(t *testing.T) {
	// Each connection's third message is dealt with; then it is left alone.
	third := func(f func(payload []byte, send func([]byte))) func([]byte, func([]byte)) {
		return func(p []byte, send func([]byte)) {
			if s, err := proof.Parse(p, len(p)); err == nil && s.Seq == 2 && s.Channel == 7 {
				f(p, send)
				return
			}
			send(p)
		}
	}
	tests := []struct {
		name  string
		echo  func([]byte, func([]byte))
		fault func(proof.Counts) bool
	}{
		{"all is well", nil, func(c proof.Counts) bool { return c.Clean() }},
		{"one lost", third(func([]byte, func([]byte)) {}), func(c proof.Counts) bool { return c.Missing == 1 && c.Corrupt == 0 }},
		{"one twice", third(func(p []byte, send func([]byte)) { send(p); send(p) }), func(c proof.Counts) bool { return c.Duplicates == 1 }},
		{"one altered", third(func(p []byte, send func([]byte)) { p[9] ^= 1; send(p) }), func(c proof.Counts) bool { return c.Corrupt == 1 && c.Missing == 1 }},
		{"one too long", third(func(p []byte, send func([]byte)) { send(append(p, 'x')) }), func(c proof.Counts) bool { return c.Corrupt == 1 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // most of the time goes into waiting for what will not come
			h := newHub(t)
			h.echoing(test.echo)
			report, _, err := load(t, h, "echo", "--url", h.ws("/echo"), "-n", "50", "--depth", "4", "--warmup", "0s", "--for", "500ms", "--quiet", "400ms", "--workers", "2")
			if report.Traffic == nil || !test.fault(report.Traffic.Proof) || (err == nil) != (test.echo == nil) {
				t.Fatalf("error %v, %+v", err, report.Traffic)
			}
			if report.Traffic.Deliveries == 0 || report.Traffic.Latency.Count == 0 {
				t.Errorf("nothing measured: %+v", report.Traffic)
			}
		})
	}
}

func TestEchoOfLongMessages(t *testing.T) {
	h := newHub(t)
	report, _, err := load(t, h, "echo", "--url", h.ws("/echo"), "-n", "2", "--depth", "2", "--size", "300003", "--binary", "--warmup", "0s", "--for", "100ms")
	if err != nil || report.Traffic.Proof.Delivered < 4 {
		t.Errorf("error %v, %+v", err, report.Traffic)
	}
}

func TestIdle(t *testing.T) {
	h := newHub(t)
	report, table, err := load(t, h, "idle", "--url", h.ws("/ws?channel=news"), "-n", "50", "--for", "50ms", "--pid", strconv.Itoa(os.Getpid()),
		"--metrics", h.URL+"/metrics", "--hello", "hi")
	if n := len(report.Timeline.Samples); n < 2 || report.Timeline.Samples[n-1].Open != subscriberCount || report.Timeline.Samples[n-1].RSSAnon <= 0 || report.Timeline.Samples[0].Metrics["go_goroutines"] != 12 {
		t.Errorf("timeline %+v", report.Timeline)
	}
	if report.Inside == nil || report.Inside.Counts["sluice_sends_total"] != 0 {
		t.Errorf("inside %+v", report.Inside)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, m := report.Connections, report.Memory
	if c == nil || c.Opened != subscriberCount || c.Failed != 0 || c.Handshake.Count != subscriberCount {
		t.Errorf("connections %+v", c)
	}
	if m == nil || m.Before.RSS <= 0 || m.Held.Files < m.Before.Files+subscriberCount || m.MetricsHeld["go_goroutines"] != 12 {
		t.Errorf("memory %+v", m)
	}
	if !strings.Contains(table, "per connection") {
		t.Errorf("table:\n%s", table)
	}
}

func TestRefusedConnectionsAreCountedByKind(t *testing.T) {
	h := newHub(t)
	_, _, err := load(t, h, "idle", "--url", h.ws("/full"), "-n", "5", "--for", "0s")
	if err == nil || !strings.Contains(err.Error(), "handshake: HTTP status 503:5") {
		t.Errorf("error %v", err)
	}
}

func TestChurn(t *testing.T) {
	for _, how := range [][]string{{"--hold", "0s"}, {"--hold", "20ms"}, {"--reset"}} {
		t.Run(strings.Join(how, " "), func(t *testing.T) {
			h := newHub(t)
			report, _, err := load(t, h, append([]string{"churn", "--url", h.ws("/ws?channel={channel}"), "--rate", "300", "--for", "200ms", "--pid", strconv.Itoa(os.Getpid())}, how...)...)
			if err != nil {
				t.Fatalf("%v: %v", err, report.Errors)
			}
			c := report.Churn
			wantFrames := c.Opened
			if how[0] == "--reset" {
				wantFrames = 0
			}
			if c.Opened == 0 || c.Closed != c.Opened || c.CloseFrames != wantFrames {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestWrongSettings(t *testing.T) {
	h := newHub(t)
	for _, test := range []struct{ args, want string }{
		{"fanout --size 10", "takes 72 bytes"},
		{"fanout --burst 100", "want 1..64"},
		{"fanout --channels 20000", "at least one subscriber"},
		{"fanout --url ws://127.0.0.1:1/x --channels 2", "needs {channel}"},
		{"fanout --url ftp://127.0.0.1:1/x", "want ws://"},
		{"idle --processes 0", "want 1..10000"},
		{"idle -n 3 --processes 4", "want 1..3"},
		{"echo --processes 2", "echo has one"},
		{"stall --processes 2", "stall has one"},
		{"fanout --stalled 1 --processes 2", "not with --processes"},
		{"stall -n 3", "4 subscribers or more"},
		{"storm --sources 0", "want 1..250"},
		{"echo --size 10", "takes 72 bytes"},
		{"echo --depth 0", "want 1 or more"},
		{"idle -n 2000000000", "open files"},
		{"idle --source here", "--source"},
		{"idle --header bad", "Name: value"},
		{"idle --pid 1073741824", "no process"},
	} {
		_, _, err := load(t, h, strings.Fields(test.args)...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.args, err)
		}
	}
}

func TestTheChannelOfAURL(t *testing.T) {
	for _, test := range []struct {
		url   string
		count int
		want  []string
	}{
		{"ws://x/ws?channel={channel}", 1, []string{"news"}},
		{"ws://x/ws?channel={channel}", 3, []string{"c0", "c1", "c2"}},
		{"ws://x/ws?channel=sport", 1, []string{"sport"}},
		{"ws://x/", 1, []string{"news"}},
	} {
		got, err := channelNames(test.url, "news", test.count)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %v", test.url, got, err)
		}
	}
}

func TestDurationsOfPeople(t *testing.T) {
	for us, want := range map[float64]string{12: "12 µs", 1500: "1.50 ms", 2.5e6: "2.50 s"} {
		if got := duration(us); got != want {
			t.Errorf("%v: %s", us, got)
		}
	}
	if got := size(3 << 20); got != "3.0 MiB" {
		t.Error(got)
	}
}
