package loop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/codec"
)

// TestRFC6455 has a row for each MUST and MUST NOT of §4 to §8 and §10 that takes a connection to show. What bytes alone can show has its
// row in package codec.
func TestRFC6455(t *testing.T) {
	var told ends
	served := &script{
		request: func(c *Conn, r *codec.Request) {
			switch r.Path {
			case "/missing":
				c.Refuse(&codec.HTTPError{Status: 404, Reason: "there is nothing"})
			case "/forbidden":
				c.Refuse(&codec.HTTPError{Status: 403, Reason: "not from there"})
			default:
				accept(c, r)
			}
			if r.Path == "/greeting" {
				c.Write(codec.OpText, []byte("welcome"))
			}
		},
		message: func(c *Conn, op codec.Opcode, p []byte) {
			switch string(p) {
			case "close":
				c.Write(codec.OpText, []byte("last"))
				c.Close(4001, "as you wish")
				if c.Write(op, []byte("too late")) || c.Send(codec.AppendFrame(nil, op, p)) {
					t.Error("§6.1: a closing connection took a message")
				}
			case "much":
				for i := range 20 {
					c.Send(codec.AppendFrame(nil, codec.OpBinary, numbered(i, 64<<10)))
				}
			case "much, then close":
				for i := range 20 {
					c.Send(codec.AppendFrame(nil, codec.OpBinary, numbered(i, 64<<10)))
				}
				c.Close(4001, "as you wish")
			default:
				c.Write(op, p)
			}
		},
		closed: told.add,
	}
	patient := start(t, Options{MaxQueue: 8 << 20}, served)
	hasty := start(t, Options{MaxQueue: 8 << 20, CloseTimeout: 300 * time.Millisecond}, served) // where a close is not answered
	path := func(p string) string { return strings.Replace(request, "GET / ", "GET "+p+" ", 1) }
	much := strings.Repeat("binary of 65544, ", 20)
	tenPings, tenPongs := "", ""
	for i := range 10 {
		tenPings += ping(fmt.Sprint("ping ", i))
		tenPongs += fmt.Sprintf("pong %q, ", fmt.Sprint("ping ", i))
	}
	byteByByte := func(s string) []string { return strings.Split(s, "") }
	half := text(strings.Repeat("a", 100) + "\xff" + strings.Repeat("a", 60000))[:8+101]

	for _, row := range []struct {
		name string
		send []string // each in a segment of its own, where the kernel lets it
		want string   // what the client gets
		end  string   // what the handler is told, "": it never saw a connection
	}{
		{"§4.1 frames in the same segment as the handshake are processed", []string{request + text("a") + ping("b") + text("c") + bye(1000, "")},
			`101, text "a", pong "b", text "c", close 1000 "", FIN`, "1000 by peer: "},
		{"§4.1 so is a frame whose first part is there", []string{request + text("a")[:3], text("a")[3:] + bye(1000, "")}, `101, text "a", close 1000 "", FIN`, "1000 by peer: "},
		{"§4.2.1 a bad handshake is not processed any further", []string{strings.Replace(request, "Host: x\r\n", "", 1) + text("a")}, "400 exactly one Host header is required, FIN", ""},
		{"§4.2.2 an Origin that may not gets 403", []string{path("/forbidden") + text("a")}, "403 not from there, FIN", "1006 by us: not from there"},
		{"§4.2.2 a service that is not there gets 404", []string{path("/missing") + text("a")}, "404 there is nothing, FIN", "1006 by us: there is nothing"},
		{"§4.2.2 the connection is open behind the answer, and may be sent to", []string{path("/greeting"), bye(1000, "")}, `101, text "welcome", close 1000 "", FIN`, "1000 by peer: "},

		{"§5.1 a frame that is not masked closes the connection", []string{request, "\x81\x01a" + text("b")}, `101, close 1002 "client frame is not masked", FIN`, "1002 by us: "},
		{"§5.2 a reserved bit fails the connection", []string{request, "\x91\x80mask" + text("b")}, `101, close 1002 "reserved bit set without an extension", FIN`, "1002 by us: "},
		{"§5.2 an unknown opcode fails the connection", []string{request, "\x8b\x80mask" + text("b")}, `101, close 1002 "unknown opcode", FIN`, "1002 by us: "},
		{"§5.4 control frames are handled in the middle of a message, at once", []string{request, part(codec.OpText, "a") + ping("p") + unasked("q") + "\x80" + text("b")[1:] + bye(1000, "")},
			`101, pong "p", text "ab", close 1000 "", FIN`, "1000 by peer: "},
		{"§5.5 a fragmented ping fails the connection", []string{request, part(codec.OpPing, "a")}, `101, close 1002 "control frame is fragmented", FIN`, "1002 by us: "},

		{"§5.5.1 a close frame is answered with its code, and the server closes TCP at once", []string{request, bye(4321, "until tomorrow")}, `101, close 4321 "", FIN`, "4321 by peer: until tomorrow"},
		{"§5.5.1 the same in the middle of a message", []string{request, part(codec.OpText, "a") + bye(1001, "")}, `101, close 1001 "", FIN`, "1001 by peer: "},
		{"§5.5.1 what waits goes out before the answer", []string{request, text("much") + bye(1000, "")}, "101, " + much + `close 1000 "", FIN`, "1000 by peer: "},
		{"§5.5.1 after our close frame no data follows", []string{request, text("close") + text("a") + text("b") + bye(4001, "")}, `101, text "last", close 4001 "as you wish", FIN`, "4001 by us: as you wish"},
		{"§5.5.1 what waits goes out before our close frame", []string{request, text("much, then close"), bye(4001, "")}, "101, " + much + `close 4001 "as you wish", FIN`, "4001 by us: as you wish"},
		{"§5.5.1 close frames that cross complete the handshake", []string{request, text("close") + bye(1001, "bye")}, `101, text "last", close 4001 "as you wish", FIN`, "4001 by us: as you wish"},
		{"§5.5.1 a close frame that is never answered: the timer, then RST", []string{request, text("close")}, `101, text "last", close 4001 "as you wish", RST`, "4001 by us: as you wish"},
		{"§5.5.1 after a close frame that came nothing is answered", []string{request, bye(1000, "") + ping("a") + text("b") + bye(1001, "")}, `101, close 1000 "", FIN`, "1000 by peer: "},

		{"§5.5.2 ten pings back to back get ten pongs", []string{request, tenPings + bye(1000, "")}, "101, " + tenPongs + `close 1000 "", FIN`, "1000 by peer: "},
		{"§5.5.2 also byte by byte", append([]string{request}, byteByByte(tenPings+bye(1000, ""))...), "101, " + tenPongs + `close 1000 "", FIN`, "1000 by peer: "},
		{"§5.5.2 also between messages, in order", []string{request, ping("1") + text("2") + ping("3") + text("4") + bye(1000, "")}, `101, pong "1", text "2", pong "3", text "4", close 1000 "", FIN`, "1000 by peer: "},
		{"§5.5.2 a ping behind our close frame is answered", []string{request, text("close") + ping("a") + bye(4001, "")}, `101, text "last", close 4001 "as you wish", pong "a", FIN`, "4001 by us: as you wish"},
		{"§5.5.3 a pong has the ping's data", []string{request, ping("") + ping(strings.Repeat("x", 60)) + ping("\x00\xff") + bye(1000, "")},
			fmt.Sprintf(`101, pong "", pong %q, pong "\x00\xff", close 1000 "", FIN`, strings.Repeat("x", 60)), "1000 by peer: "},
		{"§5.5.3 nothing answers a pong that nobody asked for", []string{request, unasked("a") + unasked("") + bye(1000, "")}, `101, close 1000 "", FIN`, "1000 by peer: "},
		{"§5.6 text stays text, and binary binary", []string{request, text("€") + masked(codec.OpBinary, "\xff") + bye(1000, "")}, `101, text "€", binary "\xff", close 1000 "", FIN`, "1000 by peer: "},

		{"§7.1.5 a close frame without a code is 1005, and answered without one", []string{request, masked(codec.OpClose, "")}, `101, close "", FIN`, "1005 by peer: "},
		{"§7.1.5 the first close frame counts", []string{request, bye(1001, "first") + bye(1000, "second")}, `101, close 1001 "", FIN`, "1001 by peer: first"},
		{"§7.1.7 after a failure nothing is processed, not even a close frame", []string{request, "\x83\x80mask" + text("a") + ping("b") + bye(1000, "")}, `101, close 1002 "unknown opcode", FIN`, "1002 by us: "},
		{"§7.4.1 1006 is not for the wire", []string{request, bye(1006, "")}, `101, close 1002 "close code may not be sent", FIN`, "1002 by us: "},
		{"§8.1 text that is not UTF-8 fails in the middle of its frame", []string{request, half}, `101, close 1007 "text is not valid UTF-8", FIN`, "1007 by us: "},
		{"§8.1 a close reason that is not UTF-8 fails, too", []string{request, bye(1000, "\xff")}, `101, close 1007 "close reason is not valid UTF-8", FIN`, "1007 by us: "},
		{"§10.4 a message beyond the limit fails before it is there", []string{request, "\x82\xff\x10\x00\x00\x00\x00\x00\x00\x00mask"}, `101, close 1009 "message too big", FIN`, "1009 by us: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			told.reset()
			n := patient
			if strings.HasSuffix(row.want, "RST") {
				n = hasty
			}
			c := dialRaw(t, n.addr, 0)
			c.send(row.send...)
			if got := c.transcript(); got != row.want {
				t.Errorf("got %s\nwant %s", got, row.want)
			}
			c.Close()
			// The handler is told after the connection is counted out.
			until(t, "the end", func() bool { return n.Stats().Connections == 0 && (row.end == "" || len(told.all()) > 0) })
			switch got := told.all(); {
			case row.end == "" && len(got) > 0, row.end != "" && len(got) != 1, row.end != "" && !strings.HasPrefix(got[0], row.end):
				t.Errorf("told %q, want %q", got, row.end)
			}
		})
	}

	t.Run("§5.5.1 a client that reads nothing is cut, whatever waits for it", func(t *testing.T) {
		told.reset()
		c := dialOpen(t, hasty.addr, 4096)
		for range 3 {
			c.send(text("much"))
		}
		c.send(text("much, then close"))
		told.want(t, "4001 by us: as you wish")
		until(t, "nothing waits any more", func() bool { return hasty.Stats().Backlog == 0 && hasty.Stats().Connections == 0 })
	})
	t.Run("§7.1.5 a connection that is lost is 1006", func(t *testing.T) {
		told.reset()
		c := dialOpen(t, patient.addr, 0)
		c.Close()
		told.want(t, "1006 by peer: connection lost")
	})
}
