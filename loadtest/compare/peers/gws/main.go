// Gws is a hub in the style that lxzan/gws recommends: one ReadLoop goroutine per connection, and a Broadcaster that frames a
// message once and queues it at every connection. Messages are handled one after the other (ParallelEnabled would give up their
// order); the server pings, from one goroutine.
package main

import (
	"net/http"
	"sync"
	"time"

	"github.com/lxzan/gws"

	"sluice/loadtest/compare/peers/upstream"
)

// handler holds the subscribers.
type handler struct {
	gws.BuiltinEventHandler
	alive time.Duration

	mu    sync.Mutex
	conns map[*gws.Conn]struct{} // guarded by mu
}

func (h *handler) OnOpen(c *gws.Conn) {
	_ = c.SetDeadline(time.Now().Add(h.alive)) // a connection that is gone shows at the read
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[c] = struct{}{}
}

func (h *handler) OnClose(c *gws.Conn, _ error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
}

func (h *handler) OnPong(c *gws.Conn, _ []byte) { _ = c.SetDeadline(time.Now().Add(h.alive)) }

func (h *handler) OnMessage(_ *gws.Conn, message *gws.Message) { _ = message.Close() }

// list is who is connected now.
func (h *handler) list() []*gws.Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*gws.Conn, 0, len(h.conns))
	for c := range h.conns {
		list = append(list, c)
	}
	return list
}

func (h *handler) broadcast(payload []byte) {
	b := gws.NewBroadcaster(gws.OpcodeText, payload)
	defer b.Close()
	for _, c := range h.list() {
		_ = b.Broadcast(c) // it fails for one that is closing
	}
}

func (h *handler) pings(every time.Duration) {
	for range time.Tick(every) {
		for _, c := range h.list() {
			_ = c.WritePing(nil) // it fails for one that is closing
		}
	}
}

// echoes sends messages back.
type echoes struct{ gws.BuiltinEventHandler }

func (echoes) OnMessage(c *gws.Conn, message *gws.Message) {
	defer message.Close()
	_ = c.WriteMessage(message.Opcode, message.Bytes()) // it fails for one that is closing
}

func serve(u *gws.Upgrader) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := u.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop() // on a goroutine of its own, so that what the HTTP server holds is let go
	}
}

func main() {
	o := upstream.Parse()
	h := &handler{alive: 2 * o.Ping, conns: map[*gws.Conn]struct{}{}}
	go h.pings(o.Ping)
	o.Run(serve(gws.NewUpgrader(h, &gws.ServerOption{})), serve(gws.NewUpgrader(echoes{}, &gws.ServerOption{})), h.broadcast)
}
