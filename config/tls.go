package config

import (
	"errors"
	"time"
)

// TLS is encryption on the public listener itself, where no balancer in front does that.
type TLS struct {
	Cert string `live:"yes" yaml:"cert" help:"File with the certificate of the public listener as PEM, and behind it those that lead to the root: with it clients speak TLS there, https:// and wss://, and nothing else; empty leaves that to what is in front; the files are read again at SIGHUP"`
	Key  string `live:"yes" yaml:"key" help:"File with the private key of tls.cert as PEM"`

	Pairs []Pair `live:"yes" yaml:"pairs" kong:"-" help:"Further certificates, where the listener has several names: a client gets the first that is good for the name it asks for, and tls.cert, or else the first of these, where none is" example:"- {cert: /etc/sluice/push.example.pem, key: /etc/sluice/push.example.key}"`

	TicketKeys string `live:"yes" yaml:"ticket_keys" help:"File with keys of session tickets that all nodes share, so that a client which comes back to another node is spared the whole handshake, too: one a line, 32 bytes in hexadecimal (openssl rand -hex 32) or base64. New tickets are made with the first, and those of all are taken; put a new one first every day or week, and take the last away. Empty: each node has its own, made anew every day; the file is read again at SIGHUP"`

	Reread time.Duration `yaml:"reread" range:"0s..24h" help:"How often these files are looked at, and read again where they have changed, for whoever cannot send SIGHUP when they have: a Secret in a pod; 0s: never"`

	Min                  string `yaml:"min" oneof:"1.2|1.3" help:"Oldest version of TLS that is spoken"`
	Handshakes           int    `yaml:"handshakes" range:"1..65536" help:"TLS handshakes under way at once, each of which takes some 25 KB; further ones wait in line, for handshake.timeout at most"`
	HandshakesPerAddress int    `yaml:"handshakes_per_address" range:"0..65536" help:"TLS handshakes under way at once, or in line, for one client address; further ones are refused; 0 means no limit"`
}

// Pair is a certificate and its key.
type Pair struct {
	Cert string `yaml:"cert" help:"File with the certificate as PEM, and behind it those that lead to the root"`
	Key  string `yaml:"key" help:"File with its private key as PEM"`
}

// Enabled says whether clients speak TLS on the public listener.
func (t *TLS) Enabled() bool { return t.Cert != "" || len(t.Pairs) > 0 }

// Certificates are all pairs, the one for clients that ask for no name first.
func (t *TLS) Certificates() []Pair {
	if t.Cert == "" {
		return t.Pairs
	}
	return append([]Pair{{t.Cert, t.Key}}, t.Pairs...)
}

func (v *validator) tls() {
	t := &v.config.TLS
	switch {
	case t.Cert == "" && t.Key != "":
		v.fault("tls.key", errors.New("there is no certificate to it; name that in tls.cert"))
	case t.Cert != "" && t.Key == "":
		v.fault("tls.cert", errors.New("there is no key to it; name that in tls.key"))
	}
	if t.Cert != "" {
		v.fault("tls.cert", checkFile(t.Cert))
	}
	if t.Key != "" {
		v.fault("tls.key", checkFile(t.Key))
	}
	if t.TicketKeys != "" {
		v.fault("tls.ticket_keys", checkFile(t.TicketKeys))
		if !t.Enabled() {
			v.fault("tls.ticket_keys", errors.New("no TLS is spoken; name a certificate in tls.cert"))
		}
	}
	v.atMost("tls.pairs", len(t.Pairs))
	for i, pair := range t.Pairs {
		path := itemPath("tls.pairs", i)
		if v.broken[path] {
			continue
		}
		if pair.Cert == "" || pair.Key == "" {
			v.fault(path, errors.New("needs both cert and key"))
			continue
		}
		v.fault(path+".cert", checkFile(pair.Cert))
		v.fault(path+".key", checkFile(pair.Key))
	}
}
