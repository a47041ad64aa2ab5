package deploy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sluice/pubsub/redisproc/faultproxy"
	"sluice/pubsub/redistest"
)

var all = []kind{haproxy, nginx, caddy}

// Both ways, with TLS, and events at once; who comes without TLS is told where to go.
func TestThroughBalancer(t *testing.T) {
	each(t, all, func(t *testing.T, k kind) {
		r := newRig(t, k, place{})
		c := r.dial()
		r.publish("down")
		c.want("down")
		if err := c.WriteMessage(websocket.BinaryMessage, []byte("up")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the inbox has it", func() error {
			if entries := fmt.Sprint(r.redis.Do("XRANGE", "sluice:inbox", "-", "+")); !strings.Contains(entries, " data up ") {
				return errors.New(entries)
			}
			return nil
		})

		events := r.listen()
		if _, err := events.ReadString('\n'); err != nil { // its head goes out before there is an event
			t.Fatal(err)
		}
		r.publish("an event")
		for line, err := events.ReadString('\n'); line != "data: an event\n"; line, err = events.ReadString('\n') {
			if err != nil {
				t.Fatalf("waiting for the event: %v", err)
			}
		}

		stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		defer stay.CloseIdleConnections()
		response, err := stay.Get("http://" + r.front.plain + "/ws?channel=news")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if location := response.Header.Get("Location"); response.StatusCode != http.StatusPermanentRedirect || !strings.HasPrefix(location, "https://") {
			t.Errorf("without TLS: %s to %q", response.Status, location)
		}
		_, err = tls.Dial("tcp", r.front.address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}) //nolint:gosec // it must fail
		if err == nil {
			t.Error("TLS 1.1 is spoken")
		}
	})
}

// listen opens an event stream of the channel news, by HTTP/2 as browsers do.
func (r *rig) listen() *bufio.Reader {
	r.t.Helper()
	dialer := net.Dialer{Timeout: patience}
	transport := &http.Transport{TLSClientConfig: r.front.cert.client.Clone(), ForceAttemptHTTP2: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, r.front.address)
	}}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience) // all that comes of it
	r.t.Cleanup(func() {
		cancel()
		transport.CloseIdleConnections()
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://localhost/sse?channel=news", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { response.Body.Close() })
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") || response.ProtoMajor != 2 {
		r.t.Fatalf("answered %s with %s in %s", response.Status, kind, response.Proto)
	}
	return bufio.NewReader(response.Body)
}

// Nodes see where clients really are, whatever these claim: each may have one connection to a node.
func TestClientAddressThroughBalancer(t *testing.T) {
	each(t, all, func(t *testing.T, k kind) {
		r := newRig(t, k, place{}, "--connections-per-address", "1")
		try := func(from string, forged http.Header) int {
			c, response, err := r.tryDial(from, "/ws?channel=news", forged)
			if c != nil {
				return http.StatusSwitchingProtocols
			}
			if response == nil {
				t.Fatal(err)
			}
			return response.StatusCode
		}
		forged := func(i int) http.Header {
			address := fmt.Sprintf("10.0.0.%d", i)
			return http.Header{"X-Forwarded-For": {address, address}, "Forwarded": {"for=" + address}}
		}
		in := 0
		for i := range 3 { // there are two nodes
			switch status := try("127.0.0.7", forged(i)); {
			case status == http.StatusSwitchingProtocols:
				in++
			case status != http.StatusTooManyRequests:
				t.Fatalf("answered %d", status)
			}
		}
		if in < 1 || in > 2 {
			t.Errorf("%d of three connections of one client were let in", in)
		}
		if status := try("127.0.0.8", nil); status != http.StatusSwitchingProtocols {
			t.Errorf("another client was answered %d", status)
		}
	})
}

