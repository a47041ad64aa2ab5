package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sluice/config"
	"sluice/gateway/certificate"
)

// returning is a client that keeps tickets, and takes all nodes for one server.
type returning struct {
	t      *testing.T
	config *tls.Config
}

func newReturning(t *testing.T, a *authority, version uint16) *returning {
	return &returning{t, &tls.Config{RootCAs: a.pool, ServerName: "push.example", MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4)}}
}

// visit has n answer a message, and reports whether a ticket spared both a whole handshake.
func (r *returning) visit(n *testNode) (resumed bool) {
	r.t.Helper()
	d := websocket.Dialer{TLSClientConfig: r.config}
	ws, response, err := d.Dial("wss://"+n.Public().String()+"/echo", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer ws.Close()
	defer response.Body.Close()
	if err := ws.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("hello "), 10_000)); err != nil { // several records
		r.t.Fatal(err)
	}
	if _, got, err := ws.ReadMessage(); err != nil || len(got) != 60_000 {
		r.t.Fatalf("%d bytes, %v", len(got), err)
	}
	return ws.NetConn().(*tls.Conn).ConnectionState().DidResume
}

// With keys of tickets that nodes share a client comes back to any of them; new keys are
// taken up while clients come and go, and those that cannot be used are not.
func TestTicketKeysAreShared(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("one", "push.example")
	const monday, tuesday = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f\n"
	node := func(keys string) (n *testNode, reload func(keys string) error) {
		file := filepath.Join(t.TempDir(), "tickets")
		flags := []string{"--dev", "--tls-cert", cert, "--tls-key", key}
		if keys != "" {
			flags = append(flags, "--tls-ticket-keys", file)
		}
		write := func(keys string) {
			if err := os.WriteFile(file, []byte(keys), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(keys)
		n = startNode(t, flags...).ready()
		return n, func(keys string) error {
			write(keys)
			with := flags
			if keys == "" {
				with = flags[:5]
			}
			c, err := config.Load(append([]string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--redis", "embedded://127.0.0.1:0", "--shutdown-timeout", "5s"}, with...), nil)
			if err != nil {
				return err
			}
			return n.Reload(t.Context(), c)
		}
	}
	one, reloadOne := node(monday)
	two, reloadTwo := node(monday)
	alone, _ := node("")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			c := newReturning(t, a, version)
			for _, row := range []struct {
				node *testNode
				want bool
			}{{one, false}, {two, true}, {one, true}, {alone, false}, {two, false}, {one, true}} {
				if got := c.visit(row.node); got != row.want {
					t.Errorf("resumed: %v, want %v", got, row.want)
				}
			}
		})
	}
	if metrics := two.get(two.Admin(), "/metrics", http.StatusOK); !strings.Contains(metrics, `sluice_tls_handshakes_total{resumed="yes",version="1.3"} 1`) {
		t.Error("what was resumed is not counted")
	}

	before, after := newReturning(t, a, tls.VersionTLS13), newReturning(t, a, tls.VersionTLS13)
	before.visit(one)
	if err := reloadOne(tuesday + monday); err != nil {
		t.Fatal(err)
	}
	if !before.visit(one) {
		t.Error("a ticket of an older key is not taken")
	}
	after.visit(one)
	if after.visit(two) {
		t.Error("a node knows a key that it was not given yet")
	}
	if err := reloadTwo(tuesday + monday); err != nil {
		t.Fatal(err)
	}
	if after.visit(one); !after.visit(two) {
		t.Error("two nodes with the same new keys do not take each other's tickets")
	}
	for _, wrong := range []string{"", "# none\n", tuesday[2:]} {
		err := reloadTwo(wrong)
		if err == nil || !strings.Contains(err.Error(), "tls.ticket_keys") {
			t.Errorf("%q: %v", wrong, err)
		}
		if !after.visit(two) {
			t.Errorf("after %q the old keys are gone", wrong)
		}
	}
	if err := reloadTwo(tuesday); err != nil {
		t.Fatal(err)
	}
	old := newReturning(t, a, tls.VersionTLS13)
	if err := reloadOne(monday); err != nil {
		t.Fatal(err)
	}
	old.visit(one)
	if old.visit(two) {
		t.Error("a ticket of a key that was taken away is taken")
	}
}

// Where nobody sends SIGHUP the files are looked at: what has changed is taken up, what
// cannot be used is not.
func TestFilesAreReadAgain(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("one", "old.example")
	keys := filepath.Join(t.TempDir(), "tickets")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Repeat("01", 16) + strings.Repeat("02", 16))
	n := startNode(t, "--dev", "--tls-cert", cert, "--tls-key", key, "--tls-ticket-keys", keys, "--tls-reread", "5ms").ready()
	shows := func(want string) {
		t.Helper()
		eventually(t, "the certificate for "+want, func() error {
			if got := a.shown(n, want); got != want {
				return errors.New(got)
			}
			return nil
		})
	}
	shows("old.example")
	a.issue("one", "new.example")
	shows("new.example")
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	a.issue("one", "broken.example")
	a.issue("one", "newest.example")
	if err := os.WriteFile(key, secret, 0o600); err != nil { // of another certificate
		t.Fatal(err)
	}
	a.issue("one", "last.example")
	shows("last.example")

	c := newReturning(t, a, tls.VersionTLS13)
	c.config.ServerName = "last.example"
	c.visit(n)
	write(strings.Repeat("03", 16) + strings.Repeat("04", 16))
	eventually(t, "the new keys of tickets", func() error {
		if c.visit(n) {
			return errors.New("the old ones are in force")
		}
		return nil
	})
}

// The README's commands make keys that a node takes, the new one first.
func TestReadmeTicketKeys(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tickets.keys")
	var first certificate.Tickets
	for i, command := range regexp.MustCompile(`(?m)^ {4}(\(umask .*tickets\.keys\))$`).FindAllStringSubmatch(readme(t), -1) {
		for range 1 + 8*i { // the second makes more keys than it keeps
			sh := exec.Command("sh", "-c", command[1])
			sh.Dir = dir
			if out, err := sh.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", command[1], err, out)
			}
		}
		keys, err := certificate.LoadTickets(file)
		if err != nil {
			t.Fatal(err)
		}
		if want := []int{1, 7}[i]; len(keys) != want || i > 0 && keys[0] == first[0] {
			t.Errorf("%s: %d keys", command[1], len(keys))
		}
		first = keys
	}
	info, err := os.Stat(file)
	if err != nil || len(first) != 7 || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("in the end there are %d keys, %v, %v", len(first), info.Mode(), err)
	}
}
