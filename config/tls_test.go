package config

import (
	"os"
	"path/filepath"
	"testing"
)

func TestValidateTLS(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("anything"), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(cert, key string, pairs ...Pair) func(*Config) {
		return func(c *Config) { c.TLS.Cert, c.TLS.Key, c.TLS.Pairs = cert, key, pairs }
	}
	testValidate(t, []validation{
		{"none", with("", ""), ""},
		{"one", with(file, file), ""},
		{"several", with(file, file, Pair{file, file}), ""},
		{"only in the list", with("", "", Pair{file, file}), ""},
		{"no key", with(file, ""), "tls.cert: there is no key to it; name that in tls.key"},
		{"no certificate", with("", file), "tls.key: there is no certificate to it; name that in tls.cert"},
		{"a file that is not there", with(file+"2", file), "tls.cert: cannot be found: "},
		{"a key that is a folder", with(file, filepath.Dir(file)), "is a folder; name the file in it"},
		{"an item without a key", with(file, file, Pair{Cert: file}), "tls.pairs[0]: needs both cert and key"},
		{"an item that is not there", with(file, file, Pair{file, file}, Pair{file, file + "2"}), "tls.pairs[1].key: cannot be found: "},
		{"keys of tickets", func(c *Config) { c.TLS.Cert, c.TLS.Key, c.TLS.TicketKeys = file, file, file }, ""},
		{"keys of tickets that are not there", func(c *Config) { c.TLS.Cert, c.TLS.Key, c.TLS.TicketKeys = file, file, file+"2" }, "tls.ticket_keys: cannot be found: "},
		{"keys of tickets without TLS", func(c *Config) { c.TLS.TicketKeys = file }, "tls.ticket_keys: no TLS is spoken; name a certificate in tls.cert"},
		{"a version that is too old", func(c *Config) { c.TLS.Min = "1.1" }, `tls.min: "1.1" is not one of 1.2, 1.3`},
	})
}

func TestCertificates(t *testing.T) {
	c := TLS{Cert: "a", Key: "b", Pairs: []Pair{{"c", "d"}}}
	if got := c.Certificates(); len(got) != 2 || got[0] != (Pair{"a", "b"}) || got[1] != (Pair{"c", "d"}) {
		t.Error(got)
	}
	if none := new(TLS); none.Enabled() || none.Certificates() != nil {
		t.Error("there are certificates without any")
	}
}
