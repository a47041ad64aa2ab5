package session

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"sluice/codec"
)

// Policy is who may connect, and to how much.
type Policy struct {
	Dev         bool     // any Origin from loopback
	Anonymous   bool     // clients without a token
	Echo        bool     // /echo is served
	Origins     []string // exact scheme://host[:port]; empty: outside Dev, any
	Protocols   []string // subprotocols that are agreed to; "*": the first one offered
	MaxChannels int      // for one connection
	Deflate     bool     // permessage-deflate is agreed to
}

// Refusals of this package. Their texts are constants: nothing of the client
// stands in them.
var (
	errNotFound   = &codec.HTTPError{Status: 404, Reason: "nothing is served at this path"}
	errMethod     = &codec.HTTPError{Status: 405, Reason: "only GET is served here"}
	errToken      = &codec.HTTPError{Status: 401, Reason: "a token is needed: this node does not let anonymous clients in"}
	errOrigin     = &codec.HTTPError{Status: 403, Reason: "this Origin may not connect"}
	errNoChannel  = &codec.HTTPError{Status: 400, Reason: "name the channels: /ws?channel=news&channel=…"}
	errManyChan   = &codec.HTTPError{Status: 400, Reason: "too many channels for one connection"}
	errQuery      = &codec.HTTPError{Status: 400, Reason: "the query string is malformed"}
	errUserPrefix = &codec.HTTPError{Status: 403, Reason: "channel names that begin with # belong to users"}
)

// checkOrigin decides whether a page from there may connect (RFC 6455 §10.2).
// Clients that are no browsers send no Origin.
func (p *Policy) checkOrigin(origins []string) *codec.HTTPError {
	switch len(origins) {
	case 0:
		return nil
	case 1:
	default:
		return errOrigin
	}
	origin := origins[0]
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
	if !p.Deflate || len(offered) == 0 || inflatesBadly(r.Header("User-Agent")) {
		return ""
	}
	answer, _ := codec.NegotiateDeflate(offered)
	return answer
}

// inflatesBadly names the browsers that agree to client_no_context_takeover and
// then break it: Safari 15.0 to 15.3.
func inflatesBadly(agent string) bool {
	if !strings.Contains(agent, "Safari/") || strings.Contains(agent, "Chrome/") {
		return false
	}
	_, version, _ := strings.Cut(agent, "Version/15.")
	minor, _, _ := strings.Cut(version, " ")
	minor, _, _ = strings.Cut(minor, ".")
	return minor == "0" || minor == "1" || minor == "2" || minor == "3"
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
