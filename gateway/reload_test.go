package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"sluice/config"
	"sluice/gateway/auth"
	"sluice/pubsub/redistest"
)

// TestReload: keys, namespaces and limits change under clients that stay.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	write := func(yaml string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--config", path, "--dev"}
	base := []string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--redis", "embedded://127.0.0.1:0", "--shutdown-timeout", "5s"}
	reload := func(n *testNode) error {
		t.Helper()
		c, err := config.Load(append(base, args...), nil)
		if err != nil {
			return err
		}
		return n.Reload(t.Context(), c)
	}
	write("namespaces:\n- {name: closed, subscribe: nobody}\n- {name: open}\nauth: {hmac_secret: one secret that is long enough to be one}\nmessage: {max: 128B}\n")
	n := startNode(t, args...).ready()
	refused := func(path string) int {
		t.Helper()
		c, response, err := n.tryDial(path, nil)
		if err == nil {
			_ = c.Close()
			return 101
		}
		if response == nil {
			t.Fatal(err)
		}
		return response.StatusCode
	}
	stays := n.dial("/ws?channel=open:1")
	token := func(secret string) string {
		return "&token=" + sign(t, auth.Key{Alg: "HS256", Secret: []byte(secret)}, auth.Claims{User: "42"})
	}
	one, two := token("one secret that is long enough to be one"), token("two secret that is long enough to be one")
	if a, b, c := refused("/ws?channel=closed:1"), refused("/ws?channel=open:1"+one), refused("/ws?channel=open:1"+two); a != 403 || b != 101 || c != 401 {
		t.Fatalf("before: %d, %d, %d", a, b, c)
	}

	write("namespaces:\n- {name: closed}\n- {name: open, subscribe: nobody}\nauth: {hmac_secret: two secret that is long enough to be one}\nmessage: {max: 64KiB}\n")
	if err := reload(n); err != nil {
		t.Fatal(err)
	}
	if a, b, c, d := refused("/ws?channel=closed:1"), refused("/ws?channel=open:1"), refused("/ws?channel=closed:1"+one), refused("/ws?channel=closed:1"+two); a != 101 || b != 403 || c != 401 || d != 101 {
		t.Errorf("after: %d, %d, %d, %d", a, b, c, d)
	}
	n.publish("open:1", "still there")
	stays.wantText("still there")
	long := strings.Repeat("x", 1000)
	eventually(t, "a longer message is taken", func() error {
		c := n.dial("/ws?channel=closed:1")
		c.send(websocket.TextMessage, long)
		for _, e := range n.entries("message") {
			if e["data"] == long {
				return nil
			}
		}
		return errors.New("not in the inbox")
	})

	for name, yaml := range map[string]string{
		"an unknown name":    "namespace: []\n",
		"a nonsensical one":  "message: {max: 1GiB}\n",
		"a stream of no one": "namespaces:\n- {name: open, inbox: other}\n",
	} {
		write(yaml)
		if err := reload(n); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if a, b := refused("/ws?channel=closed:1"), refused("/ws?channel=open:1"); a != 101 || b != 403 {
		t.Errorf("after what was wrong: %d, %d", a, b)
	}
	n.publish("open:1", "to the end")
	stays.wantText("to the end")
}

// SIGHUP reloads, and says what has changed; what is wrong it says, and goes on.
func TestHangup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	write := func(yaml string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ping: {interval: 25s}\n")
	cmd := process(t, "--dev", "--config", path, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--redis", "embedded://127.0.0.1:0")
	log := new(safeBuffer)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killAtEnd(t, cmd)
	says := func(what string) {
		t.Helper()
		eventually(t, "the log has "+what, func() error {
			if !strings.Contains(log.String(), what) {
				return errors.New(log.String())
			}
			return nil
		})
	}
	says("serving")
	for _, row := range []struct{ yaml, says string }{
		{"ping: {interval: 20s}\n", "reloaded: ping.interval"},
		{"ping: {interval: 20s}\nreactors: 3\n", "reloading does not change reactors"},
		{"pong: 1\n", "the old one stays in force"},
		{"ping: {interval: 20s, timeout: 7s}\n", "reloaded: ping.timeout"},
	} {
		write(row.yaml)
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		says(row.says)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// Presence that is switched on and off holds for who comes and who goes; comings and goings
// are announced as the configuration in force says.
func TestReloadPresence(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	args := []string{"--config", path, "--redis", s.URL, "--auth-hmac-secret", testSecret, "--anonymous"}
	write := func(hall string) {
		t.Helper()
		yaml := "namespaces:\n- {name: room, presence: true}\n- {name: hall" + hall + "}\n"
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(", presence: true")
	n := startNode(t, args...).ready()
	reload := func() {
		t.Helper()
		c, err := config.Load(append([]string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--shutdown-timeout", "5s"}, args...), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Reload(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	enter := func(user string) *client {
		return dialAs(t, n.Public().String(), "/ws?channel=room:1&channel=hall:1", user)
	}
	enter("ada")
	present(t, s, "room:1", "ada")
	present(t, s, "hall:1", "ada")

	write("")
	reload()
	present(t, s, "hall:1")
	bob := enter("bob")
	present(t, s, "room:1", "ada", "bob")
	present(t, s, "hall:1")

	write(", presence: true, join_leave: true")
	reload()
	news := s.Client().Subscribe(t.Context(), "sluice:hall:1")
	defer func() { _ = news.Close() }()
	if _, err := news.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	cleo := enter("cleo")
	present(t, s, "hall:1", "cleo")
	said, err := news.ReceiveMessage(t.Context())
	if err != nil || !strings.Contains(said.Payload, `"cleo"`) {
		t.Errorf("of a coming is said %v, %v", said, err)
	}
	_, _ = bob.Close(), cleo.Close()
	present(t, s, "room:1", "ada")
	present(t, s, "hall:1")
}
