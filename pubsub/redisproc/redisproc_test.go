package redisproc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// must takes what cannot fail here.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// closing ends what a test started.
func closing(t *testing.T, c interface{ Close() error }) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestRestartKeepsWhatIsPersistent(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want any
	}{
		{"nothing by default", nil, nil},
		{"appendonly", []string{"--appendonly", "yes", "--appendfsync", "always"}, "v"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := must[*Server](t)(Start(test.args...))
			closing(t, s)
			must[any](t)(s.Do("SET", "k", "v"))
			addr, pid := s.Addr, s.PID()
			s.Kill()
			if s.Running() || s.PID() != 0 {
				t.Error("it runs after Kill")
			}
			if _, err := s.Do("PING"); err == nil {
				t.Error("a killed server answers")
			}
			if err := s.Pause(); err == nil || !strings.Contains(err.Error(), "is not running") {
				t.Errorf("paused what does not run: %v", err)
			}
			check(t, s.Restart())
			if s.Addr != addr || s.PID() == pid || !s.Running() {
				t.Errorf("%s, process %d, running %v after a restart; it was %s, %d", s.Addr, s.PID(), s.Running(), addr, pid)
			}
			if got := must[any](t)(s.Do("GET", "k")); got != test.want {
				t.Errorf("k is %v, want %v", got, test.want)
			}
		})
	}
}

func TestPausedServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := must[*Server](t)(Start())
	closing(t, s)
	check(t, s.Pause())
	c := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, ReadTimeout: 50 * time.Millisecond})
	defer c.Close()
	if err := c.Ping(context.Background()).Err(); err == nil {
		t.Error("a paused server answers")
	}
	if !s.Running() {
		t.Error("a paused server does not run")
	}
	check(t, s.Resume())
	must[any](t)(s.Do("PING"))
	check(t, s.Pause())
	s.Stop() // also of a paused one
	if s.Running() {
		t.Error("it runs after Stop")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	s := must[*Server](t)(Start("--appendonly", "yes"))
	pid := s.PID()
	check(t, s.Close())
	if _, err := os.Stat(s.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its directory: %v", err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v", pid, err)
	}
	check(t, s.Close())
}

func TestWrongArgumentsAreTold(t *testing.T) {
	t.Parallel()
	_, err := Start("--no-such-option", "1")
	if err == nil || !strings.Contains(err.Error(), "does not start") {
		t.Errorf("%v", err)
	}
}

func TestTLSServer(t *testing.T) {
	t.Parallel()
	s := must[*Server](t)(StartTLS())
	closing(t, s)
	if got := must[any](t)(s.Do("PING")); got != "PONG" || !strings.HasPrefix(s.URL, "rediss://") {
		t.Errorf("%s answers %v", s.URL, got)
	}
	stranger := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1, DialTimeout: Patience})
	defer stranger.Close()
	if err := stranger.Ping(context.Background()).Err(); err == nil {
		t.Error("it speaks without TLS")
	}
	distrustful := s.TLSConfig()
	distrustful.RootCAs = nil
	stranger = redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1, DialTimeout: Patience, TLSConfig: distrustful})
	defer stranger.Close()
	if err := stranger.Ping(context.Background()).Err(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without its authority: %v", err)
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	s := must[*Server](t)(Start())
	closing(t, s)
	options := must[*redis.Options](t)(redis.ParseURL(must[string](t)(s.AddUser("gate", "p/w#1", "resetchannels", "&a*", "+publish", "+ping"))))
	c := redis.NewClient(options)
	defer c.Close()
	check(t, c.Publish(t.Context(), "abc", "x").Err())
	if err := c.Publish(t.Context(), "b", "x").Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("a forbidden channel: %v", err)
	}
}

