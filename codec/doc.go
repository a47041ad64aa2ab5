// Package codec turns bytes into WebSocket protocol and back: the opening handshake (RFC 6455 §4 over RFC 9112), frames and messages
// (§5), text (§8.1), close codes (§7.4) and compression (RFC 7692). It is pure: no I/O, no clock, no goroutine, no log. The same bytes give the same result however
// the network cut them, and nothing that a peer sends can make it panic or hold more memory than its limits say.
//
// # In
//
// A connection begins with a RequestReader, which takes the head of one HTTP request off its front. Request.Upgrade checks it as a
// WebSocket handshake; AppendSwitch answers it, HTTPError.Append refuses it. Both readers share one contract: Next consumes all the bytes it is
// given until something is complete, and keeps what it needs, so the caller never keeps any.
//
//	var head codec.RequestReader
//	req, n, err := head.Next(b, &codec.DefaultRequestLimits) // err: *HTTPError; req == nil: more bytes must come
//	up, err := req.Upgrade()                                 // err: *HTTPError
//	out = codec.AppendSwitch(out, up.Key, "", "")
//
// What follows b[:n] is frames, for a Decoder. A whole frame in sight is unmasked where it lies and costs no allocation; a message in
// pieces is gathered in one buffer that grows with the bytes that arrived, never with the length that was declared.
//
//	m, n, err := d.Next(b) // err: *Error, whose code and reason AppendClose sends
//	switch m.Op {
//	case codec.OpContinuation: // nothing complete yet: n == len(b)
//	case codec.OpText, codec.OpBinary:
//	case codec.OpPing, codec.OpPong, codec.OpClose: // also between the fragments of a message
//	}
//
// # Out
//
// Append functions write whole frames and responses behind a slice. AppendFrame's bytes are the same for every client, so a
// broadcast encodes once.
//
// # Compression
//
// No connection ever keeps a compression context: the answer takes context takeover from both sides, whatever the client offered. So
// a Deflater's frame, too, is the same for every client, and a broadcast is deflated once per message and node; a context each way would take a
// connection hundreds of KiB, and every broadcast once per client. The price: what repeats between messages, but not in them, stays.
//
//	if answer, ok := codec.NegotiateDeflate(up.Extensions); ok { // the value for AppendSwitch
//		d.AllowDeflate() // this connection's Decoder
//	}
//	if m.RSV1 {
//		text, err := inflater.Inflate(m.Payload, maxMessage) // err: *Error
//		ok := codec.ValidText(text)                          // the Decoder could not tell
//	}
//	frame, ok := deflater.AppendFrame(nil, codec.OpText, text) // !ok: send AppendFrame's
//
// # Who may call
//
// RequestReader, Decoder, Inflater and Deflater belong to one goroutine each; the last two serve all its connections. Request and
// Upgrade own their memory and may be kept. Message.Payload may not: it lives until the next call of Next, and what Inflate returns until
// that of Inflate. DecoderOptions and RequestLimits are shared and only read.
//
// # What it never does
//
// It never closes, answers or times out: deadlines for partial input (Partial), the close handshake, what a pong means and how many pings
// are too many belong to the caller, as do Origin, routing and authentication. It never puts bytes of a client into a response.
//
// # Map
//
//	RFC 6455 §4.1, §4.2.1  client's handshake     Request.Upgrade
//	RFC 6455 §4.2.2        server's handshake     AppendSwitch, AppendAccept; HTTPError.Append
//	RFC 6455 §5.1          who masks              DecoderOptions.FromServer
//	RFC 6455 §5.2          frame header           ParseHeader, AppendHeader, AppendFrame
//	RFC 6455 §5.3          masking                mask
//	RFC 6455 §5.4          fragments              Decoder.Next: admit, keep, finish
//	RFC 6455 §5.5          control frames         Decoder.Next: checkFirst, finishControl
//	RFC 6455 §5.5.1, §7.4  close payload, codes   ParseClose, AppendClose, StatusCode.Sendable
//	RFC 6455 §8.1          UTF-8 of text          validText, validTextPrefix, ValidText
//	RFC 6455 §10.4         limits                 DecoderOptions, RequestLimits
//	RFC 7692 §5, §7.1      offers and answer      NegotiateDeflate, BrokenDeflate
//	RFC 7692 §6            RSV1                   Decoder.AllowDeflate, Message.RSV1
//	RFC 7692 §7.2.1        compression            Deflater
//	RFC 7692 §7.2.2        decompression          Inflater
//	RFC 9112 §2, §3, §5    request head           RequestReader.Next: scan, step
//	RFC 9112 §3.2          request target         setTarget, decodePath
//	RFC 9112 §6            no body                checkBody
//	RFC 9110 §5.6.1        lists                  elements
//	WHATWG HTML §9.2       event streams          AppendStreamHead, AppendEvent, AppendRetry
//
// Start at decode.go for frames and at request.go for the handshake. reference_test.go is the decoder as one would write it on paper.
package codec
