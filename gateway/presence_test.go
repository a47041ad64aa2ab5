package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"sluice/gateway/auth"
	"sluice/gateway/hostile"
	"sluice/pubsub/redistest"
)

// presenceConfig keeps who is in the rooms.
const presenceConfig = `
namespaces:
  - {name: room, presence: true, join_leave: true}
  - {name: hall, presence: true}
`

// present waits until the users' connections are in a channel, one for each time that
// they are named.
func present(t *testing.T, s *redistest.Server, channel string, users ...string) {
	t.Helper()
	slices.Sort(users)
	soon(t, fmt.Sprint("in ", channel, " are ", users), func() error {
		said, err := s.Server.Do("FCALL", "sluice_presence", 1, "sluice:"+channel) // the functions may not be loaded yet
		if err != nil {
			return err
		}
		answer := said.([]any)
		var got []string
		for _, row := range answer[3].([]any) {
			entry := row.([]any)[1].(string)
			_, user, _ := strings.Cut(entry, `"user":"`)
			user, _, _ = strings.Cut(user, `"`)
			got = append(got, user)
		}
		slices.Sort(got)
		if !slices.Equal(got, users) || answer[0] != int64(len(users)) {
			return fmt.Errorf("there are %d, %v", answer[0], got)
		}
		return nil
	})
}

// dialAs connects to a node's public port as a user.
func dialAs(t *testing.T, public, path, user string) *client {
	t.Helper()
	url := "ws://" + public + path + "&token=" + sign(t, testKey, auth.Claims{User: user})
	d := websocket.Dialer{HandshakeTimeout: patience}
	ws, response, err := d.DialContext(t.Context(), url, nil)
	if err != nil {
		t.Fatalf("dialing %s as %s: %v, %v", path, user, err, response)
	}
	t.Cleanup(func() { _ = ws.Close() }) // the test may have closed it
	return &client{Conn: ws, t: t}
}

func TestPresenceOverNodes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	flags := []string{"--redis", s.URL, "--auth-hmac-secret", testSecret, "--anonymous", "--node-lease-ttl", testLease, "--ping-interval", noPings, "--drain-window", "0s", configFile(t, presenceConfig)}
	a := startNode(t, append(flags, "--node-id", "a")...).ready().loaded()
	process := func(id string) *hostile.Node {
		n, err := hostile.StartCommand(t.Context(), process(t, append([]string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--node-id", id}, flags...)...))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Kill() }) // the test may have ended it
		return n
	}
	b := process("b")
	a.knows("a", "b")

	ada := dialAs(t, a.Public().String(), "/ws?channel=room:1&channel=hall:1&channel=news", "ada")
	dialAs(t, b.Public, "/ws?channel=room:1", "bob")
	dialAs(t, b.Public, "/ws?channel=room:1&channel=hall:2", "ada")
	a.dial("/ws?channel=room:1")
	present(t, s, "room:1", "", "ada", "ada", "bob")
	present(t, s, "hall:1", "ada")
	present(t, s, "hall:2", "ada")
	if got := s.Do("EXISTS", "{sluice:news}.who"); got != int64(0) {
		t.Error("presence is kept where nobody asked for it")
	}
	if got := fmt.Sprint(s.Do("FCALL", "sluice_presence_stats", 1, "sluice:room:1")); got != "[4 2]" {
		t.Errorf("counted are %s", got)
	}

	// A node that is killed is buried.
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	present(t, s, "room:1", "", "ada")
	present(t, s, "hall:2")
	soon(t, "the metrics tell", func() error {
		if got := a.metric("sluice_presence_buried_total"); got != "3" {
			return fmt.Errorf("%s are buried", got)
		}
		return nil
	})

	// One that was only stopped is, too, and writes its entries again when it goes on.
	c := process("c")
	a.knows("a", "c")
	dialAs(t, c.Public, "/ws?channel=room:1&channel=hall:2", "cleo")
	present(t, s, "room:1", "", "ada", "cleo")
	if err := c.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	present(t, s, "room:1", "", "ada")
	present(t, s, "hall:2")
	if err := c.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	present(t, s, "room:1", "", "ada", "cleo")
	present(t, s, "hall:2", "cleo")

	// One that leaves takes its entries with it.
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	present(t, s, "room:1", "", "ada")
	_ = ada.Close()
	present(t, s, "room:1", "")
	present(t, s, "hall:1")
	soon(t, "the node counts the one that is left", func() error {
		if got := a.metric("sluice_presence_entries"); got != "1" {
			return fmt.Errorf("it counts %s", got)
		}
		return nil
	})
}
