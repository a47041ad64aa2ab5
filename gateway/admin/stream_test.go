package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// listening serves a listener until the test ends.
func listening(t *testing.T, o Options) (url string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, ln, New(o), nil) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return "http://" + ln.Addr().String(), stop
}

// event is one of a stream.
type event struct{ name, data string }

// reader reads a stream's events.
type reader struct {
	t     *testing.T
	lines *bufio.Scanner
	close func()
}

func open(t *testing.T, url string) (*reader, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, lines: bufio.NewScanner(response.Body), close: sync.OnceFunc(func() { cancel(); _ = response.Body.Close() })}
	r.lines.Buffer(nil, 4<<20)
	t.Cleanup(r.close)
	if response.StatusCode == http.StatusOK && response.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("Content-Type %q", response.Header.Get("Content-Type"))
	}
	if response.Header.Get("X-Content-Type-Options") != "nosniff" || response.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers are missing: %v", response.Header)
	}
	return r, response.StatusCode
}

// next is the next event, ok false when the stream has ended.
func (r *reader) next() (e event, ok bool) {
	for r.lines.Scan() {
		line := r.lines.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			e.name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			e.data = line[len("data: "):]
		case line == "" && e.name != "":
			return e, true
		}
	}
	return e, false
}

// until reads on to an event that fits.
func (r *reader) until(fits func(event) bool) event {
	r.t.Helper()
	for {
		e, ok := r.next()
		if !ok {
			r.t.Fatalf("the stream has ended: %v", r.lines.Err())
		}
		if fits(e) {
			return e
		}
	}
}

func (r *reader) ended() {
	r.t.Helper()
	for {
		if _, ok := r.next(); !ok {
			return
		}
	}
}

// watched is a node that counts how often it was looked at.
func watched(t *testing.T, o Options) Options {
	o.Info = func() Info { return Info{Node: "node-a"} }
	var n int64
	o.Watch = NewWatch(o, func() Overview {
		n++
		return Overview{Sample: Sample{Time: n * 1000, Connections: n}}
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Watch.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return o
}

func TestLive(t *testing.T) {
	t.Parallel()
	url, stop := listening(t, watched(t, Options{Ready: func() error { return errors.New("no probe for 4 s") }}))
	first, status := open(t, url+"/api/live")
	if status != http.StatusOK {
		t.Fatal(status)
	}
	if e, _ := first.next(); e.name != "past" || !strings.HasPrefix(e.data, "[") {
		t.Fatalf("%+v", e)
	}
	var one, two Overview
	read := func(r *reader, o *Overview) {
		t.Helper()
		e := r.until(func(e event) bool { return e.name == "overview" })
		if err := json.Unmarshal([]byte(e.data), o); err != nil {
			t.Fatal(err)
		}
	}
	read(first, &one)
	for read(first, &two); two.Sample.Connections > one.Sample.Connections+1; read(first, &two) { // a page that is slow is told of the newest alone
		one = two
	}
	if one.Node != "node-a" || one.Ready || one.Reason != "no probe for 4 s" || two.Sample.Connections != one.Sample.Connections+1 {
		t.Errorf("%+v, then %+v", one, two)
	}
	var past []Sample
	second, _ := open(t, url+"/api/live")
	e, _ := second.next()
	if err := json.Unmarshal([]byte(e.data), &past); err != nil || len(past) < 2 || past[0].Connections != 1 {
		t.Errorf("%v, %+v", err, past)
	}
	stop() // the listener closes: streams end with it
	first.ended()
	second.ended()
}

// TestStreamsAreBounded: who comes when all places are taken is told so, and a place is free
// again when a page has gone.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	url, _ := listening(t, watched(t, Options{}))
	var pages []*reader
	for range maxStreams {
		page, status := open(t, url+"/api/live")
		if status != http.StatusOK {
			t.Fatal(status)
		}
		if _, ok := page.next(); !ok {
			t.Fatal("no event came")
		}
		pages = append(pages, page)
	}
	if _, status := open(t, url+"/api/live"); status != http.StatusServiceUnavailable {
		t.Errorf("one more: %d", status)
	}
	pages[0].close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		page, status := open(t, url+"/api/live")
		page.close()
		if status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a page has gone, and another one still gets %d", status)
		}
	}
}

