package loop

import (
	"strings"
	"testing"
	"time"

	"sluice/codec"
)

func TestClosing(t *testing.T) {
	var told ends
	n := start(t, Options{CloseTimeout: time.Second}, &script{
		message: func(c *Conn, op codec.Opcode, p []byte) {
			switch string(p) {
			case "close me":
				c.Write(codec.OpText, []byte("last"))
				c.Send(codec.AppendFrame(nil, codec.OpText, []byte("very last")))
				c.Close(4001, "as you wish")
				c.Close(4002, "again")
				if c.Open() || c.Write(op, p) || c.Send(pingFrame) {
					t.Error("a closing connection accepts messages")
				}
			case "panic":
				c.Write(codec.OpText, []byte("so far"))
				panic("on purpose")
			default:
				c.Write(op, p)
			}
		},
		closed: told.add,
	})
	for _, row := range []struct {
		name string
		send string
		want string // what the client gets
		end  string // what the handler is told
	}{
		{"client closes", text("a") + bye(1000, "bye"), `text "a", close 1000 "", FIN`, "1000 by peer: bye"},
		{"client closes without a code", masked(codec.OpClose, ""), `close "", FIN`, "1005 by peer: "},
		{"client closes with a code of its own", bye(4999, ""), `close 4999 "", FIN`, "4999 by peer: "},
		{"data after the close frame", bye(1000, "") + text("a") + bye(1001, ""), `close 1000 "", FIN`, "1000 by peer: "},
		{"reserved code", bye(1006, ""), `close 1002 "`, "1002 by us: "},
		{"one byte of a code", masked(codec.OpClose, "\x03"), `close 1002 "`, "1002 by us: "},
		{"reason no UTF-8", bye(1000, "\xff"), `close 1007 "`, "1007 by us: "},
		{"we close", text("close me") + text("ignored") + ping("answered"), `text "last", text "very last", close 4001 "as you wish", pong "answered", RST`, "4001 by us: as you wish"},
		{"we close, the client answers", text("close me") + text("ignored") + bye(4001, ""), `text "last", text "very last", close 4001 "as you wish", FIN`, "4001 by us: as you wish"},
		{"closes cross", text("close me") + bye(1000, "bye"), `text "last", text "very last", close 4001 "as you wish", FIN`, "4001 by us: as you wish"},
		{"we close, the client goes mad", text("close me") + "\xff\xff", `text "last", text "very last", close 4001 "as you wish", FIN`, "4001 by us: as you wish"},
		{"not masked", "\x81\x02hi", `close 1002 "`, "1002 by us: "},
		{"reserved opcode", "\x83\x80", `close 1002 "`, "1002 by us: "},
		{"text no UTF-8", text("ok") + text("\xff"), `text "ok", close 1007 "`, "1007 by us: "},
		{"too long", text("ok") + "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", `text "ok"`, "1009 by us: "},
		{"length beyond 2^63", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x01mask", `close 1002 "`, "1002 by us: "},
		{"panic", text("a") + text("panic") + text("b"), `text "a", text "so far", close 1011 "internal error", FIN`, "1011 by us: internal error"},
		{"pongs nobody asked for", strings.Repeat(unasked("x"), 1000) + bye(1000, ""), `close 1000 "", FIN`, "1000 by peer: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			told.reset()
			c := dialOpen(t, n.addr, 0)
			if row.name == "too long" {
				row.send += "mask"
			}
			c.send(row.send)
			if got := c.all(); !strings.HasPrefix(got, row.want) {
				t.Errorf("got %s\nwant %s", got, row.want)
			}
			c.Close()
			until(t, "the end", func() bool { return len(told.all()) > 0 && n.Stats().Connections == 0 })
			if got := told.all(); len(got) != 1 || !strings.HasPrefix(got[0], row.end) {
				t.Errorf("told %q, want %q", got, row.end)
			}
		})
	}
}

// A client that breaks the protocol while it is still sending reads why: no RST
// overtakes the close frame.
func TestLingeringClose(t *testing.T) {
	n := start(t, Options{}, &script{})
	for range 20 {
		c := dialOpen(t, n.addr, 0)
		c.send("\xf1\x00" + strings.Repeat("x", 200<<10))
		if got := c.all(); !strings.HasPrefix(got, "close 1002 ") || !strings.HasSuffix(got, ", FIN") {
			t.Fatal(got)
		}
		c.Close()
	}
	t.Run("not for ever", func(t *testing.T) {
		until(t, "the others to be gone, and what they sent to be counted", func() bool { return n.Stats().Connections == 0 })
		c := dialOpen(t, n.addr, 0)
		before := n.Stats().BytesIn
		flood := strings.Repeat("x", 64<<10)
		c.send("\xf1\x00")
		until(t, "the connection to be cut", func() bool {
			c.send(flood)
			return n.Stats().Connections == 0
		})
		if got := n.Stats().BytesIn - before; got > maxDiscard+readBuffer+100 {
			t.Errorf("%d bytes were read to no purpose", got)
		}
	})
}

// The peer of a closing handshake may send whatever it likes for as long as
// CloseTimeout.
func TestCloseNeverAnswered(t *testing.T) {
	var told ends
	n := start(t, Options{CloseTimeout: 200 * time.Millisecond}, &script{closed: told.add, message: func(c *Conn, _ codec.Opcode, _ []byte) {
		c.Close(1012, "restart")
	}})
	c := dialOpen(t, n.addr, 0)
	c.send(text("go"))
	if got := c.frame(); got != `close 1012 "restart"` {
		t.Fatal(got)
	}
	until(t, "the connection to be cut", func() bool {
		c.send(text("and another thing"))
		return n.Stats().Connections == 0
	})
	told.want(t, "1012 by us: restart")
}

func TestSocketsThatJustEnd(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func(c *raw)
	}{
		{"half-close", func(c *raw) { _ = c.CloseWrite() }},
		{"close", func(c *raw) { _ = c.Close() }},
		{"reset", func(c *raw) { _ = c.SetLinger(0); _ = c.Close() }},
		{"reset inside a frame", func(c *raw) { c.send(text("hello")[:7]); _ = c.SetLinger(0); _ = c.Close() }},
		{"half-close inside a header", func(c *raw) { c.send("\x81"); _ = c.CloseWrite() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			var told ends
			n := start(t, Options{}, &script{closed: told.add})
			c := dialOpen(t, n.addr, 0)
			c.send(text("a"))
			if got := c.frame(); got != `text "a"` {
				t.Fatal(got)
			}
			row.end(c)
			told.want(t, "1006 by peer: connection lost")
		})
	}
	t.Run("what came before a half-close is answered", func(t *testing.T) {
		n := start(t, Options{}, &script{})
		c := dialRaw(t, n.addr, 0)
		c.send(request + text("a") + bye(1000, ""))
		_ = c.CloseWrite()
		if got := c.transcript(); got != `101, text "a", close 1000 "", FIN` {
			t.Error(got)
		}
	})
	t.Run("during the handshake", func(t *testing.T) {
		var told ends
		n := start(t, Options{}, &script{closed: told.add, request: func(*Conn, *codec.Request) {}})
		c := dialRaw(t, n.addr, 0)
		c.send(request[:20])
		c.Close()
		c = dialRaw(t, n.addr, 0)
		c.send(request)
		until(t, "the request", func() bool { return n.Stats().BytesIn >= int64(20+len(request)) })
		c.Close()
		told.want(t, "1006 by peer: connection lost")
	})
}

// A message that is begun must be finished, whatever its sender does meanwhile.
func TestMessageDeadline(t *testing.T) {
	fragment := "\x01" + text("part")[1:]
	for _, row := range []struct {
		name  string
		first string
		again string
	}{
		{"inside a header", "\x82\xff\x00\x00\x00", ""},
		{"inside a frame", masked(codec.OpBinary, strings.Repeat("x", 50000))[:9], "x"},
		{"between fragments", fragment, ping("")},
		{"fragments without end", fragment, "\x00\x80mask"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var told ends
			n := start(t, Options{MessageTimeout: 300 * time.Millisecond, PingInterval: 200 * time.Millisecond,
				Decoder: codec.DecoderOptions{MaxFragments: 1 << 20}}, &script{closed: told.add})
			c := dialOpen(t, n.addr, 0)
			c.send(text("in time") + row.first)
			until(t, "the connection to be closed", func() bool {
				if row.again != "" {
					c.send(row.again)
				}
				return len(told.all()) > 0 || n.Stats().Timeouts > 0
			})
			c.Close()
			told.want(t, "1008 by us: "+errDawdling.Reason)
		})
	}
}

// A dialect may have other codes for the same.
func TestClosingInOtherWords(t *testing.T) {
	var told ends
	n := start(t, Options{Closing: func(_ *Conn, code codec.StatusCode, reason string) (codec.StatusCode, string) {
		return code + 2000, reason + "!"
	}}, &script{closed: told.add, message: func(c *Conn, _ codec.Opcode, _ []byte) { c.Close(codec.StatusServiceRestart, "so long") }})
	c := dialOpen(t, n.addr, 0)
	c.send(text("a") + bye(1000, ""))
	if got := c.all(); got != `close 3012 "so long!", FIN` {
		t.Error(got)
	}
	c = dialOpen(t, n.addr, 0)
	c.send("\xc1\x80\x00\x00\x00\x00") // a reserved bit
	if got := c.frame(); !strings.HasPrefix(got, "close 3002 ") || !strings.HasSuffix(got, `!"`) {
		t.Error(got)
	}
}
