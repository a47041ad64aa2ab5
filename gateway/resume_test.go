package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"sluice/pubsub/redistest"
)

// push publishes durably and returns the position.
func (n *testNode) push(channel, payload string, options ...any) int64 {
	n.t.Helper()
	answer, err := n.redis.FCall(n.t.Context(), "sluice_publish", []string{"sluice:" + channel}, append([]any{payload}, options...)...).Slice()
	if err != nil {
		n.t.Fatal(err)
	}
	return answer[0].(int64)
}

// loaded waits until the functions can be called.
func (n *testNode) loaded() *testNode {
	n.t.Helper()
	eventually(n.t, "the functions are loaded", func() error {
		return n.redis.FCall(n.t.Context(), "sluice_version", nil).Err()
	})
	return n
}

// wantJSON reads one message and compares it with a pattern, in which numbers
// called P1, P2 and so on stand for positions.
func (c *client) wantJSON(pattern string, positions ...int64) {
	c.t.Helper()
	for i, p := range positions {
		pattern = strings.ReplaceAll(pattern, "P"+strconv.Itoa(i+1), strconv.FormatInt(p, 10))
	}
	c.wantText(pattern)
}

// TestEnvelope: what the subprotocol sluice.v1 says and hears, row by row.
func TestEnvelope(t *testing.T) {
	t.Parallel()
	for _, b := range brokers {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, append(b.args(t), "--dev", "--rpc-timeout", "5s")...).ready().loaded() // one call has to be answered in time
			c := n.dial("/ws?channel=news", "other", "sluice.v1")
			if got := c.Subprotocol(); got != "sluice.v1" {
				t.Fatalf("agreed on %q", got)
			}
			var first struct {
				Position int64
			}
			_, greeting, err := c.ReadMessage()
			if err != nil || json.Unmarshal(greeting, &first) != nil || first.Position == 0 {
				t.Fatalf("the first message is %s, %v", greeting, err)
			}
			if want := fmt.Sprintf(`{"channel":"news","subscribed":true,"position":%d}`, first.Position); string(greeting) != want {
				t.Fatalf("the first message is %s, want %s", greeting, want)
			}
			conn := n.entry("connect")["conn"].(string)

			// Down.
			p1 := n.push("news", `{"headline": "x"}`)
			c.wantJSON(`{"channel":"news","position":P1,"data":{"headline": "x"}}`, p1)
			n.publish("news", "not JSON")
			c.wantText(`{"channel":"news","text":"not JSON"}`)
			n.publish("news", "\xff\x00")
			c.wantText(`{"channel":"news","base64":"/wA="}`)
			n.publish("{node:"+n.node.ID+"}", conn+" 42")
			c.wantText(`{"data":42}`)
			n.push("news", "not for this one", "exclude", conn)

			// Up.
			for _, row := range []struct{ say, hear string }{
				{`{"data":{"a":1},"id":"m1"}`, `{"ack":"m1"}`},
				{`{"channel":"chat","text":"hi","id":"m2"}`, `{"ack":"m2"}`},
				{`{"subscribe":"chat","id":"s1"}`, ``},
				{`{"subscribe":"chat","id":"s2"}`, `{"id":"s2","channel":"chat","error":{"code":"already","message":"the channel is subscribed already"}}`},
				{`{"unsubscribe":"chat","id":"u1"}`, `{"id":"u1","channel":"chat","unsubscribed":true}`},
				{`{"unsubscribe":"chat"}`, `{"channel":"chat","error":{"code":"not_subscribed","message":"the channel is not subscribed"}}`},
				{`{"subscribe":"{node:x}"}`, `{"channel":"{node:x}","error":{"code":"bad_channel","message":"the channel's name is not one that a client can name"}}`},
				{`{"data":1,"id":"spaces are not allowed"}`, `{"error":{"code":"bad_id","message":"an id has 1 to 64 of A-Z a-z 0-9 _ . -"}}`},
				{`{"call":"m","id":"c1"}`, `{"reply":"c1","error":{"code":"timeout","message":"no service has answered in time"}}`},
				{`nonsense`, `{"error":{"code":"bad_command","message":"a command is one JSON object with what the README names for sluice.v1"}}`},
				{`{"data":1} {"data":2}`, `{"error":{"code":"bad_command","message":"a command is one JSON object with what the README names for sluice.v1"}}`},
				{`{"dat":1}`, `{"error":{"code":"bad_command","message":"a command is one JSON object with what the README names for sluice.v1"}}`},
				{`{"id":"x"}`, `{"id":"x","error":{"code":"bad_command","message":"a command is one JSON object with what the README names for sluice.v1"}}`},
				{`{"subscribe":"a","unsubscribe":"b"}`, `{"channel":"a","error":{"code":"bad_command","message":"a command is one JSON object with what the README names for sluice.v1"}}`},
			} {
				c.send(websocket.TextMessage, row.say)
				if row.hear != "" {
					c.wantText(row.hear)
					continue
				}
				_, got, err := c.ReadMessage()
				if err != nil || !strings.HasPrefix(string(got), `{"id":"s1","channel":"chat","subscribed":true,"position":`) {
					t.Fatalf("%s is answered %s, %v", row.say, got, err)
				}
			}
			messages := n.entries("message")
			if len(messages) != 2 || messages[0]["data"] != `{"a":1}` || messages[0]["id"] != "conn:"+conn+":m1" || messages[0]["channel"] != "news" ||
				messages[1]["data"] != "hi" || messages[1]["channel"] != "chat" {
				t.Errorf("the inbox has %v", messages)
			}

			c.send(websocket.TextMessage, `{"call":"add","data":[1,2],"id":"c2"}`)
			var call map[string]any
			eventually(t, "the call is in the inbox", func() error {
				for _, e := range n.entries("rpc") {
					if e["method"] == "add" {
						call = e
						return nil
					}
				}
				return errors.New("not yet")
			})
			n.publish(strings.TrimPrefix(call["reply"].(string), "sluice:"), fmt.Sprintf("%s:%s 3", call["conn"], call["call"]))
			c.wantText(`{"reply":"c2","data":3}`)
		})
	}
}