// A client that says nothing for longer than the balancer's patience stays, because the node pings it in time; one whose node does not
// is cut, which shows that the balancer meant it.
func TestIdleThroughBalancer(t *testing.T) {
	each(t, []kind{haproxy, nginx}, func(t *testing.T, k kind) {
		// The pings are two seconds apart at least, as one may come after half of its interval. Between the longest interval and the
		// balancer's patience lies what a machine may stand still, and as long the client has for its answer.
		const idle, pings = 9 * time.Second, 5
		server := redistest.Start(t)
		flags := append([]string{"--redis", server.URL}, k.nodes...)
		r := newRigOf(t, k, place{idle: idle}, server, [2][]string{
			append(flags[:len(flags):len(flags)], "--ping-interval", "4s", "--ping-timeout", "3900ms"),
			append(flags[:len(flags):len(flags)], "--ping-interval", "1h"),
		})
		var ended [2]chan error // a client's first message, or how it ended
		var seen [2]chan struct{}
		for i := range ended { // one on each node
			c := r.dial()
			ended[i], seen[i] = make(chan error, 1), make(chan struct{}, 100)
			answer := c.PingHandler()
			c.SetPingHandler(func(data string) error {
				seen[i] <- struct{}{}
				return answer(data)
			})
			go func() { // ends with the connection
				_ = c.SetReadDeadline(time.Now().Add(4 * patience)) // of all that comes before the message; it fails only on a closed one
				_, payload, err := c.Conn.ReadMessage()
				if err == nil {
					err = errors.New(string(payload))
				}
				ended[i] <- err
			}()
		}
		lives := 0
		select {
		case err := <-ended[0]:
			t.Logf("the one that is not pinged: %v", err)
			lives = 1
		case err := <-ended[1]:
			t.Logf("the one that is not pinged: %v", err)
		}
		for n := range pings {
			select {
			case <-seen[lives]:
			case err := <-ended[lives]:
				t.Fatalf("the client that is pinged ended as well, after %d pings: %v", n, err)
			}
		}
		r.publish("still there")
		if err := <-ended[lives]; err.Error() != "still there" {
			t.Error(err)
		}
	})
}

// The same for event streams, to which nodes send a comment at every ping.interval.
func TestIdleEventStreamThroughBalancer(t *testing.T) {
	each(t, []kind{haproxy, nginx}, func(t *testing.T, k kind) {
		const idle, interval = 6 * time.Second, time.Second // between them lies what a machine may stand still
		r := newRig(t, k, place{idle: idle}, "--ping-interval", interval.String(), "--ping-timeout", "900ms")
		events := r.listen()
		for comments := 0; comments <= int(idle/interval)+1; {
			line, err := events.ReadString('\n')
			if err != nil {
				t.Fatalf("after %d comments: %v", comments, err)
			}
			if strings.HasPrefix(line, ":") {
				comments++
			}
		}
	})
}

// crowd is clients that come back when they are closed, as browsers' pages do.
type crowd struct {
	heard atomic.Int64 // messages
	codes sync.Map     // close code → true
	wait  sync.WaitGroup
	left  atomic.Bool
}

func (r *rig) newCrowd(size int) *crowd {
	w := &crowd{}
	for range size {
		c := r.dial()
		w.wait.Go(func() { // ends when it has left
			for !w.left.Load() {
				_ = c.SetReadDeadline(time.Now().Add(4 * patience)) // longer than the test: it fails only on a closed one, as reading then does
				_, _, err := c.Conn.ReadMessage()
				if err == nil {
					w.heard.Add(1)
					continue
				}
				var closed *websocket.CloseError
				if errors.As(err, &closed) {
					w.codes.Store(closed.Code, true)
				}
				_ = c.Close() // it is closed
				for deadline := time.Now().Add(patience); time.Now().Before(deadline) && !w.left.Load(); time.Sleep(50 * time.Millisecond) {
					if again, _, err := r.tryDial("127.0.0.1", "/ws?channel=news", nil); err == nil {
						c = again
						break
					}
				}
			}
			_ = c.Close() // the test is over
		})
	}
	return w
}

// leave ends the crowd; a message wakes those who wait for one.
func (w *crowd) leave(r *rig) {
	w.left.Store(true)
	r.publish("the end")
	w.wait.Wait()
}

