package codec

import (
	"slices"
	"strconv"
	"strings"
)

// HTTPError is a refusal of a request. The ones below are package values: compare with ==.
type HTTPError struct {
	Status int    // 4xx or 5xx
	Reason string // constant text: the body, a log field, a metric label; never bytes of the client
}

func (e *HTTPError) Error() string { return strconv.Itoa(e.Status) + " " + e.Reason }

// The refusals of RequestReader and Request.Upgrade.
var (
	ErrBadMethod      = &HTTPError{400, "not an HTTP request"}
	ErrBadTarget      = &HTTPError{400, "malformed request target"}
	ErrBadEscape      = &HTTPError{400, "malformed escape in the path"}
	ErrNoSuchPath     = &HTTPError{404, "no such path"}
	ErrBadVersion     = &HTTPError{400, "malformed HTTP version"}
	ErrVersion        = &HTTPError{505, "HTTP/1.1 is required"}
	ErrLineTooLong    = &HTTPError{414, "request line too long"}
	ErrHeadTooBig     = &HTTPError{431, "request head too big"}
	ErrTooManyHeaders = &HTTPError{431, "too many headers"}
	ErrBareCR         = &HTTPError{400, "CR without LF"}
	ErrFoldedHeader   = &HTTPError{400, "header line begins with white space"}
	ErrBadHeaderName  = &HTTPError{400, "malformed header name"}
	ErrBadHeaderValue = &HTTPError{400, "control character in a header"}
	ErrBody           = &HTTPError{400, "request with a body"}
	ErrBadHost        = &HTTPError{400, "exactly one Host header is required"}

	ErrMethod           = &HTTPError{405, "method not allowed"}
	ErrExpect           = &HTTPError{417, "expectations are not supported"}
	ErrUpgradeRequired  = &HTTPError{426, "this is a WebSocket endpoint"}
	ErrWebSocketVersion = &HTTPError{426, "WebSocket version 13 is required"}
	ErrBadConnection    = &HTTPError{400, "the Connection header lacks upgrade"}
	ErrBadKey           = &HTTPError{400, "exactly one Sec-WebSocket-Key of 16 bytes in base64 is required"}
	ErrBadOrigin        = &HTTPError{400, "more than one Origin header"}
	ErrBadProtocol      = &HTTPError{400, "malformed Sec-WebSocket-Protocol"}
)

// Append appends the refusal as a whole response, with the headers that its status demands (RFC 9110 §15): WWW-Authenticate with 401, Allow with 405,
// Upgrade and Sec-WebSocket-Version with 426, Retry-After with 429 and 503; and with more header lines, as for AppendResponse.
func (e *HTTPError) Append(dst []byte, header ...string) []byte {
	return AppendResponse(dst, e.Status, slices.Concat(statusHeaders(e.Status), header), "text/plain; charset=utf-8", e.Reason+"\n", false)
}

func statusHeaders(status int) []string {
	switch status {
	case 401:
		return []string{"WWW-Authenticate: Bearer"}
	case 405:
		return []string{"Allow: GET"}
	case 426:
		return []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"}
	case 429, 503:
		return []string{"Retry-After: 5"}
	}
	return nil
}

// AppendResponse appends a whole response that ends the connection: always Connection: close, Content-Length and Cache-Control:
// no-store. header are "Name: value" lines; one with a control character is left out. With head the body is counted but not sent, as HEAD asks.
// Nothing in it may come from a client.
func AppendResponse(dst []byte, status int, header []string, contentType, body string, head bool) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, statusText(status)...)
	dst = append(dst, "\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	if contentType != "" && isEvery(contentType, inField) {
		dst = append(dst, "\r\nContent-Type: "...)
		dst = append(dst, contentType...)
	}
	dst = appendLines(dst, header)
	dst = append(dst, "\r\n\r\n"...)
	if head {
		return dst
	}
	return append(dst, body...)
}

// appendLines appends header lines, each behind the line before it. One with a control character, or without a name, is left out.
func appendLines(dst []byte, header []string) []byte {
	for _, line := range header {
		if isEvery(line, inField) && strings.IndexByte(line, ':') > 0 {
			dst = append(dst, "\r\n"...)
			dst = append(dst, line...)
		}
	}
	return dst
}

// statusText is the reason phrase of the statuses that the gateway sends, "" for others, which HTTP allows.
func statusText(status int) string {
	switch status {
	case 200:
		return "OK"
	case 202:
		return "Accepted"
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 408:
		return "Request Timeout"
	case 413:
		return "Content Too Large"
	case 414:
		return "URI Too Long"
	case 417:
		return "Expectation Failed"
	case 426:
		return "Upgrade Required"
	case 429:
		return "Too Many Requests"
	case 431:
		return "Request Header Fields Too Large"
	case 500:
		return "Internal Server Error"
	case 502:
		return "Bad Gateway"
	case 503:
		return "Service Unavailable"
	case 504:
		return "Gateway Timeout"
	case 505:
		return "HTTP Version Not Supported"
	}
	return ""
}
