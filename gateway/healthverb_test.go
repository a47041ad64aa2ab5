package main

import (
	"fmt"
	"strings"
	"testing"

	"sluice/config"
	"sluice/pubsub/redistest"
)

func TestHealthVerb(t *testing.T) {
	server := redistest.Reserve(t) // nobody is there
	n := startNode(t, "--dev", "--redis", server.URL)
	at := "--admin=" + n.Admin().String()
	if status, _, stderr := verb(t, "", "health", at); status != 0 {
		t.Errorf("a node that lives: %d %q", status, stderr)
	}
	if status, _, stderr := verb(t, "", "health", "--ready", at); status == 0 || !strings.Contains(stderr, "503") || !strings.Contains(stderr, "Redis") {
		t.Errorf("a node without Redis is ready: %d %q", status, stderr)
	}
	server.Restart()
	n.ready()
	eventually(t, "a node with Redis, asked on its public port", func() error { // one that was held up is not ready for a moment
		if status, _, stderr := verb(t, "", "health", "--ready", "--admin=", "--listen="+n.Public().String()); status != 0 {
			return fmt.Errorf("%d %q", status, stderr)
		}
		return nil
	})
	if status, _, stderr := verb(t, "", "health", "--admin=127.0.0.1:1"); status == 0 || !strings.Contains(stderr, "no node answers") {
		t.Errorf("no node: %d %q", status, stderr)
	}
}

func TestLocalAddress(t *testing.T) {
	for _, row := range []struct{ listen, admin, want string }{
		{":8000", "127.0.0.1:8001", "127.0.0.1:8001"},
		{":8000", ":8001", "localhost:8001"},
		{":8000", "0.0.0.0:8001", "localhost:8001"},
		{":8000", "[::]:8001", "localhost:8001"},
		{"10.0.0.7:8000", "", "10.0.0.7:8000"},
		{":8000", "", "localhost:8000"},
		{":8000", "[fd00::1]:8001", "[fd00::1]:8001"},
	} {
		if got, err := localAddress(&config.Config{Listen: row.listen, Admin: row.admin}); err != nil || got != row.want {
			t.Errorf("%q and %q: %q, %v, want %q", row.listen, row.admin, got, err, row.want)
		}
	}
}
