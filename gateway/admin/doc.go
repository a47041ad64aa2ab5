// Package admin is the inner HTTP listener of a node: what operators, probes
// and Prometheus talk to, and the console page on which a developer watches a
// channel in a browser.
//
// What comes in: HTTP/1.1 requests on the admin address (loopback by default),
// and the node's own view of itself through the functions of [Options].
// What goes out: JSON, plain text, Prometheus text, profiles and one HTML page.
//
//	GET  /               the console (console.html, self-contained)
//	GET  /healthz        200 "ok" while the process answers
//	GET  /readyz         200 "ready", or 503 and the reason in words
//	GET  /metrics        Options.Metrics
//	GET  /debug/pprof/   profiles; without cmdline, which may show a password
//	GET  /api/info       Info as JSON
//	GET  /api/connections/<conn>  the story of a connection, also of one that has ended; ?user=… in place of its name: of all of a user's
//	GET  /api/inbox      latest entries of the inbox stream, newest first; ?count=1..200
//	GET  /api/check      whether ?channel=… is a name that clients may use
//	POST /api/publish    {"channel":"news","data":<JSON>} or {"channel":"news","text":"…"}
//
// Who may call: [New] and [Serve] once per node, from the program's start-up.
// The functions in Options are called from many goroutines at once.
//
// There is no password here: whoever reaches the port may publish and read the
// inbox. The port is therefore meant for loopback, or for a network where only
// operators are. What the package does defend against is a web page that uses
// the operator's browser as its way in: see guard.go.
//
// What it never does: touch Redis or a client's connection itself, follow a
// redirect, send a CORS header, or load anything from outside.
//
// Start reading at admin.go (routes), then guard.go (who is refused and why).
package admin
