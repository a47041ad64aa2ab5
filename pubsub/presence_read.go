package pubsub

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Attendance is who is subscribed to a channel, or a part of them.
type Attendance struct {
	Connections int64 // all
	Users       int64 // all, anonymous ones not counted
	Attendees   []Attendee
	Next        string // the cursor at which the rest begins; "": there is none
}

// Attendance reads who is subscribed to a channel (FCALL sluice_presence): about limit
// of them, 1..10,000, from a cursor on, "" for the beginning. Where the namespace of the
// channel keeps no presence nobody is.
func (r *Redis) Attendance(ctx context.Context, channel string, limit int, cursor string) (Attendance, error) {
	args := []any{"limit", limit}
	if cursor != "" {
		args = append(args, "cursor", cursor)
	}
	v, err := r.call(ctx, channel, "sluice_presence", args...)
	if err != nil {
		return Attendance{}, fmt.Errorf("pubsub: reading who is in %s%s: %w", r.opts.Prefix, channel, err)
	}
	a, ok := parseAttendance(answer{value: v})
	if !ok {
		return Attendance{}, fmt.Errorf("pubsub: sluice_presence answers what it should not: %.200v", v)
	}
	return a, nil
}

// AttendanceStats reads how many are subscribed to a channel (FCALL
// sluice_presence_stats).
func (r *Redis) AttendanceStats(ctx context.Context, channel string) (connections, users int64, err error) {
	v, err := r.call(ctx, channel, "sluice_presence_stats")
	if err != nil {
		return 0, 0, fmt.Errorf("pubsub: reading how many are in %s%s: %w", r.opts.Prefix, channel, err)
	}
	items, ok := answer{value: v}.list(2)
	if ok {
		var ok1, ok2 bool
		connections, ok1 = items[0].(int64)
		users, ok2 = items[1].(int64)
		ok = ok1 && ok2
	}
	if !ok {
		return 0, 0, fmt.Errorf("pubsub: sluice_presence_stats answers what it should not: %.200v", v)
	}
	return connections, users, nil
}

func parseAttendance(v answer) (a Attendance, ok bool) {
	items, ok := v.list(4)
	if !ok {
		return a, false
	}
	a.Connections, ok = items[0].(int64)
	users, ok2 := items[1].(int64)
	next, ok3 := items[2].(string)
	rows, ok4 := items[3].([]any)
	if !ok || !ok2 || !ok3 || !ok4 {
		return a, false
	}
	a.Users = users
	if next != "0" {
		a.Next = next
	}
	for _, row := range rows {
		pair, isRow := row.([]any)
		if !isRow || len(pair) != 2 {
			return a, false
		}
		conn, ok1 := pair[0].(string)
		text, ok2 := pair[1].(string)
		if !ok1 || !ok2 {
			return a, false
		}
		if one, ok := parseAttendee(conn, []byte(text)); ok { // else somebody else has written it
			a.Attendees = append(a.Attendees, one)
		}
	}
	return a, true
}

// parseAttendee reads an entry.
func parseAttendee(conn string, text []byte) (Attendee, bool) {
	var e entryText
	if json.Unmarshal(text, &e) != nil {
		return Attendee{}, false
	}
	return Attendee{Conn: conn, User: e.User, Info: e.Info, Since: time.UnixMilli(e.Since)}, true
}

// Coming is the news that a connection has subscribed to a channel, or is not
// subscribed to it any more. The channel's own subscribers are told.
type Coming struct {
	Came bool // false: it has gone
	Attendee
}

// What the payload of a Coming begins with on its way to the nodes.
const (
	cameMark = "\x01sluice+ "
	goneMark = "\x01sluice- "
)

// maxComingHead is the longest head of a Coming, bytes.
const maxComingHead = 256

// ParseComing takes apart what is published on a channel of which comings and goings
// are announced:
//
//	\x01sluice+ <connection>\n<entry>
//
// false: it is a message like any other. Its Info is a part of payload.
func ParseComing(payload []byte) (c Coming, ok bool) {
	if len(payload) == 0 || payload[0] != cameMark[0] {
		return Coming{}, false
	}
	head := string(payload[:min(len(payload), maxComingHead)])
	conn, came := strings.CutPrefix(head, cameMark)
	if !came {
		if conn, ok = strings.CutPrefix(head, goneMark); !ok {
			return Coming{}, false
		}
	}
	conn, _, ok = strings.Cut(conn, "\n")
	if !ok || conn == "" {
		return Coming{}, false
	}
	a, ok := parseAttendee(conn, payload[len(cameMark)+len(conn)+1:])
	return Coming{came, a}, ok
}
