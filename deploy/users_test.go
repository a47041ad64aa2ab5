package deploy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"sluice/gateway/hostile"
	"sluice/pubsub/redistest"
)

// Each user of redis/users.acl can do what its role needs, and nothing of what the
// others' need: against a Redis that has loaded that file.
func TestRedisUsers(t *testing.T) {
	text, err := os.ReadFile("redis/users.acl")
	if err != nil {
		t.Fatal(err)
	}
	// The users of the file, beside the default one, by which the test looks in.
	lines := strings.Replace(string(text), "user default off\n", "user default on nopass ~* &* +@all\n", 1)
	file := filepath.Join(t.TempDir(), "users.acl")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	s := redistest.Start(t, "--aclfile", file)
	as := func(user string) string { return strings.Replace(s.URL, "://", "://"+user+":change-me-"+user+"@", 1) }
	config := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(config, []byte("namespaces: [{name: invoice, presence: true, join_leave: true, durable: true}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, "--dev", "--redis", as("gateway"), "--config", config)
	eventually(t, "the node is ready", func() error { _, err := fetch("http://" + n.Public + "/readyz"); return err })
	ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+n.Public+"/ws?channel=invoice:7&gaps=tell", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	hears := func(want string) {
		t.Helper()
		if _, got, err := ws.ReadMessage(); err != nil || string(got) != want {
			t.Errorf("the client got %q, %v, want %q", got, err, want)
		}
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}

	clients := map[string]*redis.Client{}
	for _, user := range []string{"billing", "worker", "support"} {
		o, err := redis.ParseURL(as(user))
		if err != nil {
			t.Fatal(err)
		}
		o.ReadTimeout, o.MaxRetries = patience, -1 // a message that is sent again comes twice
		clients[user] = redis.NewClient(o)
		t.Cleanup(func() { _ = clients[user].Close() })
	}
	s.Do("XGROUP", "CREATE", "sluice:inbox", "workers", "0", "MKSTREAM")
	s.Do("SET", "elsewhere", "x")
	for _, row := range []struct {
		user, command string
		may           bool
	}{
		{"billing", "PUBLISH sluice:invoice:7 paid", true},
		{"billing", "FCALL sluice_publish 1 sluice:invoice:7 durably", true},
		{"billing", "FCALL sluice_history 1 sluice:invoice:7 limit 3", true},
		{"billing", "PUBLISH sluice:news fake", false},
		{"billing", "FCALL sluice_publish 1 sluice:news fake", false},
		{"billing", "PUBLISH sluice:{control} 1", false},
		{"billing", "PUBLISH sluice:{node:x} fake", false},
		{"billing", "FCALL sluice_disconnect 0 user 42", false},
		{"billing", "FCALL sluice_presence 1 sluice:invoice:7", false},
		{"billing", "XRANGE sluice:inbox - +", false},
		{"billing", "GET elsewhere", false},
		{"worker", "XREADGROUP GROUP workers me COUNT 1 STREAMS sluice:inbox >", true},
		{"worker", "XACK sluice:inbox workers 1-1", true},
		{"worker", "PUBLISH sluice:{node:x} nobody", true},
		{"worker", "PUBLISH sluice:invoice:7 fake", false},
		{"worker", "XADD sluice:inbox * type connect", false},
		{"worker", "DEL sluice:inbox", false},
		{"worker", "FCALL sluice_disconnect 0 user 42", false},
		{"support", "FCALL sluice_disconnect 0 user 42", true},
		{"support", "FCALL sluice_revoke 0 token j-1 ttl 60", true},
		{"support", "FCALL sluice_revoke 1 sluice:{control} user 42", true},
		{"support", "FCALL sluice_subscribe 0 user 42 invoice:8", true},
		{"support", "FCALL_RO sluice_presence 1 sluice:invoice:7", true},
		{"support", "FCALL_RO sluice_presence_stats 1 sluice:invoice:7", true},
		{"support", "FCALL sluice_publish 1 sluice:invoice:7 fake", false},
		{"support", "PUBLISH sluice:invoice:7 fake", false},
		{"support", "HSET {sluice:invoice:7}.who ghost 1", false},
		{"support", "GET elsewhere", false},
		{"support", "FLUSHALL", false},
	} {
		var args []any
		for _, word := range strings.Fields(row.command) {
			args = append(args, word)
		}
		err := clients[row.user].Do(t.Context(), args...).Err()
		switch denied := err != nil && (strings.Contains(err.Error(), "NOPERM") || strings.Contains(err.Error(), "The user executing the script can't")); {
		case row.may && err != nil && !errors.Is(err, redis.Nil):
			t.Errorf("%s: %s: %v", row.user, row.command, err)
		case !row.may && !denied:
			t.Errorf("%s: %s: %v, want it to be denied", row.user, row.command, err)
		}
	}
	hears("paid")
	hears("durably")
	eventually(t, "the client is present", func() error { // that is written beside everything else
		if answer := fmt.Sprint(s.Do("FCALL", "sluice_presence_stats", 1, "sluice:invoice:7")); answer != "[1 0]" {
			return errors.New(answer)
		}
		return nil
	})
	nothingDenied(t, s, n)
}

// nothingDenied fails where the node was not let do something.
func nothingDenied(t *testing.T, s *redistest.Server, n *hostile.Node) {
	t.Helper()
	for _, entry := range s.Do("ACL", "LOG", 128).([]any) {
		if text := fmt.Sprint(entry); strings.Contains(text, "username gateway") || strings.Contains(text, "username:gateway") {
			t.Errorf("the node was not let do something: %s", text)
		}
	}
	for _, line := range n.Log() {
		// That the machine had no time for the node says nothing of what it may do.
		if line.Level != "info" && !strings.Contains(line.Message, " was held up") {
			t.Errorf("the node says %+v", line)
		}
	}
	if f, err := n.Figures(); err != nil || f["sluice_presence_failed_total"] != 0 || f["sluice_steering_failed_total"] != 0 || f["sluice_inbox_failed_total"] != 0 || f["sluice_lease_failures_total"] != 0 {
		t.Errorf("%v: presence %v, steering %v, inbox %v, lease %v", err, f["sluice_presence_failed_total"], f["sluice_steering_failed_total"], f["sluice_inbox_failed_total"], f["sluice_lease_failures_total"])
	}
}
