package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"

	"sluice/gateway/auth"
	"sluice/pubsub/redistest"
)

// journal is what an SDK has told its application, in order.
type journal struct {
	t *testing.T

	mu    sync.Mutex
	lines []string // guarded by mu
	read  int      // guarded by mu
}

func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// want waits for the next lines.
func (j *journal) want(lines ...string) {
	j.t.Helper()
	for _, line := range lines {
		eventually(j.t, "the SDK says "+line, func() error {
			j.mu.Lock()
			defer j.mu.Unlock()
			if j.read == len(j.lines) {
				return fmt.Errorf("it says nothing more, after %q", j.lines)
			}
			if got := j.lines[j.read]; got != line {
				j.t.Fatalf("it says %q, want %q, of %q", got, line, j.lines)
			}
			j.read++
			return nil
		})
	}
}

// wantAll waits for the next lines, in any order.
func (j *journal) wantAll(lines ...string) {
	j.t.Helper()
	eventually(j.t, fmt.Sprintf("the SDK says %q", lines), func() error {
		j.mu.Lock()
		defer j.mu.Unlock()
		next := j.lines[j.read:]
		if len(next) < len(lines) {
			return fmt.Errorf("it says %q", next)
		}
		for _, line := range lines {
			if !slices.Contains(next[:len(lines)], line) {
				j.t.Fatalf("it says %q, want %q", next, lines)
			}
		}
		j.read += len(lines)
		return nil
	})
}

// goClients are centrifuge-go's, by what they speak.
var goClients = map[string]func(string, centrifuge.Config) *centrifuge.Client{"JSON": centrifuge.NewJsonClient, "protobuf": centrifuge.NewProtobufClient}

// newGoClient makes a client that notes what happens to it, but for how often it has to try.
func newGoClient(t *testing.T, speaks string, addr net.Addr, c centrifuge.Config) (*centrifuge.Client, *journal) {
	t.Helper()
	c.ReadTimeout, c.HandshakeTimeout, c.WriteTimeout = patience, patience, patience
	c.MinReconnectDelay, c.MaxReconnectDelay = 10*time.Millisecond, 200*time.Millisecond
	client := goClients[speaks]("ws://"+addr.String()+"/connection/websocket", c)
	t.Cleanup(client.Close)
	j := &journal{t: t}
	client.OnConnected(func(centrifuge.ConnectedEvent) { j.note("connected") })
	client.OnConnecting(func(e centrifuge.ConnectingEvent) { j.note("connecting %d", e.Code) })
	client.OnDisconnected(func(e centrifuge.DisconnectedEvent) { j.note("disconnected %d %s", e.Code, e.Reason) })
	client.OnMessage(func(e centrifuge.MessageEvent) { j.note("message %s", e.Data) })
	client.OnSubscribed(func(e centrifuge.ServerSubscribedEvent) {
		j.note("%s subscribed, was recovering %v, recovered %v", e.Channel, e.WasRecovering, e.Recovered)
	})
	client.OnPublication(func(e centrifuge.ServerPublicationEvent) { j.note("%s: %s", e.Channel, e.Data) })
	return client, j
}

// subscribe makes a subscription that notes what happens to it.
func (j *journal) subscribe(client *centrifuge.Client, channel string, c centrifuge.SubscriptionConfig) *centrifuge.Subscription {
	j.t.Helper()
	c.MinResubscribeDelay, c.MaxResubscribeDelay = 10*time.Millisecond, 200*time.Millisecond
	s, err := client.NewSubscription(channel, c)
	if err != nil {
		j.t.Fatal(err)
	}
	s.OnSubscribed(func(e centrifuge.SubscribedEvent) {
		j.note("%s subscribed, recoverable %v, was recovering %v, recovered %v", channel, e.Recoverable, e.WasRecovering, e.Recovered)
	})
	s.OnSubscribing(func(e centrifuge.SubscribingEvent) { j.note("%s subscribing %d %s", channel, e.Code, e.Reason) })
	s.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) { j.note("%s unsubscribed %d %s", channel, e.Code, e.Reason) })
	s.OnError(func(e centrifuge.SubscriptionErrorEvent) { j.note("%s error %v", channel, e.Error) })
	s.OnPublication(func(e centrifuge.PublicationEvent) { j.note("%s: %s", channel, e.Data) })
	s.OnJoin(func(e centrifuge.JoinEvent) { j.note("join %s %s", e.User, e.ConnInfo) })
	s.OnLeave(func(e centrifuge.LeaveEvent) { j.note("leave %s %s", e.User, e.ConnInfo) })
	if err := s.Subscribe(); err != nil {
		j.t.Fatal(err)
	}
	return s
}

