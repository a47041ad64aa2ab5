package loop

import (
	"strings"
	"testing"
	"time"
)

func TestPing(t *testing.T) {
	t.Run("answered", func(t *testing.T) {
		n := start(t, Options{PingInterval: 200 * time.Millisecond, PingTimeout: 10 * time.Second}, &script{})
		c := dialOpen(t, n.addr, 0)
		for range 3 {
			if got := c.frame(); got != `ping ""` {
				t.Fatal(got)
			}
			c.send(unasked(""))
		}
		c.send(text("a") + bye(1000, ""))
		if got := strings.ReplaceAll(c.all(), `ping "", `, ""); got != `text "a", close 1000 "", FIN` { // one more may have been due
			t.Error(got)
		}
		if got := n.Stats().Unanswered; got != 0 {
			t.Errorf("%d pings unanswered", got)
		}
	})
	t.Run("not answered", func(t *testing.T) {
		var told ends
		n := start(t, Options{PingInterval: 200 * time.Millisecond, PingTimeout: 200 * time.Millisecond}, &script{closed: told.add})
		c := dialOpen(t, n.addr, 0)
		if got := c.all(); got != `ping "", RST` {
			t.Error(got)
		}
		told.want(t, "1006 by us: ping not answered")
		if got := n.Stats().Unanswered; got != 1 {
			t.Errorf("%d pings unanswered", got)
		}
	})
}

// The heartbeat's choice, without waiting for it.
func TestHeartbeat(t *testing.T) {
	var c *Conn
	n := start(t, Options{PingInterval: 20 * time.Second, PingTimeout: 8 * time.Second}, &script{})
	dialOpen(t, n.addr, 0)
	until(t, "an open connection", func() (ok bool) {
		n.on(func(r *Reactor) { r.conns.each(func(one *Conn) { c, ok = one, one.Open() }) })
		return ok
	})
	for _, row := range []struct {
		silent   time.Duration
		pinged   bool
		min, max time.Duration // to the next heartbeat
	}{
		{0, false, 18 * time.Second, 20 * time.Second},
		{5 * time.Second, false, 13 * time.Second, 15 * time.Second},
		{9 * time.Second, false, 9 * time.Second, 11 * time.Second},
		{10 * time.Second, true, 8 * time.Second, 8 * time.Second},
		{20 * time.Second, true, 8 * time.Second, 8 * time.Second},
		{time.Hour, true, 8 * time.Second, 8 * time.Second},
	} {
		n.on(func(r *Reactor) {
			c.marks &^= markPinged
			c.seen = r.wheel.now - uint32(row.silent/tickLength)
			r.heartbeat(c)
			if got := c.marks.has(markPinged); got != row.pinged {
				t.Errorf("silent for %s: pinged %t", row.silent, got)
			}
			if wait := time.Duration(c.timer.due-r.wheel.now) * tickLength; wait < row.min || wait > row.max {
				t.Errorf("silent for %s: next heartbeat in %s", row.silent, wait)
			}
		})
	}
	n.on(func(r *Reactor) {
		c.begun = r.wheel.now - ticks(r.opts.MessageTimeout) + 3 // tenths of a second left
		r.wait(c, time.Hour)
		if got := c.timer.due - r.wheel.now; got != 3 {
			t.Errorf("a message due in 3 ticks is looked at in %d", got)
		}
		c.begun = 0
	})
}

func TestClock(t *testing.T) {
	var k clock
	now := uint32(0)
	for i, row := range []struct {
		tick uint32 // the engine's
		want uint32 // the reactor's
	}{
		{1, 1}, {1, 1}, {2, 2}, {12, 12},
		{312, 12}, // half a minute stopped
		{313, 13}, {314, 14},
		{400, 14}, {500, 15}, {600, 16}, // always late: time goes on
		{601, 17}, {611, 27}, {622, 27},
	} {
		if now = k.advance(row.tick, now); now != row.want {
			t.Fatalf("step %d: at tick %d the time is %d, want %d", i, row.tick, now, row.want)
		}
	}
}
