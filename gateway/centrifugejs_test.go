package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/pubsub/redistest"
)

// TestCentrifugeJS has the SDK of pages do what an application does with it.
func TestCentrifugeJS(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"JSON", "protobuf"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			n := startNode(t, "--dev", "--redis", server.URL).ready()
			eventually(t, "the functions are loaded", func() error { return n.redis.FCall(t.Context(), "sluice_version", nil).Err() })
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "node", "testdata/interop/centrifuge.mjs")
			cmd.WaitDelay = time.Second
			cmd.Env = append(os.Environ(), "PUBLIC="+n.Public().String(), "REDIS="+server.URL, "ENCODING="+encoding)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasSuffix(string(out), "done\n") {
				t.Fatalf("%v (without node or the npm packages: run make deps)\n%s", err, out)
			}
		})
	}
}

// TestReadmeSDK runs the README's program for pages, in Node, which has their WebSocket
// behind a flag.
func TestReadmeSDK(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--dev").ready()
	program := strings.ReplaceAll(example(t, "js sdk"), "localhost:8000", n.Public().String())
	dir, err := os.MkdirTemp(".", ".readme") // inside the module, where Node finds its libraries
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // left over at worst
	file := filepath.Join(dir, "example.mjs")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "--experimental-websocket", file)
	var out safeBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it was killed: it would have gone on for ever
	}()
	says := func(text string) {
		t.Helper()
		eventually(t, "the program says "+text, func() error {
			if !strings.Contains(out.String(), text) {
				return errors.New(out.String())
			}
			return nil
		})
	}
	says("up to date")
	n.publish("orders", `{"id":7}`)
	says("{ id: 7 } undefined")
}
