package main

import (
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// overTLS serves what s does over TLS, too, and returns where, and the file of who is to be trusted.
func overTLS(t *testing.T, s *httptest.Server) (address, ca string) {
	t.Helper()
	secure := httptest.NewUnstartedServer(s.Config.Handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of those who do not trust it
	secure.StartTLS()
	t.Cleanup(secure.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(secure.URL, "https"), ca
}

// TestOverTLS runs the scenarios against servers that speak TLS, with proof of what was delivered.
func TestOverTLS(t *testing.T) {
	h, e := newHub(t), newEvents(t)
	address, ca := overTLS(t, h.Server)
	streams, _ := overTLS(t, e.Server)
	ws := "wss" + address + "/ws?channel={channel}"
	for _, row := range []struct {
		name string
		p    publisher
		args []string
	}{
		{"idle", h, []string{"idle", "--url", ws, "-n", "50", "--for", "10ms", "--ca", ca}},
		{"fanout", h, []string{"fanout", "--url", ws, "-n", "50", "--warmup", "0s", "--for", "120s", "--messages", "40", "--burst", "8", "--ca", ca}},
		{"echo", h, []string{"echo", "--url", "wss" + address + "/echo", "-n", "20", "--warmup", "0s", "--for", "200ms", "--ca", ca}},
		{"storm", h, []string{"storm", "--url", ws, "-n", "50", "--for", "10ms", "--insecure", "--tickets"}},
		{"event streams", e, []string{"fanout", "--url", "https" + streams + "/sse?channel={channel}", "-n", "50", "--warmup", "0s", "--for", "120s", "--messages", "40", "--burst", "8", "--insecure"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			report, table, err := load(t, row.p, row.args...)
			if err != nil {
				t.Fatalf("%v\n%s", err, table)
			}
			if c := report.Connections; c == nil || c.Opened == 0 || c.Opened != c.Asked || report.Lost != 0 {
				t.Errorf("%+v", report)
			}
		})
	}
	_, _, err := load(t, h, "idle", "--url", ws, "-n", "1", "--for", "10ms")
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that nobody trusts: %v", err)
	}
	for _, file := range []string{filepath.Join(t.TempDir(), "none"), os.DevNull} {
		if _, _, err := load(t, h, "idle", "--url", ws, "-n", "1", "--ca", file); err == nil || !strings.Contains(err.Error(), "--ca") {
			t.Errorf("--ca %s: %v", file, err)
		}
	}
}
