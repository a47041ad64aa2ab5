package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"sluice/codec"
	"sluice/gateway/auth"
	"sluice/gateway/hub"
	"sluice/loop"
	"sluice/pubsub"
)

func TestEntryID(t *testing.T) {
	for id, good := range map[string]bool{
		"1": true, "order-7_A.b": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a:b": false, "a b": false, "ä": false, "a\n": false, "a\x00": false, "*": false,
	} {
		if err := checkEntryID(id); (err == nil) != good {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// Whoever sends what, no two clients can make the same id in the inbox.
func TestScopedIDs(t *testing.T) {
	made := map[string]string{}
	for _, user := range []string{"", "a", "a:b", "conn:n.1", "n.1", "user:a"} {
		for _, conn := range []string{"n.1", "n.1.2", "n.2"} {
			for _, id := range []string{"1", "1.2", "2"} {
				g, who := &guest{}, "anonymous on "+conn
				if user != "" {
					g.who, who = &auth.Identity{User: user}, "user "+user
				}
				got := scopedID(g, conn, id)
				if other, taken := made[got]; taken && other != who+" "+id {
					t.Errorf("%s is the id of %s and of %s %s", got, other, who, id)
				}
				made[got] = who + " " + id
				if !strings.Contains(got, ":") {
					t.Errorf("%s may be one of our own", got)
				}
			}
		}
	}
}

// stand is a node with one reactor, whose clients all speak the dialect caller and
// whose inbox the test is.
type stand struct {
	t      *testing.T
	node   *Node
	engine *loop.Engine
	url    string
	redis  slow

	mu      sync.Mutex
	entries []pubsub.Entry // guarded by mu
	refuse  error          // guarded by mu
	busy    bool           // guarded by mu
}

// caller is a dialect for tests: a message "rpc <method> <data>" is a call, "id <id>
// <data>" a message with a client's id, "sub <channel>" and "unsub <channel>" what they
// say. What becomes of it is sent back.
type caller struct{ plain }

func (s *caller) message(h *Handler, c *loop.Conn, _ codec.Opcode, payload []byte) {
	word, rest, _ := strings.Cut(string(payload), " ")
	first, data, _ := strings.Cut(rest, " ")
	switch word {
	case "rpc":
		h.call(c, &s.guest, pubsub.Entry{Method: first, Data: []byte(data)}, func(answer []byte, err error) {
			c.Send(hub.Frame(fmt.Appendf(nil, "%s: %s %v", data, answer, err)))
		})
	case "id":
		h.tell(c, &s.guest, pubsub.Entry{Type: "message", ID: first, Data: []byte(data)}, func(err error) {
			c.Send(hub.Frame(fmt.Appendf(nil, "%s: %v", data, err)))
		})
	case "errands": // as many as there is room for, and one
		for i, full := 0, false; !full; i++ {
			done := func(err error) { c.Send(hub.Frame(fmt.Appendf(nil, "%d done %v", i, err))) }
			run := func(ctx context.Context, b Broker) error {
				_, err := b.Publish(ctx, "a", fmt.Append(nil, i))
				return err
			}
			if full = h.node.Errands.add(h.node.Errands.relays, errand{conn: c.ID(), r: h.r, run: run, done: done}) != nil; full {
				c.Send(hub.Frame(fmt.Appendf(nil, "no room after %d", i)))
			}
		}
	case "ask": // so many questions, with a word
		for i := range len(first) {
			h.ask(c, func(ctx context.Context, b Broker) error {
				if data == "panic" {
					panic("in a test")
				}
				_, err := b.Publish(ctx, data, fmt.Append(nil, i))
				return err
			}, func(err error) { c.Send(hub.Frame(fmt.Appendf(nil, "%s %d: %v", data, i, err))) })
		}
	case "pass": // so many messages
		for i := range len(first) {
			h.pass(c, 1<<18, func(ctx context.Context, b Broker) error {
				_, err := b.Publish(ctx, data, fmt.Append(nil, i))
				return err
			}, func(err error) { c.Send(hub.Frame(fmt.Appendf(nil, "%s %d: %v", data, i, err))) })
		}
	case "open":
		h.connected(c, &s.guest, "chat")
	case "sub":
		h.subscribedTo(c, &s.guest, first)
	case "unsub":
		h.unsubscribedFrom(c, &s.guest, first)
		h.tell(c, &s.guest, pubsub.Entry{Type: "message"}, nil)
	}
}

func (s *caller) channelNames() string { return "chat again" }

func (s *caller) closed(*Handler, *loop.Conn, loop.End) {}

// callers are the handlers of a stand.
type callers struct{ *Handler }

func (h callers) OnRequest(c *loop.Conn, r *codec.Request) {
	u, err := r.Upgrade()
	if err != nil {
		c.Refuse(asRefusal(err))
		return
	}
	c.Session = &caller{}
	c.Upgrade(u, "", "")
}

// nobody is a broker that does nothing.
type nobody struct{}

func (nobody) Subscribe(string)   {}
func (nobody) Unsubscribe(string) {}
func (nobody) History(context.Context, string, pubsub.Position, int, int) (pubsub.History, error) {
	return pubsub.History{}, errors.New("there is no log")
}

func (nobody) HistoryBefore(context.Context, string, pubsub.Position, int) (pubsub.History, error) {
	return pubsub.History{}, errors.New("there is no log")
}

func (s *stand) Add(e pubsub.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	s.entries = append(s.entries, e)
	return nil
}

func (s *stand) Busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy
}

func newStand(t *testing.T, p Policy) *stand {
	t.Helper()
	s := &stand{t: t, redis: slow{answer: make(chan struct{})}}
	s.node = &Node{ID: "n", Life: "n.x", Inbox: s, Policy: p, Log: zap.NewNop(), Reply: "sluice:{node:n}",
		Hub: hub.New(hub.Options{Broker: nobody{}, Node: "n", Life: "n.x", Rules: func(string) *hub.Rules { return &hub.Rules{} }, Encoders: Encoders})}
	s.node.Errands = NewErrands(&s.redis, "n.x", zap.NewNop()) // a test that needs them runs them
	var err error
	s.engine, err = loop.New(loop.Options{Reactors: 1, Log: zap.NewNop()}, func(r *loop.Reactor) loop.Handler { return callers{NewHandler(s.node, r)} })
	if err != nil {
		t.Fatal(err)
	}
	ln, err := s.engine.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.engine.Serve(ln) }()
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		s.engine.Shutdown(ended, 1001, "the test is over")
		if err := errors.Join(s.engine.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	s.url = "ws://" + ln.Addr().String() + "/ws"
	return s
}

const patience = 30 * time.Second

func (s *stand) dial() *websocket.Conn {
	s.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(s.url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { ws.Close() })
	return ws
}

func (s *stand) send(ws *websocket.Conn, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *stand) want(ws *websocket.Conn, text string) {
	s.t.Helper()
	if got := s.read(ws); got != text {
		s.t.Fatalf("got %q, want %q", got, text)
	}
}

// read waits for the next message.
func (s *stand) read(ws *websocket.Conn) string {
	s.t.Helper()
	if err := ws.SetReadDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	_, got, err := ws.ReadMessage()
	if err != nil {
		s.t.Fatal(err)
	}
	return string(got)
}

// entry waits for the inbox' entry number i.
func (s *stand) entry(i int) pubsub.Entry {
	s.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		if len(s.entries) > i {
			defer s.mu.Unlock()
			return s.entries[i]
		}
		s.mu.Unlock()
	}
	s.t.Fatalf("there is no entry number %d", i)
	return pubsub.Entry{}
}

func (s *stand) refuseAll(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

// answer is a service's, as the hub delivers it.
func (s *stand) answer(conn, call, payload string) {
	id, ok := hub.ParseConn("n.x", conn)
	if !ok {
		s.t.Fatalf("%s is no connection", conn)
	}
	s.engine.Reactors()[0].Post(&hub.Direct{Conn: id, Call: call, Payload: []byte(payload)})
}

func (s *stand) count(what string, figure func() int64, want int64) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); figure() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: %d, want %d", what, figure(), want)
		}
	}
}

