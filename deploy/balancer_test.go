package deploy

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/pubsub/redisproc"
)

// place is what differs from one installation to the next.
type place struct {
	nodes    [2]string     // host:port of their public ports
	idle     time.Duration // silence after which a connection is cut; 0: as in the file
	hardStop time.Duration // how long connections outlive a reload; 0: as in the file
}

// balancer is a load balancer that was started from its file in this folder, and ends with its test.
type balancer struct {
	*process
	address string // host:port for clients, TLS
	plain   string // host:port without
	stats   string // host:port of its own page, HAProxy's
	cert    *certificate
	reload  syscall.Signal // makes it read its file again; 0: no signal does
}

// kind is a make of balancers.
type kind struct {
	name  string
	start func(*testing.T, place) *balancer
	nodes []string // the flags of nodes behind it, as the head of its file says
}

var (
	haproxy = kind{"haproxy", startHAProxy, []string{"--proxy-protocol", "v2", "--proxy-from", "127.0.0.1"}}
	nginx   = kind{"nginx", startNginx, []string{"--proxy-trust", "127.0.0.1"}}
	caddy   = kind{"caddy", startCaddy, []string{"--proxy-trust", "127.0.0.1"}}
)

// each runs a test with every kind, side by side.
func each(t *testing.T, kinds []kind, test func(*testing.T, kind)) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// reserve chooses free addresses on loopback for a balancer.
func reserve(t *testing.T) *balancer {
	t.Helper()
	free := func() string {
		port, err := redisproc.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	return &balancer{address: free(), plain: free(), stats: free(), cert: newCertificate(t)}
}

// begin starts a balancer, again if it ends at once: between the choice of a port and its use another process may take it.
func (k kind) begin(t *testing.T, p place) *balancer {
	t.Helper()
	var b *balancer
	for range 3 {
		if b = k.start(t, p); !b.ended() {
			return b
		}
	}
	t.Fatalf("%s ended: %v\n%s", k.name, b.err, b.output())
	return nil
}

// run starts cmd and waits until it takes connections, or has ended.
func (b *balancer) run(t *testing.T, cmd *exec.Cmd) *balancer {
	t.Helper()
	b.process = start(t, cmd)
	eventually(t, "the balancer takes connections", func() error {
		c, err := net.Dial("tcp", b.address)
		if err == nil {
			c.Close()
		}
		if b.ended() {
			return nil
		}
		return err
	})
	return b
}

// environment is this process' own and the pairs, names and values in turn; those with no value are left to the file.
func environment(pairs ...string) []string {
	env := os.Environ()
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			env = append(env, pairs[i]+"="+pairs[i+1])
		}
	}
	return env
}

// span writes a duration as HAProxy and nginx read it.
func span(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

func startHAProxy(t *testing.T, p place) *balancer {
	t.Helper()
	b := reserve(t)
	b.reload = syscall.SIGUSR2
	// As Debian's unit starts it. A SIGUSR2 that comes before the master says that it is ready is lost.
	cmd := exec.Command("haproxy", "-Ws", "-f", "haproxy/haproxy.cfg")
	supervisor, notices := newSupervisor(t)
	cmd.Env = environment("NOTIFY_SOCKET", supervisor,
		"LB_NODE_1", p.nodes[0], "LB_NODE_2", p.nodes[1], "LB_LISTEN", b.address, "LB_PLAIN", b.plain, "LB_STATS", b.stats,
		"LB_CERT", b.cert.both, "LB_MAXCONN", "500", "LB_IDLE", span(p.idle), "LB_HARD_STOP", span(p.hardStop))
	b.run(t, cmd)
	for notice := make([]byte, 4096); !b.ended(); { // before READY=1 comes a RELOADING=1: the master executes itself anew
		n, err := notices.Read(notice)
		if err != nil {
			t.Fatalf("waiting for READY=1: %v", err)
		}
		if strings.Contains(string(notice[:n]), "READY=1") {
			break
		}
	}
	return b
}

// newSupervisor is where a process tells systemd how it is: the socket's path, and what comes there.
func newSupervisor(t *testing.T) (string, net.Conn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "") // shorter than what t.TempDir makes: a socket's path has room for 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // left over at worst
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return path, conn
}

// edit is what the head of nginx.conf asks for: lines in which values are replaced.
type edit struct {
	was, is string
	times   int // how often it stands there
}

func startNginx(t *testing.T, p place) *balancer {
	t.Helper()
	b := reserve(t)
	b.reload = syscall.SIGHUP
	dir := t.TempDir()
	edits := []edit{
		{"server 127.0.0.1:8000 ", "server " + p.nodes[0] + " ", 1}, {"server 127.0.0.1:8002 ", "server " + p.nodes[1] + " ", 1},
		{"listen 443 ssl http2;", "listen " + b.address + " ssl http2;", 1}, {"listen 80;", "listen " + b.plain + ";", 1},
		{"/etc/nginx/certs/fullchain.pem", b.cert.cert, 1}, {"/etc/nginx/certs/privkey.pem", b.cert.key, 1},
		// What belongs to the one nginx of a machine, and what its root may do.
		{"pid /run/nginx.pid;", "pid nginx.pid;\ndaemon off;", 1}, {"worker_rlimit_nofile 1048576;", "", 1}, {"worker_connections 100000;", "worker_connections 500;", 1},
		{"http {\n", "http {\nclient_body_temp_path tmp;proxy_temp_path tmp;fastcgi_temp_path tmp;uwsgi_temp_path tmp;scgi_temp_path tmp;\n", 1},
	}
	if p.idle > 0 {
		edits = append(edits, edit{" 75s;", " " + span(p.idle) + ";", 4})
	}
	if p.hardStop > 0 {
		edits = append(edits, edit{"worker_shutdown_timeout 1h;", "worker_shutdown_timeout " + span(p.hardStop) + ";", 1})
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(edited(t, "nginx/nginx.conf", edits)), 0o600); err != nil {
		t.Fatal(err)
	}
	return b.run(t, exec.Command("nginx", "-p", dir, "-e", "stderr", "-c", file))
}

// edited is a file with edits applied. A line that is not there as often as it should be fails the test: the head of the file would be
// wrong, too.
func edited(t *testing.T, file string, edits []edit) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, e := range edits {
		if n := strings.Count(text, e.was); n != e.times {
			t.Fatalf("%s has %q %d times, want %d", file, e.was, n, e.times)
		}
		text = strings.ReplaceAll(text, e.was, e.is)
	}
	return text
}

func startCaddy(t *testing.T, p place) *balancer {
	t.Helper()
	b := reserve(t)
	_, port, err := net.SplitHostPort(b.address)
	if err != nil {
		t.Fatal(err)
	}
	_, plain, err := net.SplitHostPort(b.plain)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("caddy", "run", "--config", "caddy/Caddyfile", "--adapter", "caddyfile")
	home := t.TempDir()
	// One check that is late takes a node out: the nodes here are on a machine that may stand still for longer than a second.
	cmd.Env = environment("LB_NODES", p.nodes[0]+" "+p.nodes[1], "LB_LISTEN", port, "LB_PLAIN", plain, "LB_CHECK_TIMEOUT", "10s",
		"LB_TLS", "tls "+b.cert.cert+" "+b.cert.key, "LB_ADMIN", b.stats, "HOME", home, "XDG_DATA_HOME", home, "XDG_CONFIG_HOME", home)
	return b.run(t, cmd)
}
