package story

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Print writes the story for people, as it was at a moment.
func (s *Story) Print(w io.Writer, now time.Time) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("connection", "%s on node %s: %s", s.Conn, s.Node, s.State)
	user := "anonymous"
	if s.User != "" {
		user = "user " + quoted(s.User)
	}
	line("who", "%s from %s, dialect %s", user, s.Remote, s.Dialect)
	line("accepted", "%s, %s ago", stamp(s.Accepted), ago(now.Sub(s.Accepted)))
	if e := s.End; e != nil {
		cause := ""
		if e.Cause != "" {
			cause = " (" + e.Cause + ")"
		}
		line("ended", "%s, after %s: code %d %s, by the %s%s", stamp(e.At), ago(e.At.Sub(s.Accepted)), e.Code, quoted(e.Reason), e.By, cause)
	}
	if q := s.Queue; q != nil {
		full := ""
		if q.Blocked {
			full = ", its socket is full"
		}
		line("queue", "%d bytes wait for it%s", q.Bytes, full)
	}
	if x := s.Wire; x != nil {
		ping := ""
		if x.Pinged {
			ping = ", a ping is unanswered"
		}
		line("wire", "%d bytes in, %d out, %d unsent; round trip %s, %d sent again; silent for %.1f s%s", x.In, x.Out, x.Unsent,
			time.Duration(x.RTT*float64(time.Second)).Round(time.Microsecond), x.Retransmits, x.Silent, ping)
	}
	line("inbox", "%d entries", s.Entries)
	for _, c := range s.Channels {
		about := []string{c.Name}
		if c.State != "" {
			about = append(about, c.State)
		}
		if c.Position != 0 {
			about = append(about, "newest position "+strconv.FormatUint(c.Position, 10))
		}
		line("channel", "%s", strings.Join(about, ", "))
	}
	if s.More > 0 {
		line("", "and %d more", s.More)
	}
}

// quoted is what a client may have chosen, safe for a terminal.
func quoted(s string) string { return strconv.QuoteToGraphic(s) }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.0 UTC") }

func ago(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }
