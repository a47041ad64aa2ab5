package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestClientPage uses the console's client page of a real node in Chromium: what is published
// shows, what is sent is in the inbox, and how a connection ends is told.
// SCREENSHOTS names a folder to keep screenshots in.
func TestClientPage(t *testing.T) {
	t.Parallel()
	n := startNode(t, "--dev").ready()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "admin/testdata/client.mjs")
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "ADMIN_URL=http://"+n.Admin().String())
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		path, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "OUT_DIR="+path)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v (without node, Chromium or playwright-core: run make deps)\n%s", err, out.String())
	}
	t.Log(out.String())
}
