package meter

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Self is the CPU time of this process so far.
func Self() time.Duration {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0 // cannot fail for RUSAGE_SELF and a valid address
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// MachineCPU is the CPU time that all processes and interrupts of this machine have used so far, over all cores; stolen is
// what a hypervisor has withheld.
func MachineCPU() (busy, stolen time.Duration, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	return parseMachine(string(stat))
}

// parseMachine reads the first line of /proc/stat: user nice system idle iowait irq softirq steal guest guest_nice.
func parseMachine(stat string) (busy, stolen time.Duration, err error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/stat begins with %q", line)
		}
		switch i {
		case 3, 4: // idle, iowait
		case 7:
			stolen = time.Duration(n) * tick
		default:
			busy += time.Duration(n) * tick
		}
	}
	return busy, stolen, nil
}

// cores is how many processors the kernel gives figures for in /proc/stat: those of this machine, where runtime.NumCPU
// tells of those that this process may use. 0: it gives none.
func cores(stat string) (n int) {
	for line := range strings.Lines(stat) {
		if number, ok := strings.CutPrefix(line, "cpu"); ok && number != "" && number[0] >= '0' && number[0] <= '9' {
			n++
		}
	}
	return n
}

// Cores is how many processors this machine has, whichever of them this process may use.
func Cores() int {
	stat, _ := os.ReadFile("/proc/stat") // without it: those that this process may use
	return max(cores(string(stat)), runtime.NumCPU())
}

// ListenOverflows is how many connections the kernel has turned away so far because a listener's queue was full, of all listeners
// of this machine. A client tries again after 1 s, 3 s, 7 s …
func ListenOverflows() (int64, error) {
	text, err := os.ReadFile("/proc/net/netstat")
	if err != nil {
		return 0, err
	}
	return parseOverflows(string(text))
}

// parseOverflows reads /proc/net/netstat: a line of names, a line of values, for each protocol.
func parseOverflows(text string) (int64, error) {
	lines := strings.Split(text, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if at := slices.Index(names, "ListenOverflows"); at >= 0 && at < len(values) {
			return strconv.ParseInt(values[at], 10, 64)
		}
	}
	return 0, errors.New("/proc/net/netstat has no ListenOverflows")
}

// Machine describes where a run took place.
type Machine struct {
	Cores  int    `json:"cores"`
	CPU    string `json:"cpu"`
	Kernel string `json:"kernel"`
	Go     string `json:"generator_go"`
}

// Describe is this machine. What cannot be found out is left empty.
func Describe() Machine {
	m := Machine{Cores: Cores(), Go: runtime.Version()}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(release))
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	return m
}
