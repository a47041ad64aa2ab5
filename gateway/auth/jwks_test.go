package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeIssuer publishes keys, in memory.
type fakeIssuer struct {
	mu     sync.Mutex
	answer func(*http.Request) (*http.Response, error)
	asked  []request
}

type request struct {
	url string
	at  time.Time
}

func newFakeIssuer(document string) *fakeIssuer {
	f := &fakeIssuer{}
	f.publish(document)
	return f
}

func (f *fakeIssuer) client() *http.Client { return &http.Client{Transport: f} }

func (f *fakeIssuer) publish(document string) {
	f.answers(func(*http.Request) (*http.Response, error) { return response(200, document), nil })
}

func (f *fakeIssuer) answers(answer func(*http.Request) (*http.Response, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func response(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

func (f *fakeIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.asked = append(f.asked, request{r.URL.String(), time.Now()})
	answer := f.answer
	f.mu.Unlock()
	resp, err := answer(r)
	if err == nil {
		resp.Request = r
	}
	return resp, err
}

func (f *fakeIssuer) requests() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func (f *fakeIssuer) count() int { return len(f.requests()) }

// run starts v, waits until its one JWKS has been fetched or has failed, and returns what stops it.
func (f *fakeIssuer) run(t *testing.T, v *Verifier) (stop func()) {
	t.Helper()
	stop = start(t, v)
	deadline := time.Now().Add(30 * time.Second)
	for s := v.Status()[0]; s.Fetched.IsZero() && s.Err == nil; s = v.Status()[0] {
		if time.Now().After(deadline) {
			t.Fatal("no fetch within 10 s")
		}
		time.Sleep(time.Millisecond) // polling
	}
	return stop
}

func start(t *testing.T, v *Verifier) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Run ended with %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// events keeps what an operator would hear.
type events struct {
	mu    sync.Mutex
	lines []string
}

func (e *events) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, fmt.Sprintf(format, args...))
}

func (e *events) options() Events {
	return Events{
		Fetched: func(url string, keys int) { e.add("fetched %d", keys) },
		Failed:  func(url string, err error, _ time.Duration) { e.add("failed: %v", err) },
		Ignored: func(url, kid, why string) { e.add("ignored %s: %s", kid, why) },
	}
}

func (e *events) take() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() { e.lines = nil }()
	return strings.Join(e.lines, "\n")
}

var idExample = JWKS{URL: "https://id.example/keys", Issuer: "https://id.example", Refresh: 10 * time.Minute}

// signed is a token of idExample by p, with its kid.
func signed(t *testing.T, p pair, alg, kid string) string {
	return mustSign(t, Key{ID: kid, Alg: alg, PEM: p.own}, Claims{Issuer: idExample.Issuer})
}

