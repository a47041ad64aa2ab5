package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// perFront is how many clients one HAProxy takes: two sockets each, below the 20,000 open files that a process may have in many places.
const perFront = 8000

// front is a HAProxy before the nodes.
type front struct {
	*process
	address string
}

// edit is the one line that is taken out of the file, and what is put in its place.
type edit struct{ was, is string }

// frontConfig writes the file of deploy/haproxy without TLS, and with all nodes, into a directory.
func frontConfig(source, dir string, nodes int) (string, error) {
	b, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	servers := ""
	for i := range nodes {
		servers += fmt.Sprintf("    server node%d \"${LB_NODE_%d}\"\n", i+1, i+1)
	}
	for _, e := range []edit{
		{"    bind \"${LB_LISTEN}\" ssl crt \"${LB_CERT}\" alpn h2,http/1.1\n", "    bind \"${LB_LISTEN}\"\n"},
		{"    server node1 \"${LB_NODE_1}\"\n    server node2 \"${LB_NODE_2}\"\n", servers},
	} {
		if bytes.Count(b, []byte(e.was)) != 1 {
			return "", fmt.Errorf("%s does not have this once, which the rig replaces:\n%s", source, e.was)
		}
		b = bytes.Replace(b, []byte(e.was), []byte(e.is), 1)
	}
	file := filepath.Join(dir, "haproxy.cfg")
	return file, os.WriteFile(file, b, 0o600)
}

// startFront starts a HAProxy and waits until it takes connections.
func startFront(file string, nodes []*node, clients int, slowstart time.Duration) (*front, error) {
	f := &front{}
	var addresses [3]string
	for i := range addresses {
		var err error
		if addresses[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	f.address = addresses[0]
	cmd := exec.Command("haproxy", "-db", "-f", file)
	cmd.Env = append(os.Environ(), "LB_LISTEN="+f.address, "LB_PLAIN="+addresses[1], "LB_STATS="+addresses[2],
		fmt.Sprintf("LB_MAXCONN=%d", clients+clients/10+200), fmt.Sprintf("LB_SLOWSTART=%dms", slowstart.Milliseconds()))
	for i, n := range nodes {
		cmd.Env = append(cmd.Env, fmt.Sprintf("LB_NODE_%d=%s", i+1, n.public))
	}
	var err error
	if f.process, err = start(cmd, func(string) {}); err != nil {
		return nil, err
	}
	for end := time.Now().Add(30 * time.Second); ; {
		c, err := net.Dial("tcp", f.address)
		if err == nil {
			c.Close()
			return f, nil
		}
		select {
		case <-f.ended:
			return nil, fmt.Errorf("HAProxy ended: %w\n%s", f.err, strings.TrimSpace(f.text()))
		default:
		}
		if time.Now().After(end) {
			f.end()
			return nil, fmt.Errorf("HAProxy takes no connections: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