func mustConnect(t *testing.T, client *centrifuge.Client) {
	t.Helper()
	if err := client.Connect(); err != nil {
		t.Fatal(err)
	}
}

const (
	connecting   = "connecting 0" // it was told to
	reconnecting = "connecting 1" // the connection was lost
)

// publishDurably publishes as a backend does, into the channel's log.
func (n *testNode) publishDurably(channel, payload string, options ...any) {
	n.t.Helper()
	eventually(n.t, "the functions are loaded", func() error { return n.redis.FCall(n.t.Context(), "sluice_version", nil).Err() })
	if err := n.redis.FCall(n.t.Context(), "sluice_publish", []string{"sluice:" + channel}, append([]any{payload}, options...)...).Err(); err != nil {
		n.t.Fatal(err)
	}
}

func TestCentrifugeGo(t *testing.T) {
	t.Parallel()
	for speaks := range goClients {
		t.Run(speaks, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, "--dev").ready()
			client, j := newGoClient(t, speaks, n.Public(), centrifuge.Config{Data: []byte(`{"hello":"node"}`)})
			mustConnect(t, client)
			j.want(connecting, "connected")
			arrived := n.entry("connect")
			if arrived["data"] != `{"hello":"node"}` {
				t.Errorf("the inbox has %v", arrived)
			}
			sub := j.subscribe(client, "news", centrifuge.SubscriptionConfig{})
			j.want("news subscribing 0 subscribe called", "news subscribed, recoverable true, was recovering false, recovered false")
			if e := n.entry("subscribe"); e["channel"] != "news" {
				t.Errorf("the inbox has %v", e)
			}
			n.publish("news", `{"a": 1}`)
			n.publish("news", "text")
			n.publish("news", "\xff\x00")
			j.want(map[string][]string{
				"JSON":     {`news: {"a": 1}`, `news: "text"`, `news: "/wA="`},
				"protobuf": {`news: {"a": 1}`, "news: text", "news: \xff\x00"},
			}[speaks]...)

			ctx, cancel := context.WithTimeout(t.Context(), 6*patience) // for all that follows
			defer cancel()
			if _, err := sub.Publish(ctx, []byte(`{"from":"client"}`)); err != nil {
				t.Fatal(err)
			}
			if e := n.entry("message"); e["data"] != `{"from":"client"}` || e["channel"] != "news" || e["conn"] != arrived["conn"] {
				t.Errorf("the inbox has %v", e)
			}
			if _, err := client.Publish(ctx, "a b", []byte(`1`)); err == nil || !strings.Contains(err.Error(), "102") {
				t.Errorf("publishing to what is no channel: %v", err)
			}
			if err := client.Send(ctx, []byte(`{"sent":true}`)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "what was sent is in the inbox", func() error {
				if all := n.entries("message"); len(all) != 2 || all[1]["data"] != `{"sent":true}` || all[1]["channel"] != nil {
					return fmt.Errorf("it has %v", all)
				}
				return nil
			})
			if err := n.redis.Publish(ctx, arrived["reply"].(string), arrived["conn"].(string)+` {"for":"you"}`).Err(); err != nil {
				t.Fatal(err)
			}
			j.want(`message {"for":"you"}`)

			var answer centrifuge.RPCResult
			var called sync.WaitGroup
			called.Go(func() {
				var err error
				if answer, err = client.RPC(ctx, "sum", []byte(`[1,2]`)); err != nil {
					t.Error(err)
				}
			})
			e := n.entry("rpc")
			if e["method"] != "sum" || e["data"] != "[1,2]" {
				t.Errorf("the inbox has %v", e)
			}
			if err := n.redis.Publish(ctx, e["reply"].(string), fmt.Sprintf("%s:%s 3", e["conn"], e["call"])).Err(); err != nil {
				t.Fatal(err)
			}
			if called.Wait(); string(answer.Data) != "3" {
				t.Errorf("the answer is %q", answer.Data)
			}

			if err := sub.Unsubscribe(); err != nil {
				t.Fatal(err)
			}
			j.want("news unsubscribed 0 unsubscribe called")
			if e := n.entry("unsubscribe"); e["channel"] != "news" {
				t.Errorf("the inbox has %v", e)
			}
			if err := client.Disconnect(); err != nil {
				t.Fatal(err)
			}
			j.want("disconnected 0 disconnect called")
			n.entry("disconnect")
		})
	}
}

