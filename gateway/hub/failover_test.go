package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	respserver "github.com/alicebob/miniredis/v2/server"

	"sluice/codec"
	"sluice/loop"
	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redisproc/faultproxy"
	"sluice/pubsub/redistest"
)

// oracle is a Sentinel that names whom the test says, whatever the servers are: a real one is as
// wrong for moments that no test can choose.
type oracle struct {
	server *respserver.Server
	mu     sync.Mutex
	master string // guarded by mu
	epoch  int    // guarded by mu
}

func startOracle(t *testing.T, master string) *oracle {
	t.Helper()
	server, err := respserver.NewServer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	o := &oracle{server: server}
	o.name(master)
	if err := server.Register("SENTINEL", o.answer); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *oracle) name(master string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.master = master
	o.epoch++
}

func (o *oracle) answer(c *respserver.Peer, _ string, args []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	host, port, _ := strings.Cut(o.master, ":")
	words := []string{host, port}
	if len(args) > 0 && strings.EqualFold(args[0], "MASTER") {
		words = []string{"ip", host, "port", port, "config-epoch", strconv.Itoa(o.epoch)}
	}
	c.WriteLen(len(words))
	for _, w := range words {
		c.WriteBulk(w)
	}
}

func (o *oracle) url() string {
	return "redis+sentinel://" + o.server.Addr().String() + "?master_name=mymaster"
}

// reader is a reactor that writes down which messages it is handed.
type reader struct {
	mu   sync.Mutex
	read []string // guarded by mu
}

func (*reader) Post(any)       {} // that a channel is confirmed
func (*reader) Wake(time.Time) {}

func (r *reader) Offer(event any, _ int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := event.(type) {
	case *publication:
		r.read = append(r.read, string(e.as(0)))
	case *Direct:
		r.read = append(r.read, string(e.Payload))
	}
	return true
}

// has says whether it has read a message.
func (r *reader) has(message string) bool { return slices.Contains(r.all(), message) }

func (r *reader) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.read)
}

