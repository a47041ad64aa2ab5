package meter

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: USER_HZ, which is 100 on every Linux architecture that Go supports.
const tick = time.Second / 100

// Usage is what a process has used up to a moment, or, as a difference, between two. JSON times are in ns.
type Usage struct {
	User    time.Duration `json:"cpu_user_ns"`    // resolution 10 ms
	System  time.Duration `json:"cpu_system_ns"`  // resolution 10 ms
	RSS     int64         `json:"rss_bytes"`      // VmRSS: all resident memory
	RSSAnon int64         `json:"rss_anon_bytes"` // RssAnon, and RssShmem: some servers hold messages in memory that their processes share
	Threads int64         `json:"threads"`
	Files   int64         `json:"files"` // open descriptors; -1: not allowed to look
}

// CPU is user and system time together.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// Sub is u less an earlier snapshot.
func (u Usage) Sub(o Usage) Usage {
	return Usage{u.User - o.User, u.System - o.System, u.RSS - o.RSS, u.RSSAnon - o.RSSAnon, u.Threads - o.Threads, u.Files - o.Files}
}

// Process is a running process.
type Process struct {
	pid  int
	name string // from /proc/PID/comm
}

// Open finds the process with pid.
func Open(pid int) (*Process, error) {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return nil, fmt.Errorf("no process %d to measure (it must run on this machine): %w", pid, err)
	}
	return &Process{pid: pid, name: strings.TrimSpace(string(name))}, nil
}

// Name is the command's name.
func (p *Process) Name() string { return p.name }

// Sample reads the process' usage now. It fails when the process has ended.
func (p *Process) Sample() (Usage, error) {
	u, err := p.Brief()
	if err != nil {
		return Usage{}, err
	}
	u.Files = -1
	if fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid)); err == nil {
		u.Files = int64(len(fds))
	}
	return u, nil
}

// Brief is Sample without Files, whose number takes the kernel time where there are many.
func (p *Process) Brief() (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return Usage{}, fmt.Errorf("process %d (%s) is gone: %w", p.pid, p.name, err)
	}
	u, err := parseStat(stat)
	if err != nil {
		return Usage{}, fmt.Errorf("process %d (%s): %w", p.pid, p.name, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return Usage{}, fmt.Errorf("process %d (%s) is gone: %w", p.pid, p.name, err)
	}
	parseStatus(status, &u)
	return u, nil
}

// parseStat takes utime and stime, fields 14 and 15, from /proc/PID/stat. The second field is the command in brackets and may
// hold anything, brackets and blanks too.
func parseStat(stat []byte) (Usage, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const utime, stime = 14 - 3, 15 - 3 // the first field left is the third
	if len(fields) <= stime {
		return Usage{}, fmt.Errorf("/proc stat has %d fields", len(fields))
	}
	user, errU := strconv.ParseInt(fields[utime], 10, 64)
	system, errS := strconv.ParseInt(fields[stime], 10, 64)
	if errU != nil || errS != nil {
		return Usage{}, fmt.Errorf("/proc stat: CPU times %q and %q", fields[utime], fields[stime])
	}
	return Usage{User: time.Duration(user) * tick, System: time.Duration(system) * tick}, nil
}

func parseStatus(status []byte, u *Usage) {
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		n, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			continue // a line of text
		}
		switch name {
		case "VmRSS":
			u.RSS = n << 10
		case "RssAnon":
			u.RSSAnon += n << 10
		case "RssShmem":
			u.RSSAnon += n << 10
		case "Threads":
			u.Threads = n
		}
	}
}
