package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"sluice/gateway/auth"
	"sluice/gateway/hostile"
	"sluice/pubsub/redistest"
)

var (
	schedules = flag.Int("inbox.schedules", 2, "schedules of faults that TestInboxUnderFaults goes through")
	firstSeed = flag.Uint64("inbox.seed", 1, "the first one's seed; the others' follow")
)

// TestInboxUnderFaults: clients send while Redis, which writes every command to disk
// before it answers, and the nodes are killed and frozen. Nothing that was
// acknowledged is lost; what stands in the inbox twice has one id, and its client sent
// it twice; each connection is said to come and to go, by turns.
//
//	make inbox-faults S=20 SEED=1
func TestInboxUnderFaults(t *testing.T) {
	for i := range *schedules {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			if *schedules <= 2 {
				t.Parallel()
			}
			newFaultRun(t, seed).run()
		})
	}
}

// faultRun is one schedule.
type faultRun struct {
	t       *testing.T
	random  *rand.Rand
	redis   *redistest.Server
	faults  []string
	senders []*sender
	over    chan struct{} // closed when senders are to come to their end
	acks    atomic.Int64  // that all senders have got

	mu    sync.Mutex
	nodes []*hostile.Node // guarded by mu
}

func newFaultRun(t *testing.T, seed uint64) *faultRun {
	f := &faultRun{t: t, random: rand.New(rand.NewPCG(seed, 7)), over: make(chan struct{})}
	f.redis = redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	for i := range 2 {
		f.nodes = append(f.nodes, f.startNode(i))
	}
	for i := range 4 {
		s := &sender{run: f, user: fmt.Sprint("u", i), sent: map[string]int{}, acked: map[string]bool{}}
		s.token = sign(t, testKey, auth.Claims{User: s.user})
		f.senders = append(f.senders, s)
	}
	return f
}

func (f *faultRun) startNode(i int) *hostile.Node {
	f.t.Helper()
	n, err := hostile.StartCommand(f.t.Context(), process(f.t, "--dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--redis", f.redis.URL,
		"--node-id", fmt.Sprint("n", i), "--node-lease-ttl", "3s", "--ping-interval", noPings, "--auth-hmac-secret", testSecret, "--message-rate", "0", "--shutdown-timeout", "5s"))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = n.Kill() }) // it may have been
	return n
}

func (f *faultRun) node(i int) *hostile.Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes[i%len(f.nodes)]
}

func (f *faultRun) run() {
	var sending sync.WaitGroup
	for i, s := range f.senders {
		sending.Go(func() { s.sendAll(i) })
	}
	for range 4 {
		f.pause(100, 500)
		f.fault()
	}
	f.pause(100, 500)
	f.t.Log(strings.Join(f.faults, ", "))
	for late := time.Now().Add(patience); f.acks.Load() < fewAcks && time.Now().Before(late); {
		f.pause(10, 20) // a machine that is busy has got nowhere yet
	}
	close(f.over)
	sending.Wait()
	for i := range f.nodes {
		if err := f.node(i).Stop(f.t.Context()); err != nil {
			f.t.Errorf("node %d: %v", i, err)
		}
	}
	last := startNodeWithID(f.t, "last", f.redis.URL).ready() // to bury who is dead by now
	last.allEnded()
	f.judge(last)
}

// allEnded waits until every connection has as many entries of one kind as of the other.
func (n *testNode) allEnded() {
	n.t.Helper()
	soon(n.t, "all connections have ended", func() error {
		for conn, says := range n.lives() {
			if len(says)%2 == 1 {
				return fmt.Errorf("of %s is said %q", conn, says)
			}
		}
		return nil
	})
}

func (f *faultRun) pause(least, most int) {
	time.Sleep(time.Duration(least+f.random.IntN(most-least)) * time.Millisecond)
}

// fault breaks something and makes it well again.
func (f *faultRun) fault() {
	i := f.random.IntN(len(f.nodes))
	kind := []string{"redis killed", "redis killed", "redis killed", "redis frozen", "node killed", "node frozen", "node frozen for long"}[f.random.IntN(7)]
	f.faults = append(f.faults, kind)
	switch kind {
	case "redis killed":
		f.redis.Kill()
		f.pause(1, 500)
		f.redis.Restart()
	case "redis frozen":
		f.redis.Pause()
		f.pause(100, 2500)
		f.redis.Resume()
	case "node killed":
		if err := f.node(i).Kill(); err != nil {
			f.t.Error(err)
		}
		n := f.startNode(i)
		f.mu.Lock()
		f.nodes[i] = n
		f.mu.Unlock()
	case "node frozen for long": // the other one takes it for dead
		f.signal(i, syscall.SIGSTOP)
		f.pause(6000, 7000)
		f.signal(i, syscall.SIGCONT)
	case "node frozen":
		f.signal(i, syscall.SIGSTOP)
		f.pause(100, 1500)
		f.signal(i, syscall.SIGCONT)
	}
}

func (f *faultRun) signal(i int, s syscall.Signal) {
	if err := f.node(i).Signal(s); err != nil {
		f.t.Error(err)
	}
}

