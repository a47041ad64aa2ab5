package loop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/codec"
)

func TestHold(t *testing.T) {
	frame := func(s string) []byte { return codec.AppendFrame(nil, codec.OpText, []byte(s)) }
	var conn *Conn
	n := start(t, Options{}, &script{message: func(c *Conn, op codec.Opcode, p []byte) {
		conn = c
		switch string(p) {
		case "hold":
			c.Write(op, []byte("before"))
			if !c.Hold() || c.Hold() {
				t.Error("a connection is held once")
			}
			c.Write(op, []byte("second"))
			c.Send(frame("third"))
		case "release":
			c.Write(op, []byte("fourth"))
			c.Release(op, []byte("first"))
			c.Write(op, []byte("fifth"))
		case "release at once":
			c.Release(op, p)
		case "close":
			c.Close(codec.StatusNormal, "")
		}
	}})
	for _, row := range []struct {
		name  string
		sent  []string
		later bool // it is released by an event
		want  string
	}{
		{"an answer in front", []string{"hold", "release"}, false, `text "before", text "first", text "second", text "third", text "fourth", text "fifth", close 1000 "", FIN`},
		{"by an event", []string{"hold"}, true, `text "before", text "first", text "second", text "third", close 1000 "", FIN`},
		{"twice", []string{"hold", "release", "hold", "release"}, false, `text "before", text "first", text "second", text "third", text "fourth", text "fifth", ` +
			`text "before", text "first", text "second", text "third", text "fourth", text "fifth", close 1000 "", FIN`},
		{"nothing is held", []string{"release at once"}, false, `text "release at once", close 1000 "", FIN`},
		{"closed by the server meanwhile", []string{"hold", "close"}, false, `text "before", text "second", text "third", close 1000 "", FIN`},
		{"closed by the client meanwhile", []string{"hold"}, false, `text "before", text "second", text "third", close 1000 "", FIN`},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := dialOpen(t, n.addr, 0)
			for _, s := range row.sent {
				c.send(text(s))
			}
			if row.later {
				if got := c.frame(); got != `text "before"` {
					t.Fatal(got)
				}
				row.want = row.want[len(`text "before", `):]
				n.on(func(*Reactor) { conn.Release(codec.OpText, []byte("first")) })
			}
			c.send(bye(1000, ""))
			if got := c.all(); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// What is held is bounded like any queue.
func TestHoldTooMuch(t *testing.T) {
	n := start(t, Options{MaxQueue: 16 << 10}, &script{message: func(c *Conn, _ codec.Opcode, _ []byte) {
		c.Hold()
		for i := range 1000 {
			c.Send(codec.AppendFrame(nil, codec.OpBinary, numbered(i, 1<<10)))
		}
	}})
	c := dialOpen(t, n.addr, 0)
	c.send(text("hold"))
	if got := c.frame(); got != fmt.Sprintf("close 1013 %q", errSlow.Reason) {
		t.Error(got)
	}
}

// Clients that answer pings in their own words are pinged also while they talk.
func TestPingInOtherWords(t *testing.T) {
	own := codec.AppendFrame(nil, codec.OpText, []byte("{}"))
	n := start(t, Options{PingInterval: 200 * time.Millisecond, PingTimeout: 10 * time.Second, Pings: [][]byte{own}}, &script{
		message: func(c *Conn, _ codec.Opcode, _ []byte) { c.SetPing(0) },
	})
	c := dialRaw(t, n.addr, 0)
	c.send(request + text("a")) // together, or a ping frame could be due in between
	if got := c.response(); got != "101" {
		t.Fatal(got)
	}
	for range 3 {
		if got := c.frame(); got != `text "{}"` {
			t.Fatal(got)
		}
		c.send(text("{}"))
	}
	c.send(bye(1000, ""))
	if got := strings.ReplaceAll(c.all(), `text "{}", `, ""); got != `close 1000 "", FIN` { // one more may have been due
		t.Error(got)
	}
	if got := n.Stats().Unanswered; got != 0 {
		t.Errorf("%d pings unanswered", got)
	}
}

// A message that holds several is counted as so many.
func TestSpendMessage(t *testing.T) {
	n := start(t, Options{MessageRate: 10, MessageBurst: 10}, &script{message: func(c *Conn, op codec.Opcode, p []byte) {
		for range 8 {
			if !c.SpendMessage() {
				return
			}
		}
		c.Write(op, p)
	}})
	c := dialOpen(t, n.addr, 0)
	c.send(text("a"), text("b"))
	if got := c.all(); got != fmt.Sprintf("text \"a\", close 1008 %q, FIN", errChatty.Reason) {
		t.Error(got)
	}
}
