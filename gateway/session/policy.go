package session

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"sluice/codec"
	"sluice/config"
	"sluice/gateway/auth"
	"sluice/gateway/hub"
	"sluice/gateway/peer"
	"sluice/pubsub"
)

// Policy is who may connect, and to how much.
type Policy struct {
	Dev         bool                      // any Origin from loopback
	Personal    bool                      // users are subscribed to their own channel when they connect
	Anonymous   bool                      // clients without a token
	Echo        bool                      // /echo is served
	Origins     []string                  // exact scheme://host[:port]; empty: outside Dev, any
	Protocols   []string                  // subprotocols that are agreed to; "*": the first one offered
	Deflate     bool                      // permessage-deflate is agreed to
	Revoked     func(*auth.Identity) bool // whether a token that was verified is not valid any more; nil: none is
	Tokens      Tokens                    // nil: no token is valid
	Namespace   func(channel string) config.Namespace
	Trust       peer.Trust    // proxies that are believed about a client's address …
	Header      peer.Header   // … in this header
	MaxChannels int           // for one connection
	PerAddress  int           // connections of one client address; 0: no limit
	PerUser     int           // connections of one user; 0: no limit
	MaxAge      time.Duration // of a connection, by a fifth more or less; 0: no limit
	MaxRecovery int           // messages of a channel that a client is sent which comes back to it
	MaxReply    int           // bytes of payloads in an answer that is read from Redis for one client
	MaxCalls    int           // calls of one connection that wait for an answer
	CallTimeout time.Duration

	Patience time.Duration // for a client to say who it is, where it does that after the handshake
	Ping     time.Duration // between pings, for dialects that tell their clients
	Grace    time.Duration // for a client to bring a new token after its old one has expired, where it can

	Inbox func(channel string) string // key of the stream for what clients send through it; nil, "": the usual one
}

// isDurable says whether clients may resume a channel from a position.
func (p *Policy) isDurable(channel string) bool {
	durable := p.Namespace(channel).Durable
	return durable != nil && *durable
}

// Tokens judges tokens, without ever blocking.
type Tokens interface {
	Token(auth.Request) (token string, source auth.Source, err error)
	Verify(token string) (*auth.Identity, error)
	VerifySubscription(token string) (*auth.Identity, error)
}

// Refusals of this package. Their texts are constants: nothing of the client
// stands in them.
var (
	errNotFound   = &codec.HTTPError{Status: 404, Reason: "nothing is served at this path"}
	errMethod     = &codec.HTTPError{Status: 405, Reason: "only GET is served here"}
	errOldCookie  = &codec.HTTPError{Status: 401, Reason: "the token in the cookie has expired"} // no page can help having it: a better one may follow
	errToken      = &codec.HTTPError{Status: 401, Reason: "a token is needed: this node does not let anonymous clients in"}
	errNotAllowed = &codec.HTTPError{Status: 403, Reason: "a channel may not be subscribed by this client"}
	errAddress    = &codec.HTTPError{Status: 429, Reason: "too many connections from this address"}
	errUser       = &codec.HTTPError{Status: 429, Reason: "too many connections of this user"}
	errOrigin     = &codec.HTTPError{Status: 403, Reason: "this Origin may not connect"}
	errGaps       = &codec.HTTPError{Status: 400, Reason: "gaps= takes one value, tell: to be told when messages may have been missed"}
	errSince      = &codec.HTTPError{Status: 400, Reason: "since= takes the position of a message, for the channel= in the same place, or nothing"}
	errSinceMute  = &codec.HTTPError{Status: 400, Reason: "since= needs the subprotocol sluice.v1, or gaps=tell: else nobody could tell this client what it has missed for good"}
	errNotDurable = &codec.HTTPError{Status: 400, Reason: "since= is for channels of durable namespaces: this one has no positions"}
	errNoChannel  = &codec.HTTPError{Status: 400, Reason: "name the channels: ?channel=news&channel=…"}
	errManyChan   = &codec.HTTPError{Status: 400, Reason: "too many channels for one connection"}
	errQuery      = &codec.HTTPError{Status: 400, Reason: "the query string is malformed"}
	errUserPrefix = &codec.HTTPError{Status: 403, Reason: "channel names that begin with # belong to users"}
)

// checkOrigin decides whether a page from there may connect (RFC 6455 §10.2).
// Clients that are no browsers send no Origin. Where the browser added the token
// by itself, whichever page asked, only the listed pages will do.
func (p *Policy) checkOrigin(origin string, ambient bool) *codec.HTTPError {
	if ambient {
		if slices.Contains(p.Origins, origin) {
			return nil
		}
		return errOrigin
	}
	if origin == "" {
		return nil
	}
	if slices.Contains(p.Origins, origin) {
		return nil
	}
	if p.Dev && isLoopbackOrigin(origin) {
		return nil
	}
	if !p.Dev && len(p.Origins) == 0 {
		return nil // no cookie or other ambient right is honoured that a page could abuse
	}
	return errOrigin
}

// extensions answers an offer of permessage-deflate, if there is one that can be
// honoured.
func (p *Policy) extensions(offered []string, r *codec.Request) string {
	if !p.Deflate || len(offered) == 0 || codec.BrokenDeflate(r.Header("User-Agent")) {
		return ""
	}
	answer, _ := codec.NegotiateDeflate(offered)
	return answer
}

// isLoopbackOrigin reports whether a page was served by this very machine.
func isLoopbackOrigin(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.Path != "" {
		return false
	}
	host := u.Hostname()
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// protocol chooses the subprotocol of the answer (RFC 6455 §4.2.2): browsers
// fail a connection that they offered some for and got none. What a payload
// means is between page and service, so any name will do unless the operator
// lists some; an item that carries a token is never repeated.
func (p *Policy) protocol(offered []string) string {
	for _, o := range offered {
		if strings.HasPrefix(o, "bearer.") {
			continue
		}
		if slices.Contains(p.Protocols, "*") || slices.Contains(p.Protocols, o) {
			return o
		}
	}
	return ""
}

// follow completes what is wanted of a channel whose namespace is durable, and
// reports whether it is: messages are resumed from a position, or only the newest is
// wanted, and the client hears where it is.
func (p *Policy) follow(w *hub.Wants, channel string, since pubsub.Position, resumes bool) bool {
	n := p.Namespace(channel)
	if !*n.Durable {
		return false
	}
	w.Recover, w.Newest = true, n.LastValue
	if resumes {
		w.Since, w.Limit = since, p.MaxRecovery
	}
	return true
}
