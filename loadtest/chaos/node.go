package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"sluice/loadtest/internal/history"
	"sluice/pubsub/redisproc"
)

// node is a place for a sluice; when it is killed another life begins there.
type node struct {
	index   int
	name    string
	program string
	redis   string
	config  string

	mu   sync.Mutex
	life *life   // guarded by mu; nil: none runs
	past []*life // guarded by mu; in order, the current one included
}

// life is one process.
type life struct {
	key    string // n1#1
	node   int
	public string // host:port for clients
	admin  string

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
	watch *watch
	born  int64 // Unix nanoseconds
	died  int64 // 0: with the run; for the goroutine that makes faults and judges

	mu     sync.Mutex
	killed bool     // guarded by mu; by the rig
	log    []string // guarded by mu; the end of it
}

const keptLines = 400

// start begins a new life and waits until it says where it listens.
func (n *node) start(ctx context.Context) error {
	n.mu.Lock()
	number := len(n.past) + 1
	n.mu.Unlock()
	l := &life{key: fmt.Sprintf("%s#%d", n.name, number), node: n.index, ended: make(chan struct{})}
	l.cmd = exec.Command(n.program, "--anonymous", "--config", n.config, "--node-id", n.name, "--redis", n.redis, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--queue-max", "64MiB", "--shutdown-timeout", "3s")
	// The kernel kills the node with the thread that started it, so that none outlives the rig.
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := l.cmd.StderrPipe()
	if err != nil {
		return err
	}
	started, listening := make(chan error), make(chan struct{})
	go func() { // ends with the process; kill and stop wait for it
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(l.ended)
		err := l.cmd.Start()
		started <- err
		if err == nil {
			l.follow(stderr, listening)
			_ = l.cmd.Wait() // killed nodes exit with an error; that is the point
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting %s: %w", n.program, err)
	}
	select {
	case <-listening:
	case <-l.ended:
		return fmt.Errorf("%s ended at once:\n%s", l.key, l.logText())
	case <-ctx.Done():
		l.end(syscall.SIGKILL)
		return ctx.Err()
	}
	l.watch, l.born = newWatch(l), now()
	n.mu.Lock()
	n.life, n.past = l, append(n.past, l)
	n.mu.Unlock()
	return nil
}

// follow keeps the end of the log, and finds out where the node listens.
func (l *life) follow(stderr io.Reader, listening chan<- struct{}) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l.mu.Lock()
		if l.log = append(l.log, lines.Text()); len(l.log) > keptLines {
			l.log = l.log[1:]
		}
		l.mu.Unlock()
		var line struct {
			Message string `json:"msg"`
			Listen  string `json:"listen"`
			Admin   string `json:"admin"`
		}
		if l.public == "" && json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "serving" {
			l.public, l.admin = line.Listen, line.Admin
			close(listening)
		}
	}
}

func (l *life) logText() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.log, "\n")
}

// current is the life that runs, nil if none does.
func (n *node) current() *life {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.life
}

// lives are all of them, the oldest first.
func (n *node) lives() []*life {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*life(nil), n.past...)
}

// kill is kill -9.
func (n *node) kill() {
	n.mu.Lock()
	l := n.life
	n.life = nil
	n.mu.Unlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	l.killed = true
	l.mu.Unlock()
	l.watch.lastWord()
	l.died = now()
	l.end(syscall.SIGKILL)
	l.watch.close()
}

// stop ends the node as a supervisor would.
func (n *node) stop() {
	n.mu.Lock()
	l := n.life
	n.life = nil
	n.mu.Unlock()
	if l != nil {
		l.watch.close()
		l.end(syscall.SIGTERM)
	}
}

// end sends a signal and waits for the process, not for ever.
func (l *life) end(sig syscall.Signal) {
	_ = l.cmd.Process.Signal(sig)             // it may be gone already
	_ = l.cmd.Process.Signal(syscall.SIGCONT) // a stopped one hears nothing but SIGKILL
	select {
	case <-l.ended:
	case <-time.After(10 * time.Second):
		_ = l.cmd.Process.Kill() // as above
		<-l.ended
	}
}

func (l *life) signal(sig syscall.Signal) error {
	if err := l.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%v for %s: %w", sig, l.key, err)
	}
	return nil
}

