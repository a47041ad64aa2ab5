package main

import (
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"sluice/gateway/auth"
)

// The README's lines about clients do what they say, from a shell.
func TestReadmeClients(t *testing.T) {
	t.Parallel()
	m := regexp.MustCompile("(?s)\n```sh clients\n(.*?)```\n").FindStringSubmatch(readme(t))
	if m == nil {
		t.Fatal("the README has no lines about clients")
	}
	n := startNode(t, "--auth-hmac-secret", testSecret, "--personal", configFile(t, presenceConfig)).ready().loaded()
	_, port, err := net.SplitHostPort(n.embedded.Addr())
	if err != nil {
		t.Fatal(err)
	}
	enter := func() *client {
		c := n.dial("/ws?channel=room:1&token=" + sign(t, testKey, auth.Claims{User: "42"}))
		eventually(t, "it is present", func() error {
			if got := n.redis.HLen(t.Context(), "{sluice:room:1}.who").Val(); got != 1 {
				return fmt.Errorf("%d are", got)
			}
			return nil
		})
		return c
	}
	c := enter()
	for line := range strings.Lines(m[1]) {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(line, "6380", port, 1)).CombinedOutput()
		text := string(out)
		if err != nil || strings.Contains(text, "ERR") {
			t.Errorf("%s: %v\n%s", line, err, text)
		}
		switch {
		case strings.Contains(line, "sluice_presence "):
			if !strings.Contains(text, `\"user\":\"42\"`) && !strings.Contains(text, `"user":"42"`) {
				t.Errorf("%s answers\n%s", line, text)
			}
		case strings.Contains(line, "PUBLISH 'sluice:#42'"):
			c.wantText("for all devices of user 42")
		case strings.Contains(line, "sluice_subscribe"):
			n.heard("news", 1)
			n.publish("news", "to 42")
			c.wantText("to 42")
		case strings.Contains(line, "sluice_unsubscribe"):
			n.heard("news", 0)
		case strings.Contains(line, "sluice_disconnect"):
			if reason := c.wantClose(4000); reason != "see you" {
				t.Errorf("the reason is %q", reason)
			}
			c = enter()
		case strings.Contains(line, "sluice_revoke 0 user"):
			c.wantClose(4501)
		}
	}
}

// heard waits until so many nodes have subscribed a channel.
func (n *testNode) heard(channel string, nodes int64) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("%d nodes hear %s", nodes, channel), func() error {
		numbers, err := n.redis.PubSubNumSub(n.t.Context(), "sluice:"+channel).Result()
		if err == nil && numbers["sluice:"+channel] != nodes {
			err = fmt.Errorf("%d do", numbers["sluice:"+channel])
		}
		return err
	})
}
