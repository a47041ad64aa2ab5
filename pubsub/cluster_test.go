package pubsub

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseNodes(t *testing.T) {
	const asked = "10.0.0.9:7000"
	for _, row := range []struct{ name, view, want string }{
		{"a master and its replica, Redis 7.0",
			"07c3 127.0.0.1:30004@31004 slave e7d1 0 1426238317239 4 connected\n" +
				"e7d1 127.0.0.1:30001@31001 myself,master - 0 0 1 connected 0-5460\n",
			"07c3 127.0.0.1:30004 4 replica []; e7d1 127.0.0.1:30001 1 self master [[0 5460]]"},
		{"several ranges, single slots, a slot that leaves and one that comes",
			"a 127.0.0.1:7000@17000 myself,master - 0 0 3 connected 0 5-7 16383 [866->-e7d1] [93-<-292f]\n",
			"a 127.0.0.1:7000 3 self master [[0 0] [5 7] [16383 16383]]"},
		{"a hostname", "a 10.0.0.1:6379@16379,redis-1.example master - 0 0 2 connected 1-2\n", "a redis-1.example:6379 2 master [[1 2]]"},
		{"a hostname and more, Redis 7.2", "a 10.0.0.1:6379@16379,redis-1,tls-port=0,shard-id=69bc master - 0 0 2 connected 1-2\n", "a redis-1:6379 2 master [[1 2]]"},
		{"more without a hostname", "a 10.0.0.1:6379@16379,,tls-port=0,shard-id=69bc master - 0 0 2 connected\n", "a 10.0.0.1:6379 2 master []"},
		{"an unknown hostname", "a 10.0.0.1:6379@16379,? master - 0 0 2 connected\n", "a 10.0.0.1:6379 2 master []"},
		{"it does not know its own address", "a :7000@17000 myself,master - 0 0 0 connected 0-16383\n", "a 10.0.0.9:7000 0 self master [[0 16383]]"},
		{"IPv6", "a 2001:db8::1:7000@17000 master - 0 0 1 connected\nb ::1:7001@17001 master - 0 0 1 connected\n",
			"a [2001:db8::1]:7000 1 master []; b [::1]:7001 1 master []"},
		{"IPv6 in brackets", "a [2001:db8::1]:7000@17000 master - 0 0 1 connected\n", "a [2001:db8::1]:7000 1 master []"},
		{"without a bus port, Redis 3", "a 10.0.0.1:7000 master - 0 0 1 connected 1\n", "a 10.0.0.1:7000 1 master [[1 1]]"},
		{"a master that failed still has its slots", "a 10.0.0.1:7000@17000 master,fail - 1 2 1 disconnected 1-5\nb 10.0.0.2:7000@17000 master,fail? - 0 0 2 connected 6\n",
			"a 10.0.0.1:7000 1 master [[1 5]]; b 10.0.0.2:7000 2 master [[6 6]]"},
		{"strangers are left out",
			"a 10.0.0.1:7000@17000 handshake - 0 0 0 connected\nb :0@0 master,noaddr - 0 0 1 disconnected 1-5\nc 10.0.0.3:1@2 master,nofailover,odd - 0 0 7 connected 9\n",
			"c 10.0.0.3:1 7 master [[9 9]]"},
		{"nobody", "\n", "error: the Cluster has no nodes"},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", "error: the Cluster has no nodes"},
		{"no epoch", "a 10.0.0.1:7000@17000 master - 0 0 x connected\n", `error: the Cluster's node a has no epoch: "x"`},
		{"a slot too many", "a 10.0.0.1:7000@17000 master - 0 0 1 connected 0-16384\n", `error: the Cluster's node a has a strange slot: "0-16384"`},
		{"a range backwards", "a 10.0.0.1:7000@17000 master - 0 0 1 connected 7-5\n", `error: the Cluster's node a has a strange slot: "7-5"`},
		{"not a slot", "a 10.0.0.1:7000@17000 master - 0 0 1 connected -5\n", `error: the Cluster's node a has a strange slot: "-5"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			nodes, err := parseNodes(asked, row.view)
			var got []string
			for _, n := range nodes {
				text := fmt.Sprint(n.id, " ", n.addr, " ", n.epoch)
				if n.self {
					text += " self"
				}
				if n.master {
					text += " master"
				} else {
					text += " replica"
				}
				got = append(got, fmt.Sprint(text, " ", n.slots))
			}
			if err != nil {
				got = []string{"error: " + err.Error()}
			}
			if text := strings.Join(got, "; "); text != row.want {
				t.Errorf("%s\nwant %s", text, row.want)
			}
		})
	}
}

func TestOwns(t *testing.T) {
	n := &node{slots: [][2]int{{3, 5}, {9, 9}}}
	for slot, want := range map[uint16]bool{2: false, 3: true, 5: true, 6: false, 9: true, 16383: false} {
		if n.owns([]uint16{0, slot}) != want {
			t.Errorf("slot %d: %v", slot, !want)
		}
	}
	if n.owns(nil) {
		t.Error("it owns one of none")
	}
}

// Of two claims to a slot the one with the newer epoch holds.
func TestTakeViews(t *testing.T) {
	// line is a node's, all of which are at the same host.
	line := func(id string, flags string, epoch int, slots string) string {
		return fmt.Sprintf("%s 10.0.0.1:%d@1 %s - 0 0 %d connected %s\n", id, id[0], flags, epoch, slots)
	}
	type view struct {
		after time.Duration // since the last one
		text  string
	}
	a1, b2 := line("a", "master", 1, "0-9"), line("b", "master", 2, "10-19")
	for _, row := range []struct {
		name  string
		views []view
		want  string // who has slots 0 and 10
	}{
		{"one view", []view{{0, a1 + b2}}, "a b"},
		{"a newer claim", []view{{0, a1 + b2}, {0, line("c", "master", 3, "0-9") + b2}}, "c b"},
		{"an older claim", []view{{0, line("c", "master", 3, "0-9") + b2}, {0, a1 + b2}}, "c b"},
		{"an older claim that has not been all that is heard for long", []view{
			{0, line("c", "master", 3, "0-9") + b2}, {0, a1 + b2}, {patienceWithEpochs - 1, a1 + b2}}, "c b"},
		{"an older claim that is all that is heard", []view{
			{0, line("c", "master", 3, "0-9") + b2}, {0, a1 + b2}, {patienceWithEpochs + 1, a1 + b2}}, "a b"},
		{"the newer claim is heard in between", []view{
			{0, line("c", "master", 3, "0-9") + b2}, {0, a1 + b2}, {patienceWithEpochs - 1, line("c", "master", 3, "0-9") + b2}, {2, a1 + b2}}, "c b"},
		{"an equal claim", []view{{0, a1 + b2}, {0, line("c", "master", 1, "0-9") + b2}}, "c b"},
		{"a replica claims nothing", []view{{0, a1 + b2}, {0, line("c", "slave", 9, "0-9") + b2}}, "a b"},
		{"nobody has it any more", []view{{0, a1 + b2}, {0, b2}}, "a b"},
		{"a view that cannot be read", []view{{0, a1 + b2}, {0, line("c", "master", 3, "0-99999")}}, "a b"},
		// a gave 0 to b, and took another slot with a new epoch, of which d has heard and not
		// of the other.
		{"hearsay of a gift", []view{
			{0, line("a", "master", 3, "0-9") + b2},
			{0, line("a", "myself,master", 3, "1-9") + line("b", "master", 2, "0 10-19")}}, "b b"},
		{"hearsay does not hold against others", []view{
			{0, line("a", "master", 3, "0-9") + b2}, {0, line("a", "master", 3, "1-9") + line("b", "myself,master", 2, "0 10-19")}}, "a b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, err := Open(Options{URL: "redis+cluster://10.0.0.1:97"})
				if err != nil {
					t.Fatal(err)
				}
				c := newCluster(r)
				defer c.close()
				for _, v := range row.views {
					time.Sleep(v.after)
					_ = c.take("10.0.0.1:97", v.text) // one of them is not a view
				}
				if got := c.owners[0].id + " " + c.owners[10].id; got != row.want {
					t.Errorf("slots 0 and 10 are %s, want %s", got, row.want)
				}
				f, err := c.found()
				if err != nil || f.slots[0] != c.owners[0].addr || f.slots[16383] != "" || !slices.Contains(f.addrs, c.owners[10].addr) {
					t.Errorf("found %v, %v", f.addrs, err)
				}
			})
		})
	}
}

func TestNothingFound(t *testing.T) {
	if _, err := (&cluster{}).found(); err == nil {
		t.Error("a layout without any server")
	}
}

// Of two claims to be the master the one with the newer epoch holds.
func TestBelieve(t *testing.T) {
	type claim struct {
		after time.Duration
		addr  string
		epoch uint64
	}
	for _, row := range []struct {
		name   string
		claims []claim
		want   string
	}{
		{"the first", []claim{{0, "a", 0}}, "a 0"},
		{"newer", []claim{{0, "a", 1}, {0, "b", 2}}, "b 2"},
		{"older", []claim{{0, "a", 2}, {0, "b", 1}}, "a 2"},
		{"as old", []claim{{0, "a", 2}, {0, "b", 2}}, "b 2"},
		{"older, and not for long", []claim{{0, "a", 2}, {0, "b", 1}, {patienceWithEpochs - 1, "b", 1}}, "a 2"},
		{"older, and nothing else", []claim{{0, "a", 2}, {0, "b", 1}, {patienceWithEpochs + 1, "b", 1}}, "b 1"},
		{"older, with something else in between", []claim{{0, "a", 2}, {0, "b", 1}, {patienceWithEpochs - 1, "a", 2}, {2, "b", 1}}, "a 2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s sentinels
				for _, c := range row.claims {
					time.Sleep(c.after)
					s.believe(c.addr, c.epoch)
				}
				if got := fmt.Sprint(s.addr, " ", s.epoch); got != row.want {
					t.Errorf("%s, want %s", got, row.want)
				}
			})
		})
	}
}

// What sentinels answer, of which the newest counts.
func TestNewestClaim(t *testing.T) {
	for _, row := range []struct {
		name    string
		answers []claim
		want    string
	}{
		{"one", []claim{{"a", 1, nil}}, "a"},
		{"the newest", []claim{{"a", 1, nil}, {"b", 3, nil}, {"c", 2, nil}}, "b"},
		{"some fail", []claim{{"", 0, errClosedForTest}, {"b", 3, nil}}, "b"},
		{"all fail", []claim{{"", 0, errClosedForTest}}, ""},
		{"they name it differently", []claim{{"other", 1, nil}, {"believed", 1, nil}}, "believed"},
		{"the other way round", []claim{{"believed", 1, nil}, {"other", 1, nil}}, "believed"},
		{"nobody names it any more", []claim{{"other", 1, nil}, {"another", 1, nil}}, "other"},
	} {
		best := claim{}
		for _, a := range row.answers {
			if a.better(best, "believed") {
				best = a
			}
		}
		if best.addr != row.want {
			t.Errorf("%s: %q, want %q", row.name, best.addr, row.want)
		}
	}
}

var errClosedForTest = fmt.Errorf("closed")
