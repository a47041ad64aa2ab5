package admin

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// guard keeps other web pages out. A page from anywhere may make the operator's
// browser send requests to 127.0.0.1, so that listening on loopback protects
// nothing by itself. Three doors are shut:
//
//   - DNS rebinding: evil.example resolves to 127.0.0.1, and the page is then of
//     the same origin as this listener. Its Host header still says evil.example.
//   - Cross-origin requests: an Origin header of another page, or a Sec-Fetch-Site
//     that is neither same-origin nor none. This covers GET too: an <img> that
//     points to /debug/pprof/profile costs CPU although nobody may read the answer.
//   - Being framed, sniffed or embedded: response headers.
//
// Callers that are no browsers (curl, Prometheus, kubelet) send neither Origin nor
// Sec-Fetch-Site and are asked only for a Host that fits.
type guard struct {
	hosts map[string]bool // lower case, no port, no brackets, no final dot
	next  http.Handler
}

func newGuard(hosts []string, next http.Handler) *guard {
	g := &guard{hosts: map[string]bool{"localhost": true}, next: next}
	for _, h := range hosts {
		if h = hostname(h); h != "" {
			g.hosts[h] = true
		}
	}
	return g
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	switch {
	case !g.admitsHost(r):
		refuse(w, http.StatusMisdirectedRequest, codePermissionDenied,
			"the Host header names %q, which is not this listener; use localhost or an IP address, or start the node with this name in --admin", r.Host)
	case !sameOrigin(r):
		refuse(w, http.StatusForbidden, codePermissionDenied,
			"the request comes from another web page (Origin %q, Sec-Fetch-Site %q); only the console of this listener may call it from a browser",
			r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site"))
	default:
		g.next.ServeHTTP(w, r)
	}
}

// secure sets the headers of every answer; the console replaces the policy by its own.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// admitsHost reports whether the Host header is one that a rebound name cannot have.
func (g *guard) admitsHost(r *http.Request) bool {
	host := hostname(r.Host)
	if host == "" {
		// HTTP/1.0 health checks (HAProxy's default) send none; browsers always do.
		return r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
	}
	if g.hosts[host] {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	ip = ip.Unmap()
	return ip.IsLoopback() || ip == localAddr(r)
}

// localAddr is the address at which the request arrived: how Prometheus and
// kubelet, which go by the pod's IP, call a listener bound to all addresses.
func localAddr(r *http.Request) netip.Addr {
	tcp, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// hostname strips port, brackets and final dot. "" if nothing is left.
func hostname(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// sameOrigin reports whether no browser, or this listener's own page, sent r.
func sameOrigin(r *http.Request) bool {
	if origins := r.Header.Values("Origin"); len(origins) > 0 {
		u, err := url.Parse(origins[0])
		if len(origins) > 1 || err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return false // "null", too, has no host
		}
		if u.Scheme != "http" && u.Scheme != "https" { // https: behind a TLS proxy
			return false
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return true
	}
	// A link on another page may lead to the console, and to nothing else:
	// following one must not start a profile. Same-site is no better than
	// cross-site here, because every port of localhost is the same site.
	return r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Method == http.MethodGet
}
