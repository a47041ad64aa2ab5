// Gorilla is a hub in the style of gorilla/websocket's chat example: two goroutines and a channel of 256 messages per connection,
// one goroutine that owns the set of clients and hands them what is to be sent. What has waited for a client leaves as one message
// with line breaks between; a client whose channel is full is closed.
package main

import (
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"sluice/loadtest/compare/peers/upstream"
)

const (
	writeWait  = 10 * time.Second
	maxMessage = 64 << 10
	waiting    = 256
)

var upgrader = websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024, CheckOrigin: func(*http.Request) bool { return true }}

// hub owns the set of clients.
type hub struct {
	clients          map[*client]bool
	join, leave      chan *client
	broadcast        chan []byte
	pingEvery, alive time.Duration
}

type client struct {
	conn *websocket.Conn
	send chan []byte // closed by the hub
}

func (h *hub) run() {
	for {
		select {
		case c := <-h.join:
			h.clients[c] = true
		case c := <-h.leave:
			h.drop(c)
		case message := <-h.broadcast:
			for c := range h.clients {
				select {
				case c.send <- message:
				default:
					h.drop(c)
				}
			}
		}
	}
}

func (h *hub) drop(c *client) {
	if h.clients[c] {
		delete(h.clients, c)
		close(c.send)
	}
}

// read is a client's first goroutine: what it says is thrown away.
func (h *hub) read(c *client) {
	defer func() { h.leave <- c; c.conn.Close() }()
	c.conn.SetReadLimit(maxMessage)
	alive := func(string) error { return c.conn.SetReadDeadline(time.Now().Add(h.alive)) }
	_ = alive("") // a connection that is gone shows at the read
	c.conn.SetPongHandler(alive)
	for {
		if _, _, err := c.conn.ReadMessage(); err != nil {
			return
		}
	}
}

// write is a client's second goroutine, the only one that writes.
func (h *hub) write(c *client) {
	ticker := time.NewTicker(h.pingEvery)
	defer func() { ticker.Stop(); c.conn.Close() }()
	for {
		select {
		case message, open := <-c.send:
			_ = c.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if !open {
				_ = c.conn.WriteMessage(websocket.CloseMessage, nil)
				return
			}
			if c.flush(message) != nil {
				return
			}
		case <-ticker.C:
			_ = c.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if c.conn.WriteMessage(websocket.PingMessage, nil) != nil {
				return
			}
		}
	}
}

// flush sends a message, and in the same one what waits behind it.
func (c *client) flush(message []byte) error {
	w, err := c.conn.NextWriter(websocket.TextMessage)
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	for range len(c.send) {
		more, open := <-c.send
		if !open {
			break
		}
		if _, err := w.Write([]byte{'\n'}); err != nil {
			return err
		}
		if _, err := w.Write(more); err != nil {
			return err
		}
	}
	return w.Close()
}

func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &client{conn: conn, send: make(chan []byte, waiting)}
	h.join <- c
	go h.write(c)
	go h.read(c)
}

// echo is the library's echo example.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, message) != nil {
			return
		}
	}
}

func main() {
	o := upstream.Parse()
	h := &hub{clients: map[*client]bool{}, join: make(chan *client), leave: make(chan *client), broadcast: make(chan []byte),
		pingEvery: o.Ping, alive: 2 * o.Ping}
	go h.run()
	o.Run(h.serve, echo, func(payload []byte) { h.broadcast <- payload })
}
