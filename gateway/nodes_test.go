package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/config"
	"sluice/gateway/admin"
	"sluice/gateway/hostile"
	"sluice/pubsub"
	"sluice/pubsub/redisproc"
	"sluice/pubsub/redistest"
)

// The machine may be so busy that a node is late by seconds: it must not be taken
// for dead. A lease is renewed three times in its life.
const testLease = "6s"

func startNodeWithID(t *testing.T, id, redis string) *testNode {
	t.Helper()
	return startNode(t, "--dev", "--redis", redis, "--node-id", id, "--node-lease-ttl", testLease)
}

// startProcess starts a node as a process of its own.
func startProcess(t *testing.T, id, redis string) *hostile.Node {
	t.Helper()
	n, err := hostile.StartCommand(t.Context(), process(t, "--dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--redis", redis, "--node-id", id, "--node-lease-ttl", testLease, "--ping-interval", noPings))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Kill() }) // the test may have ended it
	return n
}

// soon is eventually, for what leases decide.
func soon(t *testing.T, what string, check func() error) {
	t.Helper()
	if err := hostile.Eventually(t.Context(), check); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// knows waits until n knows these nodes and no others.
func (n *testNode) knows(ids ...string) {
	n.t.Helper()
	soon(n.t, fmt.Sprintf("%s knows %v", n.node.ID, ids), func() error {
		var got []string
		for _, p := range n.lease.Peers() {
			got = append(got, p.ID)
		}
		if !slices.Equal(got, ids) {
			return fmt.Errorf("it knows %v", got)
		}
		return nil
	})
}

// renews waits until n, and others, have looked at each other often enough to have noticed
// what there is to notice.
func (n *testNode) renews(others ...*testNode) {
	n.t.Helper()
	all := append([]*testNode{n}, others...)
	var from []int64
	for _, one := range all {
		from = append(from, one.lease.Stats().Renewals)
	}
	for i, one := range all {
		soon(n.t, "renewals", func() error {
			if s := one.lease.Stats(); s.Renewals < from[i]+4 {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
	}
}

func TestNodesHearOfEachOther(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := startNodeWithID(t, "a", server.URL)
	b := startProcess(t, "b", server.URL)
	said := func(message string) {
		t.Helper()
		soon(t, "b says that "+message, func() error {
			count := 0
			for _, line := range b.Log() {
				if line.Message == message {
					count++
				}
			}
			if count != 1 {
				return fmt.Errorf("it does %d times\n%s", count, b.LogText())
			}
			return nil
		})
	}
	figure := func(name string, want float64) {
		t.Helper()
		soon(t, "b counts "+name, func() error {
			f, err := b.Figures()
			if got, known := f[name]; err == nil && (!known || got != want) {
				err = fmt.Errorf("%v, want %v", got, want)
			}
			return err
		})
	}

	c := startProcess(t, "c", server.URL)
	a.knows("a", "b", "c")
	figure("sluice_nodes", 3)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.knows("a", "b")
	figure("sluice_nodes", 2)
	a.renews()
	said("another node has left")
	figure("sluice_node_deaths_total", 0)
	if s := a.lease.Stats(); s.Deaths != 0 {
		t.Errorf("a node that left is taken for dead: %+v", s)
	}

	d := startProcess(t, "d", server.URL)
	a.knows("a", "b", "d")
	figure("sluice_nodes", 3)
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	a.knows("a", "b")
	figure("sluice_node_deaths_total", 1)
	a.renews()
	figure("sluice_node_deaths_total", 1)
	figure("sluice_nodes", 2)
	figure("sluice_lease_lapses_total", 0)
	if s := a.lease.Stats(); s.Deaths != 1 || s.Lapses != 0 {
		t.Errorf("a counted %+v", s)
	}
	said("another node has died")
	if got := a.metric("sluice_node_deaths_total"); got != "1" {
		t.Errorf("a's metrics say %s deaths", got)
	}

	var info admin.Info
	if err := json.Unmarshal([]byte(a.get(a.Admin(), "/api/info", 200)), &info); err != nil {
		t.Fatal(err)
	}
	if len(info.Nodes) != 2 || info.Nodes[1].ID != "b" || info.Nodes[1].Address != b.Public || info.Nodes[1].Started.IsZero() ||
		!strings.HasPrefix(info.Nodes[1].Life, "b.") {
		t.Errorf("/api/info tells of %+v", info.Nodes)
	}
}

// Wherever Redis is, and whoever is the master, nodes see each other, and what a
// newcomer is told to type works.
func TestNodesOnAnyRedis(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		start func(t *testing.T) (url string, change func())
	}{
		{"Sentinel", func(t *testing.T) (string, func()) {
			g := redistest.StartSentinel(t)
			g.Bear(redisproc.Patience)
			g.AwaitOK()
			return g.URL, func() { g.Failover() }
		}},
		{"Cluster", func(t *testing.T) (string, func()) {
			c := redistest.StartCluster(t)
			c.Bear(redisproc.Patience)
			c.AwaitOK()
			return c.URL, func() {
				slot := c.Slot("sluice:{nodes}")
				owner := c.Owner(slot)
				masters := c.Masters()
				c.Migrate(slot, masters[slices.IndexFunc(masters, func(s *redistest.Server) bool { return s.Addr != owner.Addr })])
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			url, change := row.start(t)
			a, b := startNodeWithID(t, "a", url).ready(), startNodeWithID(t, "b", url).ready()
			a.knows("a", "b")
			b.knows("a", "b")
			a.tryGreeting()
			change()
			a.renews(b)
			if err := b.stop(); err != nil {
				t.Fatal(err)
			}
			a.knows("a")
			if s := a.lease.Stats(); s.Deaths != 0 || s.Lapses != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// tryGreeting has a shell run the lines of redis-cli that greet prints.
func (n *testNode) tryGreeting() {
	n.t.Helper()
	var greeting strings.Builder
	n.greet(&greeting)
	c := n.dial("/ws?channel=news")
	lines := regexp.MustCompile(`(?m)redis-cli .*$`).FindAllString(greeting.String(), -1)
	if len(lines) == 0 {
		n.t.Fatalf("nothing to type:\n%s", greeting.String())
	}
	for _, line := range lines {
		if strings.Contains(line, "XREAD ") {
			eventually(n.t, "the client's entry is in the inbox", func() error {
				if n.inbox.Stats().Written == 0 {
					return errors.New("not yet")
				}
				return nil
			})
		}
		out, err := exec.CommandContext(n.t.Context(), "sh", "-c", line).CombinedOutput()
		text := string(out)
		switch {
		case err != nil:
			n.t.Errorf("%s: %v\n%s", line, err, text)
		case strings.Contains(line, "PUBLISH "):
			c.wantText(`{"hello":"browser"}`)
		case strings.Contains(line, "XREAD ") && !strings.Contains(text, "connect"),
			strings.Contains(line, "SENTINEL ") && !strings.Contains(text, "127.0.0.1"):
			n.t.Errorf("%s answers %q", line, text)
		}
	}
}

func TestOnTerminal(t *testing.T) {
	for _, row := range []struct{ redis, push, hear string }{
		{"embedded://127.0.0.1:6380", "redis-cli -p 6380 PUBLISH c m", "redis-cli -p 6380 XREAD COUNT 10 STREAMS s 0"},
		{"redis://u:s3cret@h/2?dial_timeout=3s", "redis-cli -u redis://u:xxxxx@h/2 PUBLISH c m", "redis-cli -u redis://u:xxxxx@h/2 XREAD COUNT 10 STREAMS s 0"},
		{"redis://h?db=3", "redis-cli -u redis://h/3 PUBLISH c m", "redis-cli -u redis://h/3 XREAD COUNT 10 STREAMS s 0"},
		{"redis+sentinel://h?master_name=it%27s", "", `redis-cli -u redis://h:26379 SENTINEL GET-MASTER-ADDR-BY-NAME 'it'\''s'`},
		{"rediss://a:1,redis://b", "", "redis-cli -u rediss://a:1 XREAD COUNT 10 STREAMS s 0"},
		{"rediss+sentinel://u:s3cret@h/1?master_name=m", "", "redis-cli -u rediss://h:26379 SENTINEL GET-MASTER-ADDR-BY-NAME m"},
		{"redis+cluster://h:7000?addr=i:7001", "redis-cli -c -u redis://h:7000 SPUBLISH c m", "redis-cli -c -u redis://h:7000 XREAD COUNT 10 STREAMS s 0"},
		{"redis+cluster://h?pubsub=classic", "redis-cli -c -u redis://h PUBLISH c m", "redis-cli -c -u redis://h XREAD COUNT 10 STREAMS s 0"},
	} {
		push, hear := onTerminal(row.redis, "c m", "s")
		if push != row.push || !strings.HasSuffix(hear, row.hear) {
			t.Errorf("%s:\n got %q\n and %q\nwant %q\n and %q", row.redis, push, hear, row.push, row.hear)
		}
	}
}

func TestAnotherNodeHasOurID(t *testing.T) {
	core, lines := observer.New(zap.WarnLevel)
	c := config.Default()
	o := leaseOptions(&c, pubsub.Peer{ID: "a", Life: "a.1"}, zap.New(core))
	o.Joined(pubsub.Peer{ID: "b", Life: "b.1"})
	if lines.Len() != 0 {
		t.Errorf("a node that joins is warned of: %v", lines.All())
	}
	o.Joined(pubsub.Peer{ID: "a", Life: "a.2"})
	if all := lines.All(); len(all) != 1 || all[0].Message != "another node has this node's id, or this one was restarted" {
		t.Errorf("got %v", all)
	}
}
