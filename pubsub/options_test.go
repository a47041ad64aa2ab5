package pubsub

import (
	"strings"
	"testing"
	"time"
)

func TestOpenRefuses(t *testing.T) {
	const good = "redis://localhost"
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"no URL", Options{}, "is empty"},
		{"no scheme", Options{URL: "localhost:6379"}, "no scheme"},
		{"another scheme", Options{URL: "http://localhost"}, "unknown scheme"},
		{"unescaped password", Options{URL: "redis://:sec/ret@host:6379"}, "special characters in the password"},
		{"lanes", Options{URL: good, Lanes: 65}, "subscribe connections per server must be 1 to 64, is 65"},
		{"repeats", Options{URL: good + "?max_retries=3"}, "max_retries"},
		{"prefix", Options{URL: good, Prefix: "{sluice}:"}, "prefix"},
		{"long prefix", Options{URL: good, Prefix: strings.Repeat("x", 256)}, "prefix is 256 bytes long"},
		{"client name", Options{URL: good, ClientName: "a b"}, "client name"},
		{"chunk", Options{URL: good, ChunkNames: 1001}, "names per SUBSCRIBE must be 1 to 1000, is 1001"},
		{"chunk bytes", Options{URL: good, ChunkBytes: -1}, "outstanding"},
		{"message", Options{URL: good, MaxMessage: -1}, "largest message"},
		{"buffer", Options{URL: good, ReadBuffer: 100}, "read buffer"},
		{"duration", Options{URL: good, PingEvery: -time.Second}, "ping interval must not be negative, is -1s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := Open(c.o)
			if err == nil {
				b.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open: %v, want %q", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "ret@")) {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
	// Every fault is reported at once.
	_, err := Open(Options{URL: "redis+sentinel://h", ChunkNames: -1, ReadBuffer: 1})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("three faults: %v", err)
	}
}

func TestOpenAccepts(t *testing.T) {
	for _, url := range []string{
		"redis://localhost", "redis://:pw@10.0.0.1:6380/3", "rediss://me:p%2Fw@example.com", "redis://[::1]:6379",
		"redis://h?dial_timeout=1s&pool_size=5", "redis://h?max_retries=-1", "redis://a,redis://b",
	} {
		b, err := Open(Options{URL: url})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if n := b.Client("sluice:inbox").Options().MaxRetries; n != 0 {
			t.Errorf("%s: the client repeats %d times", url, n)
		}
		if err := b.Ready(); err == nil || !strings.Contains(err.Error(), "not started") {
			t.Errorf("%s: Ready before Run: %v", url, err)
		}
		if err := b.Close(); err != nil {
			t.Errorf("%s: Close: %v", url, err)
		}
	}
}

// Where servers have to be found first, none has a key yet.
func TestOpenKnowsNoServersYet(t *testing.T) {
	for _, url := range []string{"redis+sentinel://127.0.0.1:1?master_name=m", "redis+cluster://127.0.0.1:1"} {
		b, err := Open(Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if b.Client("sluice:inbox") != nil {
			t.Errorf("%s: it knows who has the inbox", url)
		}
		if _, err := b.Publish(t.Context(), "news", nil); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("%s: Publish: %v", url, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
