package deploy

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// A browser speaks HTTP/2 with the balancer, by which it opens as many event streams as a page wants, and WebSockets beside that.
func TestBrowserThroughBalancer(t *testing.T) {
	each(t, []kind{haproxy, nginx}, func(t *testing.T, k kind) {
		r := newRig(t, k, place{})
		_, port, err := net.SplitHostPort(r.front.address)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*patience) // browsers start slowly on a busy machine
		defer cancel()
		out, err := exec.CommandContext(ctx, "node", "testdata/browser.mjs", port).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != "h2, WebSocket open, 10 event streams" {
			t.Errorf("the browser says %q, %v", got, err)
		}
	})
}