func (l *life) wasKilled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.killed
}

// watch asks a node again and again whether it is ready, and what it says that
// may have been missed.
type watch struct {
	life *life
	http *http.Client
	stop chan struct{}
	all  sync.WaitGroup

	mu        sync.Mutex
	samples   []sample             // guarded by mu
	windows   map[gapKey]gapRecord // guarded by mu; the last word on each
	forgotten int                  // guarded by mu; windows that the node kept no more
	silent    bool                 // guarded by mu; it has no /api/gaps
}

// sample is one answer of /readyz.
type sample struct {
	At     int64  `json:"at"`
	Ready  bool   `json:"ready"`
	Reason string `json:"reason,omitempty"`
}

type gapKey struct{ channel, link, cause, from string }

// gapRecord is a window as /api/gaps has it.
type gapRecord struct {
	Channel  string     `json:"channel"`
	Link     string     `json:"link"`
	Cause    string     `json:"cause"`
	From     time.Time  `json:"from"`
	To       *time.Time `json:"to"`
	Channels int        `json:"channels"`
	Seen     time.Time  `json:"seen"` // when the rig first read of it
}

const (
	sampleEvery = 50 * time.Millisecond
	tardy       = 250 * time.Millisecond // an answer that took longer says nothing about a moment
)

func newWatch(l *life) *watch {
	w := &watch{life: l, stop: make(chan struct{}), windows: map[gapKey]gapRecord{},
		http: &http.Client{Timeout: time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2}}}
	w.all.Go(w.run)
	return w
}

func (w *watch) run() {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-w.stop:
			return
		}
		w.sample()
		if n%5 == 0 {
			w.look()
		}
	}
}

func (w *watch) sample() {
	began := time.Now()
	status, body, err := w.get(w.http, "/readyz")
	if err != nil || time.Since(began) > tardy {
		return
	}
	s := sample{At: time.Now().UnixNano(), Ready: status == http.StatusOK}
	if !s.Ready {
		s.Reason = strings.TrimSpace(string(body))
	}
	w.mu.Lock()
	w.samples = append(w.samples, s)
	w.mu.Unlock()
}

// look reads /api/gaps. A node without it tells nothing.
func (w *watch) look() { w.lookWith(w.http) }

// lastWord is look for as long as it takes: what the node has not told by now, nobody will ever hear.
func (w *watch) lastWord() {
	w.lookWith(&http.Client{Timeout: redisproc.Patience, Transport: w.http.Transport})
}

func (w *watch) lookWith(client *http.Client) {
	status, body, err := w.get(client, "/api/gaps")
	if err != nil {
		return
	}
	var answer struct {
		Forgotten int         `json:"forgotten"`
		Gaps      []gapRecord `json:"gaps"`
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.silent = status != http.StatusOK || json.Unmarshal(body, &answer) != nil; w.silent {
		return
	}
	w.forgotten = answer.Forgotten
	for _, g := range answer.Gaps {
		key := gapKey{g.Channel, g.Link, g.Cause, g.From.String()}
		if g.Seen = w.windows[key].Seen; g.Seen.IsZero() {
			g.Seen = time.Now()
		}
		w.windows[key] = g
	}
}

func (w *watch) get(client *http.Client, path string) (int, []byte, error) {
	response, err := client.Get("http://" + w.life.admin + path)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// close looks a last time and ends the watch.
func (w *watch) close() {
	close(w.stop)
	w.all.Wait()
	w.lastWord()
	w.http.CloseIdleConnections()
}

// ready is the last answer.
func (w *watch) ready() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.samples) > 0 && w.samples[len(w.samples)-1].Ready
}

// reason is why the last answer was no.
func (w *watch) reason() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.samples) == 0 {
		return "it does not answer"
	}
	return w.samples[len(w.samples)-1].Reason
}

func (w *watch) told() []history.Window {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []history.Window
	for _, g := range w.windows {
		h := history.Window{Node: w.life.key, Channel: g.Channel, Link: g.Link, Seen: g.Seen.UnixNano()}
		if g.From.Year() >= 1970 { // no beginning: since ever
			h.From = g.From.UnixNano()
		}
		if g.To != nil {
			h.To = g.To.UnixNano()
		}
		list = append(list, h)
	}
	return list
}
