package auth

import (
	"context"
	"crypto"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

const (
	fetchTimeout = 10 * time.Second // for the whole of one request
	maxDocument  = 1 << 20          // bytes of a JWK Set
	earlyEvery   = 30 * time.Second // between two fetches because of an unknown kid

	// Backoff after failures: doubles from the first to the last, each with jitter.
	firstRetry  = time.Second
	longestWait = 5 * time.Minute
)

// jwks is one JWKS of the configuration. Everything but run may be called from any goroutine, on nil too: an issuer
// without a JWKS has no keys from one.
type jwks struct {
	given   JWKS
	client  *http.Client
	events  Events
	state   atomic.Pointer[fetchState]
	unknown chan struct{} // holds one: somebody came with a kid that is not listed
}

// fetchState is what came of the fetches so far. It is replaced, never changed.
type fetchState struct {
	keys []*key    // the last good ones
	at   time.Time // when they were last seen to be current; zero: never yet
	body digest    // of the document that they are from
	err  error     // of the last fetch; nil: it went well
}

// JWKSStatus tells how it stands with one JWKS.
type JWKSStatus struct {
	URL, Issuer string
	Keys        int       // in use; a key that may be used with several algorithms counts for each
	Fetched     time.Time // the last successful fetch; zero: none yet, and tokens of this issuer are refused
	Err         error     // of the last fetch; nil: it went well
}

// Status tells how it stands with every JWKS, in the order of Options.JWKS.
func (v *Verifier) Status() []JWKSStatus {
	all := make([]JWKSStatus, len(v.jwks))
	for n, j := range v.jwks {
		s := j.state.Load()
		all[n] = JWKSStatus{URL: j.given.URL, Issuer: j.given.Issuer, Keys: len(s.keys), Fetched: s.at, Err: s.err}
	}
	return all
}

func newJWKS(given JWKS, client *http.Client, events Events) *jwks {
	j := &jwks{given: given, client: client, events: events, unknown: make(chan struct{}, 1)}
	j.state.Store(&fetchState{})
	return j
}

func (j *jwks) keys() []*key {
	if j == nil {
		return nil
	}
	return j.state.Load().keys
}

// lists reports whether the JWKS may list keys with this algorithm.
func (j *jwks) lists(alg string) bool { return j != nil && slices.Contains(j.given.Algs, alg) }

func (j *jwks) fetched() bool { return !j.state.Load().at.IsZero() }

// wake asks run for an early fetch. It never waits; that somebody asked already is enough.
func (j *jwks) wake() {
	select {
	case j.unknown <- struct{}{}:
	default:
	}
}

// run fetches until ctx ends: when it is due, and early when somebody woke it, though not more often than every
// earlyEvery. One goroutine does both, so that there is never more than one fetch at a time.
func (j *jwks) run(ctx context.Context) {
	due, early := time.Now(), false
	var notEarlier time.Time // for the next early fetch
	failures := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.unknown:
			at := time.Now()
			if at.Before(notEarlier) {
				at = notEarlier
			}
			if at.Before(due) {
				due, early = at, true
				timer.Reset(time.Until(due))
			}
			continue
		case <-timer.C:
		}
		if early {
			notEarlier = time.Now().Add(earlyEvery)
		}
		err := j.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := jitter(j.given.Refresh, 10)
		if failures++; err == nil {
			failures = 0
		} else {
			wait = jitter(min(firstRetry<<min(failures-1, 16), longestWait, j.given.Refresh), 2)
			j.failed(err, wait)
		}
		due, early = time.Now().Add(wait), false
		timer.Reset(wait)
		select { // who came while it was fetched may find his key now, or comes again
		case <-j.unknown:
		default:
		}
	}
}

// jitter is d give or take its part-th part, so that the nodes of a fleet do not come in step.
func jitter(d time.Duration, part int64) time.Duration {
	span := int64(d) / part
	return d - time.Duration(span) + time.Duration(rand.Int64N(2*span+1))
}

func (j *jwks) failed(err error, retryIn time.Duration) {
	s := *j.state.Load()
	s.err = err
	j.state.Store(&s)
	if j.events.Failed != nil {
		j.events.Failed(j.given.URL, err, retryIn)
	}
}

// fetch replaces the keys by those that the issuer publishes now. After an error the old ones stay.
func (j *jwks) fetch(ctx context.Context) error {
	document, err := j.get(ctx)
	if err != nil {
		return err
	}
	old := j.state.Load()
	next := &fetchState{keys: old.keys, at: time.Now(), body: sha256.Sum256(document)}
	if old.at.IsZero() || next.body != old.body {
		keys, err := parseWebKeys(document, j.given.Algs, j.ignored)
		if err != nil {
			return err
		}
		next.keys = carryOver(old.keys, keys)
	}
	j.state.Store(next)
	changed := false
	for _, k := range old.keys {
		if !slices.Contains(next.keys, k) {
			k.retired.Store(true)
			changed = true
		}
	}
	if (changed || len(next.keys) != len(old.keys)) && j.events.Fetched != nil {
		j.events.Fetched(j.given.URL, len(next.keys))
	}
	return nil
}

func (j *jwks) ignored(kid, why string) {
	if j.events.Ignored != nil {
		j.events.Ignored(j.given.URL, kid, why)
	}
}

// get is one request. Its errors name the URL.
func (j *jwks) get(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, j.given.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	request.Header.Set("User-Agent", "sluice")
	answer, err := j.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("auth: fetching keys: %w", err)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		return nil, fmt.Errorf("auth: fetching keys from %s: the answer is a redirect (%d), which is not followed; configure the URL where the keys are", j.given.URL, answer.StatusCode)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("auth: fetching keys from %s: the answer is %d, not 200", j.given.URL, answer.StatusCode)
	}
	document, err := io.ReadAll(io.LimitReader(answer.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("auth: fetching keys from %s: %w", j.given.URL, err)
	}
	if len(document) > maxDocument {
		return nil, fmt.Errorf("auth: fetching keys from %s: the answer is longer than %d bytes", j.given.URL, maxDocument)
	}
	return document, nil
}

// carryOver puts the keys that are in use already in the place of their equals, so that what is remembered of
// tokens stays good.
func carryOver(old, next []*key) []*key {
	for n, k := range next {
		if at := slices.IndexFunc(old, k.equal); at >= 0 {
			next[n] = old[at]
		}
	}
	return next
}

func (k *key) equal(other *key) bool {
	public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.id == other.id && k.alg == other.alg && public.Equal(other.public)
}
