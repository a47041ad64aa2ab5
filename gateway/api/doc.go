// Package api is the HTTP API for services that have no Redis client. Requests and
// replies have the shapes of Centrifugo's server API, so that the libraries written
// for that work here, too:
//
//	POST /api/publish   {"channel":"orders","data":{"id":7}}            → {"result":{"offset":…,"epoch":"…"}}
//	POST /api/history   {"channel":"orders","limit":10}                 → {"result":{"publications":[…],…}}
//	POST /api/batch     {"commands":[{"publish":{…}},{"history":{…}}]}  → {"replies":[{"publish":{…}},{"history":{…}}]}
//	POST /api           {"method":"publish","params":{…}}, one a line   → a reply a line, as older libraries want it
//
// What goes wrong with a command is answered 200 with {"error":{"code":…,"message":…}};
// only what is no command, or comes from who does not know the key, gets another
// status.
//
// It does what services do with plain Redis commands, no more: there is nothing that
// only the API could do.
package api
