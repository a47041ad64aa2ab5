package main

import (
	"context"
	"os"
	"os/exec"
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
