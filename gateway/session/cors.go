package session

import (
	"slices"

	"sluice/codec"
)

// preflight are the answers' headers to a page that asks whether it may send more
// than a browser sends by itself.
var preflight = []string{
	"Access-Control-Allow-Methods: GET",
	"Access-Control-Allow-Headers: Authorization, Last-Event-ID, Cache-Control",
	"Access-Control-Max-Age: 600",
}

// streamOrigin decides whether a page may have an event stream, and with which
// headers its browser lets it read the answer (WHATWG Fetch §3.3). A browser names
// the page's origin unless the stream has the same one; then it says so otherwise.
func (p *Policy) streamOrigin(r *codec.Request, ambient bool) (header []string, refusal *codec.HTTPError) {
	origins := r.Values("Origin")
	if len(origins) > 1 {
		return nil, codec.ErrBadOrigin
	}
	if len(origins) == 0 {
		if ambient && !slices.Equal(r.Values("Sec-Fetch-Site"), []string{"same-origin"}) {
			return nil, errOrigin
		}
		return nil, nil
	}
	return p.cors(origins[0]), p.checkOrigin(origins[0], ambient)
}

// cors are the headers for a page from there. One that is listed may use what
// the browser adds by itself, cookies, and is named; what its name is answered with
// is the operator's text, not the client's. What any page may have is for any page.
func (p *Policy) cors(origin string) []string {
	if i := slices.Index(p.Origins, origin); i >= 0 {
		return []string{"Access-Control-Allow-Origin: " + p.Origins[i], "Access-Control-Allow-Credentials: true", "Vary: Origin"}
	}
	if len(p.Origins) > 0 && !p.Dev {
		return nil
	}
	return []string{"Access-Control-Allow-Origin: *", "Vary: Origin"}
}

// preflight answers a page's question before its request.
func (p *Policy) preflight(r *codec.Request) (header []string, refusal *codec.HTTPError) {
	if r.Header("Origin") == "" {
		return nil, errMethod
	}
	header, refusal = p.streamOrigin(r, false)
	return slices.Concat(header, preflight), refusal
}