func TestJWKSRotation(t *testing.T) {
	a, b := rsaPair(), p256Pair() // before the bubble: they live longer
	tokenA, tokenB := signed(t, a, "RS256", "a"), signed(t, b, "ES256", "b")
	jwkA, jwkB := jwkOf(a.private.Public(), `"kid":"a"`, `"alg":"RS256"`, `"use":"sig"`), jwkOf(b.private.Public(), `"kid":"b"`)
	synctest.Test(t, func(t *testing.T) {
		server, heard := newFakeIssuer(jwkSet(jwkA)), &events{}
		v := mustNew(t, Options{JWKS: []JWKS{idExample}, HTTP: server.client(), Events: heard.options()})
		wantErr(t, v, tokenA, errNotFetched)

		stop := start(t, v)
		defer stop()
		synctest.Wait()
		wantCode(t, v, tokenA, "")
		wantCode(t, v, tokenA, "")
		if got := heard.take(); got != "fetched 1" {
			t.Errorf("heard %q", got)
		}

		// The same keys in another order of members, and in the very same document: nothing to hear, nothing forgotten.
		was := v.jwks[0].keys()[0]
		for _, document := range []string{jwkSet(jwkA), `{"x":1,"keys":[` + jwkA + `]}`} {
			server.publish(document)
			time.Sleep(12 * time.Minute) // the bubble's
			if v.jwks[0].keys()[0] != was || was.retired.Load() {
				t.Error("an unchanged key is replaced")
			}
		}
		if got := heard.take(); got != "" {
			t.Errorf("heard %q", got)
		}

		// A new key beside the old one: the first token with it is refused, and soon they are not.
		server.publish(jwkSet(jwkA, jwkB))
		wantErr(t, v, tokenB, errAlg)
		synctest.Wait()
		wantCode(t, v, tokenB, "")
		wantCode(t, v, tokenA, "")
		if got := heard.take(); got != "fetched 2" {
			t.Errorf("heard %q", got)
		}

		// The old key goes: a token that is remembered goes with it.
		server.publish(jwkSet(jwkB))
		time.Sleep(12 * time.Minute)
		wantErr(t, v, tokenA, errAlg)
		wantCode(t, v, tokenB, "")
		if !was.retired.Load() {
			t.Error("the key that went is not retired")
		}

		// The server goes away, or publishes nothing that can be used: the last good keys stay.
		for _, answer := range []func(*http.Request) (*http.Response, error){
			func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") },
			func(*http.Request) (*http.Response, error) { return response(500, jwkSet(jwkA)), nil },
			func(*http.Request) (*http.Response, error) { return response(200, `{"keys":[]}`), nil },
			func(*http.Request) (*http.Response, error) { return response(200, `<html>`), nil },
			func(*http.Request) (*http.Response, error) { return response(200, ``), nil },
			func(*http.Request) (*http.Response, error) {
				return response(200, jwkSet(jwkA)+strings.Repeat(" ", maxDocument)), nil
			},
			func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
		} {
			heard.take()
			server.answers(answer)
			time.Sleep(time.Hour)
			wantCode(t, v, tokenB, "")
			wantCode(t, v, tokenA, CodeUnknownKey)
			s := v.Status()[0]
			if s.Err == nil || s.Keys != 1 || !strings.Contains(heard.take(), "failed: ") {
				t.Errorf("status is %+v", s)
			}
		}
		server.publish(jwkSet(jwkA))
		time.Sleep(time.Hour)
		wantCode(t, v, tokenA, "")
		if s := v.Status()[0]; s.Err != nil {
			t.Errorf("status is %+v", s)
		}
	})
}

func wantErr(t *testing.T, v *Verifier, token string, want *Error) {
	t.Helper()
	if _, err := v.Verify(token); err != error(want) {
		t.Errorf("refused with %v, want %v", err, want)
	}
}

// Whatever strangers send, the configured URL is asked once in 30 s at most beside its regular times.
func TestUnknownKidsAreRateLimited(t *testing.T) {
	a := rsaPair()
	unknown := signed(t, a, "RS256", "zzz")
	wrongAlg := signed(t, a, "PS256", "zzz")
	synctest.Test(t, func(t *testing.T) {
		server := newFakeIssuer(jwkSet(jwkOf(a.private.Public(), `"kid":"a"`)))
		v := mustNew(t, Options{JWKS: []JWKS{{URL: idExample.URL, Issuer: idExample.Issuer, Refresh: 24 * time.Hour}}, HTTP: server.client()})
		stop := start(t, v)
		defer stop()
		synctest.Wait()
		if n := server.count(); n != 1 {
			t.Fatalf("%d requests at the start", n)
		}
		for range 100 {
			wantCode(t, v, wrongAlg, CodeUnknownKey)
		}
		synctest.Wait()
		if n := server.count(); n != 1 {
			t.Fatalf("%d requests: an alg that the JWKS is not for causes one", n)
		}
		const minutes = 10
		for range minutes * 60 {
			wantCode(t, v, unknown, CodeUnknownKey)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		asked := server.requests()
		for n := 2; n < len(asked); n++ {
			if between := asked[n].at.Sub(asked[n-1].at); between < earlyEvery {
				t.Errorf("requests %d and %d are %v apart", n, n+1, between)
			}
		}
		if early := len(asked) - 1; early < 2*minutes || early > 2*minutes+1 {
			t.Errorf("%d early requests in %d min, want one in 30 s", early, minutes)
		}
	})
}

// A fetch that hangs holds up nobody, and no second one is begun beside it.
func TestSlowServer(t *testing.T) {
	a := rsaPair()
	token, unknown := signed(t, a, "RS256", "a"), signed(t, a, "RS256", "zzz")
	synctest.Test(t, func(t *testing.T) {
		server := newFakeIssuer(jwkSet(jwkOf(a.private.Public(), `"kid":"a"`)))
		v := mustNew(t, Options{JWKS: []JWKS{idExample}, HTTP: server.client()})
		stop := start(t, v)
		defer stop()
		synctest.Wait()
		server.answers(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })
		began := time.Now()
		for range 50 {
			wantCode(t, v, unknown, CodeUnknownKey)
			wantCode(t, v, token, "")
			synctest.Wait()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("Verify waited %v", took)
		}
		if n := server.count(); n != 2 {
			t.Errorf("%d requests, want the first and one that hangs", n)
		}
		time.Sleep(fetchTimeout)
		synctest.Wait()
		if s := v.Status()[0]; !errors.Is(s.Err, context.DeadlineExceeded) {
			t.Errorf("the fetch ended with %v", s.Err)
		}
		server.answers(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })
		time.Sleep(3 * time.Second)
		stop() // while one hangs
	})
}

