package main

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// state is how a node was.
type state string

const (
	stateDown    state = "down"    // no process answers
	stateWaiting state = "waiting" // it answers, and is not ready yet
	stateReady   state = "ready"
	stateLeaving state = "leaving" // it has been told to end
)

// sample is how a node was at a moment, Unix nanoseconds.
type sample struct {
	At          int64 `json:"at"`
	State       state `json:"state"`
	Connections int64 `json:"connections"`
}

// watch asks a node again and again how it is.
type watch struct {
	node *node
	http *http.Client
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	samples []sample // guarded by mu
}

const sampleEvery = 250 * time.Millisecond

func newWatch(n *node) *watch {
	w := &watch{node: n, stop: make(chan struct{}), http: &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}}
	w.done.Go(w.run)
	return w
}

func (w *watch) run() {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-w.stop:
			w.http.CloseIdleConnections()
			return
		}
		s := w.look()
		w.mu.Lock()
		w.samples = append(w.samples, s)
		w.mu.Unlock()
	}
}

func (w *watch) look() sample {
	s := sample{At: time.Now().UnixNano(), State: stateDown}
	status, body, err := w.get("/readyz")
	switch {
	case err != nil:
		return s
	case status == http.StatusOK:
		s.State = stateReady
	case strings.Contains(body, "going away"):
		s.State = stateLeaving
	default:
		s.State = stateWaiting
	}
	if _, body, err = w.get("/metrics"); err == nil {
		s.Connections = int64(metric(body, "sluice_subscriptions"))
	}
	return s
}

func (w *watch) get(path string) (int, string, error) {
	response, err := w.http.Get("http://" + w.node.admin + path)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// metric is the value of one without labels.
func metric(page, name string) float64 {
	lines := bufio.NewScanner(strings.NewReader(page))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(rest, 64)
			if err == nil {
				return v
			}
		}
	}
	return 0
}

// last is the newest sample.
func (w *watch) last() sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.samples) == 0 {
		return sample{}
	}
	return w.samples[len(w.samples)-1]
}

func (w *watch) close() {
	close(w.stop)
	w.done.Wait()
}
