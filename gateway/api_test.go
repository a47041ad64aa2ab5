package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/centrifugal/gocent/v3"

	"sluice/config"
	"sluice/gateway/auth"
)

const testAPIKey = "0123456789abcdef"

// api calls a method as a service does that has no library.
func (n *testNode) api(path, body string, fields ...string) (status int, answer string) {
	n.t.Helper()
	request, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, "http://"+n.Admin().String()+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	request.Header = with(fields...)
	request.Close = true
	response, err := (&http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	b, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		n.t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSuffix(string(b), "\n")
}

// TestAPIWithGocent uses the API as a service does that has Centrifugo's library.
func TestAPIWithGocent(t *testing.T) {
	for _, b := range brokers {
		t.Run(b.name, func(t *testing.T) {
			file := configFile(t, "namespaces:\n  - {name: orders, durable: true, history_size: 3, presence: true}\n  - {name: plain, durable: false}\n")
			n := startNode(t, append(b.args(t), "--dev", "--api-key", testAPIKey, file)...).ready()
			ctx := t.Context()
			transport := &http.Transport{DisableKeepAlives: true}
			c := gocent.New(gocent.Config{Addr: "http://" + n.Admin().String() + "/api", Key: testAPIKey, HTTPClient: &http.Client{Timeout: patience, Transport: transport}})

			reader := n.dial("/ws?channel=orders:1&channel=plain:1")
			first, err := c.Publish(ctx, "orders:1", []byte(`{"id": 1}`))
			if err != nil || first.Offset == 0 || first.Epoch == "" {
				t.Fatalf("%+v, %v", first, err)
			}
			reader.wantText(`{"id":1}`) // the library writes it so
			if r, err := c.Publish(ctx, "plain:1", []byte(`"x"`)); err != nil || r != (gocent.PublishResult{}) {
				t.Errorf("%+v, %v", r, err)
			}
			reader.wantText(`"x"`)
			if r, err := c.Publish(ctx, "orders:1", []byte(`"not logged"`), gocent.WithSkipHistory(true)); err != nil || r.Offset != 0 {
				t.Errorf("%+v, %v", r, err)
			}
			reader.wantText(`"not logged"`)

			n.publishDurable("orders:1", "no JSON")
			n.publishDurable("orders:1", "[\"\xFF\"]")
			reader.wantText("no JSON")
			reader.want(2, "[\"\xFF\"]")

			all, err := c.Broadcast(ctx, []string{"orders:1", "plain:1", "no channel"}, []byte("2"))
			if err != nil || len(all.Responses) != 3 || all.Responses[0].Result.Offset <= first.Offset || all.Responses[1].Error != nil {
				t.Fatalf("%+v, %v", all, err)
			}
			if e := all.Responses[2].Error; e == nil || e.Code != 107 || !strings.Contains(e.Message, "space") {
				t.Errorf("%+v", e)
			}
			for range 2 { // which channel comes first is not said
				reader.wantText("2")
			}

			h, err := c.History(ctx, "orders:1", gocent.WithLimit(gocent.NoLimit))
			if err != nil || len(h.Publications) != 3 || string(h.Publications[2].Data) != "2" || string(h.Publications[0].Data) != `"no JSON"` {
				t.Fatalf("%+v, %v", h, err)
			}
			last := h.Publications[2].Offset
			if h.Offset != last || h.Epoch != first.Epoch {
				t.Errorf("%+v", h)
			}
			since := &gocent.StreamPosition{Offset: h.Publications[1].Offset, Epoch: h.Epoch}
			if h, err := c.History(ctx, "orders:1", gocent.WithSince(since), gocent.WithLimit(1)); err != nil || len(h.Publications) != 1 || string(h.Publications[0].Data) != "2" {
				t.Errorf("%+v, %v", h, err)
			}
			if h, err := c.History(ctx, "orders:1", gocent.WithReverse(true), gocent.WithLimit(1)); err != nil || len(h.Publications) != 1 || h.Publications[0].Offset != last {
				t.Errorf("%+v, %v", h, err)
			}
			if h, err := c.History(ctx, "orders:1"); err != nil || len(h.Publications) != 0 || h.Offset != last {
				t.Errorf("%+v, %v", h, err)
			}
			wantAPIError(t, 112, func() error {
				_, err := c.History(ctx, "orders:1", gocent.WithSince(&gocent.StreamPosition{Offset: first.Offset, Epoch: "another"}), gocent.WithLimit(10))
				return err
			})
			wantAPIError(t, 112, func() error { // it was cut off
				_, err := c.History(ctx, "orders:1", gocent.WithSince(&gocent.StreamPosition{Offset: first.Offset - 1}), gocent.WithLimit(10))
				return err
			})
			wantAPIError(t, 108, func() error { _, err := c.History(ctx, "plain:1"); return err })
			if err := c.HistoryRemove(ctx, "orders:1"); err != nil {
				t.Error(err)
			}
			if h, err := c.History(ctx, "orders:1", gocent.WithLimit(10)); err != nil || len(h.Publications) != 0 || h.Offset != last {
				t.Errorf("%+v, %v", h, err)
			}

			eventually(t, "presence knows the reader", func() error {
				p, err := c.Presence(ctx, "orders:1")
				if err == nil && len(p.Presence) != 1 {
					err = fmt.Errorf("%+v", p)
				}
				return err
			})
			if s, err := c.PresenceStats(ctx, "orders:1"); err != nil || s.NumClients != 1 || s.NumUsers != 0 {
				t.Errorf("%+v, %v", s, err)
			}
			wantAPIError(t, 108, func() error { _, err := c.Presence(ctx, "plain:1"); return err })

			info, err := c.Info(ctx)
			if err != nil || len(info.Nodes) != 1 || info.Nodes[0].NumClients != 1 || info.Nodes[0].NumChannels != 2 || info.Nodes[0].Version == "" {
				t.Errorf("%+v, %v", info, err)
			}
			channels, err := c.Channels(ctx)
			if err != nil || len(channels.Channels) != 2 {
				t.Errorf("%+v, %v", channels, err)
			}
			wantAPIError(t, 108, func() error { _, err := c.Channels(ctx, gocent.WithPattern("orders:*")); return err })

			pipe := c.Pipe()
			if err := errors.Join(pipe.AddPublish("plain:1", []byte(`"a"`)), pipe.AddHistory("plain:1"), pipe.AddPublish("plain:1", []byte(`"b"`))); err != nil {
				t.Fatal(err)
			}
			replies, err := c.SendPipe(ctx, pipe)
			if err != nil || len(replies) != 3 || replies[0].Error != nil || replies[1].Error == nil || replies[2].Error != nil {
				t.Errorf("%+v, %v", replies, err)
			}
			reader.wantText(`"a"`)
			reader.wantText(`"b"`)
			if got := n.metric(`sluice_api_commands_total{method="publish",result="done"}`); got != "5" {
				t.Errorf("%s were published", got)
			}
		})
	}
}

// wantAPIError compares the code of the error that a call ends with.
func wantAPIError(t *testing.T, code int, call func() error) {
	t.Helper()
	err := call()
	if e := (*gocent.Error)(nil); !errors.As(err, &e) || e.Code != code {
		t.Errorf("%v, want code %d", err, code)
	}
}

func TestAPI(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("\n"+testAPIKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, "--dev", "--api-key-file", file).ready()
	eventually(t, "the functions are loaded", func() error { return n.redis.FCall(t.Context(), "sluice_version", nil).Err() })
	header := with("X-API-Key", testAPIKey)
	for _, row := range []struct {
		name, path, body string
		header           http.Header
		status           int
		answer           string // a pattern
	}{
		{"publish", "/api/publish", `{"channel":"a","data":{"x": 1}}`, header, 200, `^{"result":{"offset":\d+,"epoch":"\d+"}}$`},
		{"the key in Authorization", "/api/publish", `{"channel":"a","data":1}`, with("Authorization", "apikey "+testAPIKey), 200, `^{"result":{"offset"`},
		{"a name that is not this machine's", "/api/publish", `{"channel":"a","data":1}`, with("X-API-Key", testAPIKey, "Host", "sluice.internal"), 200, `^{"result":{"offset"`},
		{"with bytes", "/api/publish", `{"channel":"a","b64data":"AP8="}`, header, 200, `^{"result":{"offset"`},
		{"what only the nodes write", "/api/publish", `{"channel":"a","b64data":"AXNsdWljZSA5IDEgMQp4","skip_history":true}`, header, 200, `"code":107,"message":"data: `},
		{"the same into a log", "/api/publish", `{"channel":"a","b64data":"AXNsdWljZSA5IDEgMQp4"}`, header, 200, `^{"result":{"offset"`},
		{"fields of newer libraries", "/api/publish", `{"channel":"a","data":1,"delta":false,"version":0,"tags":{}}`, header, 200, `^{"result":{"offset"`},
		{"tags", "/api/publish", `{"channel":"a","data":1,"tags":{"a":"b"}}`, header, 200, `^{"error":{"code":108,"message":"tags: `},
		{"no data", "/api/publish", `{"channel":"a"}`, header, 200, `^{"error":{"code":107,"message":"data is missing"}}$`},
		{"two kinds of data", "/api/publish", `{"channel":"a","data":1,"b64data":"AA=="}`, header, 200, `"code":107`},
		{"no channel", "/api/publish", `{"data":1}`, header, 200, `"code":107,"message":"channel: channel name is empty"`},
		{"the control channel", "/api/publish", `{"channel":"{control}","data":1}`, header, 200, `"code":107`},
		{"a key with a space", "/api/publish", `{"channel":"a","data":1,"idempotency_key":"a b"}`, header, 200, `"code":107`},
		{"a key without a log", "/api/publish", `{"channel":"a","data":1,"idempotency_key":"a","skip_history":true}`, header, 200, `"code":108`},
		{"another type", "/api/publish", `{"channel":7,"data":1}`, header, 200, `"code":107,"message":"the parameters do not fit`},
		{"an empty body", "/api/publish", ``, header, 200, `"code":107`},
		{"no JSON", "/api/publish", `{"channel":`, header, 400, `"code":107`},
		{"something behind it", "/api/publish", `{} {}`, header, 400, `"code":107`},
		{"too much", "/api/publish", strings.Repeat(" ", 8<<20+1), header, 413, `"code":106`},
		{"no such method", "/api/explode", `{}`, header, 404, `"code":104,"message":"there is no such method; there are publish, broadcast`},
		{"a wrong key", "/api/publish", `{}`, with("X-API-Key", testAPIKey+"x"), 401, `"code":101`},
		{"an empty key", "/api/publish", `{}`, with("X-API-Key", ""), 401, `"code":101`},
		{"two keys", "/api/publish", `{}`, with("X-API-Key", testAPIKey, "X-API-Key", testAPIKey), 401, `"code":101`},
		{"no key", "/api/broadcast", `{}`, nil, 401, `"code":101`},
		{"a page of another origin", "/api/broadcast", `{}`, with("Origin", "https://evil.example"), 403, `"code":103`},
		{"too many channels", "/api/broadcast", `{"data":1,"channels":["a"` + strings.Repeat(`,"a"`, 1000) + `]}`, header, 200, `"code":107`},
		{"no channels", "/api/broadcast", `{"data":1}`, header, 200, `"code":107`},
		{"batch", "/api/batch", `{"commands":[{"publish":{"channel":"a","data":1}},{"info":{}},{"explode":{}},{"publish":{"channel":""}},{"publish":{},"info":{}},{}]}`, header, 200,
			`^{"replies":\[{"publish":{"offset":\d+,"epoch":"\d+"}},{"info":{"nodes":\[.*\]}},{"error":{"code":104.*}},{"error":{"code":107.*}},{"error":{"code":104.*}},{"error":{"code":104.*}}\]}$`},
		{"batch of nothing", "/api/batch", `{}`, header, 200, `^{"replies":\[\]}$`},
		{"a batch that is none", "/api/batch", `[]`, header, 400, `"code":107`},
		{"lines", "/api", "{\"method\":\"info\",\"params\":{}}\n{\"method\":\"explode\"}\n{\"method\":\"publish\",\"params\":null}", header, 200, `(?s)^{"result":{"nodes".*}}\n{"error":{"code":104.*}}\n{"error":{"code":107.*}}$`},
		{"no line", "/api", "", header, 400, `"code":107`},
		{"too many lines", "/api", strings.Repeat(`{"method":"explode"}`, 1001), header, 400, `"code":107`},
	} {
		t.Run(row.name, func(t *testing.T) {
			var fields []string
			for name, values := range row.header {
				for _, v := range values {
					fields = append(fields, name, v)
				}
			}
			status, answer := n.api(row.path, row.body, fields...)
			if status != row.status || !regexp.MustCompile(row.answer).MatchString(answer) || !json.Valid([]byte("["+strings.ReplaceAll(answer, "\n", ",")+"]")) {
				t.Errorf("%d %s, want %d %s", status, answer, row.status, row.answer)
			}
		})
	}
	t.Run("once", func(t *testing.T) {
		const body = `{"channel":"a","data":1,"idempotency_key":"k"}`
		_, first := n.api("/api/publish", body, "X-API-Key", testAPIKey)
		if _, again := n.api("/api/publish", body, "X-API-Key", testAPIKey); again != first || !strings.Contains(first, "offset") {
			t.Errorf("%s, then %s", first, again)
		}
	})
	if got := n.metric("sluice_api_wrong_keys_total"); got != "4" {
		t.Errorf("%s requests with a wrong key were counted", got)
	}
	t.Run("GET", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.Admin().String()+"/api/publish", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-API-Key", testAPIKey)
		response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != 405 || response.Header.Get("Allow") != "POST" {
			t.Errorf("%s, Allow %q", response.Status, response.Header.Get("Allow"))
		}
	})
	t.Run("without a key", func(t *testing.T) {
		for _, path := range []string{"/api/publish", "/api/disconnect", "/api/presence"} {
			if status, answer := n.api(path, `{"channel":"a","data":1}`, "Content-Type", "application/json"); status != 401 || !strings.Contains(answer, `"code":101`) {
				t.Errorf("%s: %d %s", path, status, answer)
			}
		}
	})
	t.Run("off", func(t *testing.T) {
		n := startNode(t).ready()
		for _, fields := range [][]string{nil, {"X-API-Key", ""}, {"X-API-Key", testAPIKey}, {"Authorization", "apikey "}} {
			if status, answer := n.api("/api/broadcast", `{}`, fields...); status != 403 || !strings.Contains(answer, "configure api.key") {
				t.Errorf("%q: %d %s", fields, status, answer)
			}
		}
	})
}

