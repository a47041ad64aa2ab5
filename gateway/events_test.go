package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sluice/gateway/auth"
	"sluice/pubsub/redistest"
)

// eventStream reads an event stream (WHATWG HTML §9.2.6), as far as these tests need.
type eventStream struct {
	t        *testing.T
	response *http.Response
	in       *bufio.Reader
	lastID   string
}

// tryStream asks for an event stream. The response is open where its status is 200.
func (n *testNode) tryStream(method, path string, header http.Header) *http.Response {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	n.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, method, "http://"+n.Public().String()+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	if header != nil {
		request.Header = header
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = response.Body.Close() }) // the test may have closed it
	return response
}

func (n *testNode) stream(path string, fields ...string) *eventStream {
	n.t.Helper()
	response := n.tryStream("GET", path, with(fields...))
	if response.StatusCode != 200 {
		body, _ := io.ReadAll(response.Body)
		n.t.Fatalf("%s answered %s %q", path, response.Status, body)
	}
	return &eventStream{t: n.t, response: response, in: bufio.NewReader(response.Body)}
}

// next is the next event, as "<type> <id>: <data>", or how the stream ended. It passes
// over those that say no more than that a channel goes on.
func (s *eventStream) next() string {
	name, data := "message", []string(nil)
	for {
		line, err := s.in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return "the end"
		}
		if err != nil {
			return err.Error()
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			s.lastID = value
		case "event":
			name = value
		case "data":
			data = append(data, value)
		case "":
			if data != nil && name != "ready" {
				return fmt.Sprintf("%s %s: %s", name, s.lastID, strings.Join(data, "\n"))
			}
			name, data = "message", nil
		}
	}
}

// want compares the next events.
func (s *eventStream) want(events ...string) {
	s.t.Helper()
	for _, want := range events {
		if got := s.next(); got != want {
			s.t.Fatalf("%q, want %q", shorten(got), shorten(want))
		}
	}
}

// remember reads until the client remembers an id, and returns it.
func (s *eventStream) remember() string {
	s.t.Helper()
	for s.lastID == "" {
		line, err := s.in.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		s.lastID, _ = strings.CutPrefix(strings.TrimSuffix(line, "\n"), "id: ")
		if !strings.HasPrefix(line, "id: ") {
			s.lastID = ""
		}
	}
	return s.lastID
}

// leave ends it from the client's side, and returns what it remembers.
func (s *eventStream) leave() string {
	_ = s.response.Body.Close() // the connection is cut: there is more to come
	return s.lastID
}

// publishDurable publishes as a backend does on a channel with a log, and returns
// the position.
func (n *testNode) publishDurable(channel, payload string) string {
	n.t.Helper()
	var answer []any
	eventually(n.t, "the functions are loaded", func() (err error) {
		answer, err = n.redis.FCall(n.t.Context(), "sluice_publish", []string{"sluice:" + channel}, payload).Slice()
		return err
	})
	return fmt.Sprint(answer[0])
}

// The bytes of a stream, as curl shows them.
func TestEventsByteForByte(t *testing.T) {
	n := startNode(t, "--anonymous").ready()
	cmd := exec.CommandContext(t.Context(), "curl", "--no-buffer", "--silent", "--include", "--max-time", "60", "--noproxy", "*",
		"http://"+n.Public().String()+"/sse?channel=news")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		b, err := in.ReadByte()
		if err != nil {
			t.Fatal(err)
		}
		head.WriteByte(b)
	}
	want := "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\nCache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\n\r\n"
	if head.String() != want {
		t.Errorf("the head is %q, want %q", head.String(), want)
	}
	conn := n.entry("connect")
	payloads := []struct{ payload, event string }{
		{`{"a":1}`, "data: {\"a\":1}\n\n"},
		{"", "data: \n\n"},
		{"a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: \n\n"},
		{"x\n\nevent: gap\ndata: news", "data: x\ndata: \ndata: event: gap\ndata: data: news\n\n"},
		{"\xFF\x00", "event: binary\ndata: /wA=\n\n"},
		{"caf\u00e9 ☕", "data: caf\u00e9 ☕\n\n"},
	}
	stream := ""
	for _, p := range payloads {
		n.publish("news", p.payload)
		stream += p.event
	}
	retry, err := in.ReadString('\n')
	if err != nil || !regexp.MustCompile(`^retry: [123]\d\d\d\n$`).MatchString(retry) {
		t.Errorf("it begins with %q, %v", retry, err)
	}
	got := make([]byte, 1+len(stream))
	if _, err := io.ReadFull(in, got); err != nil || string(got) != "\n"+stream {
		t.Errorf("%q, %v\nwant %q", got, err, stream)
	}
	if err := n.redis.Publish(t.Context(), conn["reply"].(string), conn["conn"].(string)+" for you alone").Err(); err != nil {
		t.Fatal(err)
	}
	const alone = "data: for you alone\n\n"
	if _, err := io.ReadFull(in, got[:len(alone)]); err != nil || string(got[:len(alone)]) != alone {
		t.Errorf("%q, %v; want %q", got[:len(alone)], err, alone)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	if end := n.entry("disconnect"); end["data"] != "1001 the client left" || end["channel"] != "news" || end["conn"] != conn["conn"] {
		t.Errorf("the inbox has %v", end)
	}
}

