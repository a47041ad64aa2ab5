package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/gateway/admin"
	"sluice/gateway/auth"
	"sluice/pubsub/redistest"
)

// runPage drives a page in Chromium with a script of admin/testdata. SCREENSHOTS names a
// folder to keep screenshots in.
func runPage(t *testing.T, script string, environ ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", filepath.Join("admin", "testdata", script))
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), environ...)
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		path, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "OUT_DIR="+path)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v (without node, Chromium or playwright-core: run make deps)\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestClientPage uses the console's client page of a real node: what is published shows, what
// is sent is in the inbox, and how a connection ends is told.
func TestClientPage(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--dev").ready()
	runPage(t, "client.mjs", "ADMIN_URL=http://"+n.Admin().String())
}

const consoleFile = "namespaces:\n  - {name: orders, durable: true, presence: true}\n"

// TestConsole uses the console of a real node with a key.
func TestConsole(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	n := startNode(t, "--redis", server.URL, "--anonymous", "--auth-hmac-secret", testSecret, "--api-key", testAPIKey, configFile(t, consoleFile)).ready()
	runPage(t, "console.mjs", "ADMIN_URL=http://"+n.Admin().String(), "PUBLIC="+n.Public().String(), "REDIS="+server.URL, "KEY="+testAPIKey, "TOKEN="+sign(t, testKey, auth.Claims{}))
}

// look asks the admin port for JSON.
func look[T any](n *testNode, path string) (v T) {
	n.t.Helper()
	if err := json.Unmarshal([]byte(n.get(n.Admin(), path, 200)), &v); err != nil {
		n.t.Fatal(err)
	}
	return v
}

