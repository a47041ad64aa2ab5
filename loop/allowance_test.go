package loop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/codec"
)

// What a client may send is bounded in messages, bytes and control frames: what
// is beyond closes the connection with 1008 and is counted, once.
func TestAllowance(t *testing.T) {
	for _, row := range []struct {
		name string
		o    Options
		send string
		want string // the end of the transcript
	}{
		{"messages within the burst", Options{MessageRate: 1, MessageBurst: 5}, strings.Repeat(text("x"), 5) + bye(1000, ""), `close 1000 "", FIN`},
		{"one message more", Options{MessageRate: 1, MessageBurst: 5}, strings.Repeat(text("x"), 6), `close 1008 "too many messages", FIN`},
		{"pings within the burst", Options{ControlRate: 1, ControlBurst: 10}, strings.Repeat(masked(codec.OpPing, "p"), 10) + bye(1000, ""), `close 1000 "", FIN`},
		{"one ping more", Options{ControlRate: 1, ControlBurst: 10}, strings.Repeat(masked(codec.OpPing, "p"), 11), `close 1008 "too many pings or pongs", FIN`},
		{"pongs count too", Options{ControlRate: 1, ControlBurst: 10}, strings.Repeat(masked(codec.OpPong, ""), 11), `close 1008 "too many pings or pongs", FIN`},
		{"pings do not count as messages", Options{MessageRate: 1, MessageBurst: 1}, strings.Repeat(masked(codec.OpPing, ""), 50) + bye(1000, ""), `close 1000 "", FIN`},
		{"bytes", Options{ByteRate: 1, ByteBurst: 100}, text(strings.Repeat("x", 120)), `close 1008 "too many bytes", FIN`},
		{"no limits", Options{}, strings.Repeat(text("x")+masked(codec.OpPing, ""), 500) + bye(1000, ""), `close 1000 "", FIN`},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := start(t, row.o, &script{})
			c := dialOpen(t, n.addr, 0)
			c.send(row.send)
			got := c.all()
			if !strings.HasSuffix(got, row.want) {
				t.Errorf("got …%s, want %s", got[max(0, len(got)-100):], row.want)
			}
			want := int64(0)
			if strings.Contains(row.want, "1008") {
				want = 1
			}
			if got := n.Stats().Excesses; got != want {
				t.Errorf("%d excesses were counted, want %d", got, want)
			}
		})
	}
}

// part is a frame with more to come.
func part(op codec.Opcode, payload string) string {
	b := []byte(masked(op, payload))
	b[0] &^= 0x80
	return string(b)
}

// An allowance grows by exactly the rate, also where that is less than one a
// tick, and never beyond the burst.
func TestAllowanceGrows(t *testing.T) {
	for _, row := range []struct {
		rate, burst, ticks, want int
	}{
		{1, 5, 9, 0}, {1, 5, 10, 1}, {1, 5, 1000, 5}, {3, 100, 10, 3}, {100, 200, 1, 10}, {100, 200, 20, 200}, {100, 0, 100, 10},
	} {
		t.Run(fmt.Sprintf("%d a second for %s", row.rate, time.Duration(row.ticks)*tickLength), func(t *testing.T) {
			r := newRates(&Options{MessageRate: row.rate, MessageBurst: row.burst, ByteRate: row.rate, ByteBurst: row.burst, ControlRate: row.rate, ControlBurst: row.burst})
			var a allowance
			for range row.ticks {
				a.grow(1, &r)
			}
			for kind, got := range map[string]uint64{"messages": uint64(a.messages), "bytes": uint64(a.bytes), "controls": uint64(a.controls)} {
				if got /= perUnit; got != uint64(row.want) {
					t.Errorf("%d %s, want %d", got, kind, row.want)
				}
			}
		})
	}
}

// Incomplete messages are bounded for the whole node: the client whose message
// goes beyond is told to come back later, and nothing stays counted.
func TestIncompleteMessages(t *testing.T) {
	n := start(t, Options{MaxIncomplete: 3000}, &script{})
	var clients []*raw
	for range 2 {
		c := dialOpen(t, n.addr, 0)
		c.send(part(codec.OpText, strings.Repeat("x", 1000))) // text, to be continued
		clients = append(clients, c)
	}
	until(t, "both are held", func() bool { return n.Stats().Incomplete >= 2000 })
	last := dialOpen(t, n.addr, 0)
	last.send(part(codec.OpText, strings.Repeat("x", 2000)))
	if got, want := last.all(), `close 1013 "this node holds too many incomplete messages", FIN`; !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, c := range clients { // they go on
		c.send(masked(codec.OpContinuation, "y") + bye(1000, ""))
		if got := c.all(); !strings.HasSuffix(got, `close 1000 "", FIN`) {
			t.Errorf("got %s", got)
		}
	}
	until(t, "nothing is held", func() bool { return n.Stats().Incomplete == 0 })
}