func TestCalls(t *testing.T) {
	s := newStand(t, Policy{MaxCalls: 2, CallTimeout: time.Hour})
	counters := &s.node.Counters.Calls
	a, b := s.dial(), s.dial()
	s.send(a, "rpc sum one")
	one := s.entry(0)
	if one.Type != "rpc" || one.Method != "sum" || string(one.Data) != "one" || one.Call == "" || one.Reply != "sluice:{node:n}" || one.Conn == "" {
		t.Errorf("the entry is %+v", one)
	}
	s.send(a, "rpc sum two")
	two := s.entry(1)
	s.send(a, "rpc sum three")
	s.want(a, "three:  "+errManyCalls.Error())
	s.send(b, "rpc sum other")
	other := s.entry(2)
	if one.Call == two.Call || one.Conn == other.Conn {
		t.Errorf("%+v and %+v", one, two)
	}

	s.answer(other.Conn, two.Call, "forged")   // another connection's
	s.answer(two.Conn, "zzzz", "never called") // nobody's
	s.answer(two.Conn, "no-number", "never called")
	s.answer(two.Conn, two.Call, "2") // before Redis' own answer, and before the older call
	s.want(a, "two: 2 <nil>")
	two.Done(pubsub.ErrInboxUnknown) // it was there, as the answer shows
	one.Done(nil)
	s.answer(one.Conn, one.Call, "1")
	s.answer(one.Conn, one.Call, "1 again")
	s.want(a, "one: 1 <nil>")
	s.count("unexpected", counters.Unexpected.Load, 4)

	other.Done(fmt.Errorf("%w: OOM", pubsub.ErrInboxRefused))
	s.want(b, "other:  "+pubsub.ErrInboxRefused.Error()+": OOM")
	s.answer(other.Conn, other.Call, "late")
	s.count("unexpected", counters.Unexpected.Load, 5)

	s.refuseAll(pubsub.ErrInboxFull)
	s.send(b, "rpc sum full")
	s.want(b, "full:  "+pubsub.ErrInboxFull.Error())
	s.refuseAll(nil)
	s.send(b, "rpc "+strings.Repeat("m", 129)+" x", "rpc  y")
	s.want(b, "x:  "+errMethodName.Error())
	s.want(b, "y:  "+errMethodName.Error())

	s.send(b, "rpc sum gone")
	gone := s.entry(3)
	b.Close()
	s.count("pending", counters.Pending.Load, 0)
	gone.Done(nil)
	s.answer(gone.Conn, gone.Call, "to nobody")
	s.count("unexpected", counters.Unexpected.Load, 6)
	s.count("answered", counters.Answered.Load, 2)
	s.count("refused", s.node.Counters.ManyCalls.Load, 1)
}