func TestSamplesAreBounded(t *testing.T) {
	n := int64(0)
	w := NewWatch(Options{Info: func() Info { return Info{} }}, func() Overview { n++; return Overview{Sample: Sample{Time: n}} })
	for range remembered + 5 {
		if err := w.take(); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.samples) != remembered || w.samples[0].Time != 6 || w.samples[remembered-1].Time != n {
		t.Errorf("%d samples, from %d to %d", len(w.samples), w.samples[0].Time, w.samples[len(w.samples)-1].Time)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	const all = 4 + tailBatch - 1
	url, _ := listening(t, Options{CheckChannel: shortName, Tail: func(ctx context.Context, channels []string, to *Tailed) error {
		defer close(ended)
		to.Note("listening on " + strings.Join(channels, " "))
		to.Add([]byte("news"), []byte(`<img src=x onerror=alert(1)>`), 0)
		to.Add([]byte("news"), []byte{0xFF, 0}, 7)
		to.Add([]byte("news"), []byte(strings.Repeat("é", maxShown)), 0)
		to.Come([]byte("news"), true, "user 42")
		for range tailBatch - 1 {
			to.Add([]byte("busy"), []byte("x"), 0)
		}
		<-ctx.Done()
		return nil
	}})
	page, status := open(t, url+"/api/tail?channel=news&channel=busy")
	if status != http.StatusOK {
		t.Fatal(status)
	}
	var got batch // what comes in how many batches is a matter of time
	page.until(func(e event) bool {
		var b batch
		if err := json.Unmarshal([]byte(e.data), &b); err != nil {
			t.Fatal(err)
		}
		if len(b.Messages) > tailBatch || b.Skipped > 0 && len(b.Messages) < tailBatch {
			t.Errorf("a batch of %d messages, %d skipped", len(b.Messages), b.Skipped)
		}
		got.Messages, got.Notes, got.Skipped = append(got.Messages, b.Messages...), append(got.Notes, b.Notes...), got.Skipped+b.Skipped
		return len(got.Messages)+got.Skipped >= all
	})
	if len(got.Messages)+got.Skipped != all || len(got.Notes) != 1 {
		t.Errorf("%d messages, %d skipped, notes %q", len(got.Messages), got.Skipped, got.Notes)
	}
	hostile, binary, long := got.Messages[0], got.Messages[1], got.Messages[2]
	if come := got.Messages[3]; come.Event != "join" || *come.Text != "user 42" || hostile.Event != "" {
		t.Errorf("%+v", come)
	}
	if *hostile.Text != `<img src=x onerror=alert(1)>` || hostile.Cut || hostile.Position != "" {
		t.Errorf("%+v", hostile)
	}
	if binary.Text != nil || string(binary.Bytes) != "\xFF\x00" || binary.Position != "7" || binary.Cut {
		t.Errorf("%+v", binary)
	}
	if *long.Text != strings.Repeat("é", maxShown/2) || !long.Cut || long.Size != 2*maxShown {
		t.Errorf("%d bytes of %d, cut %v", len(*long.Text), long.Size, long.Cut)
	}
	page.close() // what is followed ends with the page
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the page has gone, and the channel is still followed")
	}
}

// What comes between two batches is bounded, and what is beyond is counted.
func TestTailedIsBounded(t *testing.T) {
	to := newTailed()
	for batch := range 2 {
		for range tailBatch + 3 {
			to.Add([]byte("busy"), []byte("x"), 0)
		}
		if b := to.take(); len(b.Messages) != tailBatch || b.Skipped != 3 {
			t.Errorf("batch %d: %d messages, %d skipped", batch, len(b.Messages), b.Skipped)
		}
	}
}

