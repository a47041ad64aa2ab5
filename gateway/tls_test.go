package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gorilla/websocket"

	"sluice/config"
)

// authority makes certificates that clients of its pool trust.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	file string // its own certificate
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool(), dir: t.TempDir()}
	template := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "a test's authority"}}
	a.cert, a.key = a.sign(template)
	a.pool.AddCert(a.cert)
	a.file = filepath.Join(a.dir, "ca.pem")
	a.write(a.file, "CERTIFICATE", a.cert.Raw)
	return a
}

// sign completes a certificate, signed by the authority or by itself where that has none.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(24 * time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// issue writes a certificate for names, and its key, into files of that name.
func (a *authority) issue(file string, names ...string) (cert, key string) {
	a.t.Helper()
	cert, key = filepath.Join(a.dir, file+".pem"), filepath.Join(a.dir, file+".key")
	c, k := a.sign(&x509.Certificate{DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature})
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(cert, "CERTIFICATE", c.Raw)
	a.write(key, "PRIVATE KEY", der)
	return cert, key
}

func (a *authority) write(file, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// shown is the first name of the certificate that a client gets which asks for server.
func (a *authority) shown(n *testNode, server string) string {
	a.t.Helper()
	conn, err := tls.Dial("tcp", n.Public().String(), &tls.Config{RootCAs: a.pool, ServerName: server})
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
}

// Clients of all kinds are served over TLS, and HTTP and health checks, too.
func TestTLS(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("one", "localhost")
	n := startNode(t, "--dev", "--tls-cert", cert, "--tls-key", key).ready()
	address := n.Public().String()
	trusting := &tls.Config{RootCAs: a.pool}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting, DisableKeepAlives: true}, Timeout: patience}
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()

	t.Run("gorilla", func(t *testing.T) {
		d := websocket.Dialer{TLSClientConfig: trusting}
		ws, _, err := d.DialContext(ctx, "wss://"+address+"/ws?channel=news", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		n.publish("news", "over TLS")
		if _, got, err := ws.ReadMessage(); err != nil || string(got) != "over TLS" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("coder", func(t *testing.T) {
		ws, _, err := coder.Dial(ctx, "wss://"+address+"/echo", &coder.DialOptions{HTTPClient: client, CompressionMode: coder.CompressionContextTakeover})
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte("long "), 6000)
		if err := ws.Write(ctx, coder.MessageBinary, want); err != nil {
			t.Fatal(err)
		}
		if _, got, err := ws.Read(ctx); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := ws.Close(coder.StatusNormalClosure, "done"); err != nil {
			t.Error(err)
		}
	})
	t.Run("events", func(t *testing.T) {
		response, err := client.Get("https://" + address + "/sse?channel=news")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		n.publish("news", "as an event")
		got := make([]byte, 0, 4096)
		for !bytes.Contains(got, []byte("data: as an event\n\n")) {
			k, err := response.Body.Read(got[len(got):cap(got)])
			if got = got[:len(got)+k]; err != nil {
				t.Fatalf("%q, %v", got, err)
			}
		}
	})
	t.Run("page", func(t *testing.T) {
		eventually(t, "the page says that it is ready", func() error { // a node that was held up is not for a moment
			response, err := client.Get("https://" + address + "/readyz")
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 200 || response.Proto != "HTTP/1.1" {
				return fmt.Errorf("%s %s %q, %w", response.Proto, response.Status, body, err)
			}
			return nil
		})
	})
	t.Run("without TLS", func(t *testing.T) {
		response, err := http.Get("http://" + address + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 400 || !strings.Contains(string(body), "wss://") {
			t.Errorf("%s %q, %v", response.Status, body, err)
		}
	})
	t.Run("health", func(t *testing.T) {
		eventually(t, "it is ready", func() error { // a node that was held up is not for a moment
			var out bytes.Buffer
			p := &program{ctx: ctx, stdout: &out, stderr: &out}
			if status := run([]string{"health", "--ready", "--listen", address, "--admin", "", "--tls-cert", cert, "--tls-key", key}, p); status != 0 {
				return fmt.Errorf("%d: %s", status, &out)
			}
			return nil
		})
	})
	t.Run("curl", func(t *testing.T) {
		out, err := exec.CommandContext(ctx, "curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", a.file, "https://"+address+"/healthz").CombinedOutput()
		if err != nil || string(out) != "ok\n" {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("Node and Chromium", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*patience) // browsers start slowly on a busy machine
		defer cancel()
		cmd := exec.CommandContext(ctx, "node", "--experimental-websocket", "testdata/interop/tls.mjs")
		cmd.WaitDelay = time.Second
		cmd.Env = append(os.Environ(), "PUBLIC="+address, "CA="+a.file, "NODE_EXTRA_CA_CERTS="+a.file)
		out, err := cmd.CombinedOutput()
		const want = "native 50000\nws 50000\npage 200 TLS 1.3\nChromium 50000\nstream open\n"
		if err != nil || !strings.HasSuffix(string(out), want) {
			t.Errorf("%v (without node, Chromium or the npm packages: run make deps)\n%s", err, out)
		}
	})
	metrics := n.get(n.Admin(), "/metrics", 200)
	for _, want := range []string{`sluice_tls_failures_total{reason="plain_http"} 1`, `sluice_tls_handshakes_total{resumed="no",version="1.3"}`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

// OpenSSL's client gets along with what is asked of it: old versions are refused, keys are
// renewed, and nothing is negotiated twice.
func TestTLSAgainstOpenSSL(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("one", "localhost")
	n := startNode(t, "--dev", "--tls-cert", cert, "--tls-key", key).ready()
	const request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for _, row := range []struct {
		name  string
		flags []string
		say   []string // each when what is before it has been answered
		want  string
	}{
		{"TLS 1.2", []string{"-tls1_2"}, []string{request}, "ok\n"},
		{"TLS 1.3", []string{"-tls1_3"}, []string{request}, "ok\n"},
		{"ALPN", []string{"-alpn", "h2,http/1.1"}, []string{request}, "ALPN protocol: http/1.1"},
		{"only HTTP/2", []string{"-alpn", "h2"}, nil, "alert no application protocol"},
		{"TLS 1.1", []string{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, nil, "alert protocol version"},
		{"TLS 1.0", []string{"-tls1", "-cipher", "DEFAULT@SECLEVEL=0"}, nil, "alert protocol version"},
		{"keys renewed by both sides", []string{"-tls1_3"}, []string{"K\n", request}, "ok\n"},
		{"keys renewed by one side", []string{"-tls1_3"}, []string{"k\n", request}, "ok\n"},
		{"renegotiation", []string{"-tls1_2"}, []string{"R\n"}, "RENEGOTIATING"},
		{"a big hello", []string{"-tls1_3", "-servername", strings.Repeat("a.", 100) + "localhost"}, []string{request}, "ok\n"},
		{"small records", []string{"-tls1_2", "-max_send_frag", "512", "-split_send_frag", "512"}, []string{request}, "ok\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			argv := append([]string{"s_client", "-connect", n.Public().String(), "-CAfile", a.file}, row.flags...)
			cmd := exec.CommandContext(ctx, "openssl", argv...)
			var out safeBuffer
			cmd.Stdout, cmd.Stderr = &out, &out
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for i, say := range row.say {
				before := []string{"Verify return code: 0 (ok)", "KEYUPDATE"}[i]
				eventually(t, "OpenSSL says "+before, func() error {
					if !strings.Contains(out.String(), before) {
						return fmt.Errorf("%s", out.String())
					}
					return nil
				})
				if _, err := io.WriteString(in, say); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Wait(); err != nil && ctx.Err() != nil { // it ends when the node does
				t.Errorf("OpenSSL does not end: %v", err)
			}
			if !strings.Contains(out.String(), row.want) {
				t.Errorf("%s", out.String())
			}
		})
	}
	if metrics := n.get(n.Admin(), "/metrics", 200); !strings.Contains(metrics, `sluice_tls_failures_total{reason="record"} 1`) {
		t.Error("who wants to negotiate again is not counted as what breaks the protocol")
	}
}

// A client that asks for a name gets the certificate for it, and new ones are taken up
// under clients that stay; what cannot be used is not.
func TestTLSReload(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("main", "main.example")
	cert2, key2 := a.issue("second", "second.example", "*.wild.example")
	file := filepath.Join(a.dir, "sluice.yaml")
	yaml := fmt.Sprintf("tls: {cert: %s, key: %s, pairs: [{cert: %s, key: %s}]}\n", cert, key, cert2, key2)
	reload := func(n *testNode, yaml string) error {
		t.Helper()
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load([]string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--redis", "embedded://127.0.0.1:0", "--shutdown-timeout", "5s", "--dev", "--config", file}, nil)
		if err != nil {
			return err
		}
		return n.Reload(t.Context(), c)
	}
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, "--dev", "--config", file).ready()
	for server, want := range map[string]string{"main.example": "main.example", "second.example": "second.example", "a.wild.example": "second.example", "127.0.0.1": "main.example"} {
		if got := a.shown(n, server); got != want {
			t.Errorf("for %s a client gets %s", server, got)
		}
	}
	d := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: a.pool}}
	stays, _, err := d.Dial("wss://"+n.Public().String()+"/echo", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stays.Close()

	a.issue("main", "new.example", "main.example")
	if err := reload(n, yaml); err != nil {
		t.Fatal(err)
	}
	if got := a.shown(n, "main.example"); got != "new.example" {
		t.Errorf("after the reload a client gets %s", got)
	}
	for name, wrong := range map[string]string{
		"the key of another":  fmt.Sprintf("tls: {cert: %s, key: %s}\n", cert, key2),
		"no PEM":              fmt.Sprintf("tls: {cert: %s, key: %s}\n", file, key),
		"a file that is gone": fmt.Sprintf("tls: {cert: %s, key: %s}\n", cert+"2", key),
		"no TLS":              "{}\n",
	} {
		err := reload(n, wrong)
		if err == nil {
			t.Errorf("%s was taken", name)
			continue
		}
		t.Log(err)
		if got := a.shown(n, "main.example"); got != "new.example" {
			t.Errorf("%s: then a client gets %s", name, got)
		}
	}
	if err := stays.WriteMessage(websocket.TextMessage, []byte("still here")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := stays.ReadMessage(); err != nil || string(got) != "still here" {
		t.Errorf("%q, %v", got, err)
	}
}
