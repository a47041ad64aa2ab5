package admin

import (
	"context"
	"mime"
	"net/http"
	"net/http/pprof" // also registers on http.DefaultServeMux, which nothing serves

	"sluice/gateway/api"
	"sluice/gateway/story"
)

// Options is everything the admin listener knows of its node. The functions
// must be safe for concurrent use; those without a context must return at once.
// A nil function makes its endpoint answer 501 in words, unless said otherwise.
type Options struct {
	// Info describes the node. New fills in Ready, Reason and Uptime itself.
	Info func() Info

	// Ready says why the node should get no new clients, or nil. Nil func: always ready.
	Ready func() error

	// Alive says what is wrong with the process itself, or nil. Nil func: nothing ever is.
	Alive func() error

	// Inbox returns up to count entries, newest first; count is 1..MaxInboxCount.
	Inbox func(ctx context.Context, count int) ([]InboxEntry, error)

	// Gaps tells when messages may have been missed.
	Gaps func() Gaps

	// Stories tells of the connection of that name, which is one story then, or of those that a user has and had. Of one that it
	// knows nothing of the error wraps ErrNotHere, and says who may.
	Stories func(ctx context.Context, conn, user string) ([]story.Story, error)

	// Metrics serves /metrics.
	Metrics http.Handler

	// CheckChannel says in words what is wrong with a channel name, or nil.
	// Nil func: every name but the empty one is good.
	CheckChannel func(channel string) error

	// API serves services that show a key, whatever Host they call this listener by.
	// Nil: there is none.
	API http.Handler

	// Open serves the same to pages of this listener that show none. Nil: a key is needed.
	Open http.Handler

	// Watch is how the node is from second to second.
	Watch *Watch

	// Channel says what is known of a channel, and Conns which connections of this node it
	// has, or a user, or those of a name. Tail follows channels until ctx ends.
	Channel func(ctx context.Context, name string) (Channel, error)
	Conns   func(ctx context.Context, q Query) (Conns, error)
	Tail    func(ctx context.Context, channels []string, to *Tailed) error

	// Hosts are the names, beyond localhost, loopback addresses and the address a
	// request arrived at, by which this listener may be called in a Host header:
	// the host part of the configured admin address, a name in the operator's DNS.
	// Ports are ignored, letter case too.
	Hosts []string
}

// listener is what the handlers of one admin listener share.
type listener struct {
	Options
	streams, tails seats
}

// New returns the admin listener's handler. It keeps nothing between requests but how many
// streams there are.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	l := &listener{o, make(seats, maxStreams), make(seats, maxTails)}
	client := newClient()

	mux.Handle("/{$}", only(http.MethodGet, servePage))
	mux.Handle("/console/", only(http.MethodGet, servePage))
	mux.Handle("/client", only(http.MethodGet, client.serve))
	mux.Handle("/healthz", only(http.MethodGet, o.serveAlive))
	mux.Handle("/readyz", only(http.MethodGet, o.serveReady))
	mux.Handle("/metrics", only(http.MethodGet, o.serveMetrics))
	mux.Handle("/api/info", only(http.MethodGet, o.serveInfo))
	mux.Handle("/api/gaps", only(http.MethodGet, o.serveGaps))
	mux.Handle("/api/connections", only(http.MethodGet, o.serveConnections))
	mux.Handle("/api/connections/{conn}", only(http.MethodGet, o.serveConnection))
	mux.Handle("/api/inbox", only(http.MethodGet, o.serveInbox))
	mux.Handle("/api/check", only(http.MethodGet, o.serveCheck))
	mux.Handle("/api/overview", only(http.MethodGet, l.serveOverview))
	mux.Handle("/api/live", only(http.MethodGet, l.serveLive))
	mux.Handle("/api/tail", only(http.MethodGet, l.serveTail))
	mux.Handle("/api/channel", only(http.MethodGet, o.serveChannel))
	mux.Handle("/api/conns", only(http.MethodGet, o.serveConns))

	mux.Handle("/debug/pprof/", only(http.MethodGet, pprofPage(pprof.Index)))
	mux.Handle("/debug/pprof/profile", only(http.MethodGet, pprof.Profile))
	mux.Handle("/debug/pprof/trace", only(http.MethodGet, pprof.Trace))
	mux.Handle("/debug/pprof/symbol", only(http.MethodGet, pprof.Symbol))
	mux.Handle("/debug/pprof/cmdline", only(http.MethodGet, refuseCmdline))

	mux.Handle("/api/publish", only(http.MethodPost, o.serveAPI))
	mux.Handle("/api/disconnect", only(http.MethodPost, o.serveAPI))
	if o.API != nil {
		mux.Handle("/api", only(http.MethodPost, o.API.ServeHTTP))
		mux.HandleFunc("/api/", o.serveAPI)
	}
	mux.HandleFunc("/", serveUnknown)
	return o.forServices(newGuard(o.Hosts, mux))
}

// forServices gives requests that show a key to the API, before anything else: no page
// of another origin can make a browser show one.
func (o Options) forServices(others http.Handler) http.Handler {
	if o.API == nil {
		return others
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !api.Wanted(r) {
			others.ServeHTTP(w, r)
			return
		}
		secure(w.Header())
		o.API.ServeHTTP(w, r)
	})
}

// serveAPI answers those who have not shown the key: because they have forgotten, or need not.
func (o Options) serveAPI(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodPost:
		serveUnknown(w, r)
	case o.API == nil:
		refuse(w, http.StatusNotImplemented, codeNotAvailable, "this node has no API")
	case o.Open == nil:
		o.API.ServeHTTP(w, r)
	case !isJSON(r):
		refuse(w, http.StatusUnsupportedMediaType, codeBadRequest, "Content-Type is %q; it must be application/json", clip(r.Header.Get("Content-Type")))
	default:
		o.Open.ServeHTTP(w, r)
	}
}

// isJSON reports whether a body is declared as what no page can send across origins without
// a preflight, which this listener never grants; a form or plain text it could.
func isJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// only answers 405 to every other method; GET includes HEAD. OPTIONS is among
// the refused: a CORS preflight gets no permission here, whoever asks.
func only(method string, h http.HandlerFunc) http.Handler {
	allow := method
	if method == http.MethodGet {
		allow = "GET, HEAD"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method || (method == http.MethodGet && r.Method == http.MethodHead) {
			h(w, r)
			return
		}
		w.Header().Set("Allow", allow)
		refuse(w, http.StatusMethodNotAllowed, codeBadRequest, "%s takes %s, not %s", r.URL.Path, allow, r.Method)
	})
}

// pprofPage loosens the policy for the index, whose style sits in the page.
func pprofPage(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		h(w, r)
	}
}

// refuseCmdline: the command line is where --redis redis://user:password@… stands.
func refuseCmdline(w http.ResponseWriter, _ *http.Request) {
	refuse(w, http.StatusForbidden, codePermissionDenied, "the command line is not shown, because it may hold the Redis password")
}

func (o Options) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if o.Metrics == nil {
		refuse(w, http.StatusNotImplemented, codeNotAvailable, "this node collects no metrics")
		return
	}
	o.Metrics.ServeHTTP(w, r)
}

func serveUnknown(w http.ResponseWriter, r *http.Request) {
	refuse(w, http.StatusNotFound, codeNotFound,
		"nothing is served at %s; there are / (console), /healthz, /readyz, /metrics, /debug/pprof/, /api/info, /api/gaps, /api/connections, /api/inbox, /api/check, /api/overview, /api/live, /api/channel, /api/conns, /api/tail, and with a key the HTTP API for services: POST /api/publish and others", r.URL.Path)
}