// What a client missed while its connection was cut it is given by another node, once, in order, and
// before what comes live.
func TestCentrifugeGoRecovers(t *testing.T) {
	t.Parallel()
	for speaks := range goClients {
		t.Run(speaks, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			one := startNode(t, "--dev", "--redis", server.URL).ready()
			other := startNode(t, "--dev", "--redis", server.URL).ready()
			way := newDetour(t, one.Public())
			client, j := newGoClient(t, speaks, way.ln.Addr(), centrifuge.Config{})
			mustConnect(t, client)
			j.want(connecting, "connected")
			j.subscribe(client, "orders", centrifuge.SubscriptionConfig{Recoverable: true})
			j.want("orders subscribing 0 subscribe called", "orders subscribed, recoverable true, was recovering false, recovered false")
			one.publishDurably("orders", "1")
			j.want("orders: 1")
			from := one.Public()
			for i := 2; i < 20; i += 3 {
				to := other.Public()
				if from.String() == to.String() {
					to = one.Public()
				}
				way.cut(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}) // nobody is there
				j.want("orders subscribing 1 transport closed", reconnecting)
				one.publishDurably("orders", fmt.Sprint(i))
				one.publishDurably("orders", fmt.Sprint(i+1))
				way.cut(to)
				j.want("connected", "orders subscribed, recoverable true, was recovering true, recovered true", fmt.Sprint("orders: ", i), fmt.Sprint("orders: ", i+1))
				other.publishDurably("orders", fmt.Sprint(i+2))
				j.want(fmt.Sprint("orders: ", i+2))
				from = to
			}

			way.cut(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
			j.want("orders subscribing 1 transport closed", reconnecting)
			one.publishDurably("orders", "100")
			one.publishDurably("orders", "101", "size", 1) // the log has lost what came before
			way.cut(other.Public())
			j.want("connected", "orders subscribed, recoverable true, was recovering true, recovered false")
			one.publishDurably("orders", "102")
			j.want("orders: 102")
		})
	}
}

