package pubsub_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
	"sluice/pubsub/redisproc"
	"sluice/pubsub/redistest"
)

// These benchmarks are about what much of it costs, here and in Redis. All of
// them start their own servers and take seconds: -benchtime 1x.

// group is the servers of a benchmark.
type group struct {
	b       *testing.B
	url     string
	masters []*redisproc.Server
	all     []*redisproc.Server // with replicas
}

// groupKinds are the ways to run Redis that differ in what a channel costs.
var groupKinds = []string{"standalone", "shards", "cluster", "classic"}

func startGroup(b *testing.B, kind string) *group {
	g := &group{b: b}
	switch kind {
	case "standalone", "shards":
		n := 1
		if kind == "shards" {
			n = 3
		}
		var urls []string
		for range n {
			s := redistest.Start(b)
			urls = append(urls, s.URL)
			g.masters = append(g.masters, s.Server)
		}
		g.url, g.all = strings.Join(urls, ","), g.masters
	default:
		c := redistest.StartCluster(b)
		g.url, g.all = c.URL, c.Servers
		for _, m := range c.Masters() {
			g.masters = append(g.masters, m.Server)
		}
		if kind == "classic" {
			g.url += "&pubsub=classic"
		}
	}
	return g
}

// do runs a command on each of some servers.
func (g *group) do(servers []*redisproc.Server, args ...any) (answers []any) {
	g.b.Helper()
	for _, s := range servers {
		v, err := s.Do(args...)
		if err != nil {
			g.b.Fatal(err)
		}
		answers = append(answers, v)
	}
	return answers
}

// info adds up what fields of INFO all servers show.
func (g *group) info(section string, fields ...string) (sum float64) {
	g.b.Helper()
	for _, text := range g.do(g.all, "INFO", section) {
		for line := range strings.Lines(text.(string)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			if slices.Contains(fields, name) {
				f, err := strconv.ParseFloat(value, 64)
				if err != nil {
					g.b.Fatal(err)
				}
				sum += f
			}
		}
	}
	return sum
}

// cpu is the processor time that all servers have used.
func (g *group) cpu() float64 { return g.info("cpu", "used_cpu_user", "used_cpu_sys") }

// calls is how often the servers have executed one of some commands.
func (g *group) calls(commands ...string) (sum float64) {
	for _, text := range g.do(g.all, "INFO", "commandstats") {
		for line := range strings.Lines(text.(string)) {
			name, rest, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
			if slices.Contains(commands, name) {
				n, _, _ := strings.Cut(strings.TrimPrefix(rest, "calls="), ",")
				f, err := strconv.ParseFloat(n, 64)
				if err != nil {
					g.b.Fatal(err)
				}
				sum += f
			}
		}
	}
	return sum
}

// commandTime is how long Redis says that a command took, in milliseconds, on
// the slowest of the masters: "p99" or "p99.9".
func (g *group) commandTime(command, percentile string) (longest float64) {
	g.b.Helper()
	for _, text := range g.do(g.masters, "INFO", "latencystats") {
		_, rest, found := strings.Cut(text.(string), "latency_percentiles_usec_"+command+":")
		_, rest, _ = strings.Cut(rest, percentile+"=")
		if !found {
			continue
		}
		value, _, _ := strings.Cut(strings.ReplaceAll(rest, "\r\n", ","), ",")
		us, err := strconv.ParseFloat(value, 64)
		if err != nil {
			g.b.Fatal(err)
		}
		longest = max(longest, us/1000)
	}
	return longest
}

// subscribedAt is which of the first channels are subscribed at a master, with
// their prefix.
func (g *group) subscribedAt(m *redisproc.Server, channels int) (names []string) {
	g.b.Helper()
	for _, word := range []string{"NUMSUB", "SHARDNUMSUB"} {
		ask := []any{"PUBSUB", word}
		for i := range channels {
			ask = append(ask, "sluice:"+channel(i))
		}
		answer := g.do([]*redisproc.Server{m}, ask...)[0].([]any)
		for i := 0; i < len(answer); i += 2 {
			if answer[i+1] != int64(0) {
				names = append(names, answer[i].(string))
			}
		}
	}
	return names
}

