package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Files are where a certificate is, with those that lead to the root behind it, and its
// private key.
type Files struct{ Cert, Key string }

// Set is several certificates, at least one. It is never changed.
type Set struct{ all []*tls.Certificate }

// Load reads a set. An error names the file, and what is wrong with it.
func Load(files []Files) (*Set, error) {
	if len(files) == 0 {
		return nil, errors.New("no certificate is named")
	}
	s := new(Set)
	for _, f := range files {
		c, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("the certificate %s and the key %s: %w", f.Cert, f.Key, err)
		}
		if len(c.Leaf.DNSNames)+len(c.Leaf.IPAddresses) == 0 {
			return nil, fmt.Errorf("the certificate %s is for no name (subjectAltName): no client would take it", f.Cert)
		}
		s.all = append(s.all, &c)
	}
	return s, nil
}

// Leaves are the certificates themselves, in the order of the files.
func (s *Set) Leaves() []*x509.Certificate {
	leaves := make([]*x509.Certificate, 0, len(s.all))
	for _, c := range s.all {
		leaves = append(leaves, c.Leaf)
	}
	return leaves
}

// Expires is when the first of the certificates ends.
func (s *Set) Expires() time.Time {
	first := s.all[0].Leaf.NotAfter
	for _, c := range s.all[1:] {
		if c.Leaf.NotAfter.Before(first) {
			first = c.Leaf.NotAfter
		}
	}
	return first
}

// For is the first certificate that is good for what a client asks for, and that it can
// read; the first of all where none is.
func (s *Set) For(hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(s.all) > 1 {
		for _, c := range s.all {
			if hello.SupportsCertificate(c) == nil {
				return c
			}
		}
	}
	return s.all[0]
}
