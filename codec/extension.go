package codec

import "strings"

// The parameters of permessage-deflate (RFC 7692 §7.1).
const (
	deflateName         = "permessage-deflate"
	serverNoContext     = "server_no_context_takeover"
	clientNoContext     = "client_no_context_takeover"
	serverMaxWindowBits = "server_max_window_bits"
	clientMaxWindowBits = "client_max_window_bits"
)

// The only answers there are: no bytes of a client are ever in them.
const (
	deflateAnswer       = deflateName + "; " + serverNoContext + "; " + clientNoContext
	deflateAnswerWindow = deflateAnswer + "; " + serverMaxWindowBits + "=15"
)

// NegotiateDeflate reads a client's extension offers (Upgrade.Extensions, most wanted first) and accepts the first of permessage-deflate that
// the server can honour (RFC 7692 §5, §7.1). answer is the value for Sec-WebSocket-Extensions; ok is false, and answer empty, when there is none,
// which refuses nothing: the connection goes on without compression.
//
// The answer always takes context away from both sides: no connection keeps compression state, and a broadcast is compressed once
// for all of its clients. For the same reason an offer with server_max_window_bits below 15 is declined, since one frame cannot fit every
// window. The client's own window may be any: an Inflater always has the largest. What is malformed, unknown or repeated declines its
// offer and none of the others (§7.1), and so do white space around '=' and quoted values, which no client is known to send.
func NegotiateDeflate(offers []string) (answer string, ok bool) {
	for _, offer := range offers {
		p, ok := parseDeflateOffer(offer)
		if !ok {
			continue
		}
		if p&offeredServerBits != 0 {
			return deflateAnswerWindow, true
		}
		return deflateAnswer, true
	}
	return "", false
}

// deflateOffer is the set of parameters that an offer has.
type deflateOffer uint8

const (
	offeredServerNoContext deflateOffer = 1 << iota
	offeredClientNoContext
	offeredServerBits
	offeredClientBits
)

// parseDeflateOffer reads one element of Sec-WebSocket-Extensions; ok is false unless it is an offer to be accepted as it stands.
func parseDeflateOffer(offer string) (p deflateOffer, ok bool) {
	name, rest, more := strings.Cut(offer, ";")
	if strings.Trim(name, " \t") != deflateName {
		return 0, false
	}
	for more {
		var parameter string
		parameter, rest, more = strings.Cut(rest, ";")
		bit, ok := parseDeflateParameter(strings.Trim(parameter, " \t"))
		if !ok || p&bit != 0 {
			return 0, false
		}
		p |= bit
	}
	return p, true
}

func parseDeflateParameter(parameter string) (bit deflateOffer, ok bool) {
	name, value, hasValue := strings.Cut(parameter, "=")
	switch name {
	case serverNoContext:
		return offeredServerNoContext, !hasValue
	case clientNoContext:
		return offeredClientNoContext, !hasValue
	case serverMaxWindowBits:
		return offeredServerBits, value == "15"
	case clientMaxWindowBits:
		return offeredClientBits, !hasValue || isWindowBits(value)
	}
	return 0, false
}

// isWindowBits reports whether value is 8 to 15, without leading zeros (§7.1.2).
func isWindowBits(value string) bool {
	switch len(value) {
	case 1:
		return value == "8" || value == "9"
	case 2:
		return value[0] == '1' && value[1] >= '0' && value[1] <= '5'
	}
	return false
}

// BrokenDeflate reports whether a User-Agent is one of Safari 15.0–15.3 or of iOS 15.0–15.3, whatever browser: their WebKit keeps its context
// in spite of client_no_context_takeover, so that its second message could not be inflated. Offers of theirs are to be ignored.
func BrokenDeflate(userAgent string) bool {
	_, version, ios := strings.Cut(userAgent, " OS 15_")
	if ios {
		return isMinorTo3(version, '_')
	}
	_, version, safari := strings.Cut(userAgent, " Version/15.")
	return safari && isMinorTo3(version, '.') && strings.Contains(version, " Safari/")
}

// isMinorTo3 reports whether version begins with one of 0 to 3 as a whole number.
func isMinorTo3(version string, separator byte) bool {
	return len(version) > 1 && version[0] >= '0' && version[0] <= '3' && (version[1] == separator || version[1] == ' ')
}
