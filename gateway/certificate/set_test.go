package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// files writes a certificate for name, "" for none, that is good for so many days.
func files(t testing.TB, key crypto.Signer, name string, days int) Files {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, days)}
	if name != "" {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f := Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for file, block := range map[string]*pem.Block{f.Cert: {Type: "CERTIFICATE", Bytes: der}, f.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func keys(t testing.TB) (*ecdsa.PrivateKey, *rsa.PrivateKey) {
	t.Helper()
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return elliptical, old
}

// A client gets a certificate for the name that it asks for, with a key that it knows, and
// the store's newest one.
func TestStore(t *testing.T) {
	elliptical, old := keys(t)
	load := func(f ...Files) *Set {
		t.Helper()
		s, err := Load(f)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := load(files(t, elliptical, "one.example", 30), files(t, elliptical, "both.example", 20), files(t, old, "both.example", 40))
	if left := time.Until(s.Expires()); left > 20*24*time.Hour || left < 19*24*time.Hour {
		t.Errorf("the first one ends in %s", left)
	}
	store := NewStore(s, tls.VersionTLS12)
	config := store.Config()
	shown := func(client *tls.Config) string {
		t.Helper()
		client.InsecureSkipVerify = true
		ours, theirs := net.Pipe()
		defer ours.Close()
		served := make(chan error, 1)
		go func() { served <- tls.Server(ours, config).Handshake() }()
		conn := tls.Client(theirs, client)
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = conn.Read(make([]byte, 1)) }() // the server's ticket; it ends with the pipe
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		leaf := conn.ConnectionState().PeerCertificates[0]
		return leaf.DNSNames[0] + " " + leaf.PublicKeyAlgorithm.String()
	}
	onlyRSA := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for _, row := range []struct {
		client *tls.Config
		want   string
	}{
		{&tls.Config{ServerName: "one.example"}, "one.example ECDSA"},
		{&tls.Config{ServerName: "both.example"}, "both.example ECDSA"},
		{&tls.Config{ServerName: "both.example", MaxVersion: tls.VersionTLS12, CipherSuites: onlyRSA}, "both.example RSA"},
		{&tls.Config{ServerName: "other.example"}, "one.example ECDSA"},
		{&tls.Config{}, "one.example ECDSA"},
	} {
		if got := shown(row.client); got != row.want {
			t.Errorf("for %q a client gets %s, want %s", row.client.ServerName, got, row.want)
		}
	}
	store.Set(load(files(t, elliptical, "new.example", 90)))
	if got := shown(&tls.Config{ServerName: "one.example"}); got != "new.example ECDSA" {
		t.Errorf("then it gets %s", got)
	}
}

func TestLoadRefuses(t *testing.T) {
	one, old := keys(t)
	good, nameless := files(t, one, "one.example", 30), files(t, one, "", 30)
	for want, f := range map[string][]Files{
		"no certificate is named":                     nil,
		"is for no name (subjectAltName)":             {good, nameless},
		"private key type does not match public key":  {{good.Cert, files(t, old, "one.example", 30).Key}},
		"no such file or directory":                   {{good.Cert, good.Key + "2"}},
		"failed to find any PEM data in certificate":  {{os.DevNull, good.Key}},
		"found a certificate rather than a key in th": {{good.Cert, good.Cert}},
	} {
		if _, err := Load(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
