package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sluice/gateway/auth"
	"sluice/gateway/story"
	"sluice/pubsub/redistest"
)

// story asks the node for a connection's.
func (n *testNode) story(conn string) (s story.Story) {
	n.t.Helper()
	if err := json.Unmarshal([]byte(n.get(n.Admin(), "/api/connections/"+url.PathEscape(conn), 200)), &s); err != nil {
		n.t.Fatal(err)
	}
	return s
}

// stories asks for those of a user.
func (n *testNode) stories(user string) []story.Story {
	n.t.Helper()
	var answer struct{ Connections []story.Story }
	if err := json.Unmarshal([]byte(n.get(n.Admin(), "/api/connections?user="+url.QueryEscape(user), 200)), &answer); err != nil {
		n.t.Fatal(err)
	}
	return answer.Connections
}

// gone waits until a connection has ended, and returns its story.
func (n *testNode) gone(conn string) (s story.Story) {
	n.t.Helper()
	eventually(n.t, "it has ended", func() error {
		if s = n.story(conn); s.State != story.Ended {
			return fmt.Errorf("it is %s", s.State)
		}
		return nil
	})
	return s
}

// Whatever a connection speaks, its story is told while it lives and when it has ended, and by whom that was.
func TestStories(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := startNode(t, "--dev", "--redis", s.URL, "--auth-hmac-secret", testSecret, "--proxy-trust", "127.0.0.1", "--reactors", "2").ready()
	position := n.publishDurable("orders", "1")
	client := func(user, path string, protocols ...string) *client {
		t.Helper()
		c, response, err := n.tryDial(path+"&token="+sign(t, testKey, auth.Claims{User: user}), http.Header{"X-Forwarded-For": {"192.0.2.7"}}, protocols...)
		if err != nil {
			t.Fatalf("%v, %v", err, response)
		}
		return c
	}
	for _, row := range []struct {
		user, dialect string
		open          func(user string) (leave func())
		end           string
	}{
		{"plain", "plain", func(user string) func() {
			c := client(user, "/ws?channel=orders&channel=news")
			return func() {
				c.send(websocket.CloseMessage, string(websocket.FormatCloseMessage(4001, "bye")))
				c.wantClose(4001)
			}
		}, `4001 "bye" client `},
		{"wrapped", "v1", func(user string) func() {
			c := client(user, "/ws?channel=orders&channel=news", "sluice.v1")
			for range 2 { // both are subscribed
				if _, _, err := c.ReadMessage(); err != nil {
					t.Fatal(err)
				}
			}
			return func() {
				s.Do("FCALL", "sluice_disconnect", 0, "user", user, 4321, "enough")
				c.wantClose(4321)
			}
		}, `4321 "enough" service `},
		{"centrifuge", "centrifuge", func(user string) func() {
			c := sdk{client(user, "/connection/websocket?x=")}
			c.talk(`> {"id":1,"connect":{}}`)
			for _, channel := range []string{"orders", "news"} {
				c.talk(`> {"id":2,"subscribe":{"channel":"` + channel + `"}}`)
			}
			for range 3 {
				if _, _, err := c.ReadMessage(); err != nil {
					t.Fatal(err)
				}
			}
			return func() {
				c.send(websocket.TextMessage, "no command")
				c.wantClose(3501)
			}
		}, `3501 "bad request" node malformed`},
		{"events", "sse", func(user string) func() {
			e := n.stream("/sse?channel=orders&channel=news&token="+sign(t, testKey, auth.Claims{User: user}), "X-Forwarded-For", "192.0.2.7")
			return func() { e.leave() }
		}, `1001 "the client left" client `},
		{"cut", "plain", func(user string) func() {
			c := client(user, "/ws?channel=orders&channel=news")
			return func() { _ = c.Close() } // without a close frame
		}, `1006 "connection lost" network `},
	} {
		t.Run(row.user, func(t *testing.T) {
			leave := row.open(row.user)
			stories := n.stories(row.user)
			if len(stories) != 1 {
				t.Fatalf("%+v", stories)
			}
			conn := stories[0].Conn
			// Redis has been read of when the position is known.
			var one story.Story
			eventually(t, "both channels are live, and one has a position", func() error {
				n.publishDurable("orders", "2")
				one = n.story(conn)
				if len(one.Channels) == 2 && one.Channels[0].State == "live" && one.Channels[1].State == "live" && fmt.Sprint(one.Channels[0].Position) > position {
					return nil
				}
				return fmt.Errorf("%+v", one.Channels)
			})
			if one.State != story.Open || one.Dialect != row.dialect || one.User != row.user || one.Remote != "192.0.2.7" || one.Node != n.node.ID || one.End != nil {
				t.Errorf("%+v", one)
			}
			if one.Entries == 0 || one.Wire == nil || one.Wire.In < 100 || one.Wire.RTT <= 0 || one.Queue == nil || one.Queue.Blocked {
				t.Errorf("%+v, %+v, %+v", one, one.Wire, one.Queue)
			}
			leave()
			past := n.gone(conn)
			if got := fmt.Sprintf("%d %q %s %s", past.End.Code, past.End.Reason, past.End.By, past.End.Cause); got != row.end {
				t.Errorf("it ended %s, want %s", got, row.end)
			}
			if past.Dialect != row.dialect || past.User != row.user || past.Remote != "192.0.2.7" || len(past.Channels) != 2 || past.Wire != nil || past.Queue != nil ||
				past.End.At.Before(past.Accepted) || past.Accepted.Sub(one.Accepted).Abs().Seconds() > 1 {
				t.Errorf("%+v, then %+v", one, past)
			}
			if all := n.stories(row.user); len(all) != 1 || all[0].Conn != conn || all[0].State != story.Ended {
				t.Errorf("of the user: %+v", all)
			}
		})
	}
}

