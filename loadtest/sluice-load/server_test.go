package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(handEnv) != "" { // a further process of a run under test
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// hub is a small server to measure: /ws?channel=… subscribes, /echo echoes. As a publisher it broadcasts, through faults if set.
type hub struct {
	*httptest.Server
	// tamper sees what is about to be sent to the nth subscriber of a channel, and may send something else. Called by publish.
	tamper func(subscriber int, payload []byte, send func([]byte))

	mu       sync.Mutex
	echo     func(payload []byte, send func([]byte)) // sees what an echo connection received, called by its goroutine; guarded by mu
	channels map[string][]*websocket.Conn            // guarded by mu
	serving  sync.WaitGroup
}

func newHub(t *testing.T) *hub {
	h := &hub{channels: map[string][]*websocket.Conn{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", h.subscribe)
	mux.HandleFunc("/echo", h.echoes)
	mux.HandleFunc("/full", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "full", http.StatusServiceUnavailable) })
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("go_goroutines 12\n")) })
	h.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		h.Close()
		h.mu.Lock()
		for _, subscribers := range h.channels {
			for _, c := range subscribers {
				_ = c.Close() // the client's side may have closed it before
			}
		}
		h.mu.Unlock()
		h.serving.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	return h
}

func (h *hub) ws(path string) string { return "ws" + strings.TrimPrefix(h.URL, "http") + path }

func (h *hub) subscribe(w http.ResponseWriter, r *http.Request) {
	h.serving.Add(1)
	defer h.serving.Done()
	name := r.URL.Query().Get("channel")
	h.mu.Lock() // before the handshake ends, so that those that connect one after the other stand here in that order
	c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		h.mu.Unlock()
		return
	}
	defer c.Close()
	h.channels[name] = append(h.channels[name], c)
	h.mu.Unlock()
	for err == nil { // gorilla answers the close frame
		_, _, err = c.ReadMessage()
	}
}

func (h *hub) echoes(w http.ResponseWriter, r *http.Request) {
	h.serving.Add(1)
	defer h.serving.Done()
	c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	h.mu.Lock()
	echo := h.echo
	h.mu.Unlock()
	for {
		kind, payload, err := c.ReadMessage()
		if err != nil {
			return
		}
		send := func(b []byte) { _ = c.WriteMessage(kind, b) } // a dead connection shows at the next read
		if echo == nil {
			send(payload)
		} else {
			echo(payload, send)
		}
	}
}

func (h *hub) publish(_ context.Context, batch []publication) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range batch {
		for i, c := range h.channels[m.channel] {
			send := func(b []byte) { _ = c.WriteMessage(websocket.TextMessage, b) } // a dead connection is the generator's to notice
			if h.tamper == nil {
				send(m.payload)
			} else {
				h.tamper(i, m.payload, send)
			}
		}
	}
	return nil
}

// echoing sets what becomes of the messages of echo connections opened from now on.
func (h *hub) echoing(f func(payload []byte, send func([]byte))) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.echo = f
}

func (h *hub) close() error { return nil }

// drop ends the connection of one subscriber, without a close frame.
func (h *hub) drop(channel string, subscriber int) {
	_ = h.channels[channel][subscriber].NetConn().Close()
}
