package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/gateway/story"
)

// request builds one as a browser's console page, or curl, would send it.
func request(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "localhost:8001"
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(h http.Handler, target string) *httptest.ResponseRecorder {
	return do(h, request(http.MethodGet, target, ""))
}

func TestEndpoints(t *testing.T) {
	full := Options{
		Info:         func() Info { return Info{Node: "node-a"} },
		Metrics:      http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { text(w, 200, "sluice_connections 3\n") }),
		Inbox:        func(context.Context, int) ([]InboxEntry, error) { return nil, nil },
		CheckChannel: shortName,
		Stories: func(_ context.Context, conn, user string) ([]story.Story, error) {
			switch {
			case conn == "n.1", user == "42":
				return []story.Story{{Conn: "n.1", Node: "node-a", State: story.Open}}, nil
			case user != "":
				return nil, nil
			}
			return nil, fmt.Errorf("it is on node-b: %w", ErrNotHere)
		},
		Gaps: func() Gaps {
			at := time.Unix(1_790_000_000, 0).UTC()
			end := at.Add(time.Second)
			return Gaps{Node: "node-a", Forgotten: 4, Gaps: []Gap{{Link: "r:1#0", Cause: "moved", From: at, To: &end, Channels: 2}, {Link: "r:1#0", Channel: "news", From: end, Cause: "oversize", Channels: 1}}}
		},
	}
	broken := Options{
		Ready: func() error { return errors.New("no probe has come back from Redis for 4 s") },
		Inbox: func(context.Context, int) ([]InboxEntry, error) { return nil, errors.New("redis: connection refused") },
		Stories: func(context.Context, string, string) ([]story.Story, error) {
			return nil, errors.New("a reactor has not answered in time")
		},
	}
	for _, c := range []struct {
		name           string
		o              Options
		method, target string
		status         int
		body           string // contained in the answer
	}{
		{"console", full, "GET", "/", 200, "<title>Sluice console</title>"},
		{"console, head only", full, "HEAD", "/", 200, ""},
		{"alive", full, "GET", "/healthz", 200, "ok\n"},
		{"alive although not ready", broken, "GET", "/healthz", 200, "ok\n"},
		{"ready", full, "GET", "/readyz", 200, "ready\n"},
		{"not ready", broken, "GET", "/readyz", 503, "not ready: no probe has come back from Redis for 4 s"},
		{"metrics", full, "GET", "/metrics", 200, "sluice_connections 3"},
		{"no metrics", broken, "GET", "/metrics", 501, "collects no metrics"},
		{"info", full, "GET", "/api/info", 200, `"node":"node-a"`},
		{"no info", broken, "GET", "/api/info", 501, "does not describe itself"},
		{"inbox, empty", full, "GET", "/api/inbox", 200, `{"entries":[]}`},
		{"inbox, count too large", full, "GET", "/api/inbox?count=201", 400, "from 1 to 200"},
		{"inbox, count no number", full, "GET", "/api/inbox?count=many", 400, `count is \"many\"`},
		{"inbox, count zero", full, "GET", "/api/inbox?count=0", 400, "from 1 to 200"},
		{"inbox, Redis down", broken, "GET", "/api/inbox", 503, "redis: connection refused"},
		{"no inbox", Options{}, "GET", "/api/inbox", 501, "no inbox"},
		{"gaps", full, "GET", "/api/gaps", 200, `"forgotten":4,"gaps":[{"link":"r:1#0","channel":"","cause":"moved","from":"2026-09-21T14:13:20Z","to":"2026-09-21T14:13:21Z","channels":2}`},
		{"a gap that has not ended", full, "GET", "/api/gaps", 200, `"from":"2026-09-21T14:13:21Z","to":null`},
		{"no gap", Options{Gaps: func() Gaps { return Gaps{Node: "n"} }}, "GET", "/api/gaps", 200, `{"node":"n","forgotten":0,"gaps":[]}`},
		{"gaps are not remembered", Options{}, "GET", "/api/gaps", 501, "does not remember gaps"},
		{"a connection", full, "GET", "/api/connections/n.1", 200, `{"conn":"n.1","node":"node-a","state":"open"`},
		{"a connection that is not here", full, "GET", "/api/connections/n.2", 404, "it is on node-b: not known here"},
		{"a user's connections", full, "GET", "/api/connections?user=42", 200, `{"connections":[{"conn":"n.1"`},
		{"of a user who has none", full, "GET", "/api/connections?user=43", 200, `{"connections":[]}`},
		{"connections of nobody", full, "GET", "/api/connections", 400, "say of whom"},
		{"connections, a reactor stands", broken, "GET", "/api/connections/n.1", 503, "has not answered"},
		{"connections are not told of", Options{}, "GET", "/api/connections/n.1", 501, "does not tell"},
		{"connections take no POST", full, "POST", "/api/connections/n.1", 405, "not POST"},
		{"gaps take no POST", full, "POST", "/api/gaps", 405, "not POST"},
		{"no publish", Options{}, "POST", "/api/publish", 501, "has no API"},
		{"check, good", full, "GET", "/api/check?channel=news", 200, `{"result":{}}`},
		{"check, bad", full, "GET", "/api/check?channel=" + strings.Repeat("x", 256), 400, "the limit is 255"},
		{"check, missing", full, "GET", "/api/check", 400, "the name is missing"},
		{"profiles", full, "GET", "/debug/pprof/", 200, "goroutine"},
		{"one profile", full, "GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile:"},
		{"command line", full, "GET", "/debug/pprof/cmdline", 403, "Redis password"},
		{"unknown", full, "GET", "/nothing", 404, "nothing is served at /nothing"},
		{"no directory", full, "GET", "/api/", 404, "nothing is served at /api/"},
		{"console takes no POST", full, "POST", "/", 405, "GET, HEAD"},
		{"info takes no POST", full, "POST", "/api/info", 405, "not POST"},
		{"publish takes no GET", full, "GET", "/api/publish", 405, "takes POST"},
		{"no preflight", full, "OPTIONS", "/api/publish", 405, "not OPTIONS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := do(New(c.o), request(c.method, c.target, ""))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
				t.Errorf("%s %s: %d %s\nwant %d … %s …", c.method, c.target, w.Code, clip(w.Body.String()), c.status, c.body)
			}
			for name := range w.Header() {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("CORS header %s", name)
				}
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("X-Frame-Options") != "DENY" ||
				!strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("security headers are missing: %v", w.Header())
			}
			if c.status >= 400 && c.target != "/readyz" && !errorInWords(w.Body.Bytes()) {
				t.Errorf("no error object in %s", w.Body)
			}
		})
	}
}

