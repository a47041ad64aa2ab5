package config

import (
	"fmt"
	"testing"
	"time"
)

func TestChanges(t *testing.T) {
	old, next := Default(), Default()
	if got := old.Changes(&next); len(got) != 0 {
		t.Fatalf("nothing has changed: %v", got)
	}
	next.Listen = ":9000"
	next.Redis = "redis://user:secret@redis:6379/0"
	next.Ping.Interval = 20 * time.Second
	next.Auth.HMACSecret = "a secret that nobody may read in the log"
	next.Namespaces = []Namespace{{Name: "chat", Subscribe: AccessAnyone}, {Name: "price", LastValue: true}}
	next.Origins = []string{"https://example.org"}
	want := []string{
		`listen: ":8000" → ":9000" (restart)`,
		"redis: embedded://127.0.0.1:6380 → " + next.RedactedRedis() + " (restart)",
		`origins: [] → ["https://example.org"]`,
		`auth.hmac_secret: "" → "xxxxx"`,
		`namespaces: [] → [{name: "chat", subscribe: "anyone"}, {name: "price", last_value: true}]`,
		"ping.interval: 25s → 20s",
	}
	got := old.Changes(&next)
	for i, c := range got {
		text := c.String()
		if !c.Live {
			text += " (restart)"
		}
		if i >= len(want) || text != want[i] {
			t.Errorf("%q, want %q", text, fmt.Sprint(want[min(i, len(want)-1)]))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d changes, want %d", len(got), len(want))
	}
}