// Channels that the token gives come with the answer to connect, recovered where the client has been there.
func TestCentrifugeGoGivenChannels(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	n := startNode(t, "--auth-hmac-secret", testSecret, "--redis", server.URL, configFile(t, "namespaces: [{name: orders, durable: true}]")).ready()
	for speaks := range goClients {
		t.Run(speaks, func(t *testing.T) {
			way := newDetour(t, n.Public())
			orders := "orders:" + speaks
			client, j := newGoClient(t, speaks, way.ln.Addr(), centrifuge.Config{Token: sign(t, testKey, auth.Claims{User: "42", Channels: []string{orders, "#42"}})})
			mustConnect(t, client)
			j.want(connecting, "connected")
			j.wantAll(orders+" subscribed, was recovering false, recovered false", "#42 subscribed, was recovering false, recovered false")
			n.publish("#42", `"for you"`)
			j.want(`#42: "for you"`)
			n.publishDurably(orders, "1")
			j.want(orders + ": 1")
			way.cut(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
			j.want(reconnecting)
			n.publishDurably(orders, "2")
			n.publishDurably(orders, "3")
			way.cut(n.Public())
			j.want("connected")
			j.wantAll(orders+" subscribed, was recovering true, recovered true", "#42 subscribed, was recovering false, recovered false", orders+": 2", orders+": 3")
			n.publishDurably(orders, "4")
			j.want(orders + ": 4")
		})
	}
	eventually(t, "the inbox tells of all that have come", func() error {
		if e := n.entries("connect"); len(e) < 4 || e[0]["user"] != "42" || !strings.HasSuffix(e[0]["channel"].(string), " #42") {
			return fmt.Errorf("it has %v", e)
		}
		return nil
	})
}

// A token that expires is replaced while the connection stays.
func TestCentrifugeGoRefreshes(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--auth-hmac-secret", testSecret, "--auth-leeway", "0s").ready()
	var mu sync.Mutex
	fetched := 0
	client, j := newGoClient(t, "protobuf", n.Public(), centrifuge.Config{GetToken: func(centrifuge.ConnectionTokenEvent) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		fetched++
		if fetched == 1 {
			return sign(t, testKey, auth.Claims{User: "42", Issued: time.Now().Add(-2 * time.Hour)}), nil // it has expired
		}
		return sign(t, testKey, auth.Claims{User: "42", TTL: shortLife}), nil
	}})
	client.OnError(func(e centrifuge.ErrorEvent) { j.note("error %v", e.Error) })
	mustConnect(t, client)
	eventually(t, "the token was fetched a few times", func() error {
		mu.Lock()
		defer mu.Unlock()
		if fetched < 4 {
			return fmt.Errorf("%d times", fetched)
		}
		return nil
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	lines, err := json.Marshal(j.lines)
	if want := `["connecting 0","error connect error: 109: token expired","connected"]`; string(lines) != want || err != nil {
		t.Errorf("it says %s\nwant    %s", lines, want)
	}
}

// A client that lets its token expire is closed, with a code at which SDKs come back.
func TestCentrifugeExpires(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--anonymous", "--auth-hmac-secret", testSecret, "--auth-leeway", "0s", "--auth-grace", "0s", "--handshake-timeout", "4s").ready()
	c := n.sdk("", nil)
	c.talk(`> {"id":1,"connect":{"token":"`+sign(t, testKey, auth.Claims{User: "42", TTL: shortLife})+`"}}`,
		`< {"id":1,"connect":{"client":"C","version":"V","expires":true,"ttl":T,"ping":600,"pong":true,"node":"N"}}`,
		"x 3005 connection expired")

	s := n.sdk("", nil)
	one := sign(t, testKey, auth.Claims{User: "42", Channel: "a", TTL: shortLife})
	s.talk(`> {"id":1,"connect":{"token":"`+sign(t, testKey, auth.Claims{User: "42"})+`"}}`+"\n"+`{"id":2,"subscribe":{"channel":"a","token":"`+one+`"}}`,
		`< {"id":1,"connect":{"client":"C","version":"V","expires":true,"ttl":T,"ping":600,"pong":true,"node":"N"}}`,
		`< {"id":2,"subscribe":{"expires":true,"ttl":T}}`,
		`< {"push":{"channel":"a","unsubscribe":{"code":2501,"reason":"subscription expired"}}}`,
		`> {"id":3,"ping":{}}`, `< {"id":3,"ping":{}}`)

	n.sdk("", nil).talk("x 3502 stale")
}

// A publisher is not sent its own message where the service leaves it out.
func TestCentrifugeExcludes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	n := startNode(t, "--dev", "--redis", server.URL).ready()
	author, reader := n.sdk("", nil), n.sdk("", nil)
	for _, c := range []sdk{author, reader} {
		c.talk(`> {"id":1,"connect":{}}`, "< "+entered, `> {"id":2,"subscribe":{"channel":"chat"}}`, `< {"id":2,"subscribe":{"recoverable":true,"epoch":"E","offset":P,"positioned":true}}`)
	}
	author.talk(`> {"id":3,"publish":{"channel":"chat","data":"hi"}}`, `< {"id":3,"publish":{}}`)
	conn := n.entry("message")["conn"]
	n.publishDurably("chat", `"hi"`, "exclude", conn)
	n.publishDurably("chat", `"all"`)
	reader.talk(`< {"push":{"channel":"chat","pub":{"data":"hi","offset":P}}}`)
	author.talk(`< {"push":{"channel":"chat","pub":{"data":"all","offset":P}}}`)
}

// Who is there, and who comes and goes, in a namespace that keeps that.
func TestCentrifugeGoPresence(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	settings := configFile(t, "namespaces: [{name: room, presence: true, see_presence: anyone, join_leave: true}, {name: quiet, presence: true}]")
	flags := []string{"--dev", "--redis", server.URL, "--auth-hmac-secret", testSecret, settings}
	one, other := startNode(t, flags...).ready(), startNode(t, flags...).ready()
	eventually(t, "the functions are loaded", func() error { return one.redis.FCall(t.Context(), "sluice_version", nil).Err() })
	ada, j := newGoClient(t, "JSON", one.Public(), centrifuge.Config{Token: sign(t, testKey, auth.Claims{User: "ada", Info: []byte(`{"name":"Ada"}`)})})
	mustConnect(t, ada)
	j.want(connecting, "connected")
	room := j.subscribe(ada, "room:1", centrifuge.SubscriptionConfig{JoinLeave: true})
	j.want("room:1 subscribing 0 subscribe called", "room:1 subscribed, recoverable true, was recovering false, recovered false", `join ada {"name":"Ada"}`)

	bob, k := newGoClient(t, "protobuf", other.Public(), centrifuge.Config{Token: sign(t, testKey, auth.Claims{User: "bob"})})
	mustConnect(t, bob)
	k.want(connecting, "connected")
	k.subscribe(bob, "room:1", centrifuge.SubscriptionConfig{})
	j.want("join bob ")
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience) // for all that follows
	defer cancel()
	stats, err := room.PresenceStats(ctx)
	if err != nil || stats.NumClients != 2 || stats.NumUsers != 2 {
		t.Errorf("%+v, %v", stats, err)
	}
	who, err := room.Presence(ctx)
	if err != nil || len(who.Clients) != 2 {
		t.Errorf("%+v, %v", who, err)
	}
	for name, info := range who.Clients {
		if name != info.Client || (info.User != "ada" || string(info.ConnInfo) != `{"name":"Ada"}`) && (info.User != "bob" || len(info.ConnInfo) > 0) {
			t.Errorf("%s: %+v", name, info)
		}
	}
	for channel, code := range map[string]string{"quiet:1": "103", "news": "108", "a b": "102"} {
		if _, err := ada.Presence(ctx, channel); err == nil || !strings.Contains(err.Error(), code) {
			t.Errorf("presence of %s: %v, want %s", channel, err, code)
		}
	}
	bob.Close()
	j.want("leave bob ")
	one.publish("room:1", "1")
	j.want("room:1: 1")
}

// A client that may have missed messages is told: its subscription ends with a code at which its SDK
// subscribes again. Where there is a log nothing was missed, and nothing is told.
func TestCentrifugeGoGaps(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	n := startNode(t, "--anonymous", "--redis", server.URL, configFile(t, "namespaces: [{name: orders, durable: true}]")).ready()
	client, j := newGoClient(t, "JSON", n.Public(), centrifuge.Config{})
	mustConnect(t, client)
	j.want(connecting, "connected")
	j.subscribe(client, "orders:1", centrifuge.SubscriptionConfig{})
	j.want("orders:1 subscribing 0 subscribe called", "orders:1 subscribed, recoverable true, was recovering false, recovered false")
	j.subscribe(client, "news", centrifuge.SubscriptionConfig{})
	j.want("news subscribing 0 subscribe called", "news subscribed, recoverable false, was recovering false, recovered false")
	for i := range 3 {
		server.Do("CLIENT", "KILL", "TYPE", "pubsub")
		j.want("news subscribing 2500 insufficient state", "news subscribed, recoverable false, was recovering false, recovered false")
		n.publishDurably("orders:1", fmt.Sprint(i))
		j.want(fmt.Sprint("orders:1: ", i))
	}
}
