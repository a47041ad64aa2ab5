package codec

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAppendEvent(t *testing.T) {
	for _, row := range []struct{ id, name, data, want string }{
		{"", "", "hello", "data: hello\n\n"},
		{"", "", "", "data: \n\n"}, // an event all the same
		{"", "", " two spaces ", "data:  two spaces \n\n"},
		{"17", "", "hello", "id: 17\ndata: hello\n\n"},
		{"17", "gap", "news", "id: 17\nevent: gap\ndata: news\n\n"},
		{"", "", "a\nb", "data: a\ndata: b\n\n"},
		{"", "", "a\rb", "data: a\ndata: b\n\n"},
		{"", "", "a\r\nb", "data: a\ndata: b\n\n"},
		{"", "", "a\n\rb", "data: a\ndata: \ndata: b\n\n"},
		{"", "", "a\r\r\n\nb", "data: a\ndata: \ndata: \ndata: b\n\n"},
		{"", "", "a\n", "data: a\ndata: \n\n"},
		{"", "", "\r", "data: \ndata: \n\n"},
		{"", "", "x\n\nid: 9\nevent: gap\nretry: 0\n\n", "data: x\ndata: \ndata: id: 9\ndata: event: gap\ndata: retry: 0\ndata: \ndata: \n\n"},
		{"", "", ":no comment", "data: :no comment\n\n"},
		{"", "", "\xEF\xBB\xBFmark", "data: \xEF\xBB\xBFmark\n\n"},
		{"", "", "a\x00b", "data: a\x00b\n\n"},
		{"1\n2", "", "x", "data: x\n\n"},
		{"1\r2", "", "x", "data: x\n\n"},
		{"1\x002", "", "x", "data: x\n\n"},
		{"1", "a\nb", "x", "id: 1\ndata: x\n\n"},
		{"1", "a\rb", "x", "id: 1\ndata: x\n\n"},
	} {
		if got := string(AppendEvent([]byte("before"), row.id, row.name, []byte(row.data))); got != "before"+row.want {
			t.Errorf("%q %q %q: %q, want %q", row.id, row.name, row.data, got, row.want)
		}
	}
	if got := len(AppendEvent(nil, "", "", []byte("hello"))); got != EventSize(5) {
		t.Errorf("an event of 5 bytes takes %d, EventSize says %d", got, EventSize(5))
	}
}

func TestAppendRetry(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		1500 * time.Millisecond: "retry: 1500\n\n", 999 * time.Microsecond: "retry: 0\n\n", -time.Second: "retry: 0\n\n",
	} {
		if got := string(AppendRetry(nil, wait)); got != want {
			t.Errorf("%s: %q, want %q", wait, got, want)
		}
	}
}

func TestAppendStreamHead(t *testing.T) {
	got := string(AppendStreamHead(nil, []string{"Vary: Origin", "Injected: a\r\nb: c", "no name"}))
	want := "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\nCache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\nVary: Origin\r\n\r\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A payload of line ends alone must not take more than its length's worth of time.
func BenchmarkAppendEvent(b *testing.B) {
	for name, data := range map[string][]byte{
		"128B": bytes.Repeat([]byte("x"), 128), "64KiB": bytes.Repeat([]byte("x"), 64<<10), "64KiB of CR": bytes.Repeat([]byte("\r"), 64<<10),
	} {
		b.Run(name, func(b *testing.B) {
			var buffer []byte
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				buffer = AppendEvent(buffer[:0], "28512345678901234", "", data)
			}
		})
	}
}

// dispatched is an event as a client's script gets it.
type dispatched struct{ id, name, data string }

// interpretStream is §9.2.6 as one would write it on paper: what a client makes of a whole stream, and the reconnection time it was told, -1 for none.
func interpretStream(stream []byte) (events []dispatched, retry int) {
	retry = -1
	text := strings.TrimPrefix(strings.ToValidUTF8(string(stream), "\uFFFD"), "\uFEFF")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(text, "\n")
	var id, name string
	var data strings.Builder
	for _, line := range lines[:len(lines)-1] { // what has no end is dropped
		field, value, colon := strings.Cut(line, ":")
		if colon {
			value = strings.TrimPrefix(value, " ")
		}
		switch {
		case line == "":
			if data.Len() > 0 {
				events = append(events, dispatched{id, name, strings.TrimSuffix(data.String(), "\n")})
			}
			name = ""
			data.Reset()
		case field == "event":
			name = value
		case field == "data":
			data.WriteString(value + "\n")
		case field == "id" && !strings.Contains(value, "\x00"):
			id = value
		case field == "retry":
			if n, err := strconv.ParseUint(value, 10, 31); err == nil && value[0] != '+' {
				retry = int(n)
			}
		}
	}
	return events, retry
}

// FuzzEvent writes events between others, as streams have them, and reads them as a client does: nothing of one gets into another, and text comes back as it
// was.
func FuzzEvent(f *testing.F) {
	for _, data := range []string{"", "hello", "a\nb", "a\r\n\rb\n", "\n\nid: 9\nevent: gap\nretry: 0\n\ndata: x", " \x00\xFF:", "\uFEFF", "\xEF\xBB", "€\r"} {
		f.Add("1", "gap", []byte(data))
		f.Add("", "", []byte(data))
		f.Add("1\r2\x00", "a\nb", []byte(data))
	}
	f.Fuzz(func(t *testing.T, id, name string, data []byte) {
		stream := AppendRetry(nil, 1234*time.Millisecond)
		stream = AppendEvent(stream, "first", "", []byte("before"))
		stream = AppendEvent(stream, id, name, data)
		stream = append(stream, Comment...)
		stream = AppendEvent(stream, "", "", []byte("after"))

		valid := func(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
		want := dispatched{"first", "", strings.ReplaceAll(strings.ReplaceAll(string(data), "\r\n", "\n"), "\r", "\n")}
		want.data = valid(want.data)
		if id != "" && !strings.ContainsAny(id, "\x00\r\n") {
			want.id = valid(id)
		}
		if !strings.ContainsAny(name, "\r\n") {
			want.name = valid(name)
		}
		got, retry := interpretStream(stream)
		all := []dispatched{{"first", "", "before"}, want, {want.id, "", "after"}}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", all) || retry != 1234 {
			t.Fatalf("%q\n got %q, retry %d\nwant %q", stream, got, retry, all)
		}
		// Cut anywhere, it is the events that were whole, and no other.
		for cut := range min(len(stream), 512) {
			part, _ := interpretStream(stream[:cut])
			if len(part) > 3 || fmt.Sprintf("%q", part) != fmt.Sprintf("%q", all[:len(part)]) {
				t.Fatalf("%q cut at %d: %q", stream, cut, part)
			}
		}
	})
}