func TestBackoff(t *testing.T) {
	document := jwkSet(jwkOf(edPair().private.Public()))
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var waits []time.Duration
		heard := Events{Failed: func(_ string, _ error, retryIn time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, retryIn)
		}}
		server := newFakeIssuer("")
		v := mustNew(t, Options{JWKS: []JWKS{{URL: idExample.URL, Refresh: time.Hour}}, HTTP: server.client(), Events: heard})
		stop := start(t, v)
		defer stop()
		for range 2 { // once it has answered, the next failure is the first again
			time.Sleep(3 * time.Hour)
			mu.Lock()
			if len(waits) < 16 {
				t.Errorf("only %d attempts", len(waits))
			}
			for n, wait := range waits {
				base := min(firstRetry<<min(n, 16), longestWait)
				if wait < base/2 || wait > base*3/2 {
					t.Errorf("after failure %d it waits %v, want about %v", n+1, wait, base)
				}
			}
			waits = nil
			mu.Unlock()
			server.publish(document)
			time.Sleep(2 * longestWait)
			server.publish("")
		}
	})
}

func TestRunOnce(t *testing.T) {
	v := mustNew(t, Options{})
	stop := start(t, v)
	deadline := time.Now().Add(30 * time.Second)
	for !v.running.Load() {
		if time.Now().After(deadline) {
			t.Fatal("Run does not begin")
		}
		time.Sleep(time.Millisecond) // polling
	}
	if err := v.Run(t.Context()); !errors.Is(err, errRunning) {
		t.Errorf("the second Run answers %v", err)
	}
	stop()
}

// Over real sockets, with the client that New makes.
func TestFetchOverHTTP(t *testing.T) {
	a := edPair()
	document := jwkSet(jwkOf(a.private.Public(), `"kid":"a"`))
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect is followed") }))
	defer elsewhere.Close()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string // in the error
	}{
		"keys": {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, document) }, ""},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}, "redirect (302), which is not followed"},
		"permanent redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusPermanentRedirect)
		}, "redirect (308), which is not followed"},
		"missing":    {http.NotFound, "is 404, not 200"},
		"no content": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }, "is 204, not 200"},
		"huge":       {func(w http.ResponseWriter, r *http.Request) { writeMuch(w) }, "longer than 1048576 bytes"},
		"cut off": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "99")
			fmt.Fprint(w, "{")
		}, "unexpected EOF"},
		"huge headers": {func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat("x", 100_000)) }, "exceeded 65536 bytes"},
		"gzip unasked": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "" {
				t.Errorf("it asks for %q", r.Header.Get("Accept-Encoding"))
			}
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "\x1f\x8b")
		}, "not a JWK Set"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			v := mustNew(t, Options{JWKS: []JWKS{{URL: server.URL}}})
			err := v.jwks[0].fetch(t.Context())
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
			want := CodeUnknownKey
			if c.want == "" {
				want = ""
			}
			wantCode(t, v, mustSign(t, Key{ID: "a", Alg: "EdDSA", PEM: a.own}, Claims{}), want)
		})
	}
}

func writeMuch(w io.Writer) {
	spaces := strings.Repeat(" ", 64<<10)
	for range 1000 {
		if _, err := io.WriteString(w, spaces); err != nil {
			return // the reader has had enough, as it should
		}
	}
}

func TestGivenClientIsNotChanged(t *testing.T) {
	given := &http.Client{}
	mustNew(t, Options{JWKS: []JWKS{{URL: "https://id.example/"}}, HTTP: given})
	if given.CheckRedirect != nil || given.Transport != nil {
		t.Error("New changed the caller's client")
	}
}
