package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// signed is a certificate and its key; parent may be nil.
type signed struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func sign(t *testing.T, parent *signed, template x509.Certificate) *signed {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	template.BasicConstraintsValid = true
	s := &signed{key: key}
	by, signer := &template, key
	if parent != nil {
		by, signer = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, by, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if s.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return s
}

func pemOf(t *testing.T, key *ecdsa.PrivateKey, certs ...*signed) (cert, private []byte) {
	t.Helper()
	for _, c := range certs {
		cert = append(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestCertificate(t *testing.T) {
	begins := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	authority := func(name string, parent *signed) *signed {
		return sign(t, parent, x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: begins, NotAfter: begins.AddDate(10, 0, 0)})
	}
	root := authority("root", nil)
	between := authority("between", root)
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	leaf := sign(t, between, x509.Certificate{DNSNames: []string{"push.example"}, NotBefore: begins, NotAfter: begins.AddDate(0, 3, 0)})
	nameless := sign(t, between, x509.Certificate{Subject: pkix.Name{CommonName: "push.example"}, NotBefore: begins, NotAfter: begins.AddDate(0, 3, 0)})
	for _, row := range []struct {
		name  string
		certs []*signed
		key   *ecdsa.PrivateKey
		mode  os.FileMode
		now   time.Time
		want  []string // grade and what is seen, of each finding
	}{
		{"as it should be", []*signed{leaf, between}, leaf.key, 0o600, begins.AddDate(0, 1, 0), []string{"ok good until 2026-04-01 for push.example", "ok it leads to CN=root"}},
		{"a key that anybody may read", []*signed{leaf, between}, leaf.key, 0o644, begins.AddDate(0, 1, 0), []string{"ok good", "ok it leads", "warning -rw-r--r--"}},
		{"soon over", []*signed{leaf, between}, leaf.key, 0o600, begins.AddDate(0, 3, -5), []string{"warning it ends in 5 days, 2026-04-01", "ok it leads"}},
		{"over", []*signed{leaf, between}, leaf.key, 0o600, begins.AddDate(0, 4, 0), []string{"fault it has ended 2026-04-01", "ok it leads"}},
		{"not begun", []*signed{leaf, between}, leaf.key, 0o600, begins.AddDate(0, 0, -1), []string{"fault it begins 2026-01-01 00:00:00", "ok it leads"}},
		{"nothing in between", []*signed{leaf}, leaf.key, 0o600, begins.AddDate(0, 1, 0), []string{"ok good", "warning x509: certificate signed by unknown authority"}},
		{"without a name", []*signed{nameless, between}, nameless.key, 0o600, begins.AddDate(0, 1, 0), []string{"ok good", "ok it leads", "fault it is for no name"}},
		{"the key of another", []*signed{leaf, between}, between.key, 0o600, begins.AddDate(0, 1, 0), []string{"fault tls: private key does not match public key"}},
		{"the wrong order", []*signed{between, leaf}, leaf.key, 0o600, begins.AddDate(0, 1, 0), []string{"fault tls: private key does not match public key"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			c := Certificate{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), Now: row.now, Roots: pool}
			cert, key := pemOf(t, row.key, row.certs...)
			if err := os.WriteFile(c.Cert, cert, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(c.Key, key, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(c.Key, row.mode); err != nil {
				t.Fatal(err)
			}
			findings := c.Check(t.Context())
			if len(findings) != len(row.want) {
				t.Fatalf("%+v", findings)
			}
			for i, f := range findings {
				if got := f.Grade.String() + " " + f.Seen; !strings.HasPrefix(got, row.want[i]) {
					t.Errorf("%q, want %q", got, row.want[i])
				}
				if f.Grade > Unknown && (f.Why == "" || f.Mend == "") {
					t.Errorf("%s: it does not say why, or what mends it", f.Seen)
				}
			}
		})
	}
}