func TestLookingUp(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, "--redis", server.URL, "--anonymous", "--auth-hmac-secret", testSecret, configFile(t, consoleFile)).ready()
	plain := n.dial("/ws?channel=orders:7&channel=news&token=" + sign(t, testKey, auth.Claims{}))
	wrapped := n.dial("/ws?channel=orders:7&token="+sign(t, testKey, auth.Claims{}), "sluice.v1")
	n.dial("/ws?channel=news")
	n.publishDurable("orders:7", `{"state":"paid"}`)
	plain.wantText(`{"state":"paid"}`)

	var found admin.Conns
	eventually(t, "both connections are found by their user", func() error {
		if found = look[admin.Conns](n, "/api/conns?user=42"); found.Total != 2 || len(found.Conns) != 2 {
			return fmt.Errorf("%+v", found)
		}
		return nil
	})
	slices.SortFunc(found.Conns, func(a, b admin.Conn) int { return strings.Compare(a.Dialect, b.Dialect) })
	one := found.Conns[0]
	if one.Dialect != "plain" || found.Conns[1].Dialect != "v1" || one.User != "42" || !strings.HasPrefix(one.Remote, "127.0.0.1:") || !slices.Equal(one.Channels, []string{"orders:7", "news"}) {
		t.Errorf("%+v", found)
	}
	if same := look[admin.Conns](n, "/api/conns?conn="+url.QueryEscape(one.Conn)); same.Total != 1 || same.Conns[0].Conn != one.Conn {
		t.Errorf("%+v", same)
	}
	if nobody := look[admin.Conns](n, "/api/conns?conn=x.y"); nobody.Total != 0 {
		t.Errorf("%+v", nobody)
	}
	if onIt := look[admin.Conns](n, "/api/conns?channel=news"); onIt.Total != 2 || len(onIt.Conns) != 2 {
		t.Errorf("%+v", onIt)
	}

	var c admin.Channel
	eventually(t, "both are present", func() error {
		if c = look[admin.Channel](n, "/api/channel?name=orders:7"); c.Fault != "" || c.Who == nil || c.Who.Connections != 2 {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	if c.Members != 2 || !c.Heard || c.Rules.Namespace != "orders" || !c.Rules.Durable || c.Log.Entries != 1 || c.Log.Last == "0" || c.Log.Epoch == "" ||
		c.Log.Newest == nil || time.Since(*c.Log.Newest) > time.Hour || c.Who.Users != 1 || len(c.Who.Some) != 2 {
		t.Errorf("%+v, %+v, %+v", c, c.Log, c.Who)
	}
	if c := look[admin.Channel](n, "/api/channel?name=news"); c.Members != 2 || c.Log != nil || c.Who != nil {
		t.Errorf("%+v", c)
	}
	_ = wrapped.Close()
	eventually(t, "who has gone is not found any more", func() error {
		if left := look[admin.Conns](n, "/api/conns?channel=orders:7"); left.Total != 1 {
			return fmt.Errorf("%+v", left)
		}
		return nil
	})
}

// TestActingWithoutKey: on a laptop pages of the admin port may act without a key, and what
// they publish is checked as what services do is; elsewhere nobody may.
func TestActingWithoutKey(t *testing.T) {
	laptop, server := startNode(t, "--dev").ready(), startNode(t).ready()
	for _, row := range []struct {
		name         string
		n            *testNode
		path, body   string
		status       int
		says         string
		contentTypes string
	}{
		{"publish", laptop, "/api/publish", `{"channel":"a","data":1}`, 200, `"offset"`, "application/json"},
		{"what only the nodes write", laptop, "/api/publish", `{"channel":"a","b64data":"AXNsdWljZSA5IDEgMQp4","skip_history":true}`, 200, `"code":107`, "application/json"},
		{"a bad channel", laptop, "/api/publish", `{"channel":"{control}","data":1}`, 200, `"code":107`, "application/json"},
		{"disconnect", laptop, "/api/disconnect", `{"user":"42"}`, 200, `{"result":{}}`, "application/json"},
		{"what a form can send", laptop, "/api/publish", `{"channel":"a","data":1}`, 415, "application/json", "text/plain"},
		{"not a laptop", server, "/api/publish", `{"channel":"a","data":1}`, 403, "configure api.key", "application/json"},
		{"not a laptop, disconnect", server, "/api/disconnect", `{"user":"42"}`, 403, "configure api.key", "application/json"},
	} {
		if status, answer := row.n.api(row.path, row.body, "Content-Type", row.contentTypes); status != row.status || !strings.Contains(answer, row.says) {
			t.Errorf("%s: %d %s", row.name, status, answer)
		}
	}
	for n, acts := range map[*testNode]string{laptop: admin.ActsOpen, server: admin.ActsOff} {
		if info := look[admin.Info](n, "/api/info"); info.Acts != acts {
			t.Errorf("%q, want %q", info.Acts, acts)
		}
	}
}

// TestGuessingTheKey: who tries many keys is not listened to, not even with the right one; who
// shows one wrong key again and again shuts nobody out.
func TestGuessingTheKey(t *testing.T) {
	n := startNode(t, "--dev", "--api-key", testAPIKey).ready()
	ask := func(key string) int {
		status, _ := n.api("/api/info", "", "X-API-Key", key)
		return status
	}
	for range 30 {
		if status := ask("an old key of a service"); status != 401 {
			t.Fatal(status)
		}
	}
	if status := ask(testAPIKey); status != 200 {
		t.Errorf("the right key: %d", status)
	}
	for i := range 9 {
		ask(fmt.Sprintf("guess %d", i))
	}
	if status := ask(testAPIKey); status != 429 {
		t.Errorf("the right key after ten guesses: %d", status)
	}
}

// TestConsoleWhileLeaving: the console goes on while a node drains, and its streams do not
// keep the node from ending.
func TestConsoleWhileLeaving(t *testing.T) {
	n := startNode(t, "--dev").ready()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Admin().String()+"/api/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	in := bufio.NewReader(response.Body)
	for line := ""; line != "event: overview\n"; {
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.stop(); err != nil {
		t.Error(err)
	}
	if content, err := io.ReadAll(in); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v, %.200s", err, content)
	}
}
