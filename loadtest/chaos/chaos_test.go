package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/loadtest/internal/program/programtest"
)

// built is the sluice that the tests run, built by TestMain.
var built string

func TestMain(m *testing.M) { os.Exit(programtest.Main(m, &built)) }

// TestFaults makes each of these faults once. What clients got is asserted; how
// long it took is not, because it depends on what else the machine does.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		topology, faults string
		durable          int
	}{
		{"sentinel", "failover,failover-kill,failover-lossy,client-kill", 4},
		{"cluster", "failover,failover-kill,failover-lossy,client-kill,migrate,migrate-log,overrun", 4},
		{"aof", "kill,rollback,flush,del,client-kill,node-kill", 4},
		{"shards", "kill,freeze,client-kill,blackhole,cut,node-kill,overrun-stall", 0},
		{"standalone", "kill,freeze,client-kill,sleep,blackhole,blackhole-up,corrupt,delay,cut,node-kill,node-stop,overrun", 0},
	} {
		t.Run(test.topology, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			rep, err := run(t.Context(), options{Program: built, Topology: test.topology, Faults: strings.Split(test.faults, ","),
				Nodes: 2, Channels: 12, Durable: test.durable, Follow: 2, Rate: 20, For: time.Minute, Rounds: 1, Quiet: 100 * time.Millisecond, Longest: 700 * time.Millisecond, Seed: 1, Out: &out})
			if err != nil {
				t.Fatalf("%v\n%s", err, &out)
			}
			rep.print(&out)
			t.Logf("\n%s", &out)
			for _, v := range rep.failed(false) {
				t.Errorf("%s: %s", v.What, v.Detail)
			}
		})
	}
}

func TestMessages(t *testing.T) {
	for _, size := range []int{0, 300, bigSize} {
		b := appendMessage(nil, "c01", 3, 12345, 987654321, size)
		if len(b) < size {
			t.Errorf("%d bytes, want %d", len(b), size)
		}
		r, ok := parseMessage(b)
		if !ok || string(r.channel) != "c01" || r.stream != 3 || r.number != 12345 || r.sent != 987654321 {
			t.Errorf("size %d: %+v, %v", size, r, ok)
		}
		for i := 0; i < len(b); i += 1 + len(b)/100 {
			b[i] ^= 0x10
			if _, ok := parseMessage(b); ok {
				t.Errorf("size %d: byte %d is altered, and nobody notices", size, i)
			}
			b[i] ^= 0x10
		}
	}
}

// A shard more takes names from the others, and moves none between them.
func TestShards(t *testing.T) {
	seen := map[int]int{}
	for i := range 3000 {
		name := fmt.Sprint("channel", i)
		three, four := shard(name, 3), shard(name, 4)
		seen[three]++
		if four != three && four != 3 {
			t.Fatalf("%s moves from shard %d to %d when a fourth one comes", name, three, four)
		}
		if shard(name, 1) != 0 {
			t.Fatalf("%s is on shard %d of one", name, shard(name, 1))
		}
	}
	for s, n := range seen {
		if n < 900 || n > 1100 {
			t.Errorf("shard %d has %d of 3000 names", s, n)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args   string
		status int
		says   string
	}{
		{"-topology ring", 2, `no topology "ring"`},
		{"-faults flood", 2, `no fault "flood"`},
		{"-topology cluster -faults kill", 2, "choose from client-kill,failover"},
		{"-nonsense", 2, "nonsense"},
		{"-topology sentinel -faults list", 0, "failover-freeze\n"},
	} {
		t.Run(test.args, func(t *testing.T) {
			var out bytes.Buffer
			if status := command(t.Context(), append([]string{"-program", built}, strings.Fields(test.args)...), &out, &out); status != test.status || !strings.Contains(out.String(), test.says) {
				t.Errorf("status %d, says %q", status, out.String())
			}
		})
	}
}
