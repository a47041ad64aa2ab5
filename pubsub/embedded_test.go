package pubsub_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/pubsub"
	"sluice/pubsub/pubsubtest"
)

func TestEmbeddedLoopbackOnly(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1", ""} {
		if e, err := pubsub.StartEmbedded(addr); err == nil {
			t.Errorf("%q: started on %s", addr, e.Addr())
			e.Close()
		}
	}
	e := startEmbedded(t)
	if _, err := pubsub.StartEmbedded(e.Addr()); err == nil || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second one on the same address: %v", err)
	}
	if e, err := pubsub.StartEmbedded("localhost:0"); err != nil {
		t.Errorf("localhost: %v", err)
	} else {
		e.Close()
	}
}

// embeddedClient is a go-redis client of e.
func embeddedClient(t *testing.T, e *pubsub.Embedded) *redis.Client {
	t.Helper()
	return open(t, pubsub.Options{URL: e.URL()}).Client("")
}

func TestEmbeddedSurvivesClients(t *testing.T) {
	e := startEmbedded(t)
	for _, c := range []struct{ name, send, want string }{
		{"inline", "PING\r\n", "+PONG\r\n"},
		{"inline with line feed only", "\n\nping\n", "+PONG\r\n"},
		{"inline with arguments", "  ECHO   hello \r\n", "$5\r\nhello\r\n"},
		{"empty arrays", "*0\r\n*-1\r\nPING\r\n", "+PONG\r\n"},
		{"empty argument", "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "$0\r\n\r\n"},
		{"empty command", "*1\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n", "-ERR unknown command ``"},
		{"huge array", "*99999999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"no array length", "*\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"huge argument", "*1\r\n$9223372036854775807\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"negative argument", "*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"no argument", "*1\r\nPING\r\n", "-ERR Protocol error: expected '$'\r\n"},
		{"long line", strings.Repeat("x", 1<<20), "-ERR Protocol error: too big inline request\r\n"},
		{"HTTP", "POST / HTTP/1.1\r\nHost: localhost\r\n\r\nPUBLISH a b\r\n", "-ERR Protocol error: this is HTTP"},
		{"XADD that panics", "XADD s NOMKSTREAM MAXLEN ~\r\n", "-ERR the embedded broker cannot do this XADD"},
		{"the same in a script", `*3` + "\r\n$4\r\nEVAL\r\n$52\r\nreturn redis.call('XADD','s','NOMKSTREAM','MAXLEN','~')\r\n$1\r\n0\r\n", "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", e.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go func() { _, _ = io.WriteString(conn, c.send) }() // a refused client is cut off while it writes
			got := make([]byte, len(c.want))
			if n, err := io.ReadFull(conn, got); err != nil || string(got) != c.want {
				t.Errorf("got %q, %v; want %q", got[:n], err, c.want)
			}
		})
		client := embeddedClient(t, e)
		if err := client.XAdd(context.Background(), &redis.XAddArgs{Stream: "s", Values: []string{"a", "b"}}).Err(); err != nil {
			t.Fatalf("after %q: %v", c.name, err)
		}
	}
}

// A subscriber that never reads must not stop the others.
func TestEmbeddedStalledSubscriber(t *testing.T) {
	e := startEmbedded(t)
	stalled, err := net.Dial("tcp", e.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	fmt.Fprint(stalled, "SUBSCRIBE sluice:a\r\n")
	if line, err := bufio.NewReaderSize(stalled, 16).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	b, sink := pubsubtest.Start(t, at(e.URL()), "sluice:")
	b.Subscribe("a")
	pubsubtest.Eventually(t, "subscribed", func() bool { return sink.Announced("a") == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	payload := make([]byte, 1<<20)
	for receivers := int64(2); receivers == 2; {
		if receivers, err = b.Publish(ctx, "a", payload); err != nil && !strings.Contains(err.Error(), "timeout") {
			t.Fatal(err)
		}
	}
}

func TestEmbeddedExpires(t *testing.T) {
	client := embeddedClient(t, startEmbedded(t))
	ctx := context.Background()
	if err := client.Set(ctx, "k", "v", 150*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	pubsubtest.Eventually(t, "the key expires", func() bool { return client.Exists(ctx, "k").Val() == 0 })
}
