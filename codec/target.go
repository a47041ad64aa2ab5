package codec

import (
	"strings"
	"unicode/utf8"
)

// setTarget takes the request target apart (RFC 9112 §3.2). Origin-form is what clients send. Absolute-form is taken when its
// authority is the Host header's; authority-form is CONNECT's, and both that and "*" are refused.
func (r *Request) setTarget() *HTTPError {
	if r.Method == "CONNECT" {
		return ErrMethod
	}
	target := r.Target
	if target[0] != '/' {
		var ok bool
		if target, ok = cutOrigin(target, r.Host); !ok {
			return ErrBadTarget
		}
	}
	raw, query, _ := strings.Cut(target, "?")
	path, err := decodePath(raw)
	if err != nil {
		return err
	}
	r.Path, r.RawQuery = path, query
	return nil
}

// cutOrigin takes scheme and authority off an absolute-form target, if the authority is host.
func cutOrigin(target, host string) (rest string, ok bool) {
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok {
		return "", false
	}
	switch strings.ToLower(scheme) {
	case "http", "https", "ws", "wss":
	default:
		return "", false
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, rest = rest[:i], rest[i:]
	} else {
		rest = ""
	}
	if authority == "" || !strings.EqualFold(authority, host) {
		return "", false
	}
	if rest == "" || rest[0] == '?' {
		rest = "/" + rest
	}
	return rest, true
}

// decodePath decodes a path's escapes, once, and is the only place where that happens: what it returns is compared, never decoded
// again. Policy:
//
//   - an escape that is none ("%", "%4", "%zz") is a malformed request: 400;
//   - a path that no route can have is not found, 404, rather than cleaned into one that exists: control bytes and NUL, what is not UTF-8,
//     "." and ".." segments, empty segments ("//"), an escaped slash, which other parties decode at other moments, and a backslash, which
//     some take for a slash;
//   - everything else is the path: "/%61pi" is "/api".
func decodePath(raw string) (string, *HTTPError) {
	path := raw
	if strings.IndexByte(raw, '%') >= 0 {
		var err *HTTPError
		if path, err = unescape(raw); err != nil {
			return "", err
		}
	}
	if !isPlainPath(path) {
		return "", ErrNoSuchPath
	}
	return path, nil
}

func unescape(raw string) (string, *HTTPError) {
	path := make([]byte, 0, len(raw))
	hidden := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			if i+2 >= len(raw) {
				return "", ErrBadEscape
			}
			high, low := unhex(raw[i+1]), unhex(raw[i+2])
			if high > 15 || low > 15 {
				return "", ErrBadEscape
			}
			c = high<<4 | low
			hidden = hidden || c == '/'
			i += 2
		}
		path = append(path, c)
	}
	if hidden {
		return "", ErrNoSuchPath
	}
	return string(path), nil
}

// unhex is the value of a hexadecimal digit, above 15 for what is none.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// isPlainPath reports whether a decoded path is one that a route may have.
func isPlainPath(path string) bool {
	for i := 0; i < len(path); i++ {
		if path[i] < ' ' || path[i] == 0x7F || path[i] == '\\' {
			return false
		}
	}
	if !utf8.ValidString(path) {
		return false
	}
	rest := path[1:]
	for {
		segment, after, more := strings.Cut(rest, "/")
		if segment == "." || segment == ".." || segment == "" && more {
			return false
		}
		if !more {
			return true
		}
		rest = after
	}
}

// isHost reports whether s has the shape of uri-host [":" port] (RFC 9110 §7.2, RFC 3986 §3.2.2); user information has no place in it.
func isHost(s string) bool {
	name, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.IndexByte(s[i:], ']') < 0 {
		name, port = s[:i], s[i+1:]
	}
	for i := 0; i < len(port); i++ {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
	}
	if len(name) > 2 && name[0] == '[' && name[len(name)-1] == ']' {
		return isEvery(name[1:len(name)-1], inAddress)
	}
	return name != "" && isEvery(name, inHostName)
}
