package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"
)

// Certificate is one that the public listener shows.
type Certificate struct {
	Cert, Key string         // files
	Now       time.Time      // zero: this moment
	Roots     *x509.CertPool // whom clients trust; nil: what this machine does
}

// fewDays is how long before its end a certificate should have been replaced: those that
// are renewed by a machine are, a month before.
const fewDays = 21 * 24 * time.Hour

// Check looks whether clients will take the certificate.
func (c Certificate) Check(context.Context) []Finding {
	topic := "certificate " + c.Cert
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return []Finding{{Topic: topic, Grade: Fault, Seen: err.Error(), Why: "the node does not start with it, and does not take it at SIGHUP",
			Mend: "put the certificate, those that lead to the root behind it, and the key that belongs to the first as PEM into the files that tls.cert and tls.key name"}}
	}
	findings := []Finding{c.validity(topic, pair.Leaf), c.chain(topic, &pair)}
	if f, ok := c.names(topic, pair.Leaf); ok {
		findings = append(findings, f)
	}
	if info, err := os.Stat(c.Key); err == nil && info.Mode().Perm()&0o007 != 0 {
		findings = append(findings, Finding{Topic: "key " + c.Key, Grade: Warning, Seen: info.Mode().Perm().String(),
			Why: "every user of this machine may read it, or change it, and can then pretend to be this node", Mend: "chmod o= " + c.Key})
	}
	return findings
}

func (c Certificate) now() time.Time {
	if c.Now.IsZero() {
		return time.Now()
	}
	return c.Now
}

func (c Certificate) validity(topic string, leaf *x509.Certificate) Finding {
	f := Finding{Topic: topic, Grade: Fault, Why: "clients refuse to connect"}
	left := leaf.NotAfter.Sub(c.now())
	switch {
	case left < 0:
		f.Seen, f.Mend = "it has ended "+leaf.NotAfter.Format(time.DateOnly), "renew it, put it into the files, and send the node SIGHUP"
	case c.now().Before(leaf.NotBefore):
		f.Seen, f.Mend = "it begins "+leaf.NotBefore.Format(time.DateTime), "check the clock of this machine, and of whoever made it"
	case left < fewDays:
		f.Grade, f.Why = Warning, "then clients will refuse to connect"
		f.Seen, f.Mend = fmt.Sprintf("it ends in %d days, %s", int(left.Hours()/24), leaf.NotAfter.Format(time.DateOnly)), "renew it, put it into the files, and send the node SIGHUP"
	default:
		return good(topic, "good until "+leaf.NotAfter.Format(time.DateOnly)+" for "+strings.Join(namesOf(leaf), ", "))
	}
	return f
}

// namesOf are the first few names that a certificate is for.
func namesOf(leaf *x509.Certificate) []string {
	names := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) > 5 {
		names = append(names[:5], "…")
	}
	return names
}

func (c Certificate) names(topic string, leaf *x509.Certificate) (Finding, bool) {
	if len(namesOf(leaf)) > 0 {
		return Finding{}, false
	}
	return Finding{Topic: topic, Grade: Fault, Seen: "it is for no name (subjectAltName)", Why: "browsers do not look at the common name, and refuse it",
		Mend: "have it made for the name in the URLs: openssl req -addext subjectAltName=DNS:…"}, true
}

// chain looks whether what is in the file leads to somebody whom this machine trusts.
func (c Certificate) chain(topic string, pair *tls.Certificate) Finding {
	topic += ", chain"
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return Finding{Topic: topic, Grade: Fault, Seen: err.Error(), Why: "clients cannot read it", Mend: "put the certificates of the authority behind the node's own, as it gave them"}
		}
		between.AddCert(cert)
	}
	at := c.now() // whether it is over was looked at
	if at.After(pair.Leaf.NotAfter) {
		at = pair.Leaf.NotAfter
	}
	if at.Before(pair.Leaf.NotBefore) {
		at = pair.Leaf.NotBefore
	}
	chains, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: c.Roots, Intermediates: between, CurrentTime: at})
	if err == nil {
		return good(topic, fmt.Sprintf("it leads to %s", chains[0][len(chains[0])-1].Subject))
	}
	return Finding{Topic: topic, Grade: Warning, Seen: err.Error(),
		Why:  "clients that trust no more than this machine does refuse it; browsers may get by where a certificate in between is missing, other clients do not",
		Mend: "put the certificates of the authority behind the node's own in the file (fullchain.pem); with an authority of your own clients have to trust that"}
}