func TestEventsOfManyChannels(t *testing.T) {
	n := startNode(t, "--anonymous").ready()
	s := n.stream("/sse?channel=a&channel=b")
	n.publish("a", "one")
	n.publish("b", "two")
	n.publish("c", "not for it")
	n.publish("a", "three")
	s.want("message : one", "message : two", "message : three")
	if got := n.metric("sluice_streams_total"); got != "1" {
		t.Errorf("%s streams", got)
	}
}

// What happens to slow readers and to big messages is the same as for WebSockets.
func TestEventsAreBounded(t *testing.T) {
	n := startNode(t, "--anonymous", "--queue-max", "64KiB", "--message-max", "16KiB", "--close-timeout", "1m").ready()
	s := n.stream("/sse?channel=news")
	big := strings.Repeat("x", 1<<20)
	n.publish("news", big)
	s.want("message : " + big)
	eventually(t, "a client that does not read is cut", func() error {
		for range 20 {
			n.publish("news", big[:32<<10])
		}
		if v := n.metric("sluice_slow_consumers_total"); v == "1" {
			return nil
		}
		return errors.New("it is not")
	})
	for {
		got := s.next()
		if strings.HasPrefix(got, "message : xxx") {
			continue
		}
		// It learns why where it reads again in time, else it is cut.
		if got != "close : 1013 too slow: the send queue is full" && !strings.Contains(got, "reset by peer") && !strings.Contains(got, "unexpected EOF") {
			t.Errorf("it ended with %q", shorten(got))
		}
		return
	}
}

