// Package reason is the closed set of reasons for which this node refuses requests and
// closes connections: short codes, for metrics and tables, of the constant sentences that
// clients and the log are told. Several sentences may have one code: what an operator does
// about them is the same.
package reason

// Reason is a code: lower-case letters and underscores, fit for a label.
type Reason string

// Row is a reason, with what it means to an operator and the sentences that it stands for.
type Row struct {
	Reason
	Meaning string
	Texts   []string
}

// Service is the reason of what services have closed, whose words are their own.
const Service Reason = "service"

// Table is all reasons, in the order in which they are best read.
var Table = []Row{
	{"malformed", "No HTTP that this node understands: a scanner, a broken client, or a proxy that changes requests.", []string{
		"not an HTTP request", "malformed request target", "malformed escape in the path", "no such path", "malformed HTTP version", "HTTP/1.1 is required",
		"CR without LF", "header line begins with white space", "malformed header name", "control character in a header", "request with a body",
		"exactly one Host header is required", "expectations are not supported", "bad request", "too many bytes before the handshake was answered",
		"the query string is malformed", "TLS is spoken on this port: https:// or wss:// is what begins its URLs",
	}},
	{"head_too_big", "The request is longer than handshake.line, handshake.head or handshake.headers allow: cookies that grew, or an attack.", []string{
		"request line too long", "request head too big", "too many headers",
	}},
	{"handshake_timeout", "The request was not complete within handshake.timeout: slow networks, or an attack that holds sockets open.", []string{"the request did not arrive in time"}},
	{"no_websocket", "No proper WebSocket handshake: a browser that was pointed at the address, or a proxy that does not pass Upgrade on.", []string{
		"this is a WebSocket endpoint", "WebSocket version 13 is required", "the Connection header lacks upgrade",
		"exactly one Sec-WebSocket-Key of 16 bytes in base64 is required", "more than one Origin header", "malformed Sec-WebSocket-Protocol",
	}},
	{"not_found", "Nothing is served at that path: scanners, or clients with a wrong URL. Dialects and /echo may be switched off.", []string{"nothing is served at this path"}},
	{"method", "Another method than the path takes.", []string{"method not allowed", "only GET is served here"}},
	{"parameters", "The URL does not say what it must: the page, or the app, builds it wrongly.", []string{
		"gaps= takes one value, tell: to be told when messages may have been missed",
		"since= takes the position of a message, for the channel= in the same place, or nothing",
		"since= needs the subprotocol sluice.v1, or gaps=tell: else nobody could tell this client what it has missed for good",
		"since= is for channels of durable namespaces: this one has no positions",
		"name the channels: ?channel=news&channel=…",
		"channel name is empty", "channel name is longer than 255 bytes", "channel name is not valid UTF-8", "channel name contains a space",
		"channel name contains an unprintable character", `channel name contains one of { } * ? [ ] \`,
	}},
	{"no_token", "No token, and anonymous is off: a page that is not logged in, or sends its token where auth does not look for it.", []string{
		"a token is needed: this node does not let anonymous clients in", "no token was sent",
	}},
	{"bad_token", "A token that is none: what sends it is broken, or somebody tries. `sluice token check` explains one.", []string{
		"the request carries different tokens; send one", "the Authorization header is not Bearer and one token", "the token is too long",
		"the token is not three parts with two dots between them", "a part of the token is not base64url without padding", "a part of the token is not one JSON object",
		"a name stands twice in an object of the token", "the token's JSON is nested too deeply, or has too many members",
		"the header has no alg, or one that is not a string", "the header's kid is not a string of 1 to 255 printable bytes",
		"the header's typ is not JWT or at+jwt", "the header demands what is not supported: crit, b64, cty, enc or zip",
		"invalid token",
	}},
	{"unknown_key", "A token of an issuer, or signed with a key, that this node does not know: keys were rotated on one side only, or cannot be fetched.", []string{
		"no key is configured for the token's issuer", "alg is none that a key of the issuer is for", "the issuer has no key with this kid and alg",
		"the token has no kid, and the issuer has too many keys to try them all", "the issuer's keys have not been fetched yet",
	}},
	{"bad_signature", "A token that was signed with another key than it names: a wrong secret, or a forgery.", []string{"the signature does not verify"}},
	{"bad_claims", "A signed token with claims that are missing or malformed: what issues it is broken.", []string{
		"iss is not a string of 1 to 255 printable bytes", "sub is missing, or is not a string of 1 to 255 printable bytes", "exp is missing",
		"exp is not a whole number of seconds since 1970", "nbf is not a whole number of seconds since 1970", "iat is not a whole number of seconds since 1970",
		"aud is not a string, or a list of 1 to 32 strings, of 1 to 255 printable bytes", "jti is not a string of 1 to 255 printable bytes",
		"channels is not a list of at most 128 names of 1 to 255 printable bytes",
		"allow is not an object with nothing but the lists subscribe, publish and presence", "channel is not a string of 1 to 255 printable bytes",
		"the token is for one channel: it lets nobody in", "the token has no channel: it is not for a subscription",
		"a list in allow is not one of at most 64 patterns of 1 to 255 printable bytes",
		"aud does not name this service", "the token has an aud, but this node is not told which one is its own",
	}},
	{"not_yet", "A token whose nbf is still to come: clocks differ (sluice doctor).", []string{"the token is not valid yet"}},
	{"expired", "A token whose time is over: clients come back with a new one. Many at once: their app does not refresh, or clocks differ.", []string{"the token has expired", "the token in the cookie has expired", "connection expired"}},
	{"revoked", "A token, or its user, was revoked by a service.", []string{"the token has been revoked"}},
	{"origin", "A page of another site, or of an Origin that origins lacks.", []string{"this Origin may not connect"}},
	{"permission", "The client may not do that with the channel, by its token and the channel's namespace.", []string{
		"a channel may not be subscribed by this client", "channel names that begin with # belong to users", "this client may not send through its channels", "permission denied",
	}},
	{"per_address", "connections.per_address: many users behind one address, or one that opens too many.", []string{"too many connections from this address"}},
	{"per_user", "connections.per_user: a page that opens connections and does not close them.", []string{"too many connections of this user", "connection limit"}},
	{"channels", "connections.channels: a client with too many channels.", []string{"too many channels for one connection", "channel limit"}},
	{"full", "connections.max, or the limit of open files: raise it, or add nodes.", []string{"this node has as many connections as it may"}},
	{"not_ready", "Redis did not confirm the client's channels within handshake.timeout: see sluice_redis_channels_pending and _refused.", []string{
		"not ready: a channel could not be subscribed in time",
	}},
	{"leaving", "This node is being shut down; clients come back, to another one.", []string{"this node is going away", "this node is going away, come back", "shutdown"}},
	{"age", "connections.max_age: the client comes back, perhaps to another node.", []string{"this connection is old: come back, perhaps to another node"}},
	{"slow", "More than queue.max waited for the client, or queue.total for all: it reads too slowly for what is published.", []string{"too slow: the send queue is full", "slow"}},
	{"silent", "A ping was not answered: the client has gone without a word.", []string{"ping not answered", "stale"}},
	{"message_timeout", "A message did not come to its end within message.timeout.", []string{"a message did not arrive in time"}},
	{"rate", "More than message.rate, message.bytes_rate or message.control_rate allow: a client that runs wild.", []string{
		"too many messages", "too many bytes", "too many pings or pongs", "too many requests",
	}},
	{"incomplete", "message.incomplete: clients had this node hold too many unfinished messages.", []string{"this node holds too many incomplete messages"}},
	{"too_big", "A message is longer than message.max, has more fragments than message.fragments, or inflates to more.", []string{
		"message too big", "message has too many fragments", "message inflates more than a thousandfold",
	}},
	{"protocol", "No proper WebSocket, or not what the dialect expects: a broken client.", []string{
		"reserved bit set without an extension", "unknown opcode", "client frame is not masked", "server frame is masked", "control frame is fragmented",
		"control frame is longer than 125 bytes", "payload length is not minimally encoded", "payload length has its highest bit set",
		"continuation frame without a message to continue", "new message inside a fragmented one", "text is not valid UTF-8", "compressed message is broken",
		"close payload of one byte", "close code may not be sent", "close reason is not valid UTF-8",
		"a message begins as durable ones do on their way to the nodes",
	}},
	{"inbox", "Redis did not take the client's message: see sluice_inbox_down. The client comes back and sends it again.", []string{
		"message not stored: send it again", "message not stored: the inbox is full",
	}},
	{"log", "The log of a durable channel cannot be read: see sluice_log_reading_failures_total. The client comes back.", []string{
		"the channel's log cannot be read: come back", "insufficient state",
	}},
	{"internal", "A bug of this program, or Redis failed while the client was being let in: the log says which.", []string{"internal error", "internal server error"}},
	{Service, "A service has had the connection closed (sluice_disconnect), in its own words.", []string{"disconnected by a service", "force disconnect"}},
}

// byText is the table the other way round.
var byText = func() map[string]Reason {
	all := map[string]Reason{}
	for _, row := range Table {
		for _, text := range row.Texts {
			all[text] = row.Reason
		}
	}
	return all
}()

// Of is the reason that a sentence stands for. What is none of this program's is a
// service's.
func Of(text string) Reason {
	if r, ok := byText[text]; ok {
		return r
	}
	return Service
}
