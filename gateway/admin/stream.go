package admin

import (
	"bytes"
	"context"
	"net/http"
	"time"
)

// A stream is an answer that goes on until the page goes: server-sent events. It has
// net/http's goroutine to itself, so how many there are is bounded.
const (
	maxStreams = 32               // of all kinds
	maxTails   = 8                // of them, those that follow channels, each with a connection to Redis of its own
	sendTime   = 10 * time.Second // that a page may take to read one event
)

// seats are places for a bounded number of streams.
type seats chan struct{}

func (s seats) take() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s seats) leave() { <-s }

// closing is the key under which a listener's requests find the context that ends when it
// closes.
type closing struct{}

// outgoing is one stream that is being written.
type outgoing struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// beginStream answers r with a stream, and returns the context that holds until the page or
// the listener goes.
func beginStream(w http.ResponseWriter, r *http.Request) (*outgoing, context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	if listening, ok := ctx.Value(closing{}).(context.Context); ok {
		forget, end := context.AfterFunc(listening, cancel), cancel
		cancel = func() { forget(); end() }
	}
	o := &outgoing{w, http.NewResponseController(w)}
	_ = o.rc.SetReadDeadline(time.Time{}) // or the request would end with it; what cannot be set has none
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy in between holds nothing back
	return o, ctx, cancel
}

// send writes one event. data must be one line. An error means that the page has gone.
func (o *outgoing) send(event string, data []byte) error {
	_ = o.rc.SetWriteDeadline(time.Now().Add(sendTime)) // a server that cannot set it does without
	var b bytes.Buffer
	b.WriteString("event: " + event + "\ndata: ")
	b.Write(data)
	b.WriteString("\n\n")
	if _, err := o.w.Write(b.Bytes()); err != nil {
		return err
	}
	return o.rc.Flush()
}

// serveOverview answers with the newest overview.
func (l *listener) serveOverview(w http.ResponseWriter, _ *http.Request) {
	if l.Watch == nil {
		refuse(w, http.StatusNotImplemented, codeNotAvailable, "this node does not watch itself")
		return
	}
	latest, _ := l.Watch.now()
	if latest == nil {
		refuse(w, http.StatusServiceUnavailable, codeInternal, "the node has only just begun: ask again")
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(append(bytes.Clone(latest), '\n')) // fails only when the caller has gone
}

// serveLive streams the samples of the last minutes, the overview of a minute ago, and then
// one a second.
func (l *listener) serveLive(w http.ResponseWriter, r *http.Request) {
	if l.Watch == nil {
		refuse(w, http.StatusNotImplemented, codeNotAvailable, "this node does not watch itself")
		return
	}
	if !l.streams.take() {
		l.refuseStream(w)
		return
	}
	defer l.streams.leave()
	o, ctx, cancel := beginStream(w, r)
	defer cancel()
	past, err := l.Watch.past()
	if err != nil || o.send("past", past) != nil {
		return
	}
	if before := l.Watch.before(); before != nil && o.send("before", before) != nil {
		return
	}
	for {
		latest, next := l.Watch.now()
		if latest != nil && o.send("overview", latest) != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
	}
}

func (l *listener) refuseStream(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "10")
	refuse(w, http.StatusServiceUnavailable, codeNotAvailable, "as many pages are open as this node serves at once (%d): close some", maxStreams)
}