// Who resumes gets what it has missed, whichever node it comes to.
func TestEventsResume(t *testing.T) {
	server := redistest.Start(t)
	config := configFile(t, "namespaces:\n  - {name: orders, durable: true}\n  - {name: ticker, durable: false}\n")
	args := []string{"--anonymous", "--redis", server.URL, "--recovery-max", "3", config}
	a, b := startNode(t, args...).ready(), startNode(t, args...).ready()

	t.Run("one channel", func(t *testing.T) {
		s := a.stream("/sse?channel=orders:1")
		p0 := s.remember() // before there was any message
		p1, p2 := a.publishDurable("orders:1", "one"), a.publishDurable("orders:1", "two")
		s.want("message "+p1+": one", "message "+p2+": two")
		a.publish("orders:1", "beside the log")
		s.want("message " + p2 + ": beside the log")
		last := s.leave()
		if last != p2 {
			t.Errorf("the client remembers %s, want %s", last, p2)
		}
		p3 := a.publishDurable("orders:1", "three")
		s = b.stream("/sse?channel=orders:1", "Last-Event-ID", last)
		s.want("resumed "+": orders:1", "message "+p3+": three")
		p4 := b.publishDurable("orders:1", "four")
		s.want("message " + p4 + ": four")

		s = a.stream("/sse?channel=orders:1&since=" + p3)
		s.want("resumed : orders:1", "message "+p4+": four")
		if s := b.stream("/sse?channel=orders:1&since="); s.remember() != p4 {
			t.Errorf("the client begins at %s, want %s", s.lastID, p4)
		}
		s = a.stream("/sse?channel=orders:1&since="+p1, "Last-Event-ID", p4) // what a browser says when it comes back is newer than its URL
		s.want("resumed : orders:1")
		if s.remember() != p4 {
			t.Errorf("the client remembers %s, want %s", s.lastID, p4)
		}
		for name, id := range map[string]string{"too much": p0, "nowhere": "12345", "of the future": "9007199254740991", "of two channels": p4 + "." + p4, "nonsense": "seventeen"} {
			s := b.stream("/sse?channel=orders:1", "Last-Event-ID", id)
			s.want("reset : orders:1")
			if s.remember() != p4 {
				t.Errorf("%s: it goes on from %s, want %s", name, s.lastID, p4)
			}
		}
	})
	t.Run("several channels", func(t *testing.T) {
		const path = "/sse?channel=orders:2&channel=ticker:x&channel=orders:3"
		s := a.stream(path)
		two, three := a.publishDurable("orders:2", "2a"), a.publishDurable("orders:3", "3a")
		var got []string
		for len(got) < 2 { // which comes first is not said
			got = append(got, s.next())
		}
		slices.SortFunc(got, func(a, b string) int { return strings.Compare(a[len(a)-2:], b[len(b)-2:]) })
		if !strings.HasPrefix(got[0], "message "+two+".0.") || !strings.HasSuffix(got[1], ".0."+three+": 3a") {
			t.Fatalf("%q", got)
		}
		a.publish("ticker:x", "tick")
		s.want("message " + two + ".0." + three + ": tick")
		last := s.leave()
		a.publishDurable("orders:2", "2b")
		three2 := a.publishDurable("orders:3", "3b")
		a.publishDurable("orders:2", "2c")
		a.publish("ticker:x", "missed: it is no durable channel")
		for _, query := range []string{"&since=" + last, "&since=" + two + "&since=&since=" + three} {
			if got := a.stream(path + query).next(); !strings.HasPrefix(got, "resumed ") {
				t.Errorf("%s: %q", query, got)
			}
		}
		s = b.stream(path, "Last-Event-ID", last)
		missed := map[string]bool{}
		for len(missed) < 5 {
			got := s.next()
			if missed[got] {
				t.Fatalf("%q came twice", got)
			}
			missed[got] = true
		}
		all := fmt.Sprint(missed)
		for _, want := range []string{": 2b", ": 2c", ": 3b", "resumed ", ": orders:2", ": orders:3"} {
			if !strings.Contains(all, want) {
				t.Errorf("%q is missing in %s", want, all)
			}
		}
		two4 := a.publishDurable("orders:2", "2d")
		s.want("message " + two4 + ".0." + three2 + ": 2d")
	})
	t.Run("a channel that is not durable", func(t *testing.T) {
		p := a.publishDurable("ticker:y", "somebody logs it all the same")
		s := a.stream("/sse?channel=ticker:y", "Last-Event-ID", p)
		s.want("reset : ticker:y")
		if keys, err := a.redis.Keys(t.Context(), "{sluice:ticker:z}*").Result(); err != nil || len(keys) > 0 {
			t.Errorf("%v, %v", keys, err)
		}
	})
	t.Run("since that means nothing", func(t *testing.T) {
		for _, query := range []string{"since=-1", "since=%2B1", "since=1.2", "since=9007199254740992", "since=1&since=2", "since=x", "since=1e3"} {
			response := a.tryStream("GET", "/sse?channel=orders:1&"+query, nil)
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != 400 || !strings.HasPrefix(string(body), "since= takes") {
				t.Errorf("%s: %s %q", query, response.Status, body)
			}
		}
	})
}

