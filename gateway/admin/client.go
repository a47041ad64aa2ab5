package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
)

//go:embed client.html
var clientHTML []byte

// client serves the page that is a client for trying things out, with a policy that names its script and its style
// by hash: nothing that a message might smuggle into the page can run.
type client struct {
	html   []byte
	policy string
}

func newClient() *client {
	return &client{html: clientHTML, policy: "default-src 'none'" +
		"; script-src " + hashOf(clientHTML, "script") +
		"; style-src " + hashOf(clientHTML, "style") +
		"; connect-src 'self' ws: wss:" + // the public listener is another port, or a load balancer elsewhere
		"; img-src data:" + // the favicon
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" +
		"; require-trusted-types-for 'script'; trusted-types 'none'"}
}

func (c *client) serve(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", c.policy)
	_, _ = w.Write(c.html) // fails only when the browser has gone
}

// hashOf returns the CSP source of the first element with this tag, that is of
// every byte between its tags; 'none' if there is no such element.
func hashOf(page []byte, tag string) string {
	_, rest, ok := bytes.Cut(page, []byte("<"+tag))
	if !ok {
		return "'none'"
	}
	_, rest, _ = bytes.Cut(rest, []byte(">"))
	content, _, ok := bytes.Cut(rest, []byte("</"+tag+">"))
	if !ok {
		return "'none'"
	}
	sum := sha256.Sum256(content)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
