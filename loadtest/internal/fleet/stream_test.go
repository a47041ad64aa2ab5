package fleet

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

const streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"

// streaming answers with head and then writes the parts, each by itself.
func streaming(head string, parts ...string) func(net.Conn, *bufio.Reader, string) {
	return func(c net.Conn, in *bufio.Reader, _ string) {
		for _, part := range append([]string{head + "\r\n"}, parts...) {
			if _, err := c.Write([]byte(part)); err != nil {
				return // the client has gone: the test sees that
			}
			time.Sleep(time.Millisecond) // else the kernel puts them together; what is asserted does not depend on it
		}
		_, _ = in.ReadByte() // until the client ends it
	}
}

// follow opens one event stream.
func follow(t *testing.T, addr string, o Options) (*Fleet, *keeper) {
	target, err := NewTarget("http://"+addr+"/sse?channel={channel}", nil)
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{}
	o.Target, o.Concurrency, o.Timeout, o.Channel = target, 1, patience, func(int) string { return "a b" }
	f, err := Start(o, func(int) Script { return k })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	f.Open(1)
	return f, k
}

func TestEventStreams(t *testing.T) {
	long := strings.Repeat("x", 300_000)
	for _, test := range []struct {
		name, head string
		parts      []string
		want       []string
	}{
		{"events", streamHead, []string{"data: one\n\ndata:two\n\n"}, []string{"text one", "text two"}},
		{"in pieces", streamHead, []string{"da", "ta: o", "ne\n", "\nid: 7\ndata: two\n\nd"}, []string{"text one", "text two"}},
		{"several lines", streamHead, []string{"data: a\ndata: b\ndata\n\n"}, []string{"text a\nb\n"}},
		{"CR LF", streamHead, []string{"data: one\r\n\r\ndata: two\r\n\r\n"}, []string{"text one", "text two"}},
		{"comments, names, times", streamHead, []string{":\n\nretry: 100\n\nevent: ready\ndata: x\n\nevent: message\ndata: one\n\n"}, []string{"text one"}},
		{"a long one", streamHead, []string{"data: " + long + "\n\ndata: two\n\n"}, []string{"text " + long, "text two"}},
		{"chunks", streamHead + "Transfer-Encoding: chunked\r\n", []string{"b\r\ndata: one\n\n\r\n1;x=y\r\nd\r\n", "5\r\nata: \r\n5\r\ntwo\n\n\r\n"}, []string{"text one", "text two"}},
		{"chunks in pieces", streamHead + "Transfer-Encoding: chunked\r\n", strings.Split("b\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\n", ""), []string{"text one", "text two"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := listen(t, streaming(test.head, test.parts...))
			f, k := follow(t, s.Addr().String(), Options{})
			eventually(t, "all events", func() bool { heard, _ := k.list(); return len(heard) == len(test.want) })
			if heard, _ := k.list(); !slices.Equal(heard, test.want) {
				t.Errorf("%.200q", heard)
			}
			f.Each(func(*Worker) {}) // the counts are told at the end of a turn
			if s := f.Stats(); s.Open != 1 || s.Messages != int64(len(test.want)) {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestEventStreamsThatFail(t *testing.T) {
	chunked := streamHead + "Transfer-Encoding: chunked\r\n"
	for _, test := range []struct{ head, part, kind string }{
		{"HTTP/1.1 503 Service Unavailable\r\n", "", "handshake: HTTP status 503"},
		{"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", "", "handshake: answer is no event stream"},
		{"SSH-2.0-x\r\n", "", "handshake: answer is not HTTP"},
		{chunked, "0\r\n\r\n", "the event stream ended"},
		{chunked, "x\r\n", "protocol: chunk without its size or its end"},
		{chunked, strings.Repeat("1", 100), "protocol: chunk without its size or its end"},
		{chunked, "7fffffff\r\n", "protocol: frame above 64 MiB"},
	} {
		t.Run(fmt.Sprintf("%s %.10s", test.kind, test.part), func(t *testing.T) {
			s := listen(t, streaming(test.head, test.part))
			f, _ := follow(t, s.Addr().String(), Options{})
			eventually(t, "the end", func() bool { s := f.Stats(); return s.Failed+s.Lost == 1 })
			if got := f.Faults(); got[test.kind] != 1 {
				t.Errorf("faults %v", got)
			}
		})
	}
}

// TestEventStreamIsOneWay: nothing is sent after the request, and the end needs no close frame.
func TestEventStreamIsOneWay(t *testing.T) {
	after := make(chan error, 1)
	s := listen(t, func(c net.Conn, in *bufio.Reader, _ string) {
		_, _ = c.Write([]byte(streamHead + "\r\ndata: one\n\n")) // the test sees whether it arrived
		_, err := in.ReadByte()
		after <- err
	})
	target, err := NewTarget("http://"+s.Addr().String()+"/sse?channel={channel}", []string{"X: y"})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(target.request("a b", "")); !strings.HasPrefix(got, "GET /sse?channel=a+b HTTP/1.1\r\n") || !strings.Contains(got, "\r\nAccept: text/event-stream\r\n") ||
		strings.Contains(got, "Upgrade") || !strings.HasSuffix(got, "\r\nX: y\r\n\r\n") {
		t.Errorf("request %q", got)
	}
	f, k := follow(t, s.Addr().String(), Options{Answers: map[string]string{"one": "two"}})
	eventually(t, "an event", func() bool { return f.Stats().Pings == 1 })
	f.Each(func(w *Worker) { w.Conns(func(c *Conn) { c.Close() }) })
	if err := <-after; err == nil {
		t.Error("the client has sent something")
	}
	if _, closed := k.list(); len(closed) != 1 || closed[0] != "" || f.Stats().Lost != 0 {
		t.Errorf("closed %q", closed)
	}
}
