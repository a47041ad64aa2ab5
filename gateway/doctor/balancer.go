package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gobwas/ws"
)

// Balancer is what is asked of the way that clients come.
type Balancer struct {
	URL  string        // of a WebSocket that needs no subscription, as clients see it: wss://push.example/echo
	Ping time.Duration // ping.interval
	Idle time.Duration // for how long a connection is left alone
}

// Check opens a connection as a client does and leaves it alone, without answering
// pings: the node's pings must keep it open on their own for as long as a client may
// be silent.
func (b Balancer) Check(ctx context.Context) []Finding {
	const topic = "the way in"
	d := ws.Dialer{Timeout: 10 * time.Second, Header: ws.HandshakeHeaderHTTP(http.Header{})}
	conn, early, _, err := d.Dial(ctx, b.URL)
	if err != nil {
		f := Finding{Topic: topic, Grade: Fault, Seen: err.Error(), Why: "clients cannot connect by " + b.URL,
			Mend: "the proxy must pass Upgrade and Connection on and speak HTTP/1.1 to the node: deploy/nginx, deploy/haproxy"}
		if refused := ws.StatusError(0); errors.As(err, &refused) {
			f.Mend += fmt.Sprintf("\nthe answer was %d: with 404 the proxy does not know the path, with 403 the Origin or the token is refused, with 502 or 503 it finds no node that is ready", int(refused))
		}
		return []Finding{f}
	}
	from := io.Reader(conn)
	if early != nil { // something came with the answer
		from = early
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // it is only waited for
	defer stop()
	defer func() { _ = conn.Close() }() // nothing was sent
	return []Finding{good(topic, b.URL+" is open"), b.silence(conn, from)}
}

// silence waits for the end of an idle connection, which should not come before the
// node pings.
func (b Balancer) silence(conn net.Conn, from io.Reader) Finding {
	const topic = "idle connections"
	began := time.Now()
	if err := conn.SetReadDeadline(began.Add(b.Idle)); err != nil {
		return unknown(topic, err)
	}
	h, err := ws.ReadHeader(from)
	after := time.Since(began).Round(time.Second)
	switch {
	case err == nil && h.OpCode == ws.OpPing:
		return good(topic, fmt.Sprintf("the node's ping came after %v, so no proxy cuts what is silent for so long", after))
	case err == nil:
		return Finding{Topic: topic, Grade: Unknown, Seen: "something else than a ping came first: " + fmt.Sprint(h.OpCode)}
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return Finding{Topic: topic, Grade: Warning, Seen: fmt.Sprintf("neither a ping nor an end within %v", after),
			Why:  "a proxy answers pings itself, or buffers them: it may keep dead clients, and cut quiet ones",
			Mend: "switch buffering off, or wait longer than ping.interval: sluice doctor --idle"}
	}
	return Finding{Topic: topic, Grade: Fault, Seen: fmt.Sprintf("cut after %v", after),
		Why:  fmt.Sprintf("a proxy on the way ends what is silent for so long, before the node pings (ping.interval is %v): clients come back all the time", b.Ping),
		Mend: fmt.Sprintf("set ping.interval to %v or less, or raise the proxy's timeout: proxy_read_timeout (nginx), timeout tunnel (HAProxy), the idle timeout of a cloud's balancer", (after / 2).Round(time.Second))}
}
