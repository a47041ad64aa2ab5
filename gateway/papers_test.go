package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the files of TLS hold is tried out by config check, where any are named.
func TestConfigCheckReadsPapers(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("one", "push.example")
	_, other := a.issue("two", "push.example")
	keys := filepath.Join(t.TempDir(), "tickets")
	if err := os.WriteFile(keys, []byte("no key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name  string
		flags []string
		want  string // "": all is well
	}{
		{"no TLS", nil, ""},
		{"a certificate", []string{"--tls-cert", cert, "--tls-key", key}, ""},
		{"the key of another", []string{"--tls-cert", cert, "--tls-key", other}, "private key does not match public key"},
		{"ticket keys that are none", []string{"--tls-cert", cert, "--tls-key", key, "--tls-ticket-keys", keys}, "tls.ticket_keys: " + keys + ", line 1: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out bytes.Buffer
			p := &program{ctx: t.Context(), stdout: &out, stderr: &out}
			status := run(append([]string{"config", "check", "--dev", "--redis", "redis://127.0.0.1:6379/0"}, row.flags...), p)
			if (status == 0) != (row.want == "") || !strings.Contains(out.String(), row.want) {
				t.Errorf("%d: %s", status, &out)
			}
		})
	}
}