func errorInWords(body []byte) bool {
	var answer struct{ Error apiError }
	return json.Unmarshal(body, &answer) == nil && answer.Error.Code != 0 && answer.Error.Message != ""
}

func TestGuard(t *testing.T) {
	anyone := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { text(w, 200, "{}") })
	h := New(Options{
		Hosts: []string{"sluice.internal:8001", ""},
		Info:  func() Info { return Info{} },
		API:   anyone,
		Open:  anyone,
	})
	const evil = "https://evil.example"
	json := []string{"Content-Type", "application/json"}
	for _, c := range []struct {
		name           string
		method, target string
		headers        []string
		status         int
	}{
		{"localhost", "GET", "/api/info", []string{"Host", "localhost"}, 200},
		{"localhost, port, capitals, final dot", "GET", "/api/info", []string{"Host", "LocalHost.:8001"}, 200},
		{"127.0.0.1", "GET", "/api/info", []string{"Host", "127.0.0.1:8001"}, 200},
		{"127.8.9.10 is loopback", "GET", "/api/info", []string{"Host", "127.8.9.10"}, 200},
		{"::1", "GET", "/api/info", []string{"Host", "[::1]:8001"}, 200},
		{"configured name", "GET", "/api/info", []string{"Host", "sluice.internal"}, 200},
		{"rebound name", "GET", "/api/info", []string{"Host", "evil.example:8001"}, 421},
		{"rebound name, console", "GET", "/", []string{"Host", "evil.example"}, 421},
		{"rebound name, probe", "GET", "/healthz", []string{"Host", "evil.example"}, 421},
		{"name that begins well", "GET", "/api/info", []string{"Host", "localhost.evil.example"}, 421},
		{"name that ends well", "GET", "/api/info", []string{"Host", "evil-localhost"}, 421},
		{"another machine's address", "GET", "/api/info", []string{"Host", "192.0.2.7"}, 421},
		{"address in disguise", "GET", "/api/info", []string{"Host", "127.1"}, 421},
		{"no host", "GET", "/api/info", []string{"Host", ""}, 421},
		{"no host, HTTP/1.0 health check", "GET", "/healthz", []string{"Host", ""}, 200},
		{"no host, HTTP/1.0 readiness check", "GET", "/readyz", []string{"Host", ""}, 200},

		{"publish, curl", "POST", "/api/publish", json, 200},
		{"publish, charset given", "POST", "/api/publish", []string{"Content-Type", "application/json; charset=utf-8"}, 200},
		{"publish, console", "POST", "/api/publish", append(json, "Origin", "http://localhost:8001", "Sec-Fetch-Site", "same-origin"), 200},
		{"publish, behind a TLS proxy", "POST", "/api/publish", append(json, "Origin", "https://sluice.internal", "Host", "sluice.internal"), 200},
		{"publish, other origin", "POST", "/api/publish", append(json, "Origin", evil), 403},
		{"publish, other port", "POST", "/api/publish", append(json, "Origin", "http://localhost:3000"), 403},
		{"publish, other name for the same", "POST", "/api/publish", append(json, "Origin", "http://127.0.0.1:8001"), 403},
		{"publish, sandboxed page", "POST", "/api/publish", append(json, "Origin", "null"), 403},
		{"publish, empty origin", "POST", "/api/publish", append(json, "Origin", ""), 403},
		{"publish, two origins", "POST", "/api/publish", append(json, "Origin", "http://localhost:8001", "Origin", evil), 403},
		{"publish, extension", "POST", "/api/publish", append(json, "Origin", "chrome-extension://localhost:8001"), 403},
		{"publish, no origin but cross-site", "POST", "/api/publish", append(json, "Sec-Fetch-Site", "cross-site"), 403},
		{"publish, form", "POST", "/api/publish", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		{"publish, plain text", "POST", "/api/publish", []string{"Content-Type", "text/plain"}, 415},
		{"publish, no type", "POST", "/api/publish", nil, 415},
		{"publish, nonsense type", "POST", "/api/publish", []string{"Content-Type", "application/json; ="}, 415},
		{"preflight", "OPTIONS", "/api/publish", []string{"Origin", evil, "Access-Control-Request-Method", "POST"}, 403},

		{"read, other origin", "GET", "/api/info", []string{"Origin", evil}, 403},
		{"image of a profile", "GET", "/debug/pprof/heap", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		{"link to a profile", "GET", "/debug/pprof/heap", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 403},
		{"another port of localhost", "GET", "/api/inbox", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"link to the console", "GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200},
		{"console as an image", "GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		{"address typed by the user", "GET", "/debug/pprof/", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := do(h, request(c.method, c.target, `{"channel":"news","data":1}`, c.headers...))
			if w.Code != c.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.status)
			}
			if c.status >= 400 && !errorInWords(w.Body.Bytes()) {
				t.Errorf("no error object in %s", w.Body)
			}
			if allow := w.Header().Get("Access-Control-Allow-Origin"); allow != "" {
				t.Errorf("Access-Control-Allow-Origin: %s", allow)
			}
		})
	}
}

