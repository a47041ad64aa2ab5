package loop

import (
	"strings"
	"testing"
	"time"

	"sluice/codec"
)

// Other limits hold for connections that are open, from the next turn on; nonsense
// changes nothing.
func TestReload(t *testing.T) {
	n := start(t, Options{Decoder: codec.DecoderOptions{MaxMessage: 128}, MessageRate: 1, MessageBurst: 1000}, &script{})
	long := strings.Repeat("x", 10_000)
	early := dialOpen(t, n.addr, 0)
	echo := func(c *raw, payload string) string {
		c.send(text(payload))
		return c.frame()
	}
	if err := n.Reload(Options{PingInterval: -time.Second}); err == nil {
		t.Error("a negative time was taken")
	}
	if got := echo(dialOpen(t, n.addr, 0), long); !strings.HasPrefix(got, "close 1009") {
		t.Errorf("a long message is answered %.40s", got)
	}
	if err := n.Reload(Options{Decoder: codec.DecoderOptions{MaxMessage: 64 << 10}, MessageRate: 1, MessageBurst: 2}); err != nil {
		t.Fatal(err)
	}
	until(t, "a longer message is taken", func() bool { return strings.HasPrefix(echo(dialOpen(t, n.addr, 0), long), "text") })
	if got := echo(early, long); !strings.HasPrefix(got, "text") {
		t.Errorf("who was there before is answered %.40s", got)
	}
	greedy := dialOpen(t, n.addr, 0)
	greedy.send(text("1") + text("2") + text("3"))
	if got := greedy.frame() + greedy.frame() + greedy.frame(); !strings.Contains(got, "close 1008") {
		t.Errorf("three messages at once where two are allowed: %s", got)
	}
}