// No message is lost and none comes twice, over many returns to either node while
// messages flow.
func TestEventsResumeUnderLoad(t *testing.T) {
	for _, path := range []string{"/sse?channel=orders:1", "/sse?channel=orders:1&channel=orders:2"} {
		t.Run(path, func(t *testing.T) {
			server := redistest.Start(t)
			args := []string{"--anonymous", "--redis", server.URL, configFile(t, "namespaces: [{name: orders, durable: true}]\n"), "--recovery-max", "10000"}
			nodes := []*testNode{startNode(t, args...).ready(), startNode(t, args...).ready()}
			s := nodes[0].stream(path)
			s.remember()
			const messages, returns = 600, 15
			published := make(chan error, 1)
			go func() {
				for i := range messages {
					channel := "sluice:orders:" + strconv.Itoa(1+i%strings.Count(path, "channel="))
					if err := nodes[0].redis.FCall(context.Background(), "sluice_publish", []string{channel}, fmt.Sprint(i)).Err(); err != nil {
						published <- err
						return
					}
				}
				published <- nil
			}()
			seen := map[string]int{}
			next := map[int]int{} // by channel: the number that must come next
			channels := strings.Count(path, "channel=")
			for r := 1; len(seen) < messages; {
				got := s.next()
				name, rest, _ := strings.Cut(got, " ")
				_, data, _ := strings.Cut(rest, ": ")
				switch name {
				case "message":
					i, err := strconv.Atoi(data)
					if err != nil || seen[data] > 0 || next[i%channels] != i/channels {
						t.Fatalf("%q, of its channel number %d must come next", got, next[i%channels])
					}
					seen[data]++
					next[i%channels]++
				case "resumed":
				default:
					t.Fatalf("%q", got)
				}
				if r < returns && len(seen) >= r*messages/returns/2 {
					s = nodes[r%2].stream(path, "Last-Event-ID", s.leave())
					r++
				}
			}
			if err := <-published; err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestEventsDrain(t *testing.T) {
	n := startNode(t, "--anonymous", "--drain-window", "0s").ready()
	s := n.stream("/sse?channel=news")
	ended := make(chan error, 1)
	go func() { ended <- n.stop() }()
	rest, err := io.ReadAll(s.in)
	if err != nil || !regexp.MustCompile(`^retry: \d{4}\n\nretry: [123]\d\d\d\n\nevent: close\ndata: 1012 this node is going away, come back\n\n$`).Match(rest) {
		t.Errorf("%q, %v", rest, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestEventsRefusals(t *testing.T) {
	const app = "https://app.example"
	n := startNode(t, "--auth-hmac-secret", testSecret, "--auth-cookie", "session", "--origins", app, "--connections-per-user", "3").ready()
	good := sign(t, testKey, auth.Claims{})
	for _, row := range []struct {
		name, method, path string
		header             http.Header
		status             int
		reason             string
		cors               string // the CORS headers of the answer
	}{
		{"no token", "GET", "/sse?channel=news", nil, 401, "a token is needed", ""},
		{"no token, from the page", "GET", "/sse?channel=news", with("Origin", app), 401, "a token is needed", app + " true"},
		{"a broken one", "GET", "/sse?channel=news&token=x" + good, with("Origin", app), 401, "token", app + " true"},
		{"another page", "GET", "/sse?channel=news&token=" + good, with("Origin", "https://evil.example"), 403, "this Origin", ""},
		{"two pages", "GET", "/sse?channel=news&token=" + good, with("Origin", app, "Origin", app), 400, "more than one Origin", ""},
		{"no channel", "GET", "/sse?token=" + good, nil, 400, "name the channels", ""},
		{"a channel that it may not have", "GET", "/sse?channel=%23x&token=" + good, nil, 403, "belong to users", ""},
		{"HEAD", "HEAD", "/sse?channel=news", nil, 405, "", ""},
		{"POST", "POST", "/sse?channel=news", nil, 405, "only GET", ""},
		{"OPTIONS of nobody", "OPTIONS", "/sse?channel=news", nil, 405, "only GET", ""},
		{"OPTIONS of another page", "OPTIONS", "/sse", with("Origin", "https://evil.example"), 403, "this Origin", ""},
		{"OPTIONS", "OPTIONS", "/sse", with("Origin", app, "Access-Control-Request-Method", "GET"), 200, "", app + " true"},
		{"a bad query", "GET", "/sse?channel=%zz", nil, 400, "query", ""},
		{"an expectation", "GET", "/sse?channel=news", with("Expect", "100-continue"), 417, "expectations", ""},

		{"in the query", "GET", "/sse?channel=news&token=" + good, nil, 200, "", ""},
		{"in the header", "GET", "/sse?channel=news", with("Authorization", "Bearer "+good, "Origin", app), 200, "", app + " true"},
		{"in a cookie, from the page", "GET", "/sse?channel=news", with("Cookie", "session="+good, "Origin", app), 200, "", app + " true"},
		{"in a cookie, from the same origin", "GET", "/sse?channel=news", with("Cookie", "session="+good, "Sec-Fetch-Site", "same-origin"), 200, "", ""},
		{"in a cookie, from nowhere", "GET", "/sse?channel=news", with("Cookie", "session="+good), 403, "this Origin", ""},
		{"in a cookie, from elsewhere", "GET", "/sse?channel=news", with("Cookie", "session="+good, "Sec-Fetch-Site", "cross-site"), 403, "this Origin", ""},
		{"in a cookie, from another page", "GET", "/sse?channel=news", with("Cookie", "session="+good, "Origin", "https://evil.example"), 403, "this Origin", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			response := n.tryStream(row.method, row.path, row.header)
			h := response.Header
			cors := strings.TrimSpace(h.Get("Access-Control-Allow-Origin") + " " + h.Get("Access-Control-Allow-Credentials"))
			if response.StatusCode != row.status || cors != row.cors || (cors != "") != (h.Get("Vary") == "Origin") {
				t.Errorf("%s, CORS %q, Vary %q; want %d, %q", response.Status, cors, h.Get("Vary"), row.status, row.cors)
			}
			if row.status == 200 && row.method == "GET" {
				_ = response.Body.Close()
				eventually(t, "it is counted out", func() error {
					if v := n.metric("sluice_connections"); v != "0" {
						return errors.New(v)
					}
					return nil
				})
				return
			}
			body, err := io.ReadAll(response.Body)
			if err != nil || !bytes.Contains(body, []byte(row.reason)) {
				t.Errorf("%q, %v; want %q", body, err, row.reason)
			}
			if row.method == "OPTIONS" && row.status == 200 && h.Get("Access-Control-Allow-Headers") != "Authorization, Last-Event-ID, Cache-Control" {
				t.Errorf("headers %v", h)
			}
		})
	}
	t.Run("too many", func(t *testing.T) {
		eventually(t, "nobody is left", func() error {
			if v := n.metric("sluice_connections"); v != "0" {
				return errors.New(v)
			}
			return nil
		})
		for range 3 {
			n.stream("/sse?channel=news&token=" + good)
		}
		response := n.tryStream("GET", "/sse?channel=news&token="+good, nil)
		if response.StatusCode != 429 || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s, Retry-After %q", response.Status, response.Header.Get("Retry-After"))
		}
	})
	t.Run("any page, where none are listed", func(t *testing.T) {
		n := startNode(t, "--anonymous").ready()
		s := n.stream("/sse?channel=news", "Origin", "https://any.example")
		if h := s.response.Header; h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("headers %v", h)
		}
	})
}

// The stream ends when its token does, and says so.
func TestEventsExpire(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--auth-hmac-secret", testSecret, "--auth-leeway", "0s").ready()
	s := n.stream("/sse?channel=news&token=" + sign(t, testKey, auth.Claims{TTL: shortLife}))
	s.want("close : 1008 the token has expired", "the end")
}

// The README's command shows what is published.
func TestReadmeEvents(t *testing.T) {
	line := regexp.MustCompile(`(?m)^    (curl -N .*/sse.*)$`).FindStringSubmatch(readme(t))
	if line == nil {
		t.Fatal("the README has no curl command for /sse")
	}
	n := startNode(t, "--dev").ready()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "exec "+strings.Replace(line[1], "localhost:8000", n.Public().String(), 1))
	var out safeBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "curl shows the message", func() error {
		n.publish("news", "hello from the README")
		if !strings.Contains(out.String(), "data: hello from the README\n\n") {
			return errors.New(out.String())
		}
		return nil
	})
	cancel()
	_ = cmd.Wait() // it was killed
}

// Of a stream with several channels each message is its own. One whose client is slow
// gets, where only the newest message counts, that one, with the id that belongs to it.
func TestEventsOfTheNewest(t *testing.T) {
	file := configFile(t, "namespaces: [{name: ticker, durable: true, policy: latest, history_size: 10}]\n")
	n := startNode(t, "--anonymous", "--queue-max", "64KiB", "--message-max", "16KiB", "--queue-kernel", "4KiB", file).ready()
	s := n.stream("/sse?channel=ticker:1&channel=ticker:2")
	filler := strings.Repeat("x", 12<<10)
	var last, other string
	for i := range 400 { // more than the kernels take for it
		last = n.publishDurable("ticker:1", fmt.Sprint(i, filler))
		if i == 390 {
			other = n.publishDurable("ticker:2", "the end")
		}
	}
	before, messages := "", 0
	have := map[string]string{} // by channel: the payload that came last
	for have["1"] != fmt.Sprint(399, filler) || have["2"] == "" {
		got := s.next()
		name, rest, _ := strings.Cut(got, " ")
		id, data, _ := strings.Cut(rest, ": ")
		first, second, _ := strings.Cut(id, ".")
		if name != "message" || len(first) < len(before) || first < before {
			t.Fatalf("%q after %s", shorten(got), before)
		}
		before = first
		messages++
		channel := "1"
		if data == "the end" {
			channel = "2"
		}
		have[channel] = data
		// The id says what has come, or the rest would be lost to who comes back with it.
		if first == last && have["1"] != fmt.Sprint(399, filler) || second == other && have["2"] == "" {
			t.Fatalf("%q says that more has come than has", shorten(got))
		}
	}
	if messages > 390 {
		t.Errorf("%d of 401 messages came: the client was not slow", messages)
	}
	again := n.publishDurable("ticker:2", "after that")
	s.want("message " + last + "." + again + ": after that")
}