// TestGuardLocalAddress: a listener on all addresses answers to the one it was called at.
func TestGuardLocalAddress(t *testing.T) {
	h := New(Options{})
	for host, status := range map[string]int{"10.1.2.3:8001": 200, "10.1.2.4:8001": 421, "[::ffff:10.1.2.3]": 200} {
		r := request("GET", "/readyz", "", "Host", host)
		at := context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 8001})
		if w := do(h, r.WithContext(at)); w.Code != status {
			t.Errorf("Host %s: %d, want %d", host, w.Code, status)
		}
	}
}

// TestActing: without a key only who is let in by Open may act, and who shows one is
// always asked by the API.
func TestActing(t *testing.T) {
	say := func(word string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { text(w, 200, word) })
	}
	for _, c := range []struct {
		name    string
		open    http.Handler
		headers []string
		want    string
	}{
		{"without a key", nil, []string{"Content-Type", "application/json"}, "the API"},
		{"with a key", nil, []string{"X-API-Key", "k"}, "the API"},
		{"open", say("open"), []string{"Content-Type", "application/json"}, "open"},
		{"open, with a key", say("open"), []string{"X-API-Key", "k"}, "the API"},
		{"open, a form", say("open"), []string{"Content-Type", "application/x-www-form-urlencoded"}, "must be application/json"},
		{"open, another page", say("open"), []string{"Content-Type", "application/json", "Origin", "https://evil.example"}, "another web page"},
		{"open, a rebound name", say("open"), []string{"Content-Type", "application/json", "Host", "evil.example"}, "not this listener"},
	} {
		for _, path := range []string{"/api/publish", "/api/disconnect", "/api/presence"} {
			t.Run(c.name+path, func(t *testing.T) {
				w := do(New(Options{API: say("the API"), Open: c.open}), request("POST", path, "{}", c.headers...))
				if !strings.Contains(w.Body.String(), c.want) {
					t.Errorf("%d %s, want %s", w.Code, w.Body, c.want)
				}
			})
		}
	}
}

