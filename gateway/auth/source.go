package auth

import "strings"

// Source is where in a request a token stands.
type Source uint8

// The sources, the most explicit first.
const (
	FromNowhere  Source = iota
	FromHeader          // Authorization: Bearer TOKEN
	FromProtocol        // Sec-WebSocket-Protocol: …, bearer.TOKEN
	FromQuery           // ?token=TOKEN
	FromCookie          // Cookie: NAME=TOKEN
	FromMessage         // the client's first message; Token never says this, callers may
)

func (s Source) String() string {
	switch s {
	case FromHeader:
		return "header"
	case FromProtocol:
		return "protocol"
	case FromQuery:
		return "query"
	case FromCookie:
		return "cookie"
	case FromMessage:
		return "message"
	default:
		return "none"
	}
}

// Ambient reports whether the browser sends the token by itself, whichever page asks: then the page's Origin must
// be one of an exact list (RFC 6455 §10.2). A token that the page itself must know proves as much without one.
func (s Source) Ambient() bool { return s == FromCookie }

// Request is what Token looks at. Values are as they stand in the request, each header field line by itself.
type Request struct {
	Authorization []string // field values
	Protocols     []string // items of Sec-WebSocket-Protocol
	Query         []string // values of the parameter token, decoded
	Cookies       []string // field values
}

// protocolPrefix stands before a token that is offered as a subprotocol, the only header that a page can set. All
// characters of a compact JWS may stand in a subprotocol. Such an item must never be answered.
const protocolPrefix = "bearer."

// Token finds the token in a request. It stands in one place, or the same one stands in several; two different ones
// are refused, because proxies and services that look at only one of them would be deceived, or a sibling domain has
// planted a cookie. An empty one is none. The source is the most explicit there is. Refusals are *Error, ErrNoToken
// among them.
func (v *Verifier) Token(r Request) (string, Source, error) {
	var f finding
	for _, field := range r.Authorization {
		token, err := bearer(field)
		if err != nil {
			return "", FromNowhere, err
		}
		f.add(token, FromHeader)
	}
	for _, item := range r.Protocols {
		if token, ok := strings.CutPrefix(item, protocolPrefix); ok {
			f.add(token, FromProtocol)
		}
	}
	for _, token := range r.Query {
		f.add(token, FromQuery)
	}
	if v.opts.Cookie != "" {
		for _, field := range r.Cookies {
			f.cookies(field, v.opts.Cookie)
		}
	}
	switch {
	case f.several:
		return "", FromNowhere, errSeveral
	case f.token == "":
		return "", FromNowhere, ErrNoToken
	}
	return f.token, f.source, nil
}

// finding is what has been found so far.
type finding struct {
	token   string
	source  Source
	several bool
}

func (f *finding) add(token string, from Source) {
	switch {
	case token == "":
	case f.token == "":
		f.token, f.source = token, from
	case f.token != token:
		f.several = true
	}
}

// cookies looks at one Cookie field (RFC 6265 §4.2.1). Names are matched exactly.
func (f *finding) cookies(field, name string) {
	for pair := range strings.SplitSeq(field, ";") {
		n, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !ok || n != name {
			continue
		}
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		f.add(value, FromCookie)
	}
}

// bearer is the token in an Authorization field (RFC 6750 §2.1); "" if the field is for something else, such as the
// password of a staging site.
func bearer(field string) (string, error) {
	scheme, token, _ := strings.Cut(strings.Trim(field, " \t"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	token = strings.TrimLeft(token, " ")
	if strings.ContainsAny(token, " \t,") {
		return "", errScheme
	}
	return token, nil
}
