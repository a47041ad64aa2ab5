package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sluice/pubsub/redistest"
)

// A node is drained behind a balancer while services publish: its clients come back through the balancer to the other one, and
// nobody misses a durable message, or gets one twice.
func TestDurableThroughBalancer(t *testing.T) {
	each(t, all, func(t *testing.T, k kind) {
		const clients, last = 8, 400
		config := filepath.Join(t.TempDir(), "sluice.yaml")
		if err := os.WriteFile(config, []byte("namespaces: [{name: d, durable: true}]\nrecovery: {max: 10000}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		server := redistest.Start(t)
		flags := append([]string{"--redis", server.URL, "--config", config}, k.nodes...)
		r := newRigOf(t, k, place{}, server, [2][]string{append(flags[:len(flags):len(flags)], "--drain-delay", "3s", "--drain-window", "500ms"), flags})

		var following sync.WaitGroup
		followers := make([]follower, clients)
		failures := make(chan error, clients)
		for i := range followers {
			following.Go(func() { failures <- followers[i].run(r, last) })
		}
		eventually(t, "both nodes have some of them", func() error {
			if n := figure(t, r.nodes[0], "sluice_subscriptions"); n == 0 || n+figure(t, r.nodes[1], "sluice_subscriptions") != clients {
				return fmt.Errorf("the first one has %v", n)
			}
			return nil
		})
		if err := r.nodes[0].Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= last; n++ {
			server.Do("FCALL", "sluice_publish", 1, "sluice:d:1", n)
			time.Sleep(10 * time.Millisecond) // a rate: what is published takes longer than the drain
		}
		if err := r.nodes[0].Wait(t.Context()); err != nil {
			t.Errorf("the node ended with %v\n%s", err, r.nodes[0].LogText())
		}
		following.Wait()
		close(failures)
		resumed := 0
		for err := range failures {
			if err != nil {
				t.Error(err)
			}
		}
		for i := range followers {
			resumed += followers[i].resumed
		}
		if resumed == 0 {
			t.Error("nobody came back")
		}
	})
}

// follower follows a durable channel through the balancer, and comes back with its position whenever it is told to.
type follower struct {
	position uint64
	next     int // the message that it expects
	resumed  int
}

// run ends with the last message.
func (f *follower) run(r *rig, last int) error {
	f.next = 1
	for end := time.Now().Add(2 * patience); f.next <= last; {
		since := ""
		if f.position != 0 {
			since = fmt.Sprint(f.position)
		}
		c, _, err := r.tryDial("127.0.0.1", "/ws?channel=d:1&since="+since, http.Header{"Sec-WebSocket-Protocol": {"sluice.v1"}})
		if err != nil {
			if time.Now().After(end) {
				return fmt.Errorf("it cannot come back: %w", err)
			}
			time.Sleep(20 * time.Millisecond)
			continue
		}
		err = f.listen(c, last)
		_ = c.Close() // it has ended
		if err != nil {
			return err
		}
	}
	return nil
}

// listen reads until the last message, or until the node sends it away.
func (f *follower) listen(c *client, last int) error {
	for f.next <= last {
		_, payload, err := c.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) && closed.Code == websocket.CloseServiceRestart {
			return nil
		}
		if err != nil {
			return fmt.Errorf("waiting for %d: %w", f.next, err)
		}
		var e struct {
			Subscribed bool
			Recovered  *bool
			Position   uint64
			Gap        string
			Data       int
		}
		if err := json.Unmarshal(payload, &e); err != nil || e.Gap != "" || e.Recovered != nil && !*e.Recovered {
			return fmt.Errorf("waiting for %d: %s, %w", f.next, payload, err)
		}
		f.position = e.Position
		switch {
		case e.Recovered != nil:
			f.resumed++
		case e.Subscribed:
		case e.Data != f.next:
			return fmt.Errorf("got message %d, want %d", e.Data, f.next)
		default:
			f.next++
		}
	}
	return nil
}
