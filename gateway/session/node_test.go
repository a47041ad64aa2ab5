package session

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/codec"
	"sluice/gateway/auth"
	"sluice/loop"
	"sluice/pubsub"
)

func TestClosesAreSummedByNameAndSide(t *testing.T) {
	var c Closes
	for code, n := range map[uint16]int{1000: 3, 1006: 2, 1008: 1, 3000: 1, 3001: 2, 4000: 4, 4999: 5} {
		for range n {
			c.add(loop.End{Code: codec.StatusCode(code), Local: code == 1008})
		}
	}
	c.add(loop.End{Code: 1008})
	c.add(loop.End{Code: 5000}) // no such code comes from loop; nothing to count it under
	c.add(loop.End{Code: 65535})
	got := map[string]int64{}
	var total int64
	c.Each(func(code, by string, n int64) {
		if _, twice := got[code+" "+by]; twice {
			t.Errorf("%s by %s came twice", code, by)
		}
		got[code+" "+by] = n
		total += n
	})
	want := map[string]int64{}
	for code, n := range map[uint16]int64{1000: 3, 1006: 2, 3000: 1, 3001: 2, 4000: 4, 4999: 5} {
		want[codec.StatusCode(code).String()+" client"] += n
	}
	want[codec.StatusCode(1008).String()+" node"] = 1
	want[codec.StatusCode(1008).String()+" client"] = 1
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if total != 19 {
		t.Errorf("%d in all, want 19", total)
	}
}

// However many reasons services give, the log has one text for them, which is what keeps it short; the reason is a field.
func TestReasonsOfServicesAreFields(t *testing.T) {
	core, lines := observer.New(zap.InfoLevel)
	n := &Node{Life: "n.x", Log: zap.New(core)}
	n.ended(conn("192.0.2.1"), loop.End{Code: 4321, Reason: "you", Local: true})
	n.ended(conn("192.0.2.1"), loop.End{Code: 1008, Reason: "the token has expired", Local: true})
	var got []string
	for _, line := range lines.All() {
		got = append(got, fmt.Sprint(line.Message, ", ", line.ContextMap()["reason"]))
	}
	if want := []string{"closed: a service has said so, you", "closed: the token has expired, the token has expired"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// stream is an inbox that keeps what it took.
type stream struct {
	entries []pubsub.Entry
	refuse  error
}

func (s *stream) Add(e pubsub.Entry) error {
	if s.refuse != nil {
		return s.refuse
	}
	s.entries = append(s.entries, e)
	return nil
}

func (s *stream) Busy() bool { return false }

func newReporter(inbox Inbox) *Handler {
	return &Handler{node: &Node{ID: "n1", Life: "n1.x", Inbox: inbox, Log: zap.NewNop(), Reply: "sluice:{node:n1}"}}
}

func TestReport(t *testing.T) {
	inbox := &stream{}
	h := newReporter(inbox)
	c, other := new(loop.Conn), &guest{}
	g := &guest{who: &auth.Identity{User: "42"}}
	before := time.Now()
	h.report(c, g, pubsub.Entry{Type: "message", Channel: "a b", Data: []byte("x")}, nil)
	h.report(c, other, pubsub.Entry{Type: "connect", Channel: "a"}, nil)
	for range 100 {
		h.report(c, g, pubsub.Entry{Type: "message", Channel: "a"}, nil)
	}
	e := inbox.entries[0]
	if e.Type != "message" || e.Channel != "a b" || string(e.Data) != "x" || e.User != "42" || e.Reply != "sluice:{node:n1}" || e.Node != "n1" {
		t.Errorf("the entry is %+v", e)
	}
	if !strings.HasPrefix(e.Conn, "n1.x.") || !strings.HasPrefix(e.ID, e.Conn+".") {
		t.Errorf("conn %q and id %q, want names that begin with this life of the node, and with the connection", e.Conn, e.ID)
	}
	if e.Time.Before(before) || e.Time.After(time.Now()) {
		t.Errorf("time is %v", e.Time)
	}
	if got := inbox.entries[1].User; got != "" {
		t.Errorf("an anonymous client's user is %q", got)
	}
	ids := map[string]bool{}
	for _, e := range append(inbox.entries[:1:1], inbox.entries[2:]...) {
		if ids[e.ID] {
			t.Fatalf("the id %s was used twice", e.ID)
		}
		ids[e.ID] = true
	}
}

func TestReportTellsOnceWhatBecameOfIt(t *testing.T) {
	for _, row := range []struct {
		name   string
		refuse error // by Add
		redis  error // by what Redis said
		failed int64
	}{
		{"stored", nil, nil, 0},
		{"refused at once", pubsub.ErrInboxFull, nil, 1},
		{"refused by Redis", nil, fmt.Errorf("wrapped: %w", pubsub.ErrInboxRefused), 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			inbox := &stream{refuse: row.refuse}
			h := newReporter(inbox)
			var told []error
			g := &guest{}
			h.report(new(loop.Conn), g, pubsub.Entry{Type: "message"}, func(err error) { told = append(told, err) })
			h.report(new(loop.Conn), g, pubsub.Entry{Type: "disconnect"}, nil) // nobody to tell
			if row.refuse == nil {
				if told != nil {
					t.Errorf("told %v before Redis has it", told)
				}
				for _, e := range inbox.entries {
					e.Done(row.redis)
				}
			}
			want := errors.Join(row.refuse, row.redis)
			if len(told) != 1 || (want == nil) != (told[0] == nil) || want != nil && !errors.Is(want, told[0]) {
				t.Errorf("told %v, want once %v", told, want)
			}
			if got := h.node.Counters.InboxFailed.Load(); got != 2*row.failed {
				t.Errorf("%d failures are counted, want %d", got, 2*row.failed)
			}
		})
	}
}