// ownCPU is the processor time that this process has used.
func ownCPU(b *testing.B) float64 {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}

// background runs a broker until the benchmark ends.
func background(b *testing.B, o pubsub.Options, sink pubsub.Sink) *pubsub.Redis {
	b.Helper()
	broker := open(b, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- broker.Run(ctx, sink) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
	})
	return broker
}

// subscribe subscribes n channels and waits for Redis.
func subscribe(b *testing.B, broker *pubsub.Redis, n int) {
	b.Helper()
	for i := range n {
		broker.Subscribe(channel(i))
	}
	pubsubtest.Eventually(b, "all are confirmed", func() bool { return broker.Stats().Confirmed == n })
}

func channel(i int) string { return fmt.Sprintf("channel:%016d", i) }

// TestPinger is no test but the process of a pinger.
func TestPinger(t *testing.T) {
	addr := os.Getenv("PINGER")
	if addr == "" {
		return // nobody wants one
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var stop atomic.Bool
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1)) // until it is closed
		stop.Store(true)
	}()
	in := bufio.NewReader(conn)
	for !stop.Load() {
		began := time.Now()
		if _, err := conn.Write([]byte("PING\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := in.ReadSlice('\n'); err != nil {
			t.Fatal(err)
		}
		fmt.Println("took", began.UnixNano(), int64(time.Since(began)))
		time.Sleep(200 * time.Microsecond)
	}
}

// pinger is a process that sends a server one PING after the other and tells how
// long each took. In this process it would measure how busy this process is.
type pinger struct {
	command *exec.Cmd
	stop    io.Closer
	out     bytes.Buffer
}

