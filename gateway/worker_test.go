package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"sluice/pubsub/redistest"
)

// worker is the README's worker as a process, with some of its text replaced.
type worker struct {
	*exec.Cmd
	out safeBuffer
}

func startWorker(t *testing.T, name string, replaced ...string) *worker {
	t.Helper()
	file := filepath.Join(t.TempDir(), "worker.py")
	program := strings.NewReplacer(replaced...).Replace(example(t, "python worker"))
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	argv := append(python(t, file), name)
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{Cmd: exec.CommandContext(ctx, argv[0], argv[1:]...)}
	w.Stdout, w.Stderr = &w.out, &w.out
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = w.Wait() // it was killed: it would have gone on for ever
	})
	return w
}

func (w *worker) says(t *testing.T, text string) {
	t.Helper()
	eventually(t, "the worker says "+text, func() error {
		if !strings.Contains(w.out.String(), text) {
			return errors.New(w.out.String())
		}
		return nil
	})
}

// A worker of the README is killed when it has done its work and not said so. Another
// one takes over what it had been given, and does nothing twice.
func TestReadmeWorker(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	n := startNode(t, "--dev", "--redis", server.URL).ready()
	_, port, _ := strings.Cut(server.Addr, ":")
	settings := []string{"6380", port, "60_000", "200", "block=5000", "block=100"}
	first := startWorker(t, "first", append(settings, "        r.xack(", "        import time; time.sleep(3600)\n        r.xack(")...)

	c := n.dial("/ws?channel=news", "sluice.v1")
	say := func(format string, args ...any) { c.send(websocket.TextMessage, fmt.Sprintf(format, args...)) }
	ackOf := func(id string) {
		t.Helper()
		for want := fmt.Appendf(nil, `{"ack":%q}`, id); ; {
			_, got, err := c.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(got, want) {
				return
			}
		}
	}
	first.says(t, "connect")
	// It hangs in the connect entry: what is said now waits for somebody else.
	say(`{"id":"m0","data":{"item":0}}`)
	ackOf("m0")
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The next one has done the work of m0 when it is killed.
	second := startWorker(t, "second", append(settings, "        r.xack(", "        if e['type'] == 'message':\n            import time; time.sleep(3600)\n        r.xack(")...)
	second.says(t, "stored conn:")
	if err := second.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	startWorker(t, "third", settings...).says(t, "seen before conn:")
	for i := range 20 {
		say(`{"id":"m%d","data":{"item":%d}}`, i, i)
		say(`{"id":"m%d","data":{"item":%d}}`, i, i) // it did not wait for the ack, or did not get it
	}
	ackOf("m19")
	ackOf("m19")
	fourth := startWorker(t, "fourth", settings...)
	eventually(t, "all is done", func() error {
		if done := n.redis.HLen(t.Context(), "orders").Val(); done != 20 {
			return fmt.Errorf("%d orders", done)
		}
		if p, err := n.redis.XPending(t.Context(), "sluice:inbox", "workers").Result(); err != nil || p.Count > 0 {
			return fmt.Errorf("%+v, %w", p, err)
		}
		return nil
	})
	say(`{"id":"c1","call":"count"}`)
	for {
		_, got, err := c.ReadMessage()
		if err != nil {
			t.Fatalf("%v\n%s", err, fourth.out.String())
		}
		if bytes.Contains(got, []byte(`"reply"`)) {
			if string(got) != `{"reply":"c1","data":{"orders": 20}}` && string(got) != `{"reply":"c1","data":{"orders":20}}` {
				t.Errorf("the answer is %s", got)
			}
			return
		}
	}
}