// in checks that it has read these messages and no others, each once and in this order.
func (r *reader) in(t *testing.T, want ...string) {
	t.Helper()
	if got := r.all(); !slices.Equal(got, want) {
		t.Errorf("read  %s\nwant  %s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

// watchedSink is a hub whose lanes the test may hold up.
type watchedSink struct {
	*Hub
	moving     func(lane, channel string) // before Moved
	confirming func(lane, channel string) // before Subscribed
	heard      sync.Map                   // by lane: *atomic.Int64, how many messages it has delivered
}

func (s *watchedSink) Lane(l pubsub.Link) pubsub.Receiver {
	return watchedLane{s.Hub.Lane(l), l.Name(), s, s.count(l.Name())}
}

// count is how many messages a lane has delivered, to whomever.
func (s *watchedSink) count(lane string) *atomic.Int64 {
	n, _ := s.heard.LoadOrStore(lane, new(atomic.Int64))
	return n.(*atomic.Int64)
}

type watchedLane struct {
	pubsub.Receiver
	name  string
	s     *watchedSink
	count *atomic.Int64
}

func (l watchedLane) Deliver(channel, payload []byte) {
	l.Receiver.Deliver(channel, payload)
	l.count.Add(1)
}

func (l watchedLane) Moved(channel string) {
	l.s.moving(l.name, channel)
	l.Receiver.Moved(channel)
}

func (l watchedLane) Subscribed(channel string) {
	l.s.confirming(l.name, channel)
	l.Receiver.Subscribed(channel)
}

// node is a hub with a broker that finds its master by an oracle, and one reactor with a member of
// the channel news.
type node struct {
	*pubsub.Redis
	*reader
	local  *Local
	sink   *watchedSink
	oracle *oracle
	lost   func() string // why connections were lost, or not made
}

func startNode(t *testing.T, master string) *node {
	t.Helper()
	n := &node{reader: &reader{}, oracle: startOracle(t, master)}
	var mu sync.Mutex
	var lost []string
	n.lost = func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(lost, "\n")
	}
	var err error
	n.Redis, err = pubsub.Open(pubsub.Options{URL: n.oracle.url(), ProbeEvery: -1, RefreshEvery: 10 * time.Millisecond,
		Events: pubsub.Events{Lost: func(_ string, err error, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			lost = append(lost, err.Error())
		}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Redis.Close() }) // nothing is under way
	whole := func(m *Message) (codec.Opcode, []byte) { return 0, slices.Clone(m.Payload) }
	h := New(Options{Broker: n.Redis, Node: "n1", Life: "n1", Rules: func(string) *Rules { return &Rules{} }, Encoders: []Encoder{whole}, OnGap: func(pubsub.Gap) {}})
	n.local = h.Local(0, Events{Confirmed: func(*loop.Conn, *Member, *Recovery) {}, Gap: func(*loop.Conn, *Member) {}})
	h.Attach([]Reactor{n.reader})
	pass := func(string, string) {}
	n.sink = &watchedSink{Hub: h, moving: pass, confirming: pass}
	return n
}

// run runs it until the test ends, and waits until it hears.
func (n *node) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, n.sink) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	n.sink.Start()
	n.local.Join(nil, new(Member), "news", Wants{})
	n.confirmed(t)
}

// confirmed waits until what is published now is heard.
func (n *node) confirmed(t *testing.T) {
	t.Helper()
	pubsubtest.Eventually(t, "the channel is confirmed", func() bool { _, ok := n.sink.Look("news"); return ok })
}

// pair is two servers, the second of which follows the first through a proxy.
type pair struct {
	first, second *redistest.Server
	between       *faultproxy.Proxy
}

func startPair(t *testing.T) *pair {
	t.Helper()
	first := redistest.Start(t)
	return &pair{first, redistest.Start(t), startProxy(t, first.Addr)}
}

func startProxy(t *testing.T, target string) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.Start(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// follow has the second one follow the first.
func (p *pair) follow(t *testing.T) {
	t.Helper()
	host, port, _ := strings.Cut(p.between.Addr, ":")
	p.second.Do("REPLICAOF", host, port)
	pubsubtest.Eventually(t, "the replica follows", func() bool {
		role, ok := p.second.Do("ROLE").([]any)
		return ok && len(role) == 5 && role[3] == "connected"
	})
	p.level(t)
}

// level waits until the second one has heard all that the first one has to say.
func (p *pair) level(t *testing.T) {
	t.Helper()
	const mark = "mark"
	value := fmt.Sprint(time.Now().UnixNano())
	p.first.Do("SET", mark, value)
	pubsubtest.Eventually(t, "the replica has everything", func() bool { return p.second.Do("GET", mark) == value })
}

// hears says whether somebody on a server hears the channel news.
func hears(s *redistest.Server) bool {
	answer, ok := s.Do("PUBSUB", "NUMSUB", "sluice:news").([]any)
	return ok && len(answer) == 2 && fmt.Sprint(answer[1]) != "0"
}

// The old master has become a replica of the new one, and its lane still is connected when the
// new one's subscribes: what is published then comes through both. Wherever the node is held up
// between the two, it hands on one of them.
func TestOldMasterHandsOnWhatTheNewOneSays(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	old, heir := p.second, p.first // it will follow
	way := startProxy(t, old.Addr)
	n := startNode(t, way.Addr)
	oldLane, newLane := way.Addr+"#0", heir.Addr+"#0"
	moving, confirming := make(chan struct{}), make(chan struct{})
	goOn := make(chan struct{})
	stop := func(lane string, at chan struct{}) func(string, string) {
		here := sync.OnceFunc(func() { close(at) })
		return func(l, channel string) {
			if l == lane && channel == "news" {
				here()
				select {
				case <-goOn:
				case <-t.Context().Done():
				}
			}
		}
	}
	n.sink.moving, n.sink.confirming = stop(oldLane, moving), stop(newLane, confirming)
	n.run(t)
	old.Do("PUBLISH", "sluice:news", "before")
	p.follow(t)
	way.Set(faultproxy.Rules{Up: faultproxy.Rule{Hold: true}}) // an UNSUBSCRIBE is on its way for long
	n.oracle.name(heir.Addr)
	<-moving
	echoed := n.sink.count(oldLane)
	want := []string{"before"}
	overtakes := 0 // messages since the new lane has subscribed
	for i := range 100 {
		before := echoed.Load()
		message := fmt.Sprint("during", i)
		want = append(want, message)
		heir.Do("PUBLISH", "sluice:news", message)
		pubsubtest.Eventually(t, "the old lane hears what the new master says", func() bool { return echoed.Load() > before })
		select {
		case <-confirming:
			overtakes++
		default:
		}
		if overtakes == 20 {
			break
		}
	}
	close(goOn)
	way.Set(faultproxy.Rules{})
	pubsubtest.Eventually(t, "the new lane is the channel's", func() bool { return hears(heir) && !hears(old) })
	n.confirmed(t)
	heir.Do("PUBLISH", "sluice:news", "after")
	pubsubtest.Eventually(t, "messages go on", func() bool { return n.has("after") })
	n.in(t, append(want, "after")...)
}

// A Sentinel names a server that is a replica, and behind: it would say again what the
// one that the node comes from has said, and say late what the node missed there.
func TestReplicaThatIsNamedAsTheMaster(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	n := startNode(t, p.first.Addr)
	p.follow(t)
	p.between.Set(faultproxy.Rules{Down: faultproxy.Rule{Hold: true}})
	p.first.Do("PUBLISH", "sluice:news", "missed")
	n.run(t)
	want := []string{}
	for i := range 5 {
		want = append(want, fmt.Sprint(i))
		p.first.Do("PUBLISH", "sluice:news", want[i])
	}
	pubsubtest.Eventually(t, "the messages", func() bool { return n.has("4") })
	n.oracle.name(p.second.Addr)
	pubsubtest.Eventually(t, "the node comes to the replica", func() bool { return hears(p.second) || strings.Contains(n.lost(), "replica") })
	p.between.Set(faultproxy.Rules{})
	p.level(t)
	p.second.Do("REPLICAOF", "NO", "ONE")
	pubsubtest.Eventually(t, "the node hears it as a master", func() bool { return hears(p.second) })
	n.confirmed(t)
	p.second.Do("PUBLISH", "sluice:news", "after")
	pubsubtest.Eventually(t, "messages go on", func() bool { return n.has("after") })
	n.in(t, append(want, "after")...)
}
