package doctor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"sluice/pubsub"
	"sluice/pubsub/redistest"
)

// tree is a machine's /proc with some numbers.
func tree(t *testing.T, numbers map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range numbers {
		path := filepath.Join(root, "proc", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestMachine(t *testing.T) {
	numbers := map[string]string{
		"sys/net/core/somaxconn": "128", "sys/net/ipv4/tcp_max_syn_backlog": "8192", "sys/net/ipv4/ip_local_port_range": "32768\t60999",
		"sys/net/netfilter/nf_conntrack_max": "65536", "sys/fs/nr_open": "1048576", "meminfo": "MemTotal:       1048576 kB\nMemFree: 1 kB",
	}
	m := Machine{Connections: 500_000, Root: tree(t, numbers)}
	got := map[string]Finding{}
	for _, check := range m.Checks() {
		for _, f := range check(t.Context()) {
			got[f.Topic] = f
		}
	}
	for topic, want := range map[string]string{
		"accept queue":                          "warning 128 (net.core.somaxconn)",
		"half-open connections":                 "ok 8192 (net.ipv4.tcp_max_syn_backlog)",
		"ports for outgoing connections":        "warning 28232 (net.ipv4.ip_local_port_range 32768 to 60999)",
		"connections that the firewall follows": "warning 65536 (net.netfilter.nf_conntrack_max)",
		"memory":                                "warning 1024 MiB, for some 174762 idle connections at 2 KiB of the process and 4 KiB of the kernel each",
	} {
		f := got[topic]
		if text := f.Grade.String() + " " + f.Seen; text != want {
			t.Errorf("%s: %s, want %s", topic, text, want)
		}
		if (f.Grade != Good) != (f.Why != "" && f.Mend != "") {
			t.Errorf("%s: %s, why %q, mend %q", topic, f.Grade, f.Why, f.Mend)
		}
	}
	if mend := got["accept queue"].Mend; mend != "echo 'net.core.somaxconn = 4096' | sudo tee -a /etc/sysctl.d/99-sluice.conf && sudo sysctl --system" {
		t.Error(mend)
	}
	if _, ok := got["open files"]; !ok {
		t.Error("open files were not looked at")
	}
	for _, check := range (Machine{Root: t.TempDir()}).Checks() { // nothing can be read
		for _, f := range check(t.Context()) {
			if f.Topic != "open files" && f.Topic != "connections that the firewall follows" && f.Grade != Unknown {
				t.Errorf("%+v", f)
			}
		}
	}
}

// clinic examines a real Redis.
func clinic(t *testing.T, url string, change ...func(*pubsub.Server)) map[string]Finding {
	t.Helper()
	broker, err := pubsub.Open(pubsub.Options{URL: url, Prefix: "sluice:"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = broker.Close() }()
	findings := map[string]Finding{}
	servers := func(ctx context.Context) ([]pubsub.Server, error) {
		list, err := broker.Servers(ctx)
		for i := range list {
			for _, c := range change {
				c(&list[i])
			}
		}
		return list, err
	}
	for _, f := range (Redis{Servers: servers, Prefix: "sluice:", Timeout: 30 * time.Second}).Check(t.Context()) {
		_, what, _ := strings.Cut(f.Topic, ", ")
		findings[what] = f
		if (f.Grade == Warning || f.Grade == Fault) && (f.Why == "" || f.Mend == "") {
			t.Errorf("%s: no why, or nothing that mends it", f.Topic)
		}
	}
	return findings
}

func TestRedis(t *testing.T) {
	s := redistest.Start(t)
	// A busy machine is far from its Redis, and an answer that comes seconds late tells the wrong time: then it is asked again.
	wantGrades := func(what, url, want string) {
		t.Helper()
		got := ""
		for late := time.Now().Add(30 * time.Second); time.Now().Before(late); {
			got = ""
			findings := clinic(t, url)
			for _, what := range []string{"distance", "version", "role", "clock", "output buffer for subscribers", "eviction", "persistence", "idle clients", "functions", "rights"} {
				got += what + " " + findings[what].Grade.String() + ", "
			}
			if got = strings.Replace(got, "distance warning", "distance ok", 1); got == want {
				return
			}
		}
		t.Errorf("%s: %s\nwant %s", what, got, want)
	}
	wantGrades("as it comes", s.URL, "distance ok, version ok, role ok, clock ok, output buffer for subscribers warning, eviction ok, persistence warning, "+
		"idle clients ok, functions warning, rights warning, ")
	s.Do("CONFIG", "SET", "client-output-buffer-limit", "pubsub 256mb 64mb 60")
	s.Do("CONFIG", "SET", "appendonly", "yes")
	s.Do("CONFIG", "SET", "maxmemory", "1gb")
	s.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	s.Do("FUNCTION", "LOAD", pubsub.FunctionLibrary())
	s.Do("ACL", "SETUSER", "gate", "on", ">pw", "~sluice:*", "~{sluice:*", "resetchannels", "&sluice:*", "+@all")
	user := strings.Replace(s.URL, "://", "://gate:pw@", 1)
	wantGrades("mended", user, "distance ok, version ok, role ok, clock ok, output buffer for subscribers ok, eviction warning, persistence ok, "+
		"idle clients ok, functions ok, rights ok, ")
	s.Do("ACL", "SETUSER", "gate", "-publish")
	if f := clinic(t, user)["rights"]; f.Grade != Fault || !strings.Contains(f.Seen, "publish") {
		t.Errorf("without the right to publish: %+v", f)
	}
	s.Do("ACL", "SETUSER", "gate", "+publish", "-role")
	if f := clinic(t, user)["rights"]; f.Grade != Good {
		t.Errorf("without the right to ask for the role, where that does not change: %+v", f)
	}
	if f := clinic(t, user, func(s *pubsub.Server) { s.Named = true })["rights"]; f.Grade != Fault || !strings.Contains(f.Seen, "role") {
		t.Errorf("without the right to ask for the role, where sentinels name the master: %+v", f)
	}

	replica := redistest.Start(t)
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	replica.Do("REPLICAOF", "127.0.0.1", port)
	if f := clinic(t, replica.URL)["role"]; f.Grade != Fault {
		t.Errorf("a replica: %+v", f)
	}
	gone := func(context.Context) ([]pubsub.Server, error) { return nil, errors.New("nobody answers") }
	if f := (Redis{Servers: gone, Timeout: time.Second}).Check(t.Context()); len(f) != 1 || f[0].Grade != Fault {
		t.Errorf("no Redis: %+v", f)
	}
}

// balancer is a server that accepts WebSockets and then does something with them.
func balancer(t *testing.T, then func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if _, err := ws.Upgrade(c); err == nil {
				then(c)
			}
			_ = c.Close()
		}
	}()
	return "ws://" + ln.Addr().String() + "/echo"
}

func TestBalancer(t *testing.T) {
	for _, row := range []struct {
		name string
		then func(net.Conn)
		idle time.Duration // that is waited for; a busy machine may take long for what comes
		want Grade
	}{
		{"the node pings", func(c net.Conn) { _ = ws.WriteFrame(c, ws.NewPingFrame(nil)); _, _ = ws.ReadHeader(c) }, time.Minute, Good},
		{"it is cut before", func(net.Conn) {}, time.Minute, Fault},
		{"nothing comes", func(c net.Conn) { _, _ = ws.ReadHeader(c) }, time.Second, Warning},
	} {
		t.Run(row.name, func(t *testing.T) {
			findings := Balancer{URL: balancer(t, row.then), Ping: time.Minute, Idle: row.idle}.Check(t.Context())
			if len(findings) != 2 || findings[0].Grade != Good || findings[1].Grade != row.want {
				t.Errorf("%+v", findings)
			}
		})
	}
	if f := (Balancer{URL: "ws://127.0.0.1:1/echo"}).Check(t.Context()); len(f) != 1 || f[0].Grade != Fault {
		t.Errorf("nobody listens: %+v", f)
	}
}

func TestExamine(t *testing.T) {
	var out strings.Builder
	report, err := Examine(t.Context(), &out, []Check{
		func(context.Context) []Finding { return []Finding{good("a", "fine")} },
		func(context.Context) []Finding {
			return []Finding{{Topic: "b", Grade: Fault, Seen: "bad", Why: "it hurts", Mend: "one\ntwo"}}
		},
	})
	const want = "ok       a: fine\nfault    b: bad\n         why:  it hurts\n         mend: one\n               two\n1 ok, 0 warnings, 1 faults, 0 unknown\n"
	if err != nil || out.String() != want || report.Count(Fault) != 1 {
		t.Errorf("%v, %q", err, out.String())
	}
}
