package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// tls is how wss:// and https:// are spoken.
func (o *common) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Insecure} //nolint:gosec // whoever measures says so
	if o.Tickets {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	if o.CA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(o.CA)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca: no certificate in %s", o.CA)
	}
	return config, nil
}
