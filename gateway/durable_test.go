package main

import (
	"fmt"
	"strings"
	"testing"

	"sluice/pubsub"
	"sluice/pubsub/redistest"
)

// TestDurablePush: FCALL sluice_publish reaches clients as PUBLISH does, payload for
// payload, and stands in the channel's log; one connection can be left out.
func TestDurablePush(t *testing.T) {
	for _, b := range brokers {
		t.Run(b.name, func(t *testing.T) {
			n := startNode(t, append(b.args(t), "--dev")...).ready()
			author, reader := n.dial("/ws?channel=orders"), n.dial("/ws?channel=orders")
			author.send(1, "a client speaks")
			conn := n.entry("message")["conn"]
			eventually(t, "the functions are loaded", func() error {
				return n.redis.FCall(t.Context(), "sluice_version", nil).Err()
			})
			for i, args := range [][]any{{"one"}, {"not for the author", "exclude", conn}, {"three", "size", 10, "ttl", 60}} {
				answer, err := n.redis.FCall(t.Context(), "sluice_publish", []string{"sluice:orders"}, args...).Slice()
				if err != nil || len(answer) != 2 {
					t.Fatalf("message %d: %v, %v", i, answer, err)
				}
			}
			author.wantText("one")
			author.wantText("three")
			reader.wantText("one")
			reader.wantText("not for the author")
			reader.wantText("three")
			answer, err := n.redis.FCall(t.Context(), "sluice_history", []string{"sluice:orders"}).Slice()
			if err != nil || len(answer) != 5 || len(answer[3].([]any)) != 3 {
				t.Errorf("the log: %v, %v", answer, err)
			}
		})
	}
}

func TestFunctionsVerb(t *testing.T) {
	status, library, stderr := verb(t, "", "functions")
	if status != 0 || stderr != "" || library != pubsub.FunctionLibrary() || !strings.HasPrefix(library, "#!lua name=sluice\n") {
		t.Fatalf("status %d, stderr %q, %d bytes", status, stderr, len(library))
	}
	s := redistest.Start(t)
	s.Do("FUNCTION", "LOAD", library)
	status, out, stderr := verb(t, "", "publish", "--redis", s.URL, "--durable", "--id", "1", "orders", "x")
	if status != 0 || !strings.HasPrefix(out, "published 1 bytes to orders: position ") {
		t.Errorf("publish --durable: status %d, %q, %q", status, out, stderr)
	}
	if _, again, _ := verb(t, "", "publish", "--redis", s.URL, "--durable", "--id", "1", "orders", "x"); again != out {
		t.Errorf("with the same id %q, then %q", out, again)
	}
	if status, _, stderr := verb(t, "", "publish", "--redis", s.URL, "--id", "1", "orders", "x"); status == 0 || !strings.Contains(stderr, "--durable") {
		t.Errorf("an id without a log: status %d, %q", status, stderr)
	}
	if v := fmt.Sprint(s.Do("FCALL", "sluice_version", 0)); v != fmt.Sprint(pubsub.FunctionsVersion) {
		t.Errorf("version %s", v)
	}
}

// A node that may not load functions says so, and serves all the same.
func TestFunctionsAreForbidden(t *testing.T) {
	s := redistest.Start(t)
	s.Do("ACL", "SETUSER", "gate", "on", ">pw", "~sluice:*", "resetchannels", "&sluice:*", "-@all", "+@pubsub", "+ping", "+publish", "+xadd", "+client",
		"+set", "+get", "+hset", "+hgetall", "+hdel", "+del", "+mget")
	n := startNode(t, "--dev", "--redis", strings.Replace(s.URL, "://", "://gate:pw@", 1)).ready()
	c := n.dial("/ws?channel=news")
	n.publish("news", "hello")
	c.wantText("hello")
}
