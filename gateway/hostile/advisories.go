package hostile

// Advisory is a fault that was published of other servers, and what proves that it
// is none of ours.
type Advisory struct {
	ID     string // as it was published
	Lesson string

	// Proofs are rows, "Frames: length 2^63", and tests by package and name,
	// "codec TestUpgradeRefused". A test finds out whether they exist.
	Proofs []string

	// Never says why the fault cannot be here, where there is nothing to prove.
	Never string
}

// Advisories are those that were known in 2026.
func Advisories() []Advisory {
	return []Advisory{
		{ID: "CVE-2020-27813, GHSA-jf24-p9p9-4rjh (gorilla/websocket)", Lesson: "lengths are unsigned; what is left is compared by subtraction, before anything is allocated", Proofs: []string{
			"Frames: length 2^63 - 1 after a first fragment", "Frames: length 2^63 - 1 after a first fragment of limit - 1", "codec TestNextRefuses"}},
		{ID: "CVE-2026-27889, GHSA-pq2q-rcw4-3hr6 (nats-server)", Lesson: "the most significant bit of a length is 0", Proofs: []string{
			"Frames: length 2^63 + 1", "Handshakes: length 2^63 + 1 in the request's segment", "loop TestPanics"}},
		{ID: "CVE-2026-43678 (swift-nio), httpclient5 PR 854, CVE-2020-13935 (Tomcat)", Lesson: "the same", Proofs: []string{
			"Frames: length 2^64 - 1", "Frames: length 2^64 - 2^32", "Frames: length 2^63"}},
		{ID: "nats-server #8029", Lesson: "a frame has a time in which to become whole; reserved bits need an extension", Proofs: []string{
			"Slow: the header of a frame, not whole", "Frames: RSV1 without an extension", "Frames: RSV2", "Frames: RSV3", "Frames: RSV is judged by the first byte", "Frames: RSV3 by the first byte"}},
		{ID: "CVE-2026-27571 (nats-server), CVE-2026-1526 (undici), CVE-2018-1000518 (python-websockets), tornado PR 2391", Lesson: "what comes out of inflate is bounded as it comes, in bytes and in proportion; nobody is inflated for who is not in; off by default", Proofs: []string{
			"Compressed: bomb: 1 KiB, inflated 1 MiB", "Compressed: bomb: 63 KiB, inflated 60 MiB", "Compressed: bomb in 64 fragments", "Compressed: 64 KiB from next to nothing, until 4 MiB are too much",
			"codec TestBombsTakeBoundedMemory", "gateway TestDeflateIsASwitch"}},
		{ID: "undici: server_max_window_bits", Lesson: "a malformed parameter declines the offer and nothing else", Proofs: []string{
			"Compressed: offer permessage-deflate; client_max_window_bits=999", "Compressed: offer permessage-deflate; server_max_window_bits=abc", "Compressed: offer permessage-deflate; server_max_window_bits=8",
			"Compressed: offer permessage-deflate; client_max_window_bits; client_max_window_bits", "codec TestNegotiateDeflate", "codec FuzzNegotiate"}},
		{ID: "CVE-2026-48779, GHSA-96hv-2xvq-fx4p, issue 2331 (ws)", Lesson: "fragments share one buffer; their number, bytes and time are bounded, and the bytes of all clients together", Proofs: []string{
			"Frames: 1025 fragments of a byte", "Frames: fragments of a byte for ever", "Slow: a fragment now and then", "gateway/hostile TestHoarders", "codec TestHeldMemory", "loop TestIncompleteMessages"}},
		{ID: "CVE-2014-0193 (Netty)", Lesson: "empty fragments count", Proofs: []string{"Frames: empty fragments for ever"}},
		{ID: "CVE-2024-37890 (ws)", Lesson: "the number of header fields is bounded", Proofs: []string{"Handshakes: 65 header lines", "Handshakes: 2000 header lines", "Handshakes: 2000 short header lines"}},
		{ID: "CVE-2023-43669, issue 376 (tungstenite)", Lesson: "a head is parsed once, however it is cut", Proofs: []string{
			"Handshakes: head of 8192 bytes, one at a time", "Handshakes: head of 1 MB", "codec TestRequestByteByByteIsLinear"}},
		{ID: "CVE-2021-32640 (ws)", Lesson: "no regular expression reads input", Proofs: []string{"Handshakes: a subprotocol with 7000 spaces in it", "Handshakes: a subprotocol with 32000 spaces in it"}},
		{ID: "NSP-550 (ws)", Lesson: "names are bytes", Proofs: []string{"Handshakes: Sec-WebSocket-Extensions: constructor, __proto__, ,;constructor", "Compressed: offer constructor, __proto__, ,;constructor"}},
		{ID: "Granian, 2026: non-ASCII subprotocols", Lesson: "values are bytes; where a token is needed only a token will do", Proofs: []string{"Handshakes: Sec-WebSocket-Protocol: \xff\xfe"}},
		{ID: "PRISMA-2021-0118 (nhooyr.io/websocket)", Lesson: "a pong is a sign of life and nothing else", Proofs: []string{
			"Frames: flood of pongs", "Frames: pongs that nobody asked for", "gateway/hostile TestPongs"}},
		{ID: "CVE-2022-25762, CVE-2024-23672, CVE-2018-1336 (Tomcat)", Lesson: "one owner closes; a close that is not answered ends in time; text is checked as it comes", Proofs: []string{
			"gateway/hostile TestPublishedWhileClosing", "Slow: closes, sends on for ever", "Slow: breaks the protocol, sends on for ever", "Slow: breaks the protocol, does not leave", "loop TestCloseNeverAnswered",
			"Frames: a code point over four fragments, a ping between", "codec TestValidTextExhaustively"}},
		{ID: "CVE-2022-21676, CVE-2026-59725 (engine.io), CVE-2023-32695, CVE-2026-33151, CVE-2026-69185 (socket.io-parser), CVE-2024-38355 (socket.io)", Lesson: "one client's message ends at most its own connection; declared counts are not believed", Proofs: []string{
			"loop TestPanics", "Frames: nested JSON", "Frames: length 2^63 - 1"},
			Never: "/ws and /echo do not look into messages: there is no JSON of clients to parse"},
		{ID: "CVE-2026-32301, GHSA-j77h-rr39-c552 (Centrifugo)", Lesson: "nothing in a token that is not verified yet causes I/O", Proofs: []string{
			"Tokens: an issuer that is an address to connect to", "gateway/hostile TestTokensDriveNothing", "gateway/auth TestNoConnectionBecauseOfAToken"}},
		{ID: "GHSA-g6vg-wj8f-48cj (Centrifugo)", Lesson: "a key is its issuer, its name and its algorithm", Proofs: []string{
			"Tokens: another tenant's key of the same name", "Tokens: our key for another tenant's token", "gateway/auth TestKeysOfTwoIssuersWithOneKid"}},
		{ID: "GHSA-q926-c743-49qj (Centrifugo)", Lesson: "there is no switch that skips a signature; those that let more people in are named at start", Proofs: []string{
			"config TestValidateTokens", "config TestWarningsOfTokens", "config TestWarnings"}},
		{ID: "CVE-2025-30204 (golang-jwt)", Lesson: "a token's length and its two dots come before everything", Proofs: []string{
			"Tokens: 8 KiB of dots", "Tokens: 7 KiB of dots", "Tokens: 4 KiB and a byte", "gateway/auth TestDotsAllocateNothing"}},
		{ID: "JWT: none, and RS256 taken for HS256", Lesson: "the algorithm is the key's", Proofs: []string{
			"Tokens: alg none", "Tokens: alg NONE with a signature", "Tokens: HS256 with the public RSA key as the secret", "Tokens: kid that is a path", "Tokens: crit", "Tokens: exp missing", "Tokens: exp of 1e30",
			"Tokens: exp negative", "Tokens: nbf in the future", "gateway/auth TestAlgorithmConfusion", "gateway/auth TestHostileHeaders", "gateway/auth TestTimes"}},
		{ID: "CVE-2023-0957 (Gitpod), CVE-2026-34403 (nginx-ui), CVE-2026-44985 (dozzle), GHSA-8r62-w5wh-fc5m (mailpit), CVE-2025-41254 (Spring)", Lesson: "where a browser adds the right by itself, only a listed Origin will do, to the letter, on the path as it is decoded", Proofs: []string{
			"Tokens: cookie, Origin absent", "Tokens: cookie, Origin null", "Tokens: cookie, Origin https://evil.example", "Tokens: cookie, Origin https://good.example.evil.example", "Tokens: cookie, Origin https://evilgood.example",
			"Tokens: cookie, Origin http://good.example", "Tokens: cookie, Origin https://good.example:8443", "Tokens: cookie, Origin HTTPS://GOOD.EXAMPLE", "Tokens: cookie, foreign Origin, /%77s",
			"Tokens: cookie, Origin https://good.example and Origin: https://good.example", "gateway TestTokenSources", "config TestValidateTokens"}},
		{ID: "CVE-2024-23326 (Envoy), CVE-2026-58055 (nghttp2), haproxy #2928, CVE-2023-40225, CVE-2023-25725, CVE-2021-40346 (HAProxy), CVE-2025-22871 (Go), CVE-2018-12541 (Vert.x)", Lesson: "where a request ends is never a matter of opinion, and a refusal ends the connection", Proofs: []string{
			"Handshakes: a request behind a refused one", "Handshakes: garbage behind a refused request", "Handshakes: Content-Length: 5", "Handshakes: two Content-Lengths", "Handshakes: Content-Length: +0",
			"Handshakes: Content-Length: 5,5", "Handshakes: empty Content-Length", "Handshakes: Transfer-Encoding: chunked", "Handshakes: bare LF at a line's end", "Handshakes: a body of 10000 bytes", "Handshakes: empty name"}},
		{ID: "CVE-2024-36387 (httpd)", Lesson: "HTTP/1.1 and nothing else", Proofs: []string{"Handshakes: HTTP/2's preface", "Handshakes: HTTP/1.2"}},
		{ID: "CVE-2026-42498 (Tomcat), CVE-2026-45736 (ws)", Lesson: "clients follow no redirect with what is secret", Proofs: []string{"gateway/auth TestFetchOverHTTP", "gateway/hub TestDeliverKeepsNothingOfTheReadersBuffer"},
			Never: "there is no client library of ours; the one HTTP client fetches key sets, shows nobody a secret and follows no redirect"},
		{ID: "Mesop: a thread for each message", Lesson: "no goroutine for a message", Proofs: []string{"gateway/hostile TestManySmallMessages", "loop TestFloodOfFrames"}},
		{ID: "CVE-2022-36021, CVE-2024-31228, CVE-2024-31449, CVE-2025-46817, CVE-2025-46819 (Redis)", Lesson: "what clients say is never a pattern or a script", Proofs: []string{
			"Tokens: channel *", "Tokens: channel [a-", "Tokens: channel %3f", "Tokens: channel %5c", "Tokens: channel {}", "Tokens: channel {x}{y}", "Tokens: channel a:{tag}", "Tokens: channel a%00b", "Tokens: channel a%0d%0aPUBLISH%20EVIL",
			"Tokens: channel __keyspace@0__:*", "Tokens: channel {node:x}", "Tokens: channel nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn… of 65536 bytes", "pubsub TestCheckChannel", "pubsub FuzzCheckChannel"}},
		{ID: "CVE-2018-1270, CVE-2022-22971 (Spring)", Lesson: "no expression of a client's is evaluated", Never: "there is no such language here: a client names channels, which are compared"},
	}
}
