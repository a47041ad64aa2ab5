package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"sluice/config"
	"sluice/gateway/certificate"
	"sluice/loop"
)

// loadCertificates reads what the public listener is to show, nil where it speaks no TLS.
func loadCertificates(c *config.Config, log *zap.Logger) (*certificate.Set, error) {
	if !c.TLS.Enabled() {
		return nil, nil
	}
	pairs := c.TLS.Certificates()
	files := make([]certificate.Files, 0, len(pairs))
	for _, p := range pairs {
		files = append(files, certificate.Files(p))
	}
	set, err := certificate.Load(files)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	for i, leaf := range set.Leaves() {
		if time.Now().After(leaf.NotAfter) || time.Now().Before(leaf.NotBefore) {
			log.Warn("a certificate is not valid today: clients refuse it", zap.String("file", files[i].Cert),
				zap.Time("from", leaf.NotBefore), zap.Time("to", leaf.NotAfter))
		}
	}
	return set, nil
}

// encrypt has reactors that are to be made speak TLS, where that is configured.
func (a *App) encrypt(reactors *loop.Options) error {
	c := a.config
	set, err := loadCertificates(c, a.log)
	if err != nil || set == nil {
		return err
	}
	a.certificates = certificate.NewStore(set)
	versions := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	reactors.TLS = a.certificates.Config(versions[c.TLS.Min])
	reactors.Handshakes, reactors.HandshakesPerAddress = c.TLS.Handshakes, c.TLS.HandshakesPerAddress
	return nil
}

// renewed reads the certificates of c again. The old ones stay until the set is in the store.
func (a *App) renewed(c *config.Config) (*certificate.Set, error) {
	if c.TLS.Enabled() != (a.certificates != nil) {
		return nil, errors.New("tls.cert: whether TLS is spoken is settled at the start: that needs a restart")
	}
	return loadCertificates(c, a.log)
}
