package hostile

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Secured makes a certificate in dir, and returns the flags that a node is to be started
// with to show it, and what its clients are to speak TLS with.
func Secured(dir string) (flags []string, client *tls.Config, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{tlsName}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	cert, secret := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	err = errors.Join(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(secret, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	client = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: tlsName, MinVersion: tls.VersionTLS12}
	client.RootCAs.AddCert(leaf)
	return []string{"--tls-cert", cert, "--tls-key", secret}, client, err
}

const tlsName = "sluice.example"

// failed is the metric that counts what TLS comes to nothing for.
func failed(reason string) string { return `sluice_tls_failures_total{reason="` + reason + `"}` }

const (
	refused400 = ` and sluice_refused_total{status="400"}`
	abnormal   = `sluice_closed_total{code="abnormal"}`
)

// TLS are clients of a node that was started as Secured says, and is Impatient: what comes
// in place of a handshake, and what comes behind it.
func TLS() []Row {
	dropped := func(name, send, reason string) Row {
		return Row{Name: name, Send: send, Want: "gone", Reason: failed(reason)}
	}
	late := func(name string, play Play) Row {
		return Row{Name: name, Play: play, Want: "gone", Reason: failed("timeout")}
	}
	rows := []Row{
		dropped("binary garbage", Bytes("00 01 02 03 04 05"), "not_tls"),
		dropped("garbage behind a byte of TLS", Bytes("16")+strings.Repeat("junk", 5000), "not_tls"),
		dropped("SSL 2", Bytes("80 2E 01 00 02 00 15 00 00 00 10"), "not_tls"),
		dropped("application data before the handshake", Bytes("17 03 03 0005 'hello'"), "not_tls"),
		dropped("a record of no bytes", Bytes("16 03 01 0000"), "not_tls"),
		dropped("a record of 64 KB", Bytes("16 03 01 FFFF")+strings.Repeat("x", 0xFFFF), "not_tls"),
		{Name: "HTTP", Send: Request("/echo"), Want: "400", Reason: failed("plain_http") + refused400},
		{Name: "HTTP for a health check", Send: "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", Want: "400", Reason: failed("plain_http") + refused400},
		{Name: "HTTP/2 in the clear", Send: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Want: "400", Reason: failed("plain_http") + refused400},
		{Name: "a hello of no bytes", Send: Bytes("16 03 01 0004 01 000000"), Want: "alert error decoding message", Reason: failed("malformed")},
		{Name: "a hello of 16 MB", Send: Bytes("16 03 01 0004 01 FFFFFF"), Want: "alert internal error", Reason: failed("malformed")},
		{Name: "a key exchange in place of a hello", Send: Bytes("16 03 01 0004 10 000000"), Want: "alert unexpected message", Reason: failed("malformed")},
		{Name: "a hello full of junk", Send: Bytes("16 03 01 0400 01 0003FC") + strings.Repeat("junk", 255), Want: "alert error decoding message", Reason: failed("malformed")},
		{Name: "an alert in place of a hello", Send: Bytes("15 03 01 0002 02 28"), Want: "gone", Reason: failed("not_tls")},

		late("says nothing", silence),
		late("a byte of its hello now and then", drip(Bytes("16 03 01 0400 01 0003FC")+strings.Repeat("x", 1000), 20*time.Millisecond)),
		late("half of its hello", say(Bytes("16 03 01 0400 01 0003FC")+strings.Repeat("x", 500))),
		{Name: "leaves in the middle of its hello", Play: then(say(Bytes("16 03 01 0400")), hangUp), Want: "gone", Reason: failed("client_left")},
		{Name: "resets in the middle of its hello", Play: then(say(Bytes("16 03 01 0400")), reset), Want: "gone", Reason: failed("client_left")},
	}
	for _, r := range []Row{
		{Name: "is well", Send: Frame(0x81, "hello"), Want: "text hello"},
		{Name: "a record that was tampered with", Play: inTheClear(Bytes("17 03 03 0020") + strings.Repeat("x", 32)), Want: "alert bad record MAC", Reason: failed("record") + " and " + abnormal},
		{Name: "a record that is too long", Play: inTheClear(Bytes("17 03 03 FFFF")), Want: "alert record overflow", Reason: failed("record") + " and " + abnormal},
		{Name: "HTTP behind the handshake", Play: inTheClear(Request("/echo")), Want: "alert protocol version not supported", Reason: failed("record") + " and " + abnormal},
		{Name: "another hello behind the handshake", Play: inTheClear(Bytes("16 03 03 0004 01 000000")), Want: "alert bad record MAC", Reason: failed("record") + " and " + abnormal},
		{Name: "ends without close_notify", Play: then(say(Frame(0x81, "hello")), hangUp), Want: "…, gone"},
		{Name: "ends in the middle of a record", Play: then(inTheClear(Bytes("17 03 03 0100 'the beginning'")), hangUp), Want: "gone"},
		{Name: "resets in the middle of a record", Play: then(inTheClear(Bytes("17 03 03 0100 'the beginning'")), reset), Want: "gone"},
		{Name: "half a record, and no more", Play: inTheClear(Bytes("17 03 03 0100 'the beginning'")), Want: "…, close 1008"},
		{Name: "close_notify alone", Play: closeNotify, Want: "gone"},
		{Name: "a broken frame", Send: Bytes("C1 85 00000000 'early'"), Want: "close 1002"},
	} {
		r.Path = "/echo"
		rows = append(rows, r)
	}
	return rows
}

// inTheClear writes bytes past TLS.
func inTheClear(bytes string) Play {
	return func(_ context.Context, _ *Node, p *Peer) error {
		_, _ = io.WriteString(p.TCPConn, bytes) // what went wrong shows in the answer
		return nil
	}
}

// closeNotify ends the client's side of TLS, and not that of TCP.
func closeNotify(_ context.Context, _ *Node, p *Peer) error { return p.secure.CloseWrite() }

// alertOf is the alert of TLS that err is about, as the tables write it; "": none.
func alertOf(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return "alert " + strings.TrimPrefix(op.Err.Error(), "tls: ")
	}
	return ""
}

// plainAlert is the alert that bytes are which came before anything was encrypted.
func plainAlert(bytes string) string {
	if len(bytes) != 7 || bytes[0] != 21 {
		return ""
	}
	return "alert " + strings.TrimPrefix(tls.AlertError(bytes[6]).Error(), "tls: ")
}