// A key file that holds none keeps the node from starting.
func TestAPIKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := apiKey(&config.Config{API: config.API{KeyFile: file}}); err == nil || !strings.Contains(err.Error(), "has 5 bytes") {
		t.Errorf("%v", err)
	}
}

// The README's command publishes.
func TestReadmeAPI(t *testing.T) {
	line := regexp.MustCompile(`(?m)^    (curl .*/api/publish.*)$`).FindStringSubmatch(readme(t))
	if line == nil {
		t.Fatal("the README has no curl command for /api/publish")
	}
	n := startNode(t, "--dev", "--api-key", testAPIKey).ready()
	c := n.dial("/ws?channel=orders:7")
	cmd := exec.CommandContext(t.Context(), "bash", "-c", strings.Replace(line[1], "localhost:8001", n.Admin().String(), 1))
	cmd.Env = append(os.Environ(), "KEY="+testAPIKey)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), `{"result":{"offset":`) {
		t.Fatalf("%v %s", err, out)
	}
	c.wantText(`{"state":"shipped"}`)
}

// Services steer clients through the API, by user and by connection, with Centrifugo's
// library; event streams among them.
func TestAPISteers(t *testing.T) {
	n := startNode(t, "--auth-hmac-secret", testSecret, "--anonymous", "--api-key", testAPIKey).ready()
	ctx := t.Context()
	c := gocent.New(gocent.Config{Addr: "http://" + n.Admin().String() + "/api", Key: testAPIKey,
		HTTPClient: &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}})
	eventually(t, "the functions are loaded", func() error { return n.redis.FCall(ctx, "sluice_version", nil).Err() })

	anonymous := n.dial("/ws?channel=news")
	conn := n.entry("connect")["conn"].(string)
	user := n.dial("/ws?channel=news&token=" + sign(t, testKey, auth.Claims{}))
	stream := n.stream("/sse?channel=news&token=" + sign(t, testKey, auth.Claims{}))

	if err := c.Subscribe(ctx, "more", "42"); err != nil {
		t.Fatal(err)
	}
	if entry := n.entry("subscribe"); entry["channel"] != "more" || entry["user"] != "42" {
		t.Errorf("%v", entry)
	}
	n.publish("more", "for the user")
	user.wantText("for the user")
	if err := c.Unsubscribe(ctx, "news", "", gocent.WithUnsubscribeClient(conn)); err != nil {
		t.Fatal(err)
	}
	if entry := n.entry("unsubscribe"); entry["channel"] != "news" || entry["conn"] != conn {
		t.Errorf("%v", entry)
	}
	if err := c.Disconnect(ctx, "42", gocent.WithDisconnect(&gocent.Disconnect{Code: 4321, Reason: "the day is over"})); err != nil {
		t.Fatal(err)
	}
	if got := user.wantClose(4321); got != "the day is over" {
		t.Errorf("%q", got)
	}
	stream.want("close : 4321 the day is over", "the end")
	if err := c.Disconnect(ctx, "", gocent.WithDisconnectClient(conn)); err != nil {
		t.Fatal(err)
	}
	anonymous.wantClose(4500)

	for name, call := range map[string]func() error{
		"nobody":         func() error { return c.Disconnect(ctx, "") },
		"another's code": func() error { return c.Disconnect(ctx, "42", gocent.WithDisconnect(&gocent.Disconnect{Code: 3500})) },
		"a reason in lines": func() error {
			return c.Disconnect(ctx, "42", gocent.WithDisconnect(&gocent.Disconnect{Code: 4000, Reason: "a\nb"}))
		},
		"no channel":         func() error { return c.Subscribe(ctx, "", "42") },
		"an impossible user": func() error { return c.Unsubscribe(ctx, "news", strings.Repeat("4", 256)) },
	} {
		t.Run(name, func(t *testing.T) { wantAPIError(t, 107, call) })
	}
	wantAPIError(t, 108, func() error { return c.Disconnect(ctx, "42", gocent.WithDisconnectClientWhitelist([]string{conn})) })
}
