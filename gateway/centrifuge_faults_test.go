package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"sluice/pubsub/redistest"
)

// Where a slow client misses messages of several channels, each of them is ended with the code at
// which its SDK subscribes again, and the connection stays.
func TestCentrifugeDropIsTold(t *testing.T) {
	t.Parallel()
	file := configFile(t, "namespaces:\n- {name: n, durable: true, policy: drop}\nqueue: {max: 64KiB, kernel: 4KiB}\nmessage: {max: 16KiB}\n")
	n := startNode(t, "--dev", file).ready().loaded()
	c := n.sdk("", nil)
	c.talk(`> {"id":1,"connect":{}}`, "< "+entered)
	channels := []string{"n:1", "n:2", "n:3"}
	for i, channel := range channels {
		id := i + 2
		c.talk(fmt.Sprintf(`> {"id":%d,"subscribe":{"channel":%q}}`, id, channel),
			fmt.Sprintf(`< {"id":%d,"subscribe":{"recoverable":true,"epoch":"E","offset":P,"positioned":true}}`, id))
	}
	long := `"` + strings.Repeat("x", 200_000) + `"`
	eventually(t, "messages of all are dropped", func() error { // by turns, and what is full stays full
		for _, channel := range channels {
			n.push(channel, long)
		}
		dropped, err := strconv.Atoi(n.metric("sluice_dropped_total"))
		if want := 10 * len(channels); err != nil || dropped < want {
			return fmt.Errorf("%d of %d, %w", dropped, want, err)
		}
		return nil
	})
	told := map[string]bool{}
	for len(told) < len(channels) {
		_, frame, err := c.ReadMessage()
		if err != nil {
			t.Fatalf("told of %v: %v", told, err)
		}
		for _, channel := range channels {
			if strings.Contains(string(frame), fmt.Sprintf(`{"push":{"channel":%q,"unsubscribe":{"code":2500,`, channel)) {
				told[channel] = true
			}
		}
	}
	c.talk(`> {"id":9,"ping":{}}`, `< {"id":9,"ping":{}}`)
}

// A channel that a service gives and Redis does not confirm costs its client nothing: it has not asked
// for it, and may give it up.
func TestCentrifugeGivenInVain(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Do("ACL", "SETUSER", "gate", "on", ">pw", "~*", "+@all", "resetchannels", "&sluice:{*", "&sluice:open")
	n := startNode(t, "--dev", "--redis", strings.Replace(s.URL, "redis://", "redis://gate:pw@", 1)).ready().loaded()
	c := n.sdk("", nil)
	c.talk(`> {"id":1,"connect":{}}`, "< "+entered)
	name := n.entry("connect")["conn"].(string)
	for _, channel := range []string{"closed", "shut", "open"} {
		s.Do("FCALL", "sluice_subscribe", 0, "conn", name, channel)
	}
	c.talk(`< {"push":{"channel":"open","subscribe":{}}}`, // those before have been taken up as well
		`> {"id":2,"unsubscribe":{"channel":"closed"}}`, `< {"id":2,"unsubscribe":{}}`,
		`> {"id":3,"subscribe":{"channel":"barred"}}`, `< {"id":3,"error":{"code":100,"message":"internal server error","temporary":true}}`,
		`> {"id":4,"unsubscribe":{"channel":"shut"}}`, `< {"id":4,"unsubscribe":{}}`,
		`> {"id":5,"unsubscribe":{"channel":"open"}}`, `< {"id":5,"unsubscribe":{}}`)
	if got := n.metric("sluice_panics_total"); got != "0" {
		t.Errorf("%s panics", got)
	}
}