// A client that does not read shows what waits for it.
func TestStoryOfASlowClient(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--dev", "--queue-max", "16MiB").ready()
	n.dial("/ws?channel=big") // and never reads
	conn := n.entry("connect")["conn"].(string)
	payload := strings.Repeat("x", 256<<10)
	eventually(t, "something waits", func() error {
		n.publish("big", payload)
		if one := n.story(conn); one.Queue.Bytes == 0 || !one.Queue.Blocked {
			return fmt.Errorf("%+v", one.Queue)
		}
		return nil
	})
}

// What a node does not know, it says who may.
func TestStoriesOfOthers(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := startNodeWithID(t, "a", s.URL).ready(), startNodeWithID(t, "b", s.URL).ready()
	b.dial("/ws?channel=news")
	a.knows("a", "b")
	conn := b.entry("connect")["conn"].(string)
	at := "--admin=" + a.Admin().String()
	for _, row := range []struct{ conn, want string }{
		{conn, "is on node b, which serves at " + b.Public().String()},
		{a.node.Life + ".zzzzzzzzzz", "is not among the last"},
		{a.node.Life + ".1z141z3", "is not among the last"},
		{a.node.Life + ".-", "is no connection's name"},
		{"x.y.z", "has ended (x.y)"},
		{"nonsense", "is no connection's name"},
	} {
		if body := a.get(a.Admin(), "/api/connections/"+row.conn, 404); !strings.Contains(body, row.want) && !strings.Contains(body, "never had") {
			t.Errorf("%s: %s, want %s", row.conn, body, row.want)
		}
	}
	if status, _, stderr := verb(t, "", "story", conn, at); status != 1 || !strings.Contains(stderr, "is on node b") {
		t.Errorf("%d %q", status, stderr)
	}
	if status, stdout, _ := verb(t, "", "story", conn, "--admin="+b.Admin().String()); status != 0 ||
		!strings.Contains(stdout, conn+" on node b: open") || !strings.Contains(stdout, "anonymous from 127.0.0.1:") || !strings.Contains(stdout, "channel    news, live") {
		t.Errorf("%d %q", status, stdout)
	}
	if status, stdout, _ := verb(t, "", "story", "--user", "nobody", at); status != 0 || !strings.Contains(stdout, "has no connection here") {
		t.Errorf("%d %q", status, stdout)
	}
	if status, stdout, _ := verb(t, "", "story", "--json", "--user", "nobody", at); status != 0 || stdout != "{\"connections\":[]}\n" {
		t.Errorf("%d %q", status, stdout)
	}
	for _, args := range [][]string{{"story", at}, {"story", conn, "--user", "x", at}, {"story", conn, "--admin="}, {"story", conn, "--admin=127.0.0.1:1"}} {
		if status, _, stderr := verb(t, "", args...); status != 1 || stderr == "" {
			t.Errorf("%q: %d %q", args, status, stderr)
		}
	}
}
