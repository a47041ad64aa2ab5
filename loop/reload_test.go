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

// Who had no limit begins with a full allowance when there is one.
func TestReloadBounds(t *testing.T) {
	n := start(t, Options{ByteRate: 1000, ByteBurst: 5000}, &script{})
	c := dialOpen(t, n.addr, 0)
	c.send(text(strings.Repeat("x", 3000)))
	if got := c.frame(); !strings.HasPrefix(got, "text") {
		t.Fatal(got)
	}
	if err := n.Reload(Options{ByteRate: 1, ByteBurst: 4500, MessageRate: 1, MessageBurst: 3, ControlRate: 1, ControlBurst: 4}); err != nil {
		t.Fatal(err)
	}
	until(t, "the limits hold", func() (ok bool) {
		n.on(func(r *Reactor) { ok = r.rates.messageBurst != 0 })
		return ok
	})
	n.on(func(r *Reactor) {
		for c := range r.conns.all {
			if got := c.allowance; got.messages != uint32(r.rates.messageBurst) || got.controls != uint16(r.rates.controlBurst) {
				t.Errorf("what had no limit is %+v, and may be %+v", got, r.rates)
			} else if uint64(got.bytes) > 2500*perUnit {
				t.Errorf("what had a limit was filled: %d bytes", uint64(got.bytes)/perUnit)
			}
		}
	})
	c.send(text("1") + text("2"))
	if got := c.frame() + c.frame(); strings.Contains(got, "close") {
		t.Errorf("two messages where three are allowed: %s", got)
	}
}

// Clients that were told when they will be pinged are not pinged later than that.
func TestReloadPing(t *testing.T) {
	n := start(t, Options{PingInterval: 20 * time.Second, PingTimeout: 8 * time.Second, Pings: [][]byte{[]byte(text("{}"))}}, &script{
		message: func(c *Conn, _ codec.Opcode, p []byte) {
			c.SetPing(0)
			c.Write(codec.OpText, p)
		},
	})
	dialOpen(t, n.addr, 0)
	told := dialOpen(t, n.addr, 0)
	told.send(text("a"))
	if got := told.frame(); got != `text "a"` {
		t.Fatal(got)
	}
	for _, row := range []struct{ reloaded, told, other time.Duration }{
		{10 * time.Minute, 20 * time.Second, 10 * time.Minute},
		{10 * time.Second, 10 * time.Second, 10 * time.Second},
		{15 * time.Second, 10 * time.Second, 15 * time.Second},
	} {
		if err := n.Reload(Options{PingInterval: row.reloaded, PingTimeout: 8 * time.Second}); err != nil {
			t.Fatal(err)
		}
		until(t, "it is reloaded", func() (ok bool) {
			n.on(func(r *Reactor) { ok = r.opts.PingInterval == row.reloaded })
			return ok
		})
		n.on(func(r *Reactor) {
			for c := range r.conns.all {
				want := row.other
				if c.ping != 0 {
					want = row.told
				}
				c.marks |= markPinged
				c.alive()
				if wait := time.Duration(c.timer.due-r.wheel.now) * tickLength; wait < want-want/10-tickLength || wait > want+tickLength {
					t.Errorf("reloaded to %s: the next ping of %d is in %s, want %s", row.reloaded, c.ping, wait, want)
				}
			}
		})
	}
}
