package meter

import (
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

func TestStatOfACommandWithBrackets(t *testing.T) {
	u, err := parseStat([]byte("7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 5 0 100 1000 200"))
	if err != nil || u.User != 2500*time.Millisecond || u.System != 500*time.Millisecond || u.CPU() != 3*time.Second {
		t.Errorf("%+v, %v", u, err)
	}
	for _, bad := range []string{"", "7 (a) S 1", "7 (a) S 1 7 7 0 -1 4194304 100 0 0 0 x y 0"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestStatusInBytes(t *testing.T) {
	var u Usage
	parseStatus([]byte("Name:\tsluice\nVmRSS:\t    2048 kB\nRssAnon:\t    1000 kB\nRssShmem:\t      24 kB\nThreads:\t9\n"), &u)
	if u.RSS != 2<<20 || u.RSSAnon != 1<<20 || u.Threads != 9 {
		t.Errorf("%+v", u)
	}
}

func TestThisProcess(t *testing.T) {
	p, err := Open(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	u, err := p.Sample()
	if err != nil || u.RSS <= 0 || u.RSSAnon <= 0 || u.Threads <= 0 || u.Files <= 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if d := u.Sub(u); d != (Usage{}) {
		t.Errorf("a snapshot less itself: %+v", d)
	}
	if _, err := Open(1 << 30); err == nil {
		t.Error("a process that cannot exist was found")
	}
	if m := Describe(); m.Cores < 1 || m.Kernel == "" {
		t.Errorf("%+v", m)
	}
	if Self() <= 0 {
		t.Error("this process has used no CPU time")
	}
}

func TestListenOverflows(t *testing.T) {
	const text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 17 18\nIpExt: InNoRoutes\nIpExt: 4\n"
	if n, err := parseOverflows(text); err != nil || n != 17 {
		t.Errorf("%d, %v", n, err)
	}
	for _, bad := range []string{"", "TcpExt: A B\nTcpExt: 1 2\n", "TcpExt: ListenOverflows\n", "TcpExt: ListenOverflows\nTcpExt: x\n"} {
		if _, err := parseOverflows(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	if _, err := ListenOverflows(); err != nil {
		t.Error(err)
	}
}

func TestCores(t *testing.T) {
	if n := cores("cpu  100 1\ncpu0 1 1\ncpu1 1 1\ncpu10 1 1\nintr 5\ncpux 1\n"); n != 3 {
		t.Errorf("%d", n)
	}
}

func TestMachineLine(t *testing.T) {
	busy, stolen, err := parseMachine("cpu  100 1 200 5000 60 7 8 9 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
	if err != nil || busy != 3160*time.Millisecond || stolen != 90*time.Millisecond {
		t.Errorf("%v, %v, %v", busy, stolen, err)
	}
	if _, _, err := parseMachine("intr 5\n"); err == nil {
		t.Error("no error")
	}
}

func TestMetricsPage(t *testing.T) {
	const page = `# HELP go_goroutines Number of goroutines that currently exist.
# TYPE go_goroutines gauge
go_goroutines 17
go_threads{a="x y}",b="1"} 2
go_threads{a="z"} 3 1700000000000
something_else 4
go_memstats_heap_inuse_bytes 1.5e+06
`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(page)) // the client's complaint is enough
	}))
	defer server.Close()
	got, err := Metrics(t.Context(), server.URL+"/metrics")
	if err != nil || len(got) != 3 || got["go_goroutines"] != 17 || got["go_threads"] != 5 || got["go_memstats_heap_inuse_bytes"] != 1.5e6 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := Metrics(t.Context(), server.URL+"/other"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("wrong page: %v", err)
	}
}

func TestSpreadOfAHistogram(t *testing.T) {
	page := func(text string) *Page {
		p, err := parsePage(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	before := page("a_seconds_bucket{le=\"0.001\"} 1\na_seconds_bucket{le=\"0.01\"} 1\na_seconds_bucket{le=\"+Inf\"} 1\na_seconds_sum 0.5\na_seconds_count 1\n")
	after := page("# TYPE a_seconds histogram\na_seconds_bucket{le=\"0.001\"} 91\na_seconds_bucket{le=\"0.01\"} 100\na_seconds_bucket{le=\"+Inf\"} 101\na_seconds_sum 2\na_seconds_count 101\n" +
		"b_seconds{quantile=\"0.5\"} 7\nb_seconds_count 3\n")
	s, ok := after.Since(before, "a_seconds")
	if !ok || s.Count != 100 || s.Sum != 1.5 || s.AtMost(0.5) != 0.001 || s.AtMost(0.95) != 0.01 || !math.IsInf(s.AtMost(1), 1) {
		t.Errorf("%+v, %v", s, ok)
	}
	if bound, n := s.Above(0.005); bound != 0.001 || n != 10 {
		t.Errorf("above %v: %v", bound, n)
	}
	if s, ok := after.Since(nil, "a_seconds"); !ok || s.Count != 101 {
		t.Errorf("since ever: %+v, %v", s, ok)
	}
	if none, _ := after.Since(after, "a_seconds"); !math.IsNaN(none.AtMost(0.5)) {
		t.Errorf("of nothing: %v", none.AtMost(0.5))
	}
	if _, ok := after.Since(nil, "b_seconds"); ok {
		t.Error("a summary is no histogram")
	}
	if v, ok := after.Value("b_seconds_count"); !ok || v != 3 {
		t.Errorf("%v, %v", v, ok)
	}
	if v, ok := after.Value("b_seconds"); ok {
		t.Errorf("quantiles added up to %v", v)
	}
}
