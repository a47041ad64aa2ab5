package main

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"sluice/loadtest/internal/proof"
	"sluice/pubsub/redisproc"
)

// TestYardstick builds the bare server, and publishes to it through Redis as to any other.
func TestYardstick(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Fatal("the yardstick is written in C, and there is no cc here: run make deps")
	}
	bare := filepath.Join(t.TempDir(), "bare")
	if out, err := exec.Command(cc, "-O1", "-Wall", "-Wextra", "-Werror", "-o", bare, "../yardstick/bare.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	broker := miniredis.RunT(t)
	for _, mode := range [][]string{nil, {"--burst"}} {
		listen := freePort(t)
		ctx, stop := context.WithCancel(t.Context())
		server := exec.CommandContext(ctx, bare, append([]string{"--listen", listen, "--redis", broker.Addr(), "--channel", "sluice:news"}, mode...)...)
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		awaitListener(t, listen)
		report, _, err := load(t, nil, "fanout", "--url", "ws://127.0.0.1:"+listen+"/", "--redis", "redis://"+broker.Addr(), "-n", "50",
			"--pid", strconv.Itoa(server.Process.Pid), "--warmup", "0s", "--for", "120s", "--messages", "640", "--burst", "32", "--size", "300")
		if err != nil {
			t.Errorf("%v: %v", mode, err)
		} else if got := report.Traffic.Proof; got != (proof.Counts{Delivered: 32000}) || report.Server != "bare" {
			t.Errorf("%v: %+v", mode, got)
		}
		if report, _, err := load(t, nil, "churn", "--url", "ws://127.0.0.1:"+listen+"/", "--rate", "300", "--for", "100ms"); err != nil || report.Churn.Closed == 0 {
			t.Errorf("%v: %v, %+v", mode, err, report.Churn)
		}
		report, _, err = load(t, nil, "echo", "--url", "ws://127.0.0.1:"+listen+"/echo", "-n", "10", "--depth", "16", "--size", "5000", "--warmup", "0s", "--for", "100ms")
		if err != nil || report.Traffic.Proof.Delivered == 0 {
			t.Errorf("%v: %v, %+v", mode, err, report.Traffic)
		}
		stop()
		_ = server.Wait() // killed just now
	}
}

func freePort(t *testing.T) string {
	port, err := redisproc.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

func awaitListener(t *testing.T, port string) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = c.Close() // it has served
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