func TestTailRefuses(t *testing.T) {
	follow := func(context.Context, []string, *Tailed) error { return errors.New("no Redis") }
	for _, c := range []struct {
		name, query string
		o           Options
		status      int
		says        string
	}{
		{"no channel", "", Options{Tail: follow}, 400, "there are 0"},
		{"too many", strings.Repeat("&channel=a", maxTailed+1), Options{Tail: follow}, 400, "1 to 32"},
		{"a bad name", "channel=" + strings.Repeat("x", 256), Options{Tail: follow, CheckChannel: shortName}, 400, "the limit is 255"},
		{"not possible", "channel=a", Options{}, 501, "follows no channels"},
		{"what has ended", "channel=a", Options{Tail: follow}, 200, "following has ended: no Redis"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := get(New(c.o), "/api/tail?"+strings.TrimPrefix(c.query, "&"))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestLookups(t *testing.T) {
	var asked []Query
	o := Options{
		CheckChannel: shortName,
		Channel: func(_ context.Context, name string) (Channel, error) {
			if name == "broken" {
				return Channel{}, errors.New("no Redis")
			}
			return Channel{Name: name, Members: 3}, nil
		},
		Conns: func(_ context.Context, q Query) (Conns, error) { asked = append(asked, q); return Conns{}, nil },
	}
	for _, c := range []struct {
		target string
		o      Options
		status int
		says   string
	}{
		{"/api/channel?name=news", o, 200, `"name":"news","members":3`},
		{"/api/channel", o, 400, "the name is missing"},
		{"/api/channel?name=" + strings.Repeat("x", 256), o, 400, "the limit is 255"},
		{"/api/channel?name=broken", o, 503, "no Redis"},
		{"/api/channel?name=news", Options{}, 501, "does not tell"},
		{"/api/conns?user=42", o, 200, `{"total":0,"conns":[]}`},
		{"/api/conns?channel=news", o, 200, `"conns":[]`},
		{"/api/conns?conn=a.1", o, 200, `"conns":[]`},
		{"/api/conns", o, 400, "one of user, channel and conn"},
		{"/api/conns?user=42&conn=a.1", o, 400, "one of user, channel and conn"},
		{"/api/conns?user=%FF", o, 400, "one of user, channel and conn"},
		{"/api/conns?user=" + strings.Repeat("4", 256), o, 400, "one of user, channel and conn"},
		{"/api/conns?user=42", Options{}, 501, "does not tell"},
		{"/api/overview", Options{}, 501, "does not watch"},
		{"/api/overview", Options{Watch: NewWatch(Options{}, nil)}, 503, "only just begun"},
		{"/api/live", Options{}, 501, "does not watch"},
	} {
		if w := get(New(c.o), c.target); w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s, want %d … %s …", c.target, w.Code, w.Body, c.status, c.says)
		}
	}
	if want := []Query{{User: "42"}, {Channel: "news"}, {Conn: "a.1"}}; len(asked) != 3 || asked[0] != want[0] || asked[1] != want[1] || asked[2] != want[2] {
		t.Errorf("asked for %+v", asked)
	}
}

// TestPage: the page and what belongs to it come from this listener, and nothing else does.
func TestPage(t *testing.T) {
	h := New(Options{})
	page := get(h, "/")
	policy := page.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	if page.Code != 200 || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") || strings.Contains(policy, "unsafe") {
		t.Errorf("GET /: %d %v", page.Code, page.Header())
	}
	for target, kind := range map[string]string{"/console/main.js": "text/javascript", "/console/console.css": "text/css"} {
		if w := get(h, target); w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			t.Errorf("GET %s: %d %v", target, w.Code, w.Header())
		}
	}
	for _, target := range []string{"/console/", "/console/nothing.js", "/admin.go"} {
		if w := get(h, target); w.Code == 200 {
			t.Errorf("GET %s: %d %s", target, w.Code, w.Body)
		}
	}
	files, err := consoleFiles.ReadDir("console")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		content, err := consoleFiles.ReadFile("console/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", "onclick=", "https://", "url("} {
			if strings.Contains(string(content), forbidden) {
				t.Errorf("%s contains %q", f.Name(), forbidden)
			}
		}
	}
}
