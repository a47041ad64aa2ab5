package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"sluice/config"
)

// healthPatience is how long a node may take to answer; it takes a millisecond.
const healthPatience = 5 * time.Second

type healthVerb struct {
	Ready bool `help:"Ask /readyz, whether new clients should be sent there, in place of /healthz."`
}

// Run fails where the node that this configuration starts does not answer, or not
// with 200: for supervisors where there is no curl, as in the image.
func (v healthVerb) Run(p *program) error {
	c, err := p.config()
	if err != nil {
		return err
	}
	address, err := localAddress(c)
	if err != nil {
		return err
	}
	url := "http://" + address
	if c.Admin == "" && c.TLS.Enabled() {
		url = "https://" + address
	}
	if v.Ready {
		url += "/readyz"
	} else {
		url += "/healthz"
	}
	ctx, cancel := context.WithTimeout(p.ctx, healthPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// No proxy of the environment, and no connection that outlives this.
	transport := &http.Transport{DisableKeepAlives: true}
	if c.TLS.Enabled() { // its certificate is for another name than this machine's
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // nothing is told that is secret, and who can answer on this machine needs no certificate
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("no node answers: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", url, response.Status, strings.TrimSpace(string(body)))
	}
	return nil
}

// localAddress is where a node with this configuration is reached from its own
// machine: the admin port, or the public one where that is switched off.
func localAddress(c *config.Config) (string, error) {
	listen := c.Admin
	if listen == "" {
		listen = c.Listen
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}
