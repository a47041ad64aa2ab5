package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"sluice/pubsub/redisproc"
)

// process is a child that ends with the thread that started it, so that none outlives the rig.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended; then err is set
	err   error

	mu   sync.Mutex
	tail []string // guarded by mu; the last lines that it wrote
}

const keptLines = 200

// start starts cmd; each line that it writes to standard error is handed to line, too.
func start(cmd *exec.Cmd, line func(string)) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() { // ends with the process; end waits for it
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			p.follow(out, line)
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return p, nil
}

func (p *process) follow(out io.Reader, line func(string)) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		if p.tail = append(p.tail, lines.Text()); len(p.tail) > keptLines {
			p.tail = p.tail[1:]
		}
		p.mu.Unlock()
		line(lines.Text())
	}
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}

// end asks the process to end, and makes it after some time.
func (p *process) end() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill() // as above
		<-p.ended
	}
}

// node is a place for a sluice: where one has ended another one is started. All but life belongs to the rig.
type node struct {
	name    string
	program string
	flags   []string
	public  string // host:port for clients
	admin   string

	mu   sync.Mutex
	life *process // guarded by mu; nil: none runs

	logMu sync.Mutex
	odd   []string // guarded by logMu; warnings and errors of all lives
	cut   int64    // guarded by logMu; connections that were cut at the end of a drain
	runs  bool     // guarded by logMu; this life serves: what it warns of before is the configuration
}

func newNode(o *options, redis, config string, number int) (*node, error) {
	n := &node{name: fmt.Sprintf("node%d", number), program: o.Program}
	var err error
	if n.public, err = freeAddress(); err != nil {
		return nil, err
	}
	if n.admin, err = freeAddress(); err != nil {
		return nil, err
	}
	n.flags = []string{"--config", config, "--node-id", n.name, "--redis", redis, "--listen", n.public, "--admin", n.admin, "--anonymous",
		"--proxy-protocol", "v2", "--proxy-from", "127.0.0.1", "--drain-delay", o.Delay.String(), "--drain-window", o.Window.String(),
		"--connections-max-age", o.MaxAge.String()}
	return n, nil
}

func freeAddress() (string, error) {
	port, err := redisproc.FreePort()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}

// begin starts the process and waits until it says that it serves.
func (n *node) begin(ctx context.Context) error {
	serving := make(chan struct{})
	var once sync.Once
	n.logMu.Lock()
	n.runs = false
	n.logMu.Unlock()
	p, err := start(exec.Command(n.program, n.flags...), func(line string) {
		if n.read(line) {
			once.Do(func() { close(serving) })
		}
	})
	if err != nil {
		return err
	}
	select {
	case <-serving:
	case <-p.ended:
		return fmt.Errorf("%s ended at once:\n%s", n.name, p.text())
	case <-ctx.Done():
		p.end()
		return ctx.Err()
	}
	n.mu.Lock()
	n.life = p
	n.mu.Unlock()
	return nil
}

// read takes a line of the log, and reports whether it says that the node serves.
func (n *node) read(text string) bool {
	var line struct {
		Level       string `json:"level"`
		Message     string `json:"msg"`
		Connections int64  `json:"connections"`
	}
	if json.Unmarshal([]byte(text), &line) != nil {
		return false
	}
	n.logMu.Lock()
	defer n.logMu.Unlock()
	if line.Level != "info" && n.runs && len(n.odd) < maxOdd {
		n.odd = append(n.odd, n.name+": "+text)
	}
	if line.Message == "connections were cut that did not end in time" {
		n.cut += line.Connections
	}
	n.runs = n.runs || line.Message == "serving"
	return line.Message == "serving"
}

const maxOdd = 100 // lines

// current is the process that runs, nil if none does.
func (n *node) current() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.life
}

// terminate sends SIGTERM and waits until the process has ended by itself.
func (n *node) terminate(ctx context.Context) error {
	p := n.current()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s has ended before its time: %w\n%s", n.name, err, p.text())
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	n.mu.Lock()
	n.life = nil
	n.mu.Unlock()
	if p.err != nil {
		return fmt.Errorf("%s ended with %w\n%s", n.name, p.err, p.text())
	}
	return nil
}

// end is the end of the run.
func (n *node) end() {
	if p := n.current(); p != nil {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // the clients have gone
		time.AfterFunc(100*time.Millisecond, func() { _ = p.cmd.Process.Signal(syscall.SIGTERM) })
		p.end()
	}
}
