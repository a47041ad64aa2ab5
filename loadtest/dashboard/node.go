package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/loadtest/internal/child"
	"sluice/pubsub/redisproc"
)

// nodeConfig is the nodes' file.
const nodeConfig = `namespaces:
  - {name: plain, policy: latest}
  - {name: durable, durable: true, presence: true, see_presence: anyone, join_leave: true}
`

const apiKey = "0123456789abcdef"

// node is a place for a sluice: where one has ended another one is started.
type node struct {
	name, program string
	public, admin string // host:port
	flags         []string
	process       *child.Child // nil: none has been started
	leaving       atomic.Bool  // the front sends nobody there
	connections   atomic.Int64 // of the front
}

func newNode(program, name, config, redis string, window time.Duration) (*node, error) {
	n := &node{name: name, program: program}
	for _, address := range []*string{&n.public, &n.admin} {
		port, err := redisproc.FreePort()
		if err != nil {
			return nil, err
		}
		*address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	n.flags = []string{"--config", config, "--node-id", name, "--redis", redis, "--listen", n.public, "--admin", n.admin, "--anonymous", "--echo",
		"--drain-delay", "1s", "--drain-window", window.String(), "--queue-max", "64KiB", "--message-max", "64KiB", "--api-key", apiKey}
	return n, nil
}

// start starts the process and waits until it is ready.
func (n *node) start(ctx context.Context) (err error) {
	if n.process, err = child.Start(exec.Command(n.program, n.flags...)); err != nil {
		return err
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(patience); ; {
		response, err := client.Get("http://" + n.admin + "/readyz")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				n.leaving.Store(false)
				return nil
			}
		}
		if n.process.Ended() || time.Now().After(end) {
			return fmt.Errorf("%s does not become ready: %w\n%s", n.name, err, n.process.Output())
		}
		if err := hold(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// drain has the node leave, as in a deploy.
func (n *node) drain() error {
	n.leaving.Store(true)
	if err := n.process.End(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s: %w\n%s", n.name, err, n.process.Output())
	}
	return nil
}

func (n *node) kill() {
	n.leaving.Store(true)
	if n.process != nil {
		_ = n.process.End(syscall.SIGKILL) // that is how
	}
}