func TestCallsTimeOut(t *testing.T) {
	s := newStand(t, Policy{MaxCalls: 10, CallTimeout: time.Millisecond})
	ws := s.dial()
	s.send(ws, "rpc sum a", "rpc sum b")
	s.want(ws, "a:  "+errCallTimeout.Error())
	s.want(ws, "b:  "+errCallTimeout.Error())
	e := s.entry(1)
	s.answer(e.Conn, e.Call, "late")
	s.count("unexpected", s.node.Counters.Calls.Unexpected.Load, 1)
	s.count("timeouts", s.node.Counters.Calls.Timeouts.Load, 2)
}

func TestTell(t *testing.T) {
	s := newStand(t, Policy{})
	ws := s.dial()
	s.send(ws, "id order-7 a")
	e := s.entry(0)
	if e.ID != "conn:"+e.Conn+":order-7" {
		t.Errorf("the id is %q", e.ID)
	}
	e.Done(nil)
	s.want(ws, "a: <nil>")
	s.refuseAll(pubsub.ErrInboxUnavailable)
	s.send(ws, "id order-7 b")
	s.want(ws, "b: "+pubsub.ErrInboxUnavailable.Error())
	s.refuseAll(nil)
	s.send(ws, "sub chat:1", "unsub chat:1")
	for i, want := range []string{"subscribe chat:1", "unsubscribe chat:1", "message "} {
		if e := s.entry(1 + i); e.Type+" "+e.Channel != want {
			t.Errorf("entry %d is %+v, want %s", i, e, want)
		}
	}
	s.send(ws, "id order-8 c")
	ended := s.entry(4)
	ws.Close()
	s.count("connections", func() int64 { return s.engine.Stats().Connections }, 0)
	ended.Done(nil) // nobody waits for it: nothing happens
}

// What has been reported, and is there, is reported again, as the inbox has room for it;
// what Redis says is there, and is not, has ended.
func TestRestate(t *testing.T) {
	s := newStand(t, Policy{})
	a, silent, b, gone := s.dial(), s.dial(), s.dial(), s.dial()
	for i, ws := range []*websocket.Conn{a, b, gone} {
		s.send(ws, "open")
		s.entry(i)
	}
	s.send(silent, "sub chat")
	ended := s.entry(2).Conn
	gone.Close()
	s.count("connections", func() int64 { return s.engine.Stats().Connections }, 3)

	s.mu.Lock()
	s.busy = true
	s.mu.Unlock()
	reactor := s.engine.Reactors()[0]
	reactor.Post(Restate{})
	list := []pubsub.Recorded{{Conn: s.entry(0).Conn}, {Conn: ended, User: "42", Channel: "chat"}, {Conn: "other.life.1"}, {Conn: s.entry(3).Conn}}
	for i, of := range s.node.RecordedBy(list) {
		if i != 0 || len(of.Conns) != 3 {
			t.Errorf("reactor %d gets %v", i, of)
		}
		reactor.Post(of)
	}
	for i, want := range []string{ended, s.entry(3).Conn} { // the other one was never reported: Redis is wrong
		e := s.entry(4 + i)
		if e.Type != "disconnect" || e.Conn != want || string(e.Data) != reasonLost || e.ID != want+".lost" || e.Node != "n" || e.Reply == "" {
			t.Errorf("%+v", e)
		}
	}
	if e := s.entry(4); e.User != "42" || e.Channel != "chat" {
		t.Errorf("%+v", e)
	}
	s.mu.Lock()
	if len(s.entries) != 6 {
		t.Errorf("%d entries though the inbox is busy", len(s.entries))
	}
	s.busy = false
	s.mu.Unlock()
	again := map[string]bool{}
	for i := range 2 {
		e := s.entry(6 + i)
		if e.Type != "connect" || e.Channel != "chat again" {
			t.Errorf("%+v", e)
		}
		again[e.Conn] = true
	}
	if !again[s.entry(0).Conn] || !again[s.entry(1).Conn] {
		t.Errorf("reported again: %v", again)
	}
}
