package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sluice/gateway/auth"
	"sluice/pubsub/redistest"
)

// Whatever node a user's connections are on and whatever they speak, they are
// disconnected, subscribed and unsubscribed; a token that was revoked lets nobody in,
// not on a node that was started afterwards, either.
func TestSteeringOverNodes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	flags := []string{"--redis", s.URL, "--auth-hmac-secret", testSecret, "--anonymous", configFile(t, presenceConfig)}
	a := startNode(t, append(flags, "--node-id", "a")...).ready().loaded()
	b := startNode(t, append(flags, "--node-id", "b")...).ready()
	call := func(words string) {
		t.Helper()
		parts := strings.Fields(words)
		args := []any{"FCALL", "sluice_" + parts[0], 0}
		for _, p := range parts[1:] {
			args = append(args, p)
		}
		if answer := s.Do(args...).([]any); answer[1] != int64(2) {
			t.Errorf("%s reached %v nodes", words, answer[1])
		}
	}
	token := func(user string) string { return sign(t, testKey, auth.Claims{User: user}) }
	enter := func(n *testNode, user string) sdk {
		c := n.sdk("", nil)
		c.talk(`> {"id":1,"connect":{"token":"` + token(user) + `"}}`)
		if _, got, err := c.ReadMessage(); err != nil || !strings.Contains(string(got), `"connect"`) {
			t.Fatalf("connect: %s, %v", got, err)
		}
		return c
	}

	// Subscribed and unsubscribed by a service.
	plain := dialAs(t, a.Public().String(), "/ws?channel=news", "ada")
	wrapped, _, err := b.tryDial("/ws?channel=news&token="+token("ada"), nil, "sluice.v1")
	if err != nil {
		t.Fatal(err)
	}
	wrapped.wantText(`{"channel":"news","subscribed":true}`)
	spoken := enter(a, "ada")
	other := dialAs(t, a.Public().String(), "/ws?channel=news", "bob")
	call("subscribe user ada hall:7")
	call("subscribe user ada hall:7") // again
	wrapped.wantText(`{"channel":"hall:7","subscribed":true}`)
	spoken.talk(`< {"push":{"channel":"hall:7","subscribe":{}}}`)
	present(t, s, "hall:7", "ada", "ada", "ada")
	a.publish("hall:7", "to ada")
	plain.wantText("to ada")
	wrapped.wantText(`{"channel":"hall:7","text":"to ada"}`)
	spoken.talk(`< {"push":{"channel":"hall:7","pub":{"data":"to ada"}}}`)
	call("unsubscribe user ada hall:7")
	wrapped.wantText(`{"channel":"hall:7","unsubscribed":true}`)
	spoken.talk(`< {"push":{"channel":"hall:7","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}`)
	present(t, s, "hall:7")
	if err := s.Client().Publish(t.Context(), "sluice:hall:7", "to nobody").Err(); err != nil {
		t.Fatal(err)
	}
	call("unsubscribe user ada news")
	wrapped.wantText(`{"channel":"news","unsubscribed":true}`)
	call("subscribe user ada news")
	wrapped.wantText(`{"channel":"news","subscribed":true}`)
	spoken.talk(`< {"push":{"channel":"news","subscribe":{}}}`)
	eventually(t, "the inbox tells", func() error {
		got := map[string]int{}
		for _, kind := range []string{"subscribe", "unsubscribe"} {
			for _, e := range a.entries(kind) {
				got[fmt.Sprint(kind, " ", e["user"], " ", e["channel"])]++
			}
		}
		if got["subscribe ada hall:7"] != 3 || got["unsubscribe ada hall:7"] != 3 || got["subscribe ada news"] != 3 || got["unsubscribe ada news"] != 2 {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	a.publish("news", "all")
	plain.wantText("all")
	wrapped.wantText(`{"channel":"news","text":"all"}`)
	other.wantText("all")

	// One connection, by its name.
	var name string
	for _, e := range a.entries("connect") {
		if e["user"] == "bob" {
			name = e["conn"].(string)
		}
	}
	call("disconnect conn " + name + " 4321 you")
	if reason := other.wantClose(4321); reason != "you" {
		t.Errorf("the reason is %q", reason)
	}

	// All of a user's. They may come back.
	if status, stdout, stderr := verb(t, "", "presence", "hall:9", "--redis", s.URL); status != 0 || stdout != "0 connections of 0 users\n" {
		t.Errorf("presence: %d %q %q", status, stdout, stderr)
	}
	if status, stdout, stderr := verb(t, "", "disconnect", "user", "ada", "--redis", s.URL); status != 0 || !strings.HasPrefix(stdout, "2 nodes") {
		t.Errorf("disconnect: %d %q %q", status, stdout, stderr)
	}
	if status, _, stderr := verb(t, "", "disconnect", "user", "ada", "--code", "1000", "--redis", s.URL); status == 0 || !strings.Contains(stderr, "4000 to 4999") {
		t.Errorf("disconnect with a code that is not ours: %d %q", status, stderr)
	}
	for _, c := range []*client{plain, wrapped, spoken.client} {
		if reason := c.wantClose(4500); reason != "disconnected by a service" {
			t.Errorf("the reason is %q", reason)
		}
	}
	plain = dialAs(t, a.Public().String(), "/ws?channel=news&channel=hall:9", "ada")
	present(t, s, "hall:9", "ada")
	if status, stdout, stderr := verb(t, "", "presence", "hall:9", "--redis", s.URL); status != 0 || !strings.HasPrefix(stdout, "1 connections of 1 users\na.") || !strings.Contains(stdout, "\tada\t") {
		t.Errorf("presence: %d %q %q", status, stdout, stderr)
	}

	// Tokens that are taken back.
	jti := forged(`{"sub":"cleo","jti":"j-7","exp":4102444800}`)
	cleo, _, err := b.tryDial("/ws?channel=news&token="+jti, nil)
	if err != nil {
		t.Fatal(err)
	}
	call("revoke token j-7 ttl 3600")
	if reason := cleo.wantClose(4501); reason != "the token has been revoked" {
		t.Errorf("the reason is %q", reason)
	}
	single := b.sdk("", nil)
	ttl := regexp.MustCompile(`"ttl":\d+`)
	say := func(command, want string) {
		t.Helper()
		single.send(websocket.TextMessage, command)
		if _, got, err := single.ReadMessage(); err != nil || ttl.ReplaceAllString(string(got), `"ttl":T`) != want {
			t.Fatalf("%s: %s, %v, want %s", command, got, err, want)
		}
	}
	single.send(websocket.TextMessage, `{"id":1,"connect":{"token":"`+forged(`{"sub":"eve","iat":4102440000,"exp":4102444800}`)+`"}}`)
	if _, _, err := single.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	one := forged(`{"sub":"eve","jti":"j-8","channel":"hall:8","exp":4102444800}`)
	say(`{"id":2,"subscribe":{"channel":"hall:8","token":"`+one+`"}}`, `{"id":2,"subscribe":{"expires":true,"ttl":T}}`)
	say(`{"id":3,"subscribe":{"channel":"hall:6","token":"`+forged(`{"sub":"eve","iat":1700000000,"channel":"hall:6","exp":4102444800}`)+`"}}`, `{"id":3,"subscribe":{"expires":true,"ttl":T}}`)
	call("revoke token j-8 ttl 3600")
	single.talk(`< {"push":{"channel":"hall:8","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}`)
	say(`{"id":4,"subscribe":{"channel":"hall:8","token":"`+one+`"}}`, `{"id":4,"error":{"code":103,"message":"permission denied"}}`)
	call("revoke user eve ttl 3600")
	single.talk(`< {"push":{"channel":"hall:6","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}`)
	say(`{"id":5,"ping":{}}`, `{"id":5,"ping":{}}`) // its own token was issued later

	if status, stdout, stderr := verb(t, "", "revoke", "user", "ada", "--redis", s.URL); status != 0 || !strings.HasPrefix(stdout, "2 nodes") {
		t.Errorf("revoke: %d %q %q", status, stdout, stderr)
	}
	plain.wantClose(4501)
	eventually(t, "the other node has heard of it, too", func() error {
		if got := b.metric("sluice_revoked"); got != "4" {
			return fmt.Errorf("it knows %s revocations", got)
		}
		return nil
	})
	c := startNode(t, append(flags, "--node-id", "c")...).ready()
	old := forged(`{"sub":"ada","iat":1700000000,"exp":4102444800}`)
	for _, n := range []*testNode{a, b, c} {
		for _, token := range []string{jti, old} {
			_, response, err := n.tryDial("/ws?channel=news&token="+token, nil)
			if err == nil || response.StatusCode != 401 {
				t.Errorf("node %s: a revoked token is answered %v, %v", n.node.ID, response, err)
			}
			c := n.sdk("", nil)
			c.talk(`> {"id":1,"connect":{"token":"`+token+`"}}`, "x 3500 invalid token")
		}
		if n.metric("sluice_revoked") != "4" {
			t.Errorf("node %s knows %s revocations", n.node.ID, n.metric("sluice_revoked"))
		}
	}
	later := forged(`{"sub":"ada","iat":4102440000,"exp":4102444800}`)
	if ws, response, err := a.tryDial("/ws?channel=news&token="+later, nil); err != nil {
		t.Errorf("a token that was issued later is answered %v, %v", response, err)
	} else {
		ws.send(websocket.TextMessage, "I am back")
	}
	if got := a.metric("sluice_steering_commands_total"); got != "11" {
		t.Errorf("the node has read %s commands", got)
	}
}

// forged is a token with these claims.
func forged(claims string) string {
	signed := b64(`{"alg":"HS256","typ":"JWT"}`) + "." + b64(claims)
	return hmacOf(testSecret, signed)
}
