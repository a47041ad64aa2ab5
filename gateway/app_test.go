package main

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sluice/config"
)

// A node of which a part has failed sends its clients away at once, whatever time they have
// where nothing has.
func TestAppFails(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--redis", "embedded://127.0.0.1:0", "--dev",
		"--drain-delay", "1h", "--drain-window", "24h"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), c, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(t.Context()) }()
	client := (&testNode{App: a, t: t}).dial("/echo")
	client.send(websocket.TextMessage, "hello")
	client.wantText("hello")
	if err := a.admin.Close(); err != nil {
		t.Fatal(err)
	}
	client.wantClose(websocket.CloseServiceRestart)
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "the admin port") {
		t.Errorf("it ended with %v", err)
	}
}