// A node that is told to end tells its clients to come back, and the balancer brings them to the other one.
func TestNodeLeavesBalancer(t *testing.T) {
	each(t, all, func(t *testing.T, k kind) {
		const size = 10
		// As long as HAProxy and Caddy need to hear it from /readyz, before nginx would from a closed port; and then not all at once.
		server := redistest.Start(t)
		flags := append([]string{"--redis", server.URL}, k.nodes...)
		r := newRigOf(t, k, place{}, server, [2][]string{append(flags[:len(flags):len(flags)], "--drain-delay", "3s", "--drain-window", "500ms"), flags})
		w := r.newCrowd(size)
		defer w.leave(r)
		before := figure(t, r.nodes[0], "sluice_subscriptions")
		if before == 0 || before == size {
			t.Errorf("%v of %d clients are on the first node: it is not leastconn that spread them", before, size)
		}
		if err := r.nodes[0].Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := r.nodes[0].Wait(t.Context()); err != nil {
			t.Errorf("the node ended with %v\n%s", err, r.nodes[0].LogText())
		}
		r.awaitNodes(1)
		eventually(t, "all clients are on the other node", func() error {
			if n := figure(t, r.nodes[1], "sluice_subscriptions"); n != size {
				return fmt.Errorf("%v are", n)
			}
			return nil
		})
		w.codes.Range(func(code, _ any) bool {
			if code != websocket.CloseServiceRestart {
				t.Errorf("a client was closed with %d", code)
			}
			return true
		})
		if _, told := w.codes.Load(websocket.CloseServiceRestart); !told {
			t.Error("no client was told to come back")
		}
		r.publish("to all")
		eventually(t, "all hear what is published then", func() error {
			if n := w.heard.Load(); n != size {
				return fmt.Errorf("%d of %d do", n, size)
			}
			return nil
		})
	})
}

// A node that has lost its Redis gets no new clients, and keeps those that it has.
func TestNodeNotReadyBehindBalancer(t *testing.T) {
	each(t, all, func(t *testing.T, k kind) {
		const old, fresh = 4, 4
		server := redistest.Start(t)
		network, err := faultproxy.Start(server.Addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = network.Close() }) // nothing is left to lose
		flags := append([]string{"--handshake-timeout", "2s"}, k.nodes...)
		r := newRigOf(t, k, place{}, server, [2][]string{
			append(flags[:len(flags):len(flags)], "--redis", "redis://"+network.Addr),
			append(flags[:len(flags):len(flags)], "--redis", server.URL),
		})
		var clients []*client
		for range old { // one that comes just when the machine stands still is refused, and comes again
			eventually(t, "a client is served", func() error {
				c, _, err := r.tryDial("127.0.0.1", "/ws?channel=news", nil)
				if err == nil {
					clients = append(clients, c)
				}
				return err
			})
		}
		was := figure(t, r.nodes[0], "sluice_subscriptions")
		if was == 0 {
			t.Fatal("no client is on the first node")
		}
		network.Set(faultproxy.Both(faultproxy.Rule{Hold: true}))
		eventually(t, "the first node is not ready", func() error {
			if figure(t, r.nodes[0], "sluice_ready") != 0 {
				return errors.New("it is")
			}
			return nil
		})
		r.awaitNodes(1)
		for range fresh {
			// Of a channel that the first node would have to ask Redis for: nginx goes there, and is refused.
			// Caddy asks no other node then, and the client tries again until Caddy has noticed.
			eventually(t, "a new client is served", func() error {
				c, _, err := r.tryDial("127.0.0.1", "/ws?channel=others", nil)
				if err == nil {
					clients = append(clients, c)
				}
				return err
			})
		}
		if n := figure(t, r.nodes[1], "sluice_subscriptions"); n != old-was+fresh {
			t.Errorf("the second node has %v clients, want the %v that it had and %d", n, old-was, fresh)
		}
		network.Set(faultproxy.Rules{})
		eventually(t, "the first node is ready again", func() error {
			if figure(t, r.nodes[0], "sluice_ready") != 1 || figure(t, r.nodes[0], "sluice_gaps_open") != 0 {
				return errors.New("it is not")
			}
			return nil
		})
		r.awaitNodes(2)
		if n := figure(t, r.nodes[0], "sluice_subscriptions"); n != was {
			t.Errorf("the first node has %v clients of %v", n, was)
		}
		r.publish("we are all here")
		r.redis.Do("PUBLISH", "sluice:others", "we are all here")
		for _, c := range clients {
			c.want("we are all here")
		}
	})
}

