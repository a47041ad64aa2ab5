package auth

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// JWKS is a set of public keys that an issuer publishes (RFC 7517 §5).
type JWKS struct {
	URL     string        // https, or http to this very machine; nothing but the configuration says it
	Issuer  string        // iss that these keys sign for; "" means Options.Issuer
	Algs    []string      // the algorithms they may be used with, HS… not among them. Default RS256, ES256, EdDSA
	Refresh time.Duration // between two fetches, give or take a tenth, 1 min to 168 h. Default 15 min
}

// Options configure New. A zero field means its default.
type Options struct {
	Keys []Key  // at most 64
	JWKS []JWKS // at most 64, one for each issuer

	Issuer   string // iss of the tokens of all keys that name no issuer themselves; "" for all: iss is not looked at
	Audience string // must be in aud; "": tokens that have an aud are refused, as RFC 7519 §4.1.3 wants it

	Leeway   time.Duration // how far clocks may be apart, for exp and nbf, up to 10 min. Default 30 s; none: negative
	NoExpiry bool          // lets tokens without exp in; they can not be taken back but by revoking them
	MaxToken int           // bytes of a token, 64 to 65536. Default 4096
	Cache    int           // verified tokens that are remembered, about. Default 16384; none: negative
	Cookie   string        // name of the cookie that may hold a token; "": cookies are not looked at

	Revoked *Revoked // tokens that are not valid although all else is well; nil: there are none

	Now    func() time.Time // the wall clock; default time.Now
	HTTP   *http.Client     // fetches JWKS; its CheckRedirect is not used, redirects are never followed. Default: our own
	Events Events
}

// Events are what an operator should hear. Any may be nil. They are called from Run's goroutines, one at a time for
// each URL, and must not block.
type Events struct {
	Fetched func(url string, keys int)                         // a JWKS is in use: for the first time, or with other keys
	Failed  func(url string, err error, retryIn time.Duration) // a fetch failed; the last good keys stay
	Ignored func(url string, kid string, why string)           // a key in a JWKS can not be used; said at every change
}

const (
	mostKeys       = 64
	defaultRefresh = 15 * time.Minute
)

func (o Options) withDefaults() Options {
	def(&o.Leeway, 30*time.Second)
	def(&o.MaxToken, 4096)
	def(&o.Cache, 16384)
	o.Leeway = max(o.Leeway, 0)
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Keys = slices.Clone(o.Keys)
	for i := range o.Keys {
		def(&o.Keys[i].Issuer, o.Issuer)
	}
	o.JWKS = slices.Clone(o.JWKS)
	for i := range o.JWKS {
		j := &o.JWKS[i]
		def(&j.Issuer, o.Issuer)
		def(&j.Refresh, defaultRefresh)
		if len(j.Algs) == 0 {
			j.Algs = []string{"RS256", "ES256", "EdDSA"}
		}
	}
	return o
}

func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// faults collects everything that is wrong with Options.
type faults []error

func (f *faults) add(format string, args ...any) {
	*f = append(*f, fmt.Errorf("auth: "+format, args...))
}

func (f *faults) need(ok bool, format string, args ...any) {
	if !ok {
		f.add(format, args...)
	}
}

// check looks at everything but the keys themselves.
func (o Options) check(f *faults) {
	f.need(len(o.Keys) <= mostKeys, "%d static keys are given, at most %d are possible", len(o.Keys), mostKeys)
	f.need(len(o.JWKS) <= mostKeys, "%d JWKS are given, at most %d are possible", len(o.JWKS), mostKeys)
	f.need(o.Issuer == "" || isName(o.Issuer), "issuer: must be 1 to 255 printable bytes")
	f.need(o.Audience == "" || isName(o.Audience), "audience: must be 1 to 255 printable bytes")
	f.need(o.Leeway <= 10*time.Minute, "leeway: at most 10m, is %v; a clock that is further off needs NTP", o.Leeway)
	f.need(o.MaxToken >= 64 && o.MaxToken <= 65536, "longest token: must be of 64 to 65536 bytes, is %d", o.MaxToken)
	f.need(o.Cookie == "" || isCookieName(o.Cookie), "cookie %q: is not the name of a cookie", o.Cookie)
	for i, j := range o.JWKS {
		f.need(j.Refresh >= time.Minute && j.Refresh <= 7*24*time.Hour, "JWKS %d: refresh must be 1m to 168h, is %v", i+1, j.Refresh)
		f.need(j.Issuer == "" || isName(j.Issuer), "JWKS %d: issuer must be 1 to 255 printable bytes", i+1)
		if err := checkURL(j.URL); err != nil {
			f.add("JWKS %d: %w", i+1, err)
		}
		for _, name := range j.Algs {
			switch alg := findAlgorithm(name); {
			case alg == nil:
				f.add("JWKS %d: alg %q is none of %s", i+1, name, algNames)
			case alg.family == hmacKeys:
				f.add("JWKS %d: %s is for shared secrets, which nobody publishes; a JWKS has public keys only", i+1, name)
			}
		}
	}
	o.checkIssuers(f)
}

// checkIssuers makes sure that every token has one issuer's keys to be tried, and no other's.
func (o Options) checkIssuers(f *faults) {
	jwks := map[string]bool{}
	some, all := o.Issuer != "", true
	for _, j := range o.JWKS {
		f.need(!jwks[j.Issuer], "issuer %q has more than one JWKS; give each its own issuer", j.Issuer)
		jwks[j.Issuer] = true
		some, all = some || j.Issuer != "", all && j.Issuer != ""
	}
	for _, k := range o.Keys {
		f.need(k.Issuer == "" || isName(k.Issuer), "key %q: issuer must be 1 to 255 printable bytes", k.ID)
		some, all = some || k.Issuer != "", all && k.Issuer != ""
	}
	f.need(!some || all, "some keys or JWKS name their issuer and others do not, so that those could sign for anybody; name all")
}

// checkURL lets in what nobody between here and there can change.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("its URL can not be read") // the reason would repeat it, password included
	case u.User != nil:
		return errors.New("its URL has a user or password in it, which would stand in logs")
	case u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("URL %q is not https://host/path", raw)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("URL %q is not https: whoever is on the way could put his own keys there", raw)
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// isName reports whether s is of 1 to 255 bytes that can be shown; see decodeName.
func isName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// isCookieName reports whether s is a token (RFC 6265 §4.1.1, RFC 9110 §5.6.2).
func isCookieName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// newClient is the client for JWKS: it follows no redirect, and keeps no connection between two fetches.
func newClient(given *http.Client) *http.Client {
	c := &http.Client{Timeout: fetchTimeout}
	if given != nil {
		*c = *given
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: fetchTimeout}).DialContext,
			ForceAttemptHTTP2:      true,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}
