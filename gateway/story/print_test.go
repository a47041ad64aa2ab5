package story

import (
	"strings"
	"testing"
	"time"
)

func TestPrint(t *testing.T) {
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name  string
		story Story
		want  string
	}{
		{"open", Story{Conn: "a.X.1", Node: "a", State: Open, Dialect: "plain", Remote: "192.0.2.7", Accepted: at, Entries: 2,
			Queue: &Queue{Bytes: 70_000, Blocked: true}, Wire: &Wire{Silent: 12.3, Pinged: true, RTT: 0.0123, In: 100, Out: 200, Unsent: 3, Retransmits: 4},
			Channels: []Channel{{Name: "orders", State: "live", Position: 17}, {Name: "news", State: "waits for Redis"}}, More: 5}, `
connection a.X.1 on node a: open
who        anonymous from 192.0.2.7, dialect plain
accepted   2026-11-26 12:00:00.0 UTC, 1m30s ago
queue      70000 bytes wait for it, its socket is full
wire       100 bytes in, 200 out, 3 unsent; round trip 12.3ms, 4 sent again; silent for 12.3 s, a ping is unanswered
inbox      2 entries
channel    orders, live, newest position 17
channel    news, waits for Redis
           and 5 more
`},
		{"closed", Story{Conn: "a.X.3", Node: "a", State: Ended, Dialect: "plain", Remote: "192.0.2.7", Accepted: at,
			End: &End{At: at.Add(time.Minute), Code: 1013, Reason: "too slow: the send queue is full", By: ByNode, Cause: "slow"}}, `
connection a.X.3 on node a: ended
who        anonymous from 192.0.2.7, dialect plain
accepted   2026-11-26 12:00:00.0 UTC, 1m30s ago
ended      2026-11-26 12:01:00.0 UTC, after 1m0s: code 1013 "too slow: the send queue is full", by the node (slow)
inbox      0 entries
`},
		{"ended", Story{Conn: "a.X.2", Node: "a", State: Ended, Dialect: "events", User: "ada\x1b[2J", Remote: "192.0.2.7:80", Accepted: at, Channels: []Channel{{Name: "news"}},
			End: &End{At: at.Add(time.Minute), Code: 1000, Reason: "bye\n\x07", By: ByClient}}, `
connection a.X.2 on node a: ended
who        user "ada\x1b[2J" from 192.0.2.7:80, dialect events
accepted   2026-11-26 12:00:00.0 UTC, 1m30s ago
ended      2026-11-26 12:01:00.0 UTC, after 1m0s: code 1000 "bye\n\a", by the client
inbox      0 entries
channel    news
`},
	} {
		var b strings.Builder
		test.story.Print(&b, at.Add(90*time.Second))
		if got := "\n" + b.String(); got != test.want {
			t.Errorf("%s:%s\nwant%s", test.name, got, test.want)
		}
	}
}
