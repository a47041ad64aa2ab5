package certificate

import (
	"crypto/tls"
	"sync/atomic"
)

// Store is the certificates of the moment.
type Store struct{ now atomic.Pointer[Set] }

// NewStore is a store with the certificates of s.
func NewStore(s *Set) *Store {
	store := new(Store)
	store.Set(s)
	return store
}

// Set has new handshakes get the certificates of s.
func (s *Store) Set(next *Set) { s.now.Store(next) }

// Now is what Set was told last.
func (s *Store) Now() *Set { return s.now.Load() }

// Config is for a listener that speaks HTTP/1.1 over TLS from version min on, and
// outlives changes of the store. Renegotiation, which crypto/tls refuses of clients, is
// not among what they may do.
func (s *Store) Config(min uint16) *tls.Config {
	return &tls.Config{
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return s.Now().For(hello), nil },
		MinVersion:     min,
		NextProtos:     []string{"http/1.1"},
		// Small records at first let a browser show the beginning of a page sooner. What goes
		// out here are messages, which nobody can use before they are whole.
		DynamicRecordSizingDisabled: true,
	}
}