func startPinger(b *testing.B, addr string) *pinger {
	b.Helper()
	p := &pinger{command: exec.Command(os.Args[0], "-test.run=^TestPinger$")}
	p.command.Env = append(os.Environ(), "PINGER="+addr)
	p.command.Stdout = &p.out
	stdin, err := p.command.StdinPipe()
	if err == nil {
		err = p.command.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	p.stop = stdin
	return p
}

// end returns how long the PINGs took that began after since.
func (p *pinger) end(b *testing.B, since time.Time) (took []time.Duration) {
	b.Helper()
	p.stop.Close()
	if err := p.command.Wait(); err != nil {
		b.Fatalf("%v\n%s", err, p.out.Bytes())
	}
	for line := range strings.Lines(p.out.String()) {
		var began, ns int64
		if n, _ := fmt.Sscanf(line, "took %d %d", &began, &ns); n == 2 && began > since.UnixNano() {
			took = append(took, time.Duration(ns))
		}
	}
	return took
}

// percentile is in milliseconds; the hundredth is the longest.
func percentile(sorted []time.Duration, percent int) float64 {
	return ms(sorted[(len(sorted)-1)*percent/100])
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// BenchmarkResubscribe kills all subscribe connections and waits until Redis has
// confirmed every channel again. Meanwhile each master is asked PING all the time,
// and so is a Redis that nobody else talks to: ping is how long the answer took,
// idle is the same of that other one, which is what the machine is to blame for.
// subscribe is what Redis itself says of the commands, kill is the CLIENT KILL,
// which is neither in the time nor in the PINGs.
func BenchmarkResubscribe(b *testing.B) {
	for _, c := range []struct {
		kind            string
		lanes, channels int
	}{
		{"standalone", 1, 100_000},
		{"standalone", 1, 500_000},
		{"standalone", 4, 100_000},
		{"standalone", 4, 500_000},
		{"classic", 1, 500_000},
		{"cluster", 1, 100_000},
		{"cluster", 1, 500_000},
		{"cluster", 4, 500_000},
	} {
		b.Run(fmt.Sprintf("%s/lanes=%d/channels=%d", c.kind, c.lanes, c.channels), func(b *testing.B) {
			g := startGroup(b, c.kind)
			idle := redistest.Start(b)
			var sink counter
			broker := background(b, pubsub.Options{URL: g.url, Lanes: c.lanes}, &sink)
			subscribe(b, broker, c.channels)
			g.do(g.masters, "CONFIG", "RESETSTAT")
			var pings, others []time.Duration
			killed, took, cpu := time.Duration(0), time.Duration(0), 0.0
			for range b.N {
				watch := startPinger(b, idle.Addr)
				var watches []*pinger
				for _, m := range g.masters {
					watches = append(watches, startPinger(b, m.Addr))
				}
				time.Sleep(50 * time.Millisecond) // until they run
				// The kill and the resubscription overlap on several servers.
				sink.subscribed.Store(0)
				began := time.Now()
				g.do(g.masters, "CLIENT", "KILL", "TYPE", "pubsub")
				killed = max(killed, time.Since(began))
				began, cpuBegan := time.Now(), ownCPU(b)
				pubsubtest.Eventually(b, "all are confirmed again", func() bool { return sink.subscribed.Load() >= int64(c.channels) })
				took += time.Since(began)
				cpu += ownCPU(b) - cpuBegan
				for _, w := range watches {
					pings = append(pings, w.end(b, began)...)
				}
				others = append(others, watch.end(b, began)...)
			}
			slices.Sort(pings)
			slices.Sort(others)
			n := float64(b.N)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(took.Seconds()/n, "s/op")
			b.ReportMetric(cpu/n, "own-cpu-s/op")
			b.ReportMetric(percentile(pings, 99), "ping-p99-ms")
			b.ReportMetric(percentile(pings, 100), "ping-max-ms")
			b.ReportMetric(percentile(others, 99), "idle-p99-ms")
			b.ReportMetric(percentile(others, 100), "idle-max-ms")
			command := "subscribe"
			if c.kind == "cluster" {
				command = "ssubscribe"
			}
			b.ReportMetric(g.commandTime(command, "p99"), "command-p99-ms")
			b.ReportMetric(g.commandTime(command, "p99.9"), "command-p999-ms")
			b.ReportMetric(ms(killed), "kill-ms")
		})
	}
}

// BenchmarkLanes receives 128-byte messages on 1,000 channels, which Redis
// publishes itself in a script: what Redis sends and this package takes, with
// the processor time that each of them used.
func BenchmarkLanes(b *testing.B) {
	const script = "for i = 1, 1000 do redis.call('PUBLISH', 'sluice:' .. i, ARGV[1]) end"
	for _, lanes := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(lanes), func(b *testing.B) {
			g := startGroup(b, "standalone")
			var sink counter
			broker := background(b, pubsub.Options{URL: g.url, Lanes: lanes}, &sink)
			for i := range 1000 {
				broker.Subscribe(fmt.Sprint(i + 1))
			}
			pubsubtest.Eventually(b, "subscribed", func() bool { return sink.subscribed.Load() == 1000 })
			payload := make([]byte, 128)
			sent := int64(0)
			redisCPU, own := g.cpu(), ownCPU(b)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				if err := broker.Client("").Eval(b.Context(), script, nil, payload).Err(); err != nil && !errors.Is(err, redis.Nil) {
					b.Fatal(err)
				}
				sent += 1000
				for sent-sink.messages.Load() > 50_000 { // stay below Redis' output buffer limit
					time.Sleep(100 * time.Microsecond)
				}
			}
			pubsubtest.Eventually(b, "all arrived", func() bool { return sink.messages.Load() == sent })
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric((g.cpu()-redisCPU)/float64(sent)*1e6, "redis-cpu-µs/msg")
			b.ReportMetric((ownCPU(b)-own)/float64(sent)*1e6, "own-cpu-µs/msg")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(sent), "allocs/msg")
		})
	}
}

