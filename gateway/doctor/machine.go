package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is what is asked of the machine.
type Machine struct {
	Connections int    // that the node is to hold; 0: as many as it can
	Root        string // where /proc lies; "" is /
}

// What one connection costs, for sums (deploy/kernel has the measurements).
const (
	heapPerConnection   = 2 << 10 // bytes of the process, with some room
	kernelPerConnection = 4 << 10 // bytes of the kernel, while nothing waits
	spareFiles          = 256     // that a node needs besides clients
)

// Checks are those of the machine.
func (m Machine) Checks() []Check {
	return []Check{
		m.openFiles,
		m.atLeast("net/core/somaxconn", "accept queue", 4096,
			"when many clients come at once, after a deploy, the kernel drops connections that the node has not accepted yet, and they wait a second or more to try again"),
		m.atLeast("net/ipv4/tcp_max_syn_backlog", "half-open connections", 4096,
			"when many clients come at once the kernel drops the first packets of some"),
		m.ports,
		m.conntrack,
		m.memory,
	}
}

func (m Machine) read(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join("/"+m.Root, "proc/sys", name))
	return strings.TrimSpace(string(b)), err
}

func (m Machine) number(name string) (int, error) {
	text, err := m.read(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// sysctl is the command that sets a number for good.
func sysctl(name string, value any) string {
	key := strings.ReplaceAll(name, "/", ".")
	return fmt.Sprintf("echo '%s = %v' | sudo tee -a /etc/sysctl.d/99-sluice.conf && sudo sysctl --system", key, value)
}

func (m Machine) atLeast(name, topic string, least int, why string) Check {
	return func(context.Context) []Finding {
		n, err := m.number(name)
		if err != nil {
			return []Finding{unknown(topic, err)}
		}
		f := good(topic, fmt.Sprintf("%d (%s)", n, strings.ReplaceAll(name, "/", ".")))
		if n < least {
			f.Grade, f.Why, f.Mend = Warning, why, sysctl(name, least)
		}
		return []Finding{f}
	}
}

// openFiles: a connection is an open file.
func (m Machine) openFiles(context.Context) []Finding {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return []Finding{unknown("open files", err)}
	}
	hold := int(min(limit.Max, 1<<30)) - spareFiles
	f := good("open files", fmt.Sprintf("%d, for %d connections (the node raises the soft limit, %d, to that by itself)", limit.Max, hold, limit.Cur))
	wanted := max(m.Connections, 65_536-spareFiles)
	if hold < wanted {
		f.Grade = Warning
		if m.Connections > hold {
			f.Grade = Fault
		}
		f.Why = fmt.Sprintf("every connection is an open file: beyond %d clients are answered 503", hold)
		f.Mend = "in the systemd unit: LimitNOFILE=1048576; in Docker: --ulimit nofile=1048576; in a shell: ulimit -Hn 1048576, as root"
	}
	findings := []Finding{f}
	if n, err := m.number("fs/nr_open"); err == nil && n < wanted+spareFiles {
		findings = append(findings, Finding{Topic: "open files of one process", Grade: Warning, Seen: fmt.Sprintf("%d (fs.nr_open)", n),
			Why: "no limit of open files can be set above it", Mend: sysctl("fs/nr_open", 1_048_576)})
	}
	return findings
}

// ports: a balancer on this machine, and the node itself towards Redis, connect from
// them.
func (m Machine) ports(context.Context) []Finding {
	const name, topic = "net/ipv4/ip_local_port_range", "ports for outgoing connections"
	text, err := m.read(name)
	if err != nil {
		return []Finding{unknown(topic, err)}
	}
	var low, high int
	if _, err := fmt.Sscan(text, &low, &high); err != nil {
		return []Finding{unknown(topic, err)}
	}
	f := good(topic, fmt.Sprintf("%d (net.ipv4.ip_local_port_range %d to %d)", high-low+1, low, high))
	if high-low+1 < 50_000 {
		f.Grade = Warning
		f.Why = "a load balancer on this machine can open no more connections than that from one address to one node: 28,232 by default, whatever the node could hold"
		f.Mend = sysctl(name, "1024 65535") + "\nor give the balancer several source addresses, or the node several ports"
	}
	return []Finding{f}
}

// conntrack: where the firewall follows connections, its table is a limit too.
func (m Machine) conntrack(context.Context) []Finding {
	const name, topic = "net/netfilter/nf_conntrack_max", "connections that the firewall follows"
	n, err := m.number(name)
	if errors.Is(err, fs.ErrNotExist) {
		return []Finding{good(topic, "it follows none")}
	}
	if err != nil {
		return []Finding{unknown(topic, err)}
	}
	f := good(topic, fmt.Sprintf("%d (net.netfilter.nf_conntrack_max)", n))
	if wanted := max(2*m.Connections, 262_144); n < wanted {
		f.Grade = Warning
		f.Why = "when its table is full the kernel drops packets of new connections, and says so in the kernel log only"
		f.Mend = sysctl(name, wanted)
	}
	return []Finding{f}
}

// memory: what the connections take, of the process and of the kernel.
func (m Machine) memory(context.Context) []Finding {
	const topic = "memory"
	b, err := os.ReadFile(filepath.Join("/"+m.Root, "proc/meminfo"))
	if err != nil {
		return []Finding{unknown(topic, err)}
	}
	var kib int
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				return []Finding{unknown(topic, err)}
			}
		}
	}
	holds := kib << 10 / (heapPerConnection + kernelPerConnection)
	f := good(topic, fmt.Sprintf("%d MiB, for some %d idle connections at 2 KiB of the process and 4 KiB of the kernel each", kib>>10, holds))
	if m.Connections > holds*3/4 {
		f.Grade = Warning
		f.Why = fmt.Sprintf("connections.max is %d: without room for what waits for slow clients the kernel ends the process", m.Connections)
		f.Mend = "lower connections.max, or add nodes"
	}
	return []Finding{f}
}