// TestResume: clients come back to a durable channel, on another node than before.
func TestResume(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	args := []string{"--dev", "--redis", s.URL, "--recovery-max", "3"}
	n, other := startNode(t, args...).ready().loaded(), startNode(t, args...).ready()
	c := n.dial("/ws?channel=orders", "sluice.v1")
	var greeting struct{ Position int64 }
	if _, text, err := c.ReadMessage(); err != nil || json.Unmarshal(text, &greeting) != nil {
		t.Fatalf("%s, %v", text, err)
	}
	began := greeting.Position
	var p []int64
	for i := range 5 {
		p = append(p, n.push("orders", strconv.Itoa(i)))
	}
	c.wantJSON(`{"channel":"orders","position":P1,"data":0}`, p[0])

	for _, row := range []struct {
		name  string
		since int64
		want  []string
	}{
		{"nothing missed", p[4], []string{`{"channel":"orders","subscribed":true,"recovered":true,"position":P5}`}},
		{"two missed", p[2], []string{`{"channel":"orders","subscribed":true,"recovered":true,"position":P3}`,
			`{"channel":"orders","position":P4,"data":3}`, `{"channel":"orders","position":P5,"data":4}`}},
		{"more than recovery.max missed", p[0], []string{`{"channel":"orders","subscribed":true,"recovered":false,"position":P5}`}},
		{"from the very beginning", began, []string{`{"channel":"orders","subscribed":true,"recovered":false,"position":P5}`}},
		{"a position that never was", p[3] + 1, []string{`{"channel":"orders","subscribed":true,"recovered":false,"position":P5}`}},
		{"one that is ahead", p[4] + 1000, []string{`{"channel":"orders","subscribed":true,"recovered":false,"position":P5}`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, node := range []*testNode{n, other} {
				c := node.dial(fmt.Sprintf("/ws?channel=orders&since=%d", row.since), "sluice.v1")
				for _, want := range row.want {
					c.wantJSON(want, p...)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}

	// Without envelopes: the payloads, after the notice of a gap where there is one.
	v := other.dial(fmt.Sprintf("/ws?channel=news&channel=orders&since=&since=%d&gaps=tell", p[2]))
	v.wantText("3")
	v.wantText("4")
	v = other.dial(fmt.Sprintf("/ws?channel=orders&since=%d&gaps=tell", p[0]))
	v.wantText(`{"gap":"orders"}`)
	n.push("orders", "5")
	v.wantText("5")

	for _, row := range []struct{ query, reason string }{
		{"channel=orders&since=1", "sluice.v1, or gaps=tell"},
		{"channel=orders&since=x&gaps=tell", "since= takes the position"},
		{"channel=orders&since=-1&gaps=tell", "since= takes the position"},
		{"channel=orders&since=1&since=2&gaps=tell", "since= takes the position"},
		{"channel=orders&since=99999999999999999999&gaps=tell", "since= takes the position"},
	} {
		_, response, err := n.tryDial("/ws?"+row.query, nil)
		if err == nil || response == nil || response.StatusCode != 400 {
			t.Fatalf("%s: %v, %v", row.query, response, err)
		}
	}
}

// TestLastValue: where only the newest message counts, it comes at once, and in place
// of all that were missed.
func TestLastValue(t *testing.T) {
	t.Parallel()
	file := configFile(t, "namespaces:\n- {name: price, durable: true, last_value: true}\n")
	n := startNode(t, "--dev", file).ready().loaded()
	var p []int64
	for i := range 3 {
		p = append(p, n.push("price:x", strconv.Itoa(i)))
	}
	c := n.dial("/ws?channel=price:x")
	c.wantText("2")
	for _, row := range []struct {
		query string
		want  []string
	}{
		{"", []string{`{"channel":"price:x","subscribed":true,"position":P2}`, `{"channel":"price:x","position":P3,"data":2}`}},
		{"&since=0", []string{`{"channel":"price:x","subscribed":true,"recovered":true,"position":P2}`, `{"channel":"price:x","position":P3,"data":2}`}},
		{fmt.Sprintf("&since=%d", p[0]), []string{`{"channel":"price:x","subscribed":true,"recovered":true,"position":P2}`, `{"channel":"price:x","position":P3,"data":2}`}},
		{fmt.Sprintf("&since=%d", p[2]), []string{`{"channel":"price:x","subscribed":true,"recovered":true,"position":P3}`}},
	} {
		c := n.dial("/ws?channel=price:x"+row.query, "sluice.v1")
		for _, want := range row.want {
			c.wantJSON(want, p...)
		}
	}
	n.push("price:x", "3")
	c.wantText("3")
}

// TestDropIsTold: where a slow client misses durable messages by the policy of their
// channel, it is told as soon as it reads on.
func TestDropIsTold(t *testing.T) {
	t.Parallel()
	file := configFile(t, "namespaces:\n- {name: n, durable: true, policy: drop}\nqueue: {max: 64KiB, kernel: 4KiB}\nmessage: {max: 16KiB}\n")
	n := startNode(t, "--dev", file).ready().loaded()
	c := n.dial("/ws?channel=n:x", "sluice.v1")
	if _, _, err := c.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	long := `"` + strings.Repeat("x", 200_000) + `"`
	eventually(t, "messages are dropped", func() error {
		n.push("n:x", long)
		if got := n.metric("sluice_dropped_total"); got == "0" {
			return errors.New("none yet")
		}
		return nil
	})
	for {
		_, text, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if string(text) == `{"gap":"n:x"}` {
			return
		}
	}
}

// resumer is a client that is cut off again and again, comes back to any node, and
// expects to miss nothing.
type resumer struct {
	t        *testing.T
	node     func(*rand.Rand) *testNode // to connect to
	restarts bool                       // nodes go away
	channel  string
	random   *rand.Rand
	position int64
	got      []int // what the payloads say
	resets   int
	resumes  int
}

// run reads until it has seen last.
func (r *resumer) run(last int) error {
	for {
		n := r.node(r.random)
		path := "/ws?channel=" + r.channel
		if r.position != 0 {
			path += fmt.Sprintf("&since=%d", r.position)
			r.resumes++
		}
		c, _, err := n.tryDial(path, nil, "sluice.v1")
		done := false
		if err == nil {
			done, err = r.read(c, last, 1+r.random.IntN(60))
			_ = c.Close() // it is cut off
		}
		if done || err != nil && !r.restarts {
			return err
		}
		time.Sleep(time.Duration(r.random.IntN(40)) * time.Millisecond)
	}
}

// read takes some messages, and reports whether the last one was among them.
func (r *resumer) read(c *client, last, messages int) (done bool, err error) {
	for range messages {
		_, text, err := c.ReadMessage()
		if err != nil {
			return false, fmt.Errorf("after %d messages: %w", len(r.got), err)
		}
		var m struct {
			Subscribed bool
			Recovered  *bool
			Position   int64
			Data       *int
			Gap        string
			Error      any
		}
		if err := json.Unmarshal(text, &m); err != nil || m.Error != nil {
			return false, fmt.Errorf("heard %s: %w", text, err)
		}
		if m.Position != 0 {
			r.position = m.Position
		}
		switch {
		case m.Gap != "" || m.Recovered != nil && !*m.Recovered:
			r.resets++
		case m.Data != nil:
			r.got = append(r.got, *m.Data)
			if *m.Data == last {
				return true, nil
			}
		}
	}
	return false, nil
}

// TestResumeUnderLoad: while services publish, clients come and go between nodes and
// connections to Redis are cut. Nobody misses anything, gets it twice, or in another
// order.
func TestResumeUnderLoad(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := redistest.Start(t)
	args := []string{"--dev", "--redis", s.URL, "--recovery-max", "10000", "--message-rate", "0"}
	nodes := []*testNode{startNode(t, args...).ready().loaded(), startNode(t, args...).ready()}
	const channels, clients, last = 4, 16, 1500

	var running sync.WaitGroup
	failures := make(chan error, clients+1)
	resumers := make([]*resumer, clients)
	for i := range resumers {
		r := &resumer{t: t, node: anyOf(nodes), channel: fmt.Sprint("orders", i%channels), random: rand.New(rand.NewPCG(seed, uint64(i)))}
		resumers[i] = r
		running.Go(func() {
			if err := r.run(last); err != nil {
				failures <- fmt.Errorf("client %d: %w", i, err)
			}
		})
	}
	running.Go(func() { failures <- publishNumbers(t.Context(), nodes[0].redis, channels, last) })
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	cuts := rand.New(rand.NewPCG(seed, 1000))
	for cutting := true; cutting; {
		select {
		case <-ended:
			cutting = false
		case <-time.After(time.Duration(100+cuts.IntN(300)) * time.Millisecond):
			s.Do("CLIENT", "KILL", "TYPE", "pubsub")
		}
	}
	close(failures)
	for err := range failures {
		if err != nil {
			t.Error(err)
		}
	}
	judgeResumers(t, resumers)
	for _, n := range nodes {
		t.Logf("readings %s, filled %s, repeated %s, recovered %s", n.metric("sluice_log_readings_total"), n.metric("sluice_log_filled_total"),
			n.metric("sluice_repeated_total"), n.metric("sluice_recoveries_total"))
	}
}

func anyOf(nodes []*testNode) func(*rand.Rand) *testNode {
	return func(r *rand.Rand) *testNode { return nodes[r.IntN(len(nodes))] }
}

// judgeResumers checks that nobody missed anything, got it twice or in another order.
func judgeResumers(t *testing.T, resumers []*resumer) {
	t.Helper()
	resumes, resets := 0, 0
	for i, r := range resumers {
		for j := 1; j < len(r.got); j++ {
			if r.got[j] != r.got[j-1]+1 {
				t.Errorf("client %d got %d after %d", i, r.got[j], r.got[j-1])
				break
			}
		}
		resumes, resets = resumes+r.resumes, resets+r.resets
	}
	if resets > 0 {
		t.Errorf("%d times a client was told that it may have missed something, although the log has everything", resets)
	}
	t.Logf("%d resumes", resumes)
}

// TestRollingRestart: nodes are replaced one after the other, under load. Each is not
// ready first, then takes nobody in, then sends its clients away over its window; and
// nobody misses a durable message.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := redistest.Start(t)
	args := []string{"--dev", "--redis", s.URL, "--recovery-max", "10000", "--drain-window", "500ms"}
	var mu sync.Mutex
	serving := []*testNode{startNode(t, args...).ready().loaded(), startNode(t, args...).ready(), startNode(t, args...).ready()}
	const channels, clients, last = 2, 12, 1500
	var running sync.WaitGroup
	failures := make(chan error, clients+1)
	resumers := make([]*resumer, clients)
	for i := range resumers {
		r := &resumer{t: t, restarts: true, channel: fmt.Sprint("orders", i%channels), random: rand.New(rand.NewPCG(seed, uint64(i))),
			node: func(r *rand.Rand) *testNode {
				mu.Lock()
				defer mu.Unlock()
				return serving[r.IntN(len(serving))]
			}}
		resumers[i] = r
		running.Go(func() { failures <- r.run(last) })
	}
	publisher := serving[0].redis
	running.Go(func() { failures <- publishNumbers(t.Context(), publisher, channels, last) })
	for i := range serving {
		old, fresh := serving[i], startNode(t, args...).ready()
		mu.Lock()
		serving[i] = fresh
		mu.Unlock()
		if err := old.stop(); err != nil {
			t.Errorf("a node ended with: %v", err)
		}
		if err := old.Ready(); err == nil {
			t.Error("a node that has left says that it is ready")
		}
	}
	running.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			t.Error(err)
		}
	}
	judgeResumers(t, resumers)
}

// publishNumbers publishes 1 to last on each channel.
func publishNumbers(ctx context.Context, client *redis.Client, channels, last int) error {
	for i := 1; i <= last; i++ {
		_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for c := range channels {
				p.FCall(ctx, "sluice_publish", []string{fmt.Sprint("sluice:orders", c)}, i, "size", 100_000)
			}
			return nil
		})
		if err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}
