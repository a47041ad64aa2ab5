package redisproc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// StartTLS is Start for a server that speaks nothing but TLS. Its certificate is
// for 127.0.0.1 and localhost, signed by the authority in CAFile.
func StartTLS(args ...string) (*Server, error) {
	s, err := reserve(withTLS)
	if err != nil {
		return nil, err
	}
	if err := s.certify(); err != nil {
		return nil, errors.Join(fmt.Errorf("making certificates: %w", err), s.Close())
	}
	s.args = append([]string{"--tls-cert-file", s.path("cert.pem"), "--tls-key-file", s.path("key.pem"),
		"--tls-ca-cert-file", s.CAFile(), "--tls-auth-clients", "no"}, args...)
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// CAFile is the PEM file of the authority that signed a TLS server's
// certificate.
func (s *Server) CAFile() string { return s.path("ca.pem") }

// TLSConfig is what a client needs that trusts this server; nil without TLS.
func (s *Server) TLSConfig() *tls.Config { return s.tls.Clone() }

// certify makes an authority, and a certificate that it signed.
func (s *Server) certify() error {
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redisproc authority"}, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: authority.NotAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	ca, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return err
	}
	cert, err := x509.CreateCertificate(rand.Reader, server, authority, &key.PublicKey, authorityKey)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: ca}, "cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(s.path(name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	signed, err := x509.ParseCertificate(ca)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(signed)
	s.tls = &tls.Config{RootCAs: pool, ServerName: "localhost"}
	return nil
}