func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	began := time.Now()
	g := must[*Sentinel](t)(StartSentinel())
	closing(t, g)
	t.Logf("complete after %v", time.Since(began))
	check(t, g.Bear(Patience)) // but while the master is dead, only this test makes another one
	client := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: MasterName, SentinelAddrs: []string{g.Sentinels[0].Addr}, ReadTimeout: Patience})
	defer client.Close()
	var replicas *redis.Cmd
	must[[]redis.Cmder](t)(client.Pipelined(t.Context(), func(p redis.Pipeliner) error { // WAIT is for what its connection has written
		p.Set(t.Context(), "k", "v", 0)
		replicas = p.Do(t.Context(), "WAIT", 2, answerTime.Milliseconds())
		return nil
	}))
	if n := must[int64](t)(replicas.Int64()); n != 2 {
		t.Errorf("%d replicas have it", n)
	}

	first := must[*Server](t)(g.Master())
	if first != g.Servers[0] {
		t.Errorf("%s is the first master", first.Addr)
	}
	began = time.Now()
	second := must[*Server](t)(g.Failover())
	t.Logf("by command: %v", time.Since(began))
	check(t, g.AwaitOK())
	t.Logf("complete again after %v", time.Since(began))

	began = time.Now()
	second.Kill()
	check(t, g.Bear(time.Second))
	third := must[*Server](t)(g.AwaitMaster(second))
	check(t, g.Bear(Patience))
	t.Logf("by kill: %v", time.Since(began))
	check(t, second.Restart()) // as a master, until the Sentinels turn it
	check(t, g.AwaitOK())
	t.Logf("complete again after %v", time.Since(began))
	if now := must[*Server](t)(g.Master()); now != third {
		t.Errorf("%s is the master, it was %s\n%s", now.Addr, third.Addr, g.Sentinels[0].Log())
	}
	if got := must[any](t)(third.Do("GET", "k")); got != "v" {
		t.Errorf("k is %v", got)
	}
}

func TestClusterFailsOverAndMoves(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c := must[*Cluster](t)(StartCluster())
	closing(t, c)
	t.Logf("complete after %v", time.Since(began))
	check(t, c.Bear(Patience)) // but while a master is dead, only this test makes another one
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{c.Servers[0].Addr}})
	defer client.Close()
	for i := range 200 {
		check(t, client.Set(t.Context(), fmt.Sprint("{k}", i), "v", 0).Err())
	}
	slot := must[int](t)(c.Slot("{k}1"))
	owner := must[*Server](t)(c.Owner(slot))

	began = time.Now()
	promoted := must[*Server](t)(c.Failover(owner))
	t.Logf("by command: %v", time.Since(began))
	check(t, c.AwaitOK())
	if now := must[*Server](t)(c.Owner(slot)); now != promoted || now == owner {
		t.Errorf("%s serves the slot after a failover from %s to %s", now.Addr, owner.Addr, promoted.Addr)
	}

	began = time.Now()
	heir := must[*Server](t)(c.Replica(promoted))
	promoted.Kill()
	check(t, c.Bear(time.Second))
	check(t, c.AwaitMaster(heir))
	check(t, c.Bear(Patience))
	t.Logf("by kill: %v", time.Since(began))
	check(t, promoted.Restart())
	check(t, c.AwaitOK())
	t.Logf("complete again after %v", time.Since(began))

	masters := must[[]*Server](t)(c.Masters())
	if len(masters) != 3 {
		t.Fatalf("%d masters", len(masters))
	}
	to := masters[0]
	if to == heir {
		to = masters[1]
	}
	check(t, c.Migrate(slot, to))
	check(t, c.AwaitOK())
	if now := must[*Server](t)(c.Owner(slot)); now != to {
		t.Errorf("%s serves the slot, not %s", now.Addr, to.Addr)
	}
	if n := must[any](t)(to.Do("CLUSTER", "COUNTKEYSINSLOT", slot)); n != int64(200) {
		t.Errorf("%v keys have come", n)
	}
}

// A port that a program has chosen is no other's, also while nobody listens there.
func TestPortsAreClaimed(t *testing.T) {
	t.Parallel()
	first := must[int](t)(FreePorts(3))
	for port := first; port < first+3; port++ {
		name := &syscall.SockaddrUnix{Name: fmt.Sprintf("@sluice port %d", port)} // as another program would claim it
		fd := must[int](t)(syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0))
		if err := syscall.Bind(fd, name); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("port %d is claimed once more: %v", port, err)
		}
		check(t, syscall.Close(fd))
	}
	seen := map[int]bool{first: true, first + 1: true, first + 2: true}
	for range 200 {
		port := must[int](t)(FreePort())
		if seen[port] {
			t.Fatalf("port %d is chosen twice", port)
		}
		seen[port] = true
	}
}
