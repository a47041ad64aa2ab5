package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
	"github.com/gorilla/websocket"

	"sluice/gateway/auth"
	"sluice/pubsub/redistest"
)

// sdk is a raw client of the centrifuge protocol in JSON.
type sdk struct{ *client }

func (n *testNode) sdk(path string, header http.Header, protocols ...string) sdk {
	n.t.Helper()
	c, response, err := n.tryDial("/connection/websocket"+path, header, protocols...)
	if err != nil {
		n.t.Fatalf("dialing: %v, %v", err, response)
	}
	return sdk{c}
}

// What differs from run to run in replies, and what stands for it in tests.
var variable = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`"client":"[^"]+"`), `"client":"C"`},
	{regexp.MustCompile(`"version":"[^"]+"`), `"version":"V"`},
	{regexp.MustCompile(`"node":"[^"]+"`), `"node":"N"`},
	{regexp.MustCompile(`"epoch":"\d+"`), `"epoch":"E"`},
	{regexp.MustCompile(`"offset":\d+`), `"offset":P`},
	{regexp.MustCompile(`"ttl":\d+`), `"ttl":T`},
}

func constant(frame string) string {
	for _, v := range variable {
		frame = v.pattern.ReplaceAllString(frame, v.name)
	}
	return frame
}

// entered is the answer to {"id":1,"connect":{}} of a node whose clients are pinged every ten minutes.
const entered = `{"id":1,"connect":{"client":"C","version":"V","ping":600,"pong":true,"node":"N"}}`

// talk plays a conversation. A line that begins with > is sent as a frame, one with < is a frame
// that is awaited, one with x the close frame's code and reason.
func (c sdk) talk(lines ...string) {
	c.t.Helper()
	for _, line := range lines {
		text := line[2:]
		switch line[0] {
		case '>':
			c.send(websocket.TextMessage, text)
		case '<':
			_, got, err := c.ReadMessage()
			if err != nil {
				c.t.Fatalf("waiting for %s: %v", text, err)
			}
			if got := constant(string(got)); got != text {
				c.t.Fatalf("got  %s\nwant %s", got, text)
			}
		case 'x':
			_, got, err := c.ReadMessage()
			var closed *websocket.CloseError
			if !asError(err, &closed) || fmt.Sprintf("%d %s", closed.Code, closed.Text) != text {
				c.t.Fatalf("got %s %v, want the close frame %s", got, err, text)
			}
		default:
			c.t.Fatalf("%q is no line of a conversation", line)
		}
	}
}

