package hostile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Environment variables by which a test tells the copy of itself that runs in
// another network what to do.
const (
	ownNetwork   = "HOSTILE_OWN_NETWORK"
	builtProgram = "HOSTILE_PROGRAM"
)

// TestOwnNetwork runs itself again in a network namespace of its own, in which
// there are no addresses but those that it makes.
func TestOwnNetwork(t *testing.T) {
	t.Parallel()
	if os.Getenv(ownNetwork) != "" {
		ip(t, "link", "set", "lo", "up")
		t.Run("vanished", testVanished)
		t.Run("accept queue", testAcceptQueue)
		return
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skipf("a network is made with ip, of iproute2: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestOwnNetwork$", "-test.v", "-test.timeout=4m")
	cmd.Env = append(os.Environ(), ownNetwork+"=1", builtProgram+"="+program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if os.Geteuid() != 0 { // whoever is root in a namespace of users may make one of networks
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
			t.Skipf("this machine lets nobody make a network namespace here: %v", err)
		}
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("in a network of its own: %v\n%s", err, out.String())
	} else {
		t.Log(out.String())
	}
}

// ip changes the network of the thread that it is called on.
func ip(t *testing.T, arguments ...string) {
	t.Helper()
	if out, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(arguments, " "), err, out)
	}
}

// The two ends of the cable, of the network that is for examples (RFC 5737).
const (
	nearAddress = "192.0.2.1"
	farAddress  = "192.0.2.2"
	farMAC      = "02:00:00:00:00:02"
)

// farEnd is a thread in another network namespace, with a cable to this one.
type farEnd struct {
	t     *testing.T
	calls chan func()
}

// newFarEnd lays the cable.
func newFarEnd(t *testing.T) *farEnd {
	t.Helper()
	f := &farEnd{t, make(chan func())}
	ready, ended := make(chan string), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine, and the network with it
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("unshare: %v", err)
			close(ready)
			return
		}
		ready <- fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		for call := range f.calls {
			call()
		}
	}()
	namespace, ok := <-ready
	t.Cleanup(func() {
		close(f.calls)
		<-ended
	})
	if !ok {
		t.FailNow()
	}
	ip(t, "link", "add", "near", "type", "veth", "peer", "name", "far", "address", farMAC, "netns", namespace)
	ip(t, "address", "add", nearAddress+"/30", "dev", "near")
	ip(t, "link", "set", "near", "up")
	// Whether the other end is there is nothing that this one may find out by ARP.
	ip(t, "neighbour", "add", farAddress, "lladdr", farMAC, "dev", "near", "nud", "permanent")
	f.ip("address", "add", farAddress+"/30", "dev", "far")
	f.ip("link", "set", "far", "up")
	return f
}

// do calls a function on the far end's thread.
func (f *farEnd) do(call func()) {
	done := make(chan struct{})
	f.calls <- func() {
		defer close(done)
		call()
	}
	<-done
}

// ip is ip at the far end.
func (f *farEnd) ip(arguments ...string) {
	f.t.Helper()
	var out []byte
	var err error
	f.do(func() { out, err = exec.Command("ip", arguments...).CombinedOutput() })
	if err != nil {
		f.t.Fatalf("ip %s at the far end: %v: %s", strings.Join(arguments, " "), err, out)
	}
}

// testVanished: clients whose machine is gone, without FIN or RST, whatever they were
// at, are gone in time here, too.
func testVanished(t *testing.T) {
	far := newFarEnd(t)
	config := filepath.Join(t.TempDir(), "sluice.yaml") // without logs: connections to Redis that were used for reading them stay, and count as files
	if err := os.WriteFile(config, []byte(`namespaces: [{name: "", durable: false}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	n := start(t, "--config", config, "--listen", nearAddress+":0", "--ping-interval", "5s", "--ping-timeout", "3s", "--handshake-timeout", "6s",
		"--message-timeout", "6s", "--close-timeout", "1s", "--queue-max", "64KiB")
	o := watch(t, n)
	before := figures(t, n)
	const each = 5
	var peers []*Peer
	join := func(path, words string) {
		t.Helper()
		for range each {
			var p *Peer
			var err error
			far.do(func() {
				if path == "" {
					p, err = Dial(t.Context(), n.Public)
				} else {
					p, err = Open(t.Context(), n, path)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.vanish() })
			send(p, words, Whole)
			peers = append(peers, p)
		}
	}
	join("", "")
	join("", Request("/echo")[:20])
	join("/echo", "")
	join("/echo", Bytes("81 FE 1000 00000000 'the beginning'"))
	join("/ws?channel=little", "")
	join("/ws?channel=much", "")
	join("", "GET /sse?channel=nothing HTTP/1.1\r\nHost: x\r\n\r\n")
	join("", "GET /sse?channel=little HTTP/1.1\r\nHost: x\r\n\r\n")
	join("", "GET /sse?channel=much HTTP/1.1\r\nHost: x\r\n\r\n")
	err := Eventually(t.Context(), func() error { // all that they said has arrived
		now := figures(t, n)
		if got := now["sluice_connections"]; int(got) != len(peers)+reactors {
			return fmt.Errorf("%v connections", got)
		}
		if got := now["sluice_streams_total"]; got != 3*each {
			return fmt.Errorf("%v event streams", got)
		}
		if now["sluice_incomplete_bytes"] == 0 {
			return errors.New("no message has begun")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	far.ip("address", "flush", "dev", "far") // nobody is there any more who would answer, or say so
	if err := n.Publish(t.Context(), "little", "hello?"); err != nil {
		t.Error(err)
	}
	if err := n.Publish(t.Context(), "much", slices.Repeat([]string{strings.Repeat("x", 32<<10)}, 60)...); err != nil {
		t.Error(err)
	}
	o.undisturbed(t)
	t.Logf("all %d were gone after %s, ping.interval and ping.timeout are 8s together", len(peers), time.Since(began).Round(10*time.Millisecond))
	now := figures(t, n)
	for name, least := range map[string]float64{"sluice_ping_timeouts_total": 3 * each, "sluice_timeouts_total": 2 * each, "sluice_slow_consumers_total": 2 * each} {
		if got := now[name] - before[name]; got < least {
			t.Errorf("%s is %v, want %v or more", name, got, least)
		}
	}
}

// testAcceptQueue: more connections than the kernel holds for a node that does not
// accept them wait, and are served once it does.
func testAcceptQueue(t *testing.T) {
	const limit = "/proc/sys/net/core/somaxconn" // of this network alone
	if err := os.WriteFile(limit, []byte("8"), 0); err != nil {
		t.Skipf("not allowed to make accept queues short: %v", err)
	}
	n := start(t, steady...)
	o := watch(t, n)
	if err := n.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	const crowd = 40
	served := make(chan struct{})
	go func() {
		defer close(served)
		inCrowds(t, crowd, crowd, func(int) error {
			p, err := Open(t.Context(), n, "/echo")
			if err == nil {
				p.vanish()
			}
			return err
		})
	}()
	err := Eventually(t.Context(), func() error {
		overflows, err := listenOverflows()
		if err == nil && overflows == 0 {
			err = errors.New("the accept queue has not overflown")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := n.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	<-served
	o.undisturbed(t)
}

// listenOverflows is how often this network's kernel had no room for a connection.
func listenOverflows() (int, error) {
	b, err := os.ReadFile("/proc/thread-self/net/netstat")
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "TcpExt:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		if i := slices.Index(names, "ListenOverflows"); i >= 0 && i < len(fields) {
			return strconv.Atoi(fields[i])
		}
	}
	return 0, errors.New("netstat has no ListenOverflows")
}