// sender is a client that sends until its messages are acknowledged, with the same id,
// whatever becomes of its connections.
type sender struct {
	run         *faultRun
	user, token string
	next        int
	open        []string        // sent and not acknowledged, in order
	sent        map[string]int  // how often, by id
	acked       map[string]bool // by id
}

// window is how many messages may wait for their acks.
const window = 16

// fewAcks are too few for a schedule to have tested anything.
const fewAcks = 100

func (s *sender) sendAll(i int) {
	for at := i; ; at++ {
		if s.connection(s.run.node(at)) {
			return
		}
		time.Sleep(20 * time.Millisecond) // not as often as the machine can
	}
}

// connection sends over one connection until that ends. It reports whether all is done.
func (s *sender) connection(n *hostile.Node) (done bool) {
	d := websocket.Dialer{HandshakeTimeout: 2 * time.Second, Subprotocols: []string{"sluice.v1"}}
	ws, response, err := d.Dial("ws://"+n.Public+"/ws?channel=chat&token="+s.token, nil)
	if err != nil {
		if response != nil {
			_ = response.Body.Close() // what it says does not matter
		}
		return false
	}
	defer ws.Close()
	if ws.SetReadDeadline(time.Now().Add(10*time.Second)) != nil { // and then another connection
		return false
	}
	for _, id := range s.open {
		if !s.send(ws, id) {
			return false
		}
	}
	for {
		over := false
		select {
		case <-s.run.over:
			over = true
		default:
		}
		if over && len(s.open) == 0 {
			return true
		}
		for !over && len(s.open) < window {
			id := fmt.Sprint("m", s.next)
			s.next++
			s.open = append(s.open, id)
			if !s.send(ws, id) {
				return false
			}
		}
		if !s.hear(ws) {
			return false
		}
	}
}

func (s *sender) send(ws *websocket.Conn, id string) bool {
	s.sent[id]++
	return ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"id":%q,"text":"%s of %s"}`, id, id, s.user)) == nil
}

// hear takes one answer.
func (s *sender) hear(ws *websocket.Conn) bool {
	_, text, err := ws.ReadMessage()
	if err != nil {
		return false
	}
	var a struct {
		ID, Ack string
		Error   *struct{ Code string }
	}
	if err := json.Unmarshal(text, &a); err != nil {
		s.run.t.Errorf("%s: %v", text, err)
		return false
	}
	switch {
	case a.Error != nil:
		return false // it is sent again over another connection, as all that is open
	case a.Ack != "":
		if !s.acked[a.Ack] {
			s.run.acks.Add(1)
		}
		s.acked[a.Ack] = true
		for i, id := range s.open {
			if id == a.Ack {
				s.open = append(s.open[:i], s.open[i+1:]...)
				break
			}
		}
	}
	return true
}

// judge reads the whole inbox and holds it against what the clients know.
func (f *faultRun) judge(n *testNode) {
	t := f.t
	entries, err := n.redis.XRange(t.Context(), "sluice:inbox", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for conn, says := range n.lives() {
		if got := strings.Join(says, " "); strings.ReplaceAll(got, "connect disconnect", "") != strings.Repeat(" ", len(says)/2-1) {
			t.Errorf("of %s is said %q", conn, says)
		}
	}
	count := map[string]int{} // by id
	order := map[string]int{}
	for _, e := range entries {
		if e.Values["type"] == "message" {
			f.check(e, count, order)
		}
	}
	acked, sent, twice := 0, 0, 0
	for _, s := range f.senders {
		for id, times := range s.sent {
			found := count["user:"+s.user+":"+id]
			sent += times
			if found > times {
				t.Errorf("%s of %s is there %d times, it was sent %d times", id, s.user, found, times)
			}
			twice += max(0, found-1)
		}
		for id := range s.acked {
			acked++
			if count["user:"+s.user+":"+id] == 0 {
				t.Errorf("%s of %s was acknowledged and is lost", id, s.user)
			}
		}
		if len(s.acked) != s.next {
			t.Errorf("%s has %d acks for %d messages", s.user, len(s.acked), s.next)
		}
	}
	if acked < fewAcks {
		t.Errorf("%d messages are too few", acked)
	}
	t.Logf("%d acknowledged, %d sent, %d twice, %d connections", acked, sent, twice, len(n.lives()))
}

// check judges one message entry: its content, and that those of a connection stand in
// the order in which they were sent over it.
func (f *faultRun) check(e redis.XMessage, count, order map[string]int) {
	id, user, conn := e.Values["id"].(string), e.Values["user"].(string), e.Values["conn"].(string)
	own, ok := strings.CutPrefix(id, "user:"+user+":")
	if !ok || e.Values["data"] != own+" of "+user {
		f.t.Errorf("%v", e.Values)
	}
	count[id]++
	var number int
	if _, err := fmt.Sscanf(own, "m%d", &number); err != nil {
		f.t.Errorf("%v: %v", e.Values, err)
	}
	if last, there := order[conn]; there && number <= last {
		f.t.Errorf("over %s came m%d after m%d", conn, number, last)
	}
	order[conn] = number
}