// A node that is full refuses clients, and these never notice: the balancer asks the other one.
func TestFullNodeBehindBalancer(t *testing.T) {
	each(t, []kind{haproxy, nginx}, func(t *testing.T, k kind) {
		const size = 20
		server := redistest.Start(t)
		flags := append([]string{"--redis", server.URL}, k.nodes...)
		r := newRigOf(t, k, place{}, server, [2][]string{append(flags[:len(flags):len(flags)], "--connections-max", "4"), flags})
		for range size {
			r.dial()
		}
		if n := figure(t, r.nodes[1], "sluice_subscriptions"); n < size-4 {
			t.Errorf("the second node has %v clients of %d, though the first one takes 4", n, size)
		}
	})
}

// A client that does not read is nobody else's trouble, neither in the balancer nor in the node, which ends it in time.
func TestSlowClientThroughBalancer(t *testing.T) {
	each(t, all, func(t *testing.T, k kind) {
		const messages = 80
		// One message is less than may wait: it would have to be taken within a second otherwise, which a balancer that stands still
		// does not do for anybody.
		r := newRig(t, k, place{}, "--queue-max", "512KiB", "--message-max", "64KiB")
		for range 2 { // one on each node
			r.dial() // and never reads
		}
		var quick []*client
		for range 4 {
			quick = append(quick, r.dial())
		}
		payload := strings.Repeat("x", 256<<10)
		for i := range messages { // 20 MiB, more than all the buffers on the way take
			m := fmt.Sprintf("%03d%s", i, payload)
			r.publish(m)
			for _, c := range quick {
				c.want(m)
			}
		}
		eventually(t, "the slow clients are closed", func() error {
			r.publish("one more") // a queue is looked at when a message comes
			for _, n := range r.nodes {
				if closed := figure(t, n, "sluice_slow_consumers_total"); closed != 1 {
					return fmt.Errorf("on one of the nodes %v are", closed)
				}
			}
			return nil
		})
	})
}

// A reload, as after a certificate was renewed: who is there stays, who comes gets the new one.
func TestReload(t *testing.T) {
	each(t, []kind{haproxy, nginx}, func(t *testing.T, k kind) {
		r := newRig(t, k, place{})
		old := r.dial()
		r.renew()
		r.publish("to old and new")
		old.want("to old and new")
	})
}

// Nobody outlives a reload for ever.
func TestReloadHardStop(t *testing.T) {
	each(t, []kind{haproxy, nginx}, func(t *testing.T, k kind) {
		r := newRig(t, k, place{hardStop: time.Second})
		old := r.dial()
		r.renew()
		if _, _, err := old.ReadMessage(); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("the old connection was not cut: %v", err)
		}
		again := r.dial()
		r.publish("again")
		again.want("again")
	})
}

// renew gives the balancer a new certificate, has it read its file again, and waits until clients get it.
func (r *rig) renew() {
	r.t.Helper()
	fresh := newCertificate(r.t)
	for from, to := range map[string]string{fresh.cert: r.front.cert.cert, fresh.key: r.front.cert.key, fresh.both: r.front.cert.both} {
		copyFile(r.t, from, to)
	}
	r.front.cert.client = fresh.client
	r.front.signal(r.front.reload)
	eventually(r.t, "new clients see the new certificate", func() error {
		c, _, err := r.tryDial("127.0.0.1", "/ws?channel=news", nil)
		if err == nil {
			err = c.Close()
		}
		return err
	})
}
