package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"sluice/loadtest/internal/proof"
)

// events is a small server of event streams, which net/http sends in chunks. As a publisher it broadcasts, but what lose wants.
type events struct {
	*httptest.Server
	lose func(subscriber int, s proof.Stamp) bool // nil: nothing

	mu      sync.Mutex
	streams map[string][]http.ResponseWriter // guarded by mu, and so is writing to them
}

func newEvents(t *testing.T) *events {
	e := &events{streams: map[string][]http.ResponseWriter{}}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("channel")
	w.Header().Set("Content-Type", "text/event-stream")
	e.mu.Lock()
	_, _ = fmt.Fprint(w, ": welcome\n\nevent: ready\ndata: \n\n") // a client that is gone ends the request
	_ = http.NewResponseController(w).Flush()
	at := len(e.streams[name])
	e.streams[name] = append(e.streams[name], w)
	e.mu.Unlock()
	<-r.Context().Done()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.streams[name][at] = nil
}

func (e *events) publish(_ context.Context, batch []publication) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range batch {
		s, err := proof.Parse(m.payload, len(m.payload))
		for i, w := range e.streams[m.channel] {
			if w == nil || err == nil && s.Kind == proof.Data && e.lose != nil && e.lose(i, s) {
				continue
			}
			_, _ = fmt.Fprintf(w, "id: 1\ndata: %s\n\n", m.payload) // as above
			_ = http.NewResponseController(w).Flush()
		}
	}
	return nil
}

func (e *events) close() error { return nil }

// TestEventStreamsAreProved: an http:// URL is subscribed to like a ws:// one.
func TestEventStreamsAreProved(t *testing.T) {
	for _, lost := range []int64{0, 1} {
		e := newEvents(t)
		quiet := "5s"
		if lost > 0 {
			e.lose = func(i int, s proof.Stamp) bool { return i == 3 && s.Seq == 10 }
			quiet = "400ms" // what is lost is waited for
		}
		report, table, err := load(t, e, "fanout", "--url", e.URL+"/sse?channel={channel}", "-n", "50", "--warmup", "0s", "--for", "120s", "--messages", "40", "--burst", "8", "--quiet", quiet)
		if report.Traffic == nil || (err == nil) != (lost == 0) {
			t.Fatalf("%v\n%s", err, table)
		}
		if want := (proof.Counts{Delivered: 50*40 - lost, Missing: lost}); report.Traffic.Proof != want {
			t.Errorf("got  %+v\nwant %+v", report.Traffic.Proof, want)
		}
	}
}

func TestIdleEventStreams(t *testing.T) {
	e := newEvents(t)
	report, table, err := load(t, e, "idle", "--url", e.URL+"/sse?channel=news", "-n", "50", "--for", "10ms")
	if err != nil || report.Connections.Opened != 50 {
		t.Errorf("%v\n%s", err, table)
	}
}
