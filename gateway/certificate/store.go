package certificate

import (
	"crypto/tls"
	"sync/atomic"
)

// Store is the certificates of the moment.
type Store struct {
	now    atomic.Pointer[Set]
	config *tls.Config
}

// NewStore is a store with the certificates of s, for a listener that speaks TLS from
// version min on.
func NewStore(s *Set, min uint16) *Store {
	store := new(Store)
	store.config = &tls.Config{
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return store.Now().For(hello), nil },
		MinVersion:     min,
		NextProtos:     []string{"http/1.1"},
		// Small records at first let a browser show the beginning of a page sooner. What goes
		// out here are messages, which nobody can use before they are whole.
		DynamicRecordSizingDisabled: true,
	}
	store.Set(s)
	return store
}

// Set has new handshakes get the certificates of s.
func (s *Store) Set(next *Set) { s.now.Store(next) }

// Now is what Set was told last.
func (s *Store) Now() *Set { return s.now.Load() }

// SetTickets has tickets be made and taken with these keys from now on. Without any nothing
// changes: there is no way back to the node's own.
func (s *Store) SetTickets(keys Tickets) {
	if len(keys) > 0 {
		s.config.SetSessionTicketKeys(keys)
	}
}

// Config is for a listener that speaks HTTP/1.1 over TLS, and outlives changes of the
// store. Renegotiation, which crypto/tls refuses of clients, is not among what they may do,
// nor is data in their first flight (0-RTT), which could be replayed.
func (s *Store) Config() *tls.Config { return s.config }
