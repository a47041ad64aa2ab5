package pubsub

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// onceNamed is how a broker finds its only server by sentinels that always name it.
func onceNamed() Options {
	o := Options{URL: "redis+sentinel://s?master_name=m", ProbeEvery: -1}
	o.look = func(context.Context) (found, error) { return found{addrs: []string{"a:1"}}, nil }
	o.reigns = func(string) bool { return false }
	return o
}

const (
	roleMaster  = "*3\r\n$6\r\nmaster\r\n:3129659\r\n*2\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n9001\r\n$7\r\n3129242\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n9002\r\n$7\r\n3129543\r\n"
	roleReplica = "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:9000\r\n$7\r\nconnect\r\n:-1\r\n"
)

// A lane subscribes where its server says that it is a master, and where it does not say.
func TestRoleIsAsked(t *testing.T) {
	for _, row := range []struct{ name, role, lost string }{
		{"a master", roleMaster, ""},
		{"a master that nobody follows", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", ""},
		{"a replica", roleReplica, "Redis at a:1 is a replica, though the sentinels name it as the master m"},
		{"KeyDB, where both are masters", "*5\r\n$14\r\nactive-replica\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:7\r\n", ""},
		{"an ACL without it", "-NOPERM this user has no permissions to run the 'role' command\r\n", ""},
		{"a proxy that does not know it", "-ERR unknown command 'ROLE'\r\n", ""},
		{"something else", "+OK\r\n", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			onStage(t, onceNamed(), func(command []string) string {
				if command[0] == "ROLE" {
					return row.role
				}
				return polite(command)
			}, func(s *stage) {
				s.Subscribe("news")
				s.after(10 * time.Millisecond)
				if row.lost == "" {
					s.ready("")
					s.heard("subscribed news")
					return
				}
				s.lostOnce(row.lost)
				s.ready(row.lost)
				s.heard("")
				if sent := s.fake.sent("SUBSCRIBE"); len(sent) != 0 {
					t.Errorf("sent %q", sent)
				}
			})
		})
	}
}

// A replica that becomes the master is subscribed on soon.
func TestReplicaBecomesTheMaster(t *testing.T) {
	var promoted atomic.Bool
	onStage(t, onceNamed(), func(command []string) string {
		switch {
		case command[0] != "ROLE":
			return polite(command)
		case promoted.Load():
			return roleMaster
		}
		return roleReplica
	}, func(s *stage) {
		s.Subscribe("news")
		s.after(time.Second)
		promoted.Store(true)
		s.after(longestWait)
		s.ready("")
		s.heard("subscribed news") // no interruption: it was not heard before
	})
}

// Where no sentinel says that it is a master, whoever wants to listen to a replica may.
func TestRoleIsNotAsked(t *testing.T) {
	onStage(t, Options{}, polite, func(s *stage) {
		s.Subscribe("news")
		s.after(10 * time.Millisecond)
		if sent := s.fake.sent("ROLE"); len(sent) != 0 {
			t.Errorf("sent %q", sent)
		}
		s.heard("subscribed news")
	})
}

// orderly is a Sink that writes down what is said of the channel news, and what the lanes then
// say of themselves.
type orderly struct {
	tape
	fake *fakeRedis
}

func (o *orderly) Lane(l Link) Receiver { return orderlyEar{o, l} }

type orderlyEar struct {
	*orderly
	link Link
}

func (e orderlyEar) Subscribed(channel string) {
	e.add("subscribed %s %v", e.link.Name(), e.link.Carries(channel))
}

func (e orderlyEar) Moved(channel string) {
	e.add("moved %s %v, asked %d times", e.link.Name(), e.link.Carries(channel), len(e.fake.sent("SUBSCRIBE")))
}

// A receiver hears that a channel has moved before the server that has it now is asked for it.
func TestMovedComesFirst(t *testing.T) {
	t.Parallel()
	fake := &fakeRedis{answer: polite}
	var master atomic.Value
	master.Store("a:1")
	o := onceNamed()
	o.RefreshEvery, o.dial = 10*time.Millisecond, fake.dial
	o.look = func(context.Context) (found, error) {
		addr, _ := master.Load().(string)
		return found{addrs: []string{addr}}, nil
	}
	r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sink := &orderly{fake: fake}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, sink) }()
	r.Subscribe("news")
	var heard []string
	hears := func(want ...string) {
		t.Helper()
		eventually(t, func() bool {
			if line := sink.take(); line != "" {
				heard = append(heard, line)
			}
			return strings.Join(heard, ", ") == strings.Join(want, ", ")
		})
	}
	hears("subscribed a:1#0 true")
	master.Store("b:1")
	hears("subscribed a:1#0 true", "moved a:1#0 false, asked 1 times", "subscribed b:1#0 true")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if asked := fake.sent("SUBSCRIBE"); !slices.EqualFunc(asked, [][]string{{"SUBSCRIBE", "sluice:news"}, {"SUBSCRIBE", "sluice:news"}}, slices.Equal) {
		t.Errorf("asked %q", asked)
	}
	fake.running.Wait()
}
