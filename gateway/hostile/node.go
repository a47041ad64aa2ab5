package hostile

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Patience bounds everything that should happen. It is generous: machines that
// run tests are busy.
const Patience = 30 * time.Second

// Node is a sluice that runs as a process of its own.
type Node struct {
	Public string // host:port for clients
	Admin  string // host:port of /metrics
	Redis  string // host:port of its embedded broker

	// Preamble is what well-behaved clients send before their request: the PROXY
	// header, where the node wants one.
	Preamble string

	// TLS is what well-behaved clients speak it with; nil: the node speaks none.
	TLS *tls.Config

	cmd   *exec.Cmd
	log   io.ReadCloser
	deaf  sync.Mutex // held by who wants the log not to be read
	http  *http.Client
	ended chan struct{} // closed when the process has ended and its log is read
	err   error         // how it ended; read after ended

	mu    sync.Mutex
	lines []LogLine // guarded by mu
}

// LogLine is a line of the node's log.
type LogLine struct {
	Time    time.Time `json:"ts"`
	Level   string    `json:"level"`
	Message string    `json:"msg"`
	Listen  string    `json:"listen"`
	Admin   string    `json:"admin"`
	Redis   string    `json:"redis"`

	Text string `json:"-"` // as it came
}

// Start starts program with --dev on free ports of loopback and an embedded
// broker of its own, and waits until it is ready. Later flags win. Stop must be
// called.
func Start(ctx context.Context, program string, flags ...string) (*Node, error) {
	base := []string{"--dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--redis", "embedded://127.0.0.1:0", "--shutdown-timeout", "5s"}
	return StartCommand(ctx, exec.Command(program, append(base, flags...)...))
}

// StartCommand is Start for a command line that ends in running such a node.
func StartCommand(ctx context.Context, cmd *exec.Cmd) (*Node, error) {
	n := &Node{cmd: cmd, ended: make(chan struct{}), http: &http.Client{Timeout: Patience, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that dies leaves no node behind
	var err error
	if n.log, err = cmd.StderrPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	go n.follow()
	if err := n.waitReady(ctx); err != nil {
		return nil, errors.Join(err, n.Kill())
	}
	return n, nil
}

// follow reads the log until the process ends.
func (n *Node) follow() {
	lines := bufio.NewScanner(n.log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		n.deaf.Lock()
		n.deaf.Unlock() //nolint:staticcheck // waiting is all that is wanted
		line := LogLine{Text: lines.Text()}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			line.Level, line.Message = "raw", line.Text // a crash, or the race detector
		}
		n.mu.Lock()
		n.lines = append(n.lines, line)
		n.mu.Unlock()
	}
	n.err = n.cmd.Wait()
	close(n.ended)
}

// Log is the log so far.
func (n *Node) Log() []LogLine {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]LogLine(nil), n.lines...)
}

func (n *Node) waitReady(ctx context.Context) error {
	return Eventually(ctx, func() error {
		select {
		case <-n.ended:
			return fmt.Errorf("%w: the node ended: %w\n%s", ErrHopeless, n.err, n.LogText())
		default:
		}
		for _, line := range n.Log() {
			switch line.Message {
			case "serving":
				n.Public, n.Admin = line.Listen, line.Admin
			case "connected to Redis":
				n.Redis = line.Redis
			}
		}
		if n.Public == "" || n.Redis == "" {
			return errors.New("the node has not said where it listens")
		}
		_, err := n.get("/readyz")
		return err
	})
}

// LogText is the end of the log, for people.
func (n *Node) LogText() string {
	lines := n.Log()
	var b strings.Builder
	for _, line := range lines[max(0, len(lines)-60):] {
		b.WriteString(line.Text + "\n")
	}
	return b.String()
}

// PID is the node's process.
func (n *Node) PID() int { return n.cmd.Process.Pid }

// Alive is nil while the process runs.
func (n *Node) Alive() error {
	select {
	case <-n.ended:
		return fmt.Errorf("%w: the node has ended: %w\n%s", ErrHopeless, n.err, n.LogText())
	default:
		return nil
	}
}

// Signal sends the process a signal.
func (n *Node) Signal(s syscall.Signal) error { return n.cmd.Process.Signal(s) }

// Wait waits for the process to end by itself and returns how it did.
func (n *Node) Wait(ctx context.Context) error {
	defer n.http.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	select {
	case <-n.ended:
		return n.err
	case <-ctx.Done():
		return errors.Join(errors.New("the node did not end in time"), n.Kill())
	}
}

// Stop ends the node as a supervisor would. Its error is a node that ended with
// a failure, or that had to be killed.
func (n *Node) Stop(ctx context.Context) error {
	if err := n.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return n.Wait(ctx)
}

// Kill ends the node at once.
func (n *Node) Kill() error {
	defer n.http.CloseIdleConnections()
	if err := n.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-n.ended
	return nil
}

func (n *Node) get(path string) (string, error) {
	response, err := n.http.Get("http://" + n.Admin + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != 200 {
		err = fmt.Errorf("%s answered %s: %s", path, response.Status, body)
	}
	return string(body), err
}

// Figures are the node's metrics, by name with labels.
type Figures map[string]float64

// Figures reads /metrics.
func (n *Node) Figures() (Figures, error) {
	body, err := n.get("/metrics")
	if err != nil {
		return nil, err
	}
	f := Figures{}
	for line := range strings.Lines(body) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || line[0] == '#' {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			f[name] = v
		}
	}
	return f, nil
}

// Descriptors counts the process's open files.
func (n *Node) Descriptors() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.PID()))
	return len(entries), err
}

// RSS is the process's resident memory in bytes.
func (n *Node) RSS() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", n.PID()))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm says %q", b)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// Collect has the process collect its garbage, and returns RSS after that.
func (n *Node) Collect() (int64, error) {
	if _, err := n.get("/debug/pprof/heap?gc=1"); err != nil {
		return 0, err
	}
	return n.RSS()
}

// CPU is the processor time that the process has used.
func (n *Node) CPU() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.PID()))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat says %q", b)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, err // USER_HZ is 100 wherever Linux runs
}

// ErrHopeless is wrapped by what no waiting makes good.
var ErrHopeless = errors.New("hopeless")

// Eventually calls check until it is nil, for as long as Patience lasts.
func Eventually(ctx context.Context, check func() error) error {
	for deadline := time.Now().Add(Patience); ; {
		err := check()
		if err == nil || errors.Is(err, ErrHopeless) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
