package fleet

import (
	"bytes"
	"errors"
	"fmt"
)

var (
	errAccept  = errors.New("handshake: Sec-WebSocket-Accept missing or wrong")
	errNotHTTP = errors.New("handshake: answer is not HTTP")
)

// checkResponse looks at the response to the upgrade request (RFC 6455 §4.1). size is its length with the empty line; 0 means
// that it is not complete.
func (t *Target) checkResponse(b []byte) (size int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, nil
	}
	line, rest, _ := bytes.Cut(b[:end+2], []byte("\r\n"))
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 101")) {
		if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
			return 0, errNotHTTP
		}
		return 0, fmt.Errorf("handshake: HTTP status %.3s", line[9:])
	}
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Sec-WebSocket-Accept")) && string(bytes.TrimSpace(value)) == t.accept {
			return end + 4, nil
		}
	}
	return 0, errAccept
}