func TestCentrifugeConversations(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--anonymous", "--auth-hmac-secret", testSecret, "--connections-channels", "3", configFile(t, `
namespaces:
  - {name: ticker, subscribe: anyone, publish: nobody}
  - {name: inbox, subscribe: user, publish: user}
  - {name: secret, subscribe: claim, publish: claim}
  - {name: closed, subscribe: nobody}
  - {name: orders, durable: true}
  - {name: room, relay: true}
  - {name: board, relay: true, durable: true, history_size: 2}
`)).ready()
	const connect = `> {"id":1,"connect":{}}`
	token := sign(t, testKey, auth.Claims{User: "42"})
	old := sign(t, testKey, auth.Claims{User: "42", Issued: time.Now().Add(-2 * time.Hour)})
	given := sign(t, testKey, auth.Claims{User: "42", Channels: []string{"news"}})
	one := sign(t, testKey, auth.Claims{User: "42", Channel: "secret:1"})
	others := sign(t, testKey, auth.Claims{User: "43", Channel: "secret:1"})
	spent := sign(t, testKey, auth.Claims{User: "42", Channel: "secret:1", Issued: time.Now().Add(-2 * time.Hour)})
	for _, row := range []struct {
		name  string
		lines []string
	}{
		{"connect", []string{connect, "< " + entered}},
		{"connect with all that there is", []string{`> {"id":1,"connect":{"data":{"a":1},"name":"js","version":"1","headers":{"a":"b"},"flag":1,"subs":{"x":{"recover":true,"offset":7,"epoch":"e"}}}}`, "< " + entered}},
		{"connect and more in one frame", []string{connect + "\n" + `{"id":2,"subscribe":{"channel":"ticker:a"}}` + "\n" + `{"id":3,"unsubscribe":{"channel":"ticker:b"}}`,
			"< " + entered + "\n" + `{"id":3,"unsubscribe":{}}`, `< {"id":2,"subscribe":{}}`}},
		{"first something else", []string{`> {"id":1,"subscribe":{"channel":"a"}}`, "x 3501 bad request"}},
		{"connect without a number", []string{`> {"connect":{}}`, "x 3501 bad request"}},
		{"connect twice", []string{connect, "< " + entered, `> {"id":2,"connect":{}}`, "x 3501 bad request"}},
		{"a pong before anything", []string{`> {}`, "x 3501 bad request"}},
		{"a pong", []string{connect, "< " + entered, `> {}`, `> {"id":2,"ping":{}}`, `< {"id":2,"ping":{}}`}},

		{"a token", []string{`> {"id":1,"connect":{"token":"` + token + `"}}`,
			`< {"id":1,"connect":{"client":"C","version":"V","expires":true,"ttl":T,"ping":600,"pong":true,"node":"N"}}`}},
		{"a token that has expired", []string{`> {"id":1,"connect":{"token":"` + old + `"}}`, `< {"id":1,"error":{"code":109,"message":"token expired"}}`,
			`> {"id":1,"connect":{}}`, "< " + entered}},
		{"what comes along with a token that has expired", []string{`> {"id":1,"connect":{"token":"` + old + `"}}` + "\n" + `{"id":2,"subscribe":{"channel":"news"}}`,
			`< {"id":1,"error":{"code":109,"message":"token expired"}}`, `> {"id":3,"subscribe":{"channel":"news"}}` + "\n" + `{"id":4,"connect":{"token":"` + token + `"}}`,
			`< {"id":4,"connect":{"client":"C","version":"V","expires":true,"ttl":T,"ping":600,"pong":true,"node":"N"}}`}},
		{"a token that is none", []string{`> {"id":1,"connect":{"token":"x.y.z"}}`, "x 3500 invalid token"}},
		{"a token for one channel", []string{`> {"id":1,"connect":{"token":"` + one + `"}}`, "x 3500 invalid token"}},
		{"a token that gives a channel", []string{`> {"id":1,"connect":{"token":"` + given + `"}}`,
			`< {"id":1,"connect":{"client":"C","version":"V","expires":true,"ttl":T,"subs":{"news":{}},"ping":600,"pong":true,"node":"N"}}`,
			`> {"id":2,"subscribe":{"channel":"news"}}`, `< {"id":2,"error":{"code":105,"message":"already subscribed"}}`}},

		{"subscribe", []string{connect, "< " + entered, `> {"id":2,"subscribe":{"channel":"ticker:a"}}`, `< {"id":2,"subscribe":{}}`,
			`> {"id":3,"subscribe":{"channel":"ticker:a"}}`, `< {"id":3,"error":{"code":105,"message":"already subscribed"}}`,
			`> {"id":4,"unsubscribe":{"channel":"ticker:a"}}`, `< {"id":4,"unsubscribe":{}}`,
			`> {"id":5,"subscribe":{"channel":"ticker:a"}}`, `< {"id":5,"subscribe":{}}`}},
		{"subscribe to what is no channel", []string{connect, "< " + entered, `> {"id":2,"subscribe":{}}`, `< {"id":2,"error":{"code":107,"message":"bad request"}}`,
			`> {"id":3,"subscribe":{"channel":"a b"}}`, `< {"id":3,"error":{"code":102,"message":"unknown channel"}}`}},
		{"subscribe to what is not allowed", []string{connect, "< " + entered, `> {"id":2,"subscribe":{"channel":"inbox:42"}}`, `< {"id":2,"error":{"code":103,"message":"permission denied"}}`,
			`> {"id":3,"subscribe":{"channel":"#42"}}`, `< {"id":3,"error":{"code":103,"message":"permission denied"}}`}},
		{"subscribe to too many", []string{connect, "< " + entered,
			`> {"id":2,"subscribe":{"channel":"ticker:a"}}`, `< {"id":2,"subscribe":{}}`, `> {"id":3,"subscribe":{"channel":"ticker:b"}}`, `< {"id":3,"subscribe":{}}`,
			`> {"id":4,"subscribe":{"channel":"ticker:c"}}`, `< {"id":4,"subscribe":{}}`,
			`> {"id":5,"subscribe":{"channel":"ticker:d"}}`, `< {"id":5,"error":{"code":106,"message":"limit exceeded"}}`}},
		{"subscribe to what this node has not", []string{connect, "< " + entered, `> {"id":2,"subscribe":{"channel":"ticker:a","type":1}}`, `< {"id":2,"error":{"code":108,"message":"not available"}}`,
			`> {"id":3,"subscribe":{"channel":"ticker:a","tf":{"op":"x"}}}`, `< {"id":3,"error":{"code":108,"message":"not available"}}`}},
		{"subscribe with a token", []string{`> {"id":1,"connect":{"token":"` + token + `"}}`,
			`< {"id":1,"connect":{"client":"C","version":"V","expires":true,"ttl":T,"ping":600,"pong":true,"node":"N"}}`,
			`> {"id":2,"subscribe":{"channel":"secret:1"}}`, `< {"id":2,"error":{"code":103,"message":"permission denied"}}`,
			`> {"id":3,"subscribe":{"channel":"secret:1","token":"` + others + `"}}`, `< {"id":3,"error":{"code":103,"message":"permission denied"}}`,
			`> {"id":4,"subscribe":{"channel":"secret:2","token":"` + one + `"}}`, `< {"id":4,"error":{"code":103,"message":"permission denied"}}`,
			`> {"id":5,"subscribe":{"channel":"secret:1","token":"` + token + `"}}`, `< {"id":5,"error":{"code":103,"message":"permission denied"}}`,
			`> {"id":6,"subscribe":{"channel":"secret:1","token":"` + spent + `"}}`, `< {"id":6,"error":{"code":109,"message":"token expired"}}`,
			`> {"id":7,"subscribe":{"channel":"secret:1","token":"` + one + `"}}`, `< {"id":7,"subscribe":{"expires":true,"ttl":T}}`,
			`> {"id":8,"sub_refresh":{"channel":"secret:1","token":"` + one + `"}}`, `< {"id":8,"sub_refresh":{"expires":true,"ttl":T}}`,
			`> {"id":9,"sub_refresh":{"channel":"secret:1","token":"` + spent + `"}}`,
			`< {"push":{"channel":"secret:1","unsubscribe":{"code":2501,"reason":"subscription expired"}}}` + "\n" + `{"id":9,"error":{"code":109,"message":"token expired"}}`,
			`> {"id":10,"sub_refresh":{"channel":"secret:1","token":"` + one + `"}}`, `< {"id":10,"error":{"code":103,"message":"permission denied"}}`}},
		{"a subscription's token for what is nobody's", []string{`> {"id":1,"connect":{"token":"` + token + `"}}`,
			`< {"id":1,"connect":{"client":"C","version":"V","expires":true,"ttl":T,"ping":600,"pong":true,"node":"N"}}`,
			`> {"id":2,"subscribe":{"channel":"closed:1","token":"` + sign(t, testKey, auth.Claims{User: "42", Channel: "closed:1"}) + `"}}`, `< {"id":2,"error":{"code":103,"message":"permission denied"}}`}},
		{"a subscription's token that is nobody's", []string{connect, "< " + entered,
			`> {"id":2,"subscribe":{"channel":"secret:1","token":"` + one + `"}}`, `< {"id":2,"error":{"code":103,"message":"permission denied"}}`}},

		{"publish", []string{connect, "< " + entered, `> {"id":2,"publish":{"channel":"news","data":{"a":1}}}`, `< {"id":2,"publish":{}}`,
			`> {"id":3,"publish":{"channel":"ticker:a","data":1}}`, `< {"id":3,"error":{"code":103,"message":"permission denied"}}`,
			`> {"id":4,"publish":{"channel":"news"}}`, `< {"id":4,"error":{"code":107,"message":"bad request"}}`,
			`> {"id":5,"publish":{"channel":"a{b}","data":1}}`, `< {"id":5,"error":{"code":102,"message":"unknown channel"}}`,
			`> {"id":6,"publish":{"channel":"news","data":1,"key":"k"}}`, `< {"id":6,"error":{"code":108,"message":"not available"}}`}},
		{"rpc without a method", []string{connect, "< " + entered, `> {"id":2,"rpc":{}}`, `< {"id":2,"error":{"code":104,"message":"method not found"}}`}},

		{"a durable channel", []string{connect, "< " + entered,
			`> {"id":2,"subscribe":{"channel":"orders:1"}}`, `< {"id":2,"subscribe":{"recoverable":true,"epoch":"E","offset":P,"positioned":true}}`}},
		{"a position that is none", []string{connect, "< " + entered,
			`> {"id":2,"subscribe":{"channel":"orders:2","recover":true,"offset":1}}`, `< {"id":2,"subscribe":{"recoverable":true,"epoch":"E","offset":P,"positioned":true,"was_recovering":true}}`,
			`> {"id":3,"subscribe":{"channel":"orders:3","recover":true,"offset":18446744073709551615,"epoch":"x"}}`,
			`< {"id":3,"subscribe":{"recoverable":true,"epoch":"E","offset":P,"positioned":true,"was_recovering":true}}`,
			`> {"id":4,"subscribe":{"channel":"ticker:a","recover":true,"offset":1}}`, `< {"id":4,"subscribe":{"was_recovering":true}}`}},
		{"rather refused than not recovered", []string{connect, "< " + entered,
			`> {"id":2,"subscribe":{"channel":"orders:2","recover":true,"offset":1,"flag":2}}`, `< {"id":2,"error":{"code":112,"message":"unrecoverable position"}}`,
			`> {"id":3,"subscribe":{"channel":"orders:2","flag":2}}`, `< {"id":3,"subscribe":{"recoverable":true,"epoch":"E","offset":P,"positioned":true}}`}},
		{"history", []string{connect, "< " + entered, `> {"id":2,"publish":{"channel":"board:1","data":1}}`, `< {"id":2,"publish":{}}`,
			`> {"id":3,"publish":{"channel":"board:1","data":2}}`, `< {"id":3,"publish":{}}`, `> {"id":4,"publish":{"channel":"board:1","data":3}}`, `< {"id":4,"publish":{}}`,
			`> {"id":5,"history":{"channel":"board:1"}}`, `< {"id":5,"history":{"publications":[],"epoch":"E","offset":P}}`,
			`> {"id":6,"history":{"channel":"board:1","limit":-1}}`, `< {"id":6,"history":{"publications":[{"data":2,"offset":P},{"data":3,"offset":P}],"epoch":"E","offset":P}}`,
			`> {"id":7,"history":{"channel":"board:1","limit":1}}`, `< {"id":7,"history":{"publications":[{"data":2,"offset":P}],"epoch":"E","offset":P}}`,
			`> {"id":8,"history":{"channel":"board:1","limit":1,"reverse":true}}`, `< {"id":8,"history":{"publications":[{"data":3,"offset":P}],"epoch":"E","offset":P}}`,
			`> {"id":9,"history":{"channel":"board:1","limit":9,"since":{"offset":1}}}`, `< {"id":9,"error":{"code":112,"message":"unrecoverable position"}}`,
			`> {"id":10,"history":{"channel":"board:1","limit":9,"since":{"offset":18446744073709551615}}}`, `< {"id":10,"error":{"code":112,"message":"unrecoverable position"}}`,
			`> {"id":11,"history":{"channel":"news","limit":9}}`, `< {"id":11,"error":{"code":108,"message":"not available"}}`,
			`> {"id":12,"history":{"channel":"inbox:42","limit":9}}`, `< {"id":12,"error":{"code":103,"message":"permission denied"}}`,
			`> {"id":13,"history":{"limit":9}}`, `< {"id":13,"error":{"code":107,"message":"bad request"}}`}},

		{"refresh", []string{`> {"id":1,"connect":{"token":"` + token + `"}}`,
			`< {"id":1,"connect":{"client":"C","version":"V","expires":true,"ttl":T,"ping":600,"pong":true,"node":"N"}}`,
			`> {"id":2,"refresh":{"token":"` + token + `"}}`, `< {"id":2,"refresh":{"expires":true,"ttl":T}}`,
			`> {"id":3,"refresh":{"token":"` + old + `"}}`, "x 3005 connection expired"}},
		{"refresh by somebody else", []string{`> {"id":1,"connect":{"token":"` + token + `"}}`,
			`< {"id":1,"connect":{"client":"C","version":"V","expires":true,"ttl":T,"ping":600,"pong":true,"node":"N"}}`,
			`> {"id":2,"refresh":{"token":"` + sign(t, testKey, auth.Claims{User: "43"}) + `"}}`, "x 3500 invalid token"}},
		{"refresh without a token", []string{connect, "< " + entered, `> {"id":2,"refresh":{}}`, "x 3501 bad request"}},

		{"a command that is newer", []string{connect, "< " + entered, `> {"id":2,"teleport":{"to":"mars"}}`, `< {"id":2,"error":{"code":104,"message":"method not found"}}`}},
		{"a command without a number", []string{connect, "< " + entered, `> {"publish":{"channel":"news","data":1}}`, "x 3501 bad request"}},
		{"wrong types", []string{connect, "< " + entered, `> {"id":2,"subscribe":{"channel":7}}`, "x 3501 bad request"}},
		{"a number beyond", []string{`> {"id":4294967296,"connect":{}}`, "x 3501 bad request"}},
		{"no JSON", []string{connect, "< " + entered, `> hello`, "x 3501 bad request"}},
		{"nothing", []string{connect, "< " + entered, `> `, "x 3501 bad request"}},
		{"what came before what is malformed counts", []string{connect + "\n" + `{"id":2,"ping":{}}` + "\n" + `{"id":3,`, "< " + entered + "\n" + `{"id":2,"ping":{}}`, "x 3501 bad request"}},
		{"nested deeply", []string{connect, "< " + entered, `> {"id":2,"subscribe":{"channel":"a","tf":` + strings.Repeat(`{"nodes":[`, 5000) + strings.Repeat(`]}`, 5000) + `}}`, "x 3501 bad request"}},
		{"data nested deeply is data", []string{connect, "< " + entered,
			`> {"id":2,"publish":{"channel":"news","data":` + strings.Repeat(`[`, 20000) + strings.Repeat(`]`, 20000) + `}}`, `< {"id":2,"publish":{}}`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := n.sdk("", nil)
			c.t = t
			c.talk(row.lines...)
		})
	}
}

// Bytes are for those who asked for protobuf.
func TestCentrifugeFrameTypes(t *testing.T) {
	n := startNode(t, "--dev").ready()
	for protocol, kind := range map[string]int{"": websocket.BinaryMessage, "centrifuge-json": websocket.BinaryMessage, "centrifuge-protobuf": websocket.TextMessage} {
		c := n.sdk("", nil, protocol)
		if got := c.Subprotocol(); got != protocol {
			t.Errorf("offered %q, agreed on %q", protocol, got)
		}
		c.send(kind, `{"id":1,"connect":{}}`)
		c.talk("x 3501 bad request")
	}
	if c := n.sdk("", nil, "other", "centrifuge-protobuf", "centrifuge-json"); c.Subprotocol() != "centrifuge-protobuf" {
		t.Errorf("the first that is known should be agreed on, is %q", c.Subprotocol())
	}
}

// What clients publish goes to the subscribers where the namespace says so, and not to the inbox.
func TestCentrifugeRelays(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--anonymous", configFile(t, "namespaces: [{name: room, relay: true}, {name: board, relay: true, durable: true}]")).ready()
	reader, author := n.sdk("", nil), n.sdk("", nil)
	reader.talk(`> {"id":1,"connect":{}}`, "< "+entered, `> {"id":2,"subscribe":{"channel":"room:1"}}`, `< {"id":2,"subscribe":{}}`,
		`> {"id":3,"subscribe":{"channel":"board:1"}}`, `< {"id":3,"subscribe":{"recoverable":true,"epoch":"E","offset":P,"positioned":true}}`)
	author.talk(`> {"id":1,"connect":{}}`, "< "+entered)
	for i := range 20 {
		author.send(websocket.TextMessage, fmt.Sprintf(`{"id":%d,"publish":{"channel":"room:1","data":%d}}`, 2*i+2, i)+"\n"+
			fmt.Sprintf(`{"id":%d,"publish":{"channel":"board:1","data":%d}}`, 2*i+3, i))
	}
	for i := range 20 { // in their order, the answers, too
		author.talk(fmt.Sprintf(`< {"id":%d,"publish":{}}`, 2*i+2), fmt.Sprintf(`< {"id":%d,"publish":{}}`, 2*i+3))
		reader.talk(fmt.Sprintf(`< {"push":{"channel":"room:1","pub":{"data":%d}}}`, i), fmt.Sprintf(`< {"push":{"channel":"board:1","pub":{"data":%d,"offset":P}}}`, i))
	}
	if e := n.entries("message"); len(e) > 0 {
		t.Errorf("the inbox has %v", e)
	}
}

// What is relayed is never taken for more than a payload, whatever it begins with.
func TestCentrifugeForgesNothing(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--anonymous", configFile(t, "namespaces: [{name: room, relay: true}, {name: board, relay: true, durable: true}]")).ready()
	reader := n.sdk("", nil)
	reader.talk(`> {"id":1,"connect":{}}`, "< "+entered, `> {"id":2,"subscribe":{"channel":"room:1"}}`, `< {"id":2,"subscribe":{}}`,
		`> {"id":3,"subscribe":{"channel":"board:1"}}`, `< {"id":3,"subscribe":{"recoverable":true,"epoch":"E","offset":P,"positioned":true}}`)
	client, j := newGoClient(t, "protobuf", n.Public(), centrifuge.Config{})
	mustConnect(t, client)
	j.want(connecting, "connected")
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	const forged = "\x01sluice 9007199254740991 1 1\nforged"
	if _, err := client.Publish(ctx, "room:1", []byte(forged)); err == nil || !strings.Contains(err.Error(), "107") {
		t.Errorf("a forged durable message: %v", err)
	}
	for _, channel := range []string{"room:1", "board:1"} {
		data := forged
		if channel == "room:1" {
			data = "next"
		}
		if _, err := client.Publish(ctx, channel, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	reader.talk(`< {"push":{"channel":"room:1","pub":{"data":"next"}}}`,
		`< {"push":{"channel":"board:1","pub":{"data":"\u0001sluice 9007199254740991 1 1\nforged","offset":P}}}`)
}

// What ends a connection has the codes that SDKs know.
func TestCentrifugeCloses(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--dev", "--message-rate", "1", "--message-burst", "5").ready()
	c := n.sdk("", nil)
	c.send(websocket.TextMessage, `{"id":1,"connect":{}}`+strings.Repeat("\n{}", 10)) // each command is a message
	c.talk("x 3013 too many messages")
	c = n.sdk("", nil)
	c.talk(`> {"id":1,"connect":{}}`, "< "+entered)
	c.send(websocket.TextMessage, strings.Repeat("x", 100_000))
	c.talk("x 1009 message too big")
	c = n.sdk("", nil)
	c.talk(`> {"id":1,"connect":{}}`, "< "+entered)
	eventually(t, "it is counted", func() error {
		if page := n.get(n.Admin(), "/metrics", 200); !strings.Contains(page, `sluice_closed_total{by="node",code="3013"} 1`) {
			return errors.New("it is not")
		}
		return nil
	})
	if err := n.stop(); err != nil {
		t.Error(err)
	}
	c.talk("x 3001 this node is going away, come back")
}

// While Redis is away clients stay, and are told to try again before their SDKs lose patience.
func TestCentrifugeWithoutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Reserve(t)
	n := startNode(t, "--dev", "--redis", server.URL, "--auth-hmac-secret", testSecret, "--handshake-timeout", "4s")
	const away = `"error":{"code":100,"message":"internal server error","temporary":true}}`
	c := n.sdk("", nil)
	c.talk(`> {"id":1,"connect":{}}`+"\n"+`{"id":2,"subscribe":{"channel":"news"}}`, "< "+entered, `< {"id":2,`+away,
		`> {"id":3,"publish":{"channel":"news","data":1}}`, `< {"id":3,`+away,
		`> {"id":4,"history":{"channel":"news","limit":1}}`, `< {"id":4,`+away)
	given := sign(t, testKey, auth.Claims{User: "42", Channels: []string{"news"}})
	n.sdk("", nil).talk(`> {"id":1,"connect":{"token":"`+given+`"}}`, "x 3004 internal server error")
	n.sdk("", nil).talk(`> {"id":1,"connect":{"token":"`+given+`"}}`, `> {"id":2,"unsubscribe":{"channel":"news"}}`+"\n"+`{"id":3,"ping":{}}`,
		`< {"id":1,"connect":{"client":"C","version":"V","expires":true,"ttl":T,"ping":600,"pong":true,"node":"N"}}`, `< {"id":2,"unsubscribe":{}}`+"\n"+`{"id":3,"ping":{}}`)

	server.Restart()
	n.ready()
	c.talk(`> {"id":5,"subscribe":{"channel":"news"}}`, `< {"id":5,"subscribe":{"recoverable":true,"epoch":"E","offset":P,"positioned":true}}`)
}

// Who may come in is decided as for other dialects, but for the token, which may come with connect.
func TestCentrifugeDoor(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--auth-hmac-secret", testSecret, "--auth-cookie", "sid", "--origins", "https://app.example", "--connections-per-user", "1").ready()
	const path = "/connection/websocket"
	token := sign(t, testKey, auth.Claims{User: "42"})
	page := func(origin string) http.Header { return http.Header{"Origin": {origin}} }
	cookie := func(origin string) http.Header {
		h := page(origin)
		h.Set("Cookie", "sid="+token)
		return h
	}
	for _, a := range []attempt{
		{name: "a foreign page", path: path, header: page("https://evil.example"), status: 403},
		{name: "a foreign page with a cookie", path: path, header: cookie("https://evil.example"), status: 403},
		{name: "a token that is none", path: path + "?token=x", status: 401},
	} {
		n.try(t, a)
	}
	const entered = `{"id":1,"connect":{"client":"C","version":"V","expires":true,"ttl":T,"ping":600,"pong":true,"node":"N"}}`
	one := n.sdk("", cookie("https://app.example"))
	one.talk(`> {"id":1,"connect":{}}`, "< "+entered)
	n.sdk("?token="+token, nil).talk(`> {"id":1,"connect":{}}`, "x 3504 connection limit")
	n.sdk("", page("https://app.example")).talk(`> {"id":1,"connect":{}}`, `< {"id":1,"error":{"code":101,"message":"unauthorized"}}`,
		`> {"id":2,"connect":{"token":"`+sign(t, testKey, auth.Claims{User: "43"})+`"}}`, "< "+strings.Replace(entered, `"id":1`, `"id":2`, 1))
	old := page("https://app.example") // nobody is locked out by a cookie that nobody has taken away
	old.Set("Cookie", "sid="+sign(t, testKey, auth.Claims{User: "44", Issued: time.Now().Add(-time.Hour), TTL: time.Minute}))
	n.sdk("", old).talk(`> {"id":1,"connect":{}}`, `< {"id":1,"error":{"code":109,"message":"token expired"}}`,
		`> {"id":2,"connect":{"token":"`+sign(t, testKey, auth.Claims{User: "44"})+`"}}`, "< "+strings.Replace(entered, `"id":1`, `"id":2`, 1))
	old.Set("Origin", "https://evil.example")
	n.try(t, attempt{name: "a foreign page with an old cookie", path: path, header: old, status: 403})
	_ = one.Close()
	eventually(t, "the user may come again", func() error {
		c := n.sdk("", nil)
		c.send(websocket.TextMessage, `{"id":1,"connect":{"token":"`+token+`"}}`)
		_, got, err := c.ReadMessage()
		if err != nil || constant(string(got)) != entered {
			return fmt.Errorf("got %s, %w", got, err)
		}
		return nil
	})
	eventually(t, "the inbox tells of who has come", func() error {
		if e := n.entries("connect"); len(e) < 2 || e[0]["user"] != "42" || e[1]["user"] != "43" {
			return fmt.Errorf("it has %v", e)
		}
		return nil
	})
}

// A client that does not read is closed with the code at which its SDK comes back.
func TestCentrifugeSlow(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--dev", "--queue-max", "64KiB", "--queue-policy", "disconnect").ready()
	c := n.sdk("", nil)
	c.talk(`> {"id":1,"connect":{}}`, "< "+entered, `> {"id":2,"subscribe":{"channel":"much"}}`,
		`< {"id":2,"subscribe":{"recoverable":true,"epoch":"E","offset":P,"positioned":true}}`)
	eventually(t, "it is closed", func() error {
		n.publish("much", `"`+strings.Repeat("x", 1<<20)+`"`)
		if page := n.get(n.Admin(), "/metrics", 200); !strings.Contains(page, `sluice_closed_total{by="node",code="3008"} 1`) ||
			!strings.Contains(page, `sluice_closed_by_reason_total{code="3008",reason="slow"} 1`) {
			return errors.New("it is not")
		}
		return nil
	})
}
