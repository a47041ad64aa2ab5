package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/gateway/admin"
	"sluice/pubsub/redistest"
)

// When the subscribe connection has broken, clients that asked for it are told by
// channel, the others get nothing but payloads; the admin port shows when it was,
// and metrics count it by namespace.
func TestGapsAreTold(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, "--dev", "--redis", server.URL, configFile(t, "namespaces: [{name: price}]\n")).ready()
	curious := n.dial("/ws?channel=news&channel=price:eur&gaps=tell")
	calm := n.dial("/ws?channel=news&channel=price:eur")
	before := time.Now()
	server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	after := time.Now() // a proof may have come until Redis had carried that out

	told := map[string]bool{}
	for range 2 {
		_, text, err := curious.ReadMessage()
		var gap struct{ Gap string }
		if err == nil {
			err = json.Unmarshal(text, &gap)
		}
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		told[gap.Gap] = true
	}
	if !told["news"] || !told["price:eur"] {
		t.Errorf("told of %v", told)
	}
	n.publish("news", "after")
	calm.wantText("after")
	curious.wantText("after")
	later := n.dial("/ws?channel=news&gaps=tell")
	n.publish("news", "later")
	later.wantText("later")

	var gaps admin.Gaps
	eventually(t, "the gap has ended", func() error {
		if err := json.Unmarshal([]byte(n.get(n.Admin(), "/api/gaps", 200)), &gaps); err != nil {
			return err
		}
		if len(gaps.Gaps) != 1 || gaps.Gaps[0].To == nil {
			return fmt.Errorf("%+v", gaps.Gaps)
		}
		return nil
	})
	g := gaps.Gaps[0]
	if g.Cause != "connection" || g.Channel != "" || g.Channels != 4 || g.Link != server.Addr+"#0" || // 4: the node's own and that of all nodes, too
		g.From.After(after) || g.To.Before(before) || gaps.Node == "" || gaps.Forgotten != 0 {
		t.Errorf("%+v of node %q, %d forgotten", g, gaps.Node, gaps.Forgotten)
	}
	for name, want := range map[string]string{
		`sluice_channel_gaps_total{cause="connection",namespace="price"}`: "1",
		`sluice_channel_gaps_total{cause="connection",namespace=""}`:      "1",
		`sluice_channel_gaps_total{cause="moved",namespace="price"}`:      "0",
		"sluice_gaps_open": "0",
	} {
		if got := n.metric(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestGapsParameter(t *testing.T) {
	n := startNode(t, "--dev").ready()
	for _, query := range []string{"gaps=", "gaps=yes", "gaps=tell&gaps=tell", "gaps=TELL"} {
		c, response, err := n.tryDial("/ws?channel=news&"+query, nil)
		if err == nil {
			_ = c.Close()
			err = errors.New("it is taken")
		}
		if response == nil || response.StatusCode != 400 || !strings.Contains(err.Error(), "bad handshake") {
			t.Errorf("%s: %v, want 400", query, err)
		}
	}
}
