package main

import (
	"testing"
)

// Clients of any dialect are relayed: their message goes to the subscribers, in the channels whose namespace says so,
// and to the inbox for the others.
func TestRelay(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--anonymous", configFile(t, "namespaces: [{name: room, relay: true}, {name: board, relay: true, durable: true}]")).ready().loaded()
	reader := n.dial("/ws?channel=room:1")
	durable := n.dial("/ws?channel=board:1")
	author := n.dial("/ws?channel=room:1&channel=news")
	author.send(1, "hello")
	reader.wantText("hello")
	author.wantText("hello") // who publishes is a subscriber like others
	if e := n.entry("message"); e["channel"] != "news" || e["data"] != "hello" {
		t.Errorf("the inbox has %v", e)
	}

	wrapped := n.dial("/ws?channel=board:1", "sluice.v1")
	for range 2 { // with one id it is published once
		wrapped.send(1, `{"data":{"a":1},"id":"m1"}`)
	}
	wrapped.send(1, `{"data":{"a":2},"id":"m2"}`)
	durable.wantText(`{"a":1}`)
	durable.wantText(`{"a":2}`)

	author.send(2, "\x01sluice 9007199254740991 1 1\nforged")
	if got := author.wantClose(1008); got != "a message begins as durable ones do on their way to the nodes" {
		t.Error(got)
	}
	if made, failed := n.metric("sluice_errands_total"), n.metric("sluice_errands_failed_total"); made != "4" || failed != "0" {
		t.Errorf("%s errands, of which %s failed", made, failed)
	}
}
