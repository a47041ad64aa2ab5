package main

import (
	"testing"

	"sluice/gateway/auth"
	"sluice/pubsub/redistest"
)

// What is published for a user reaches all of its connections, on whatever node and
// whatever they speak, without their asking; and nobody else.
func TestPersonalChannels(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	flags := []string{"--redis", s.URL, "--auth-hmac-secret", testSecret, "--anonymous", "--personal"}
	a, b := startNode(t, flags...).ready(), startNode(t, flags...).ready()
	token := sign(t, testKey, auth.Claims{User: "42"})
	alone := a.dial("/ws?token=" + token)
	more := dialAs(t, b.Public().String(), "/ws?channel=news", "42")
	spoken := b.sdk("", nil)
	spoken.talk(`> {"id":1,"connect":{"token":"` + token + `"}}`)
	if _, _, err := spoken.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	other := dialAs(t, a.Public().String(), "/ws?channel=news", "43")
	nobody := a.dial("/ws?channel=news")
	a.publish("#42", `"for 42"`)
	alone.wantText(`"for 42"`)
	more.wantText(`"for 42"`)
	spoken.talk(`< {"push":{"channel":"#42","pub":{"data":"for 42"}}}`)
	if _, _, err := a.tryDial("/ws?channel=%2342&token="+sign(t, testKey, auth.Claims{User: "43"}), nil); err == nil {
		t.Error("a user has got another one's channel")
	}
	a.publish("news", "for all")
	more.wantText("for all")
	other.wantText("for all")
	nobody.wantText("for all")
}
