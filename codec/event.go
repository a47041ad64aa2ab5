package codec

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// AppendStreamHead appends the head of a response whose body is an event stream (WHATWG HTML §9.2.5, text/event-stream) and lasts until the connection
// ends. The body has no length and is not chunked: chunks would tell a client no more than that the stream was cut, which the format shows by itself (an event without its empty
// line is none), would cost each event a header, and HTTP/1.0 has none; proxies read until the end, and chunk for their own clients where those want it. Nobody on the way is to keep
// the body (no-store), compress it (no-transform) or wait for more of it (X-Accel-Buffering, nginx's). header is as for AppendResponse.
func AppendStreamHead(dst []byte, header []string) []byte {
	dst = append(dst, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\nCache-Control: no-store, no-transform\r\nX-Accel-Buffering: no"...)
	dst = appendLines(dst, header)
	return append(dst, "\r\n\r\n"...)
}

// AppendEvent appends a whole event (§9.2.6). name is its type, "" for the one that a page's onmessage gets. id is what the client is to remember as its
// last event ID; "" leaves what it remembers. A name or an id that would not be one line, or an id with NUL, which clients ignore, is left out.
//
// data may be any bytes: each line of it becomes a line of the event, so nothing in it can end the event or begin a field. The client gets it back as it was, but
// for two things that the format cannot hold: CR and CR LF come as LF, and what is not UTF-8 as U+FFFD.
func AppendEvent(dst []byte, id, name string, data []byte) []byte {
	dst = AppendID(dst, id)
	if name != "" && !strings.ContainsAny(name, "\r\n") {
		dst = append(dst, "event: "...)
		dst = append(dst, name...)
		dst = append(dst, '\n')
	}
	for {
		dst = append(dst, "data: "...)
		end := bytes.IndexAny(data, "\r\n")
		if end < 0 {
			dst = append(dst, data...)
			return append(dst, "\n\n"...)
		}
		dst = append(dst, data[:end]...)
		dst = append(dst, '\n')
		if data[end] == '\r' && end+1 < len(data) && data[end+1] == '\n' {
			end++
		}
		data = data[end+1:]
	}
}

// AppendID appends an event's id, to be followed by its other fields.
func AppendID(dst []byte, id string) []byte {
	if id == "" || strings.ContainsAny(id, "\x00\r\n") {
		return dst
	}
	dst = append(dst, "id: "...)
	dst = append(dst, id...)
	return append(dst, '\n')
}

// EventSize is how many bytes an event takes whose data is one line of n bytes, id and name left out.
func EventSize(n int) int { return len("data: \n\n") + n }

// AppendRetry appends how long the client is to wait before it connects again, whenever this stream ends; it is rounded to milliseconds.
func AppendRetry(dst []byte, wait time.Duration) []byte {
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, max(0, wait.Milliseconds()), 10)
	return append(dst, "\n\n"...)
}

// Comment is a line that clients ignore: a sign of life.
const Comment = ":\n\n"