func TestInfo(t *testing.T) {
	h := New(Options{
		Info: func() Info {
			return Info{Version: "v1", Node: "a", Started: time.Now().Add(-time.Hour), Listen: "[::]:8000", Redis: Redis{URL: "redis://app:hunter2@cache:6379/1", OK: true}, Ready: true, Connections: 3}
		},
		Ready: func() error { return errors.New("draining") },
	})
	w := get(h, "/api/info")
	if strings.Contains(w.Body.String(), "hunter2") {
		t.Fatalf("the password is shown: %s", w.Body)
	}
	var got Info
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Ready || got.Reason != "draining" || got.Uptime < 3600 || got.Connections != 3 || got.Endpoints == nil || got.Nodes == nil {
		t.Errorf("%+v", got)
	}
}

func TestInboxEntries(t *testing.T) {
	asked := 0
	h := New(Options{Inbox: func(_ context.Context, count int) ([]InboxEntry, error) {
		asked = count
		return []InboxEntry{
			{Stream: "2-0", Type: "message", Conn: "c1", User: "42", Channel: "news", Data: []byte(`{"a":1}`), Time: time.UnixMilli(1735689600000).UTC()},
			{Stream: "1-1", Type: "message", Data: []byte{0xff, 0}},
			{Stream: "1-0", Type: "message", Data: []byte{}},
			{Stream: "0-1", Type: "connect", Conn: "c1"},
		}, nil
	}})
	want := `{"entries":[` +
		`{"stream":"2-0","type":"message","conn":"c1","user":"42","channel":"news","data":"{\"a\":1}","time":"2025-01-01T00:00:00Z"},` +
		`{"stream":"1-1","type":"message","b64data":"/wA="},` +
		`{"stream":"1-0","type":"message","data":""},` +
		`{"stream":"0-1","type":"connect","conn":"c1"}]}` + "\n"
	if got := get(h, "/api/inbox").Body.String(); got != want || asked != 20 {
		t.Errorf("asked for %d, got\n%swant\n%s", asked, got, want)
	}
	if get(h, "/api/inbox?count=200"); asked != 200 {
		t.Errorf("asked for %d, want 200", asked)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		handler func(w http.ResponseWriter, r *http.Request, stopping func())
		body    string
	}{
		{"lets a request finish", func(w http.ResponseWriter, r *http.Request, stopping func()) {
			stopping()
			text(w, 200, "finished")
		}, "finished"},
		{"cancels one that does not", func(w http.ResponseWriter, r *http.Request, stopping func()) {
			stopping()
			<-r.Context().Done()
			text(w, 200, "cancelled")
		}, "cancelled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			ended := make(chan error, 1)
			go func() {
				ended <- Serve(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.handler(w, r, stop) }), nil)
			}()
			client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			defer client.CloseIdleConnections()
			resp, err := client.Get("http://" + ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close() // read to its end
			if err != nil || string(body) != c.body {
				t.Errorf("%q %v, want %q", body, err, c.body)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the listener is still open: %v", err)
			}
		})
	}
}

func TestServeBrokenListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Serve(context.Background(), ln, New(Options{}), nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want %v", err, net.ErrClosed)
	}
}