// BenchmarkTopologies publishes 128-byte messages on 100 channels that two nodes
// have subscribed, 100 at a time, and adds up the processor time of all
// redis-servers, replicas too.
func BenchmarkTopologies(b *testing.B) {
	const channels = 100
	for _, kind := range groupKinds {
		b.Run(kind, func(b *testing.B) {
			g := startGroup(b, kind)
			var sinks [2]counter
			for i := range sinks {
				subscribe(b, background(b, pubsub.Options{URL: g.url, ProbeEvery: -1}, &sinks[i]), channels)
			}
			payload := make([]byte, 128)
			messages := func() int64 { return sinks[0].messages.Load() + sinks[1].messages.Load() }
			word := "PUBLISH"
			if kind == "cluster" {
				word = "SPUBLISH"
			}
			by := map[*redis.Client][]string{}
			for _, m := range g.masters {
				c := m.Client()
				defer c.Close()
				by[c] = g.subscribedAt(m, channels)
			}
			sent := int64(0)
			cpu := g.cpu()
			for b.Loop() {
				for c, names := range by {
					_, err := c.Pipelined(b.Context(), func(p redis.Pipeliner) error {
						for _, name := range names {
							p.Do(b.Context(), word, name, payload)
						}
						return nil
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				sent += channels
				for 2*sent-messages() > 20_000 {
					time.Sleep(100 * time.Microsecond)
				}
			}
			pubsubtest.Eventually(b, "all arrived", func() bool { return messages() == 2*sent })
			b.ReportMetric((g.cpu()-cpu)/float64(sent)*1e6, "redis-cpu-µs/msg")
			b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkIdle is what a node with nothing to do costs, per second: the commands
// that Redis executes for it, Redis' processor time and ours.
func BenchmarkIdle(b *testing.B) {
	const seconds = 5
	for _, lanes := range []int{1, 4} {
		for _, probes := range []bool{true, false} {
			b.Run(fmt.Sprintf("%d-lanes/probes=%v", lanes, probes), func(b *testing.B) {
				g := startGroup(b, "standalone")
				o := pubsub.Options{URL: g.url, Lanes: lanes}
				if !probes {
					o.ProbeEvery = -1
				}
				var sink counter
				subscribe(b, background(b, o, &sink), 1)
				time.Sleep(time.Second)
				commands, redisCPU, own := g.calls("publish", "ping", "subscribe"), g.cpu(), ownCPU(b)
				for range b.N {
					time.Sleep(seconds * time.Second)
				}
				n := float64(b.N) * seconds
				b.ReportMetric((g.calls("publish", "ping", "subscribe")-commands)/n, "commands/s")
				b.ReportMetric((g.cpu()-redisCPU)/n*1e6, "redis-cpu-µs/s")
				b.ReportMetric((ownCPU(b)-own)/n*1e6, "own-cpu-µs/s")
			})
		}
	}
}

// BenchmarkFlapping subscribes and unsubscribes 1,000 channels in turn, as fast as
// it can. names/s is what Redis hears of it: the rest cancels out.
func BenchmarkFlapping(b *testing.B) {
	g := startGroup(b, "standalone")
	var sink counter
	broker := background(b, pubsub.Options{URL: g.url}, &sink)
	subscribe(b, broker, 1000)
	names := make([]string, 1000)
	for i := range names {
		names[i] = channel(i)
	}
	live := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	heap, redisCPU := live(), g.cpu()
	commands := g.calls("subscribe", "unsubscribe")
	sink.subscribed.Store(0)
	changes := 0
	for b.Loop() {
		for _, name := range names {
			broker.Unsubscribe(name)
		}
		for _, name := range names {
			broker.Subscribe(name)
		}
		changes += 2 * len(names)
	}
	b.StopTimer()
	s := b.Elapsed().Seconds()
	b.ReportMetric(float64(changes)/s, "changes/s")
	b.ReportMetric(float64(sink.subscribed.Load())/s, "announced/s")
	b.ReportMetric((g.calls("subscribe", "unsubscribe")-commands)/s, "commands/s")
	b.ReportMetric((g.cpu()-redisCPU)/s, "redis-cpu")
	pubsubtest.Eventually(b, "all are confirmed", func() bool { return broker.Stats().Confirmed == 1000 })
	b.ReportMetric(live()-heap, "B-kept")
}
