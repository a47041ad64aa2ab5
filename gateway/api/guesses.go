package api

import (
	"crypto/sha256"
	"net"
	"slices"
	"sync"
	"time"
)

// guesses slow down who tries keys. Only keys that are new count: a service that is
// configured wrongly shows one wrong key again and again, which tells it nothing, and must
// not shut out others who come from the same address. The zero value is ready; any goroutine
// may call its methods.
type guesses struct {
	mu   sync.Mutex
	from map[string]*tries // by address; guarded by mu
}

// tries are what one address has tried.
type tries struct {
	keys  [][sha256.Size]byte // lately
	until time.Time           // when they are forgotten
}

const (
	maxGuesses   = 10               // different wrong keys that an address may show in a row …
	forgetAfter  = 10 * time.Second // … each of which puts off by this when they are forgotten
	maxAddresses = 1024
)

// tooMany reports whether an address has shown too many different keys.
func (g *guesses) tooMany(from string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.from[from]
	if t != nil && now.After(t.until) {
		delete(g.from, from)
		return false
	}
	return t != nil && len(t.keys) >= maxGuesses
}

// note takes down a wrong key.
func (g *guesses) note(from string, key [sha256.Size]byte, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from == nil || len(g.from) >= maxAddresses { // from so many addresses at once no limit by address helps
		g.from = map[string]*tries{}
	}
	t := g.from[from]
	if t == nil {
		t = new(tries)
		g.from[from] = t
	}
	if !slices.Contains(t.keys, key) {
		t.keys = append(t.keys, key)
		t.until = now.Add(forgetAfter)
	}
}

// hostOf is an address without its port.
func hostOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}
