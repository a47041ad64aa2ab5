// Package admin is the inner HTTP listener of a node: what operators, probes
// and Prometheus talk to, and the console, on which who is on call sees how the node
// does, and a developer tries things out.
//
// What comes in: HTTP/1.1 requests on the admin address (loopback by default),
// and the node's own view of itself through the functions of [Options].
// What goes out: JSON, plain text, Prometheus text, profiles, server-sent events and
// two pages.
//
//	GET  /               the console (folder console); its files are under /console/
//	GET  /client         a client for trying things out (client.html, self-contained)
//	GET  /healthz        200 "ok" while the process answers
//	GET  /readyz         200 "ready", or 503 and the reason in words
//	GET  /metrics        Options.Metrics
//	GET  /debug/pprof/   profiles; without cmdline, which may show a password
//	GET  /api/info       Info as JSON
//	GET  /api/overview   Overview as JSON, a second old at most
//	GET  /api/live       the samples of the last minutes, then an overview a second, as events
//	GET  /api/channel    what is known of the channel ?name=
//	GET  /api/conns      connections of this node: ?user=, ?channel= or ?conn=
//	GET  /api/tail       what is published on ?channel=…&channel=…, as events
//	GET  /api/gaps       when messages may have been missed
//	GET  /api/connections/<conn>  the story of a connection, also of one that has ended; ?user=… in place of its name: of all of a user's
//	GET  /api/inbox      latest entries of the inbox stream, newest first; ?count=1..200
//	GET  /api/check      whether ?channel=… is a name that clients may use
//	POST /api/…          Options.API, see package api
//
// Who may call: [New] and [Serve] once per node, from the program's start-up.
// The functions in Options are called from many goroutines at once.
//
// There is no password for reading: whoever reaches the port sees what is published and
// what clients send. What changes something is the API's, and that wants a key. The port is
// therefore meant for loopback, or for a network where only operators are. What the package
// does defend against is a web page that uses the operator's browser as its way in: see
// guard.go. Nothing here goes by a cookie.
//
// What it never does: touch Redis or a client's connection itself, follow a
// redirect, send a CORS header, or load anything from outside.
//
// Start reading at admin.go (routes), then guard.go (who is refused and why), then watch.go
// and stream.go (how the console is kept up to date).
package admin
