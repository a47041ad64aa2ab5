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

// papers are what the public listener needs to speak TLS.
type papers struct {
	certificates *certificate.Set
	tickets      certificate.Tickets // none: the node's own
}

// loadPapers reads them, nil where no TLS is spoken.
func loadPapers(c *config.Config, log *zap.Logger) (*papers, error) {
	if !c.TLS.Enabled() {
		return nil, nil
	}
	set, err := loadCertificates(c, log)
	if err != nil {
		return nil, err
	}
	p := &papers{certificates: set}
	if file := c.TLS.TicketKeys; file != "" {
		if p.tickets, err = certificate.LoadTickets(file); err != nil {
			return nil, fmt.Errorf("tls.ticket_keys: %w", err)
		}
	}
	return p, nil
}

// loadCertificates reads what the public listener is to show.
func loadCertificates(c *config.Config, log *zap.Logger) (*certificate.Set, error) {
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
	p, err := loadPapers(c, a.log)
	if err != nil || p == nil {
		return err
	}
	versions := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	a.certificates = certificate.NewStore(p.certificates, versions[c.TLS.Min])
	a.certificates.SetTickets(p.tickets)
	reactors.TLS = a.certificates.Config()
	reactors.Handshakes, reactors.HandshakesPerAddress = c.TLS.Handshakes, c.TLS.HandshakesPerAddress
	return nil
}

// renewed reads the papers of c again. The old ones stay until present is called.
func (a *App) renewed(c *config.Config) (*papers, error) {
	if c.TLS.Enabled() != (a.certificates != nil) {
		return nil, errors.New("tls.cert: whether TLS is spoken is settled at the start: that needs a restart")
	}
	if c.TLS.TicketKeys == "" && a.now.Load().config.TLS.TicketKeys != "" {
		return nil, errors.New("tls.ticket_keys: a node goes back to keys of its own only by a restart")
	}
	return loadPapers(c, a.log)
}

// present has new handshakes go by p, nil where no TLS is spoken.
func (a *App) present(p *papers) {
	if p != nil {
		a.certificates.Set(p.certificates)
		a.certificates.SetTickets(p.tickets)
	}
}
