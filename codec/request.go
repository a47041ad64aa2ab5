package codec

import "strings"

// RequestLimits bound a request's head.
type RequestLimits struct {
	Line    int // bytes of the request line without its CRLF; more → 414
	Head    int // bytes of the whole head with the empty line that ends it; more → 431
	Headers int // header lines; more → 431
}

// DefaultRequestLimits are what browsers, with generous cookies, stay within.
var DefaultRequestLimits = RequestLimits{Line: 4096, Head: 8192, Headers: 64}

// RequestReader takes the head of one HTTP/1.x request (RFC 9112) off the front of a connection. The zero value is ready. It
// belongs to one goroutine.
type RequestReader struct {
	held    []byte     // the head so far, nil when it comes whole
	err     *HTTPError // once set, for ever
	size    int32      // bytes of the head seen
	headers int32      // header lines begun
	state   headState
	matched uint8 // bytes of httpVersion seen
	http10  bool
}

// Next takes bytes from the front of b, n of them, and returns the request when they complete its head; what follows in b is not HTTP
// any more. Until then req is nil and n is len(b): the reader keeps its own copy, at most lim.Head bytes. Each byte is looked at once however
// the head was cut, and the first one that proves a violation fails. err is always an *HTTPError; after one the reader stays failed. A nil
// lim means DefaultRequestLimits.
func (r *RequestReader) Next(b []byte, lim *RequestLimits) (req *Request, n int, err error) {
	if r.err != nil {
		return nil, len(b), r.err
	}
	if lim == nil {
		lim = &DefaultRequestLimits
	}
	n, bad := r.scan(b, lim)
	if bad != nil {
		return r.fail(bad, len(b))
	}
	if r.state != headDone {
		r.held = extend(r.held, b, uint64(lim.Head))
		return nil, n, nil
	}
	var head string
	if r.held == nil {
		head = string(b[:n])
	} else {
		head = string(append(r.held, b[:n]...))
	}
	req, bad = parseHead(head, int(r.headers), r.http10)
	if bad != nil {
		return r.fail(bad, len(b))
	}
	*r = RequestReader{}
	return req, n, nil
}

func (r *RequestReader) fail(err *HTTPError, n int) (*Request, int, error) {
	r.err = err
	r.held = nil
	return nil, n, err
}

// Partial reports whether a head has begun and is not complete.
func (r *RequestReader) Partial() bool { return r.size > 0 && r.err == nil }

// Held is the memory in bytes held for an incomplete head.
func (r *RequestReader) Held() int { return cap(r.held) }

// headState is where in a head (RFC 9112 §2.1) the next byte stands.
type headState uint8

const (
	inMethod headState = iota
	atTarget
	inTarget
	inVersion
	atLineEnd // after the CR of a line
	atLine    // at the first byte of a header line, or of the empty one
	inName
	inValue
	atHeadEnd // after the CR of the empty line
	headDone
)

// httpVersion is the one protocol; the digit that follows decides between 1.1 and 1.0.
const httpVersion = "HTTP/1."

// scan advances over b until the head is done, byte by byte, so that its verdict never depends on where the input was cut.
func (r *RequestReader) scan(b []byte, lim *RequestLimits) (n int, err *HTTPError) {
	for n < len(b) {
		if int(r.size) >= lim.Head {
			return n, ErrHeadTooBig
		}
		if r.state <= inVersion && int(r.size) >= lim.Line && b[n] != '\r' {
			return n, ErrLineTooLong
		}
		if r.state == inValue {
			if k := valueBytes(b[n:min(len(b), n+lim.Head-int(r.size))]); k > 0 {
				n += k
				r.size += int32(k)
				continue
			}
		}
		if err := r.step(b[n], lim); err != nil {
			return n, err
		}
		n++
		r.size++
		if r.state == headDone {
			break
		}
	}
	return n, nil
}

// step judges one byte.
func (r *RequestReader) step(c byte, lim *RequestLimits) *HTTPError {
	switch r.state {
	case inMethod:
		switch {
		case c == ' ' && r.size > 0:
			r.state = atTarget
		case !isToken(c):
			return ErrBadMethod
		}
	case atTarget:
		if !isTarget(c) || c == '*' {
			return ErrBadTarget
		}
		r.state = inTarget
	case inTarget:
		switch {
		case c == ' ':
			r.state = inVersion
		case !isTarget(c):
			return ErrBadTarget
		}
	case inVersion:
		return r.stepVersion(c)
	case atLineEnd:
		if c != '\n' {
			return ErrBareCR
		}
		r.state = atLine
	case atLine:
		switch {
		case c == '\r':
			r.state = atHeadEnd
		case c == ' ' || c == '\t':
			return ErrFoldedHeader
		case !isToken(c):
			return ErrBadHeaderName
		case int(r.headers) >= lim.Headers:
			return ErrTooManyHeaders
		default:
			r.headers++
			r.state = inName
		}
	case inName:
		switch {
		case c == ':':
			r.state = inValue
		case !isToken(c):
			return ErrBadHeaderName
		}
	case inValue:
		if c != '\r' {
			return ErrBadHeaderValue
		}
		r.state = atLineEnd
	case atHeadEnd:
		if c != '\n' {
			return ErrBareCR
		}
		r.state = headDone
	case headDone: // scan stops there
	}
	return nil
}

// stepVersion judges a byte of the protocol's name and version, case-sensitive (RFC 9112 §2.3).
func (r *RequestReader) stepVersion(c byte) *HTTPError {
	at := int(r.matched)
	r.matched++
	switch {
	case at < len(httpVersion) && c == httpVersion[at]:
		return nil
	case at == len(httpVersion) && (c == '0' || c == '1'):
		r.http10 = c == '0'
		return nil
	case at == len(httpVersion)+1 && c == '\r':
		r.state = atLineEnd
		return nil
	case (at == len(httpVersion) || at == len("HTTP/")) && c >= '0' && c <= '9':
		return ErrVersion
	}
	return ErrBadVersion
}

// Request is the head of a request. Its strings own their memory: it may be kept.
type Request struct {
	Method   string // as it came: methods are case-sensitive
	Target   string // as it came
	Path     string // percent-decoded once, always begins with '/'; see decodePath for what it can never contain
	RawQuery string // what followed the first '?', as it came
	Host     string // the Host header, as it came; empty only in HTTP/1.0
	HTTP10   bool   // HTTP/1.0, as some health checks speak it; never an upgrade

	fields []field
}

// field is a header line: its name as it came, its value without the white space around it.
type field struct{ name, value string }

// Header returns the first value of a header, "" when it is absent. Names are case-insensitive.
func (r *Request) Header(name string) string {
	for i := range r.fields {
		if f := &r.fields[i]; len(f.name) == len(name) && strings.EqualFold(f.name, name) {
			return f.value
		}
	}
	return ""
}

// Values returns all values of a header in their order, nil when it is absent.
func (r *Request) Values(name string) []string {
	var values []string
	for i := range r.fields {
		if f := &r.fields[i]; len(f.name) == len(name) && strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// one returns a header's value and how often the header stands in the request.
func (r *Request) one(name string) (value string, count int) {
	for i := range r.fields {
		if f := &r.fields[i]; len(f.name) == len(name) && strings.EqualFold(f.name, name) {
			if count == 0 {
				value = f.value
			}
			count++
		}
	}
	return value, count
}

// parseHead builds the request from a head that scan has passed: it has the shape of RFC 9112, what is left is meaning.
func parseHead(head string, headers int, http10 bool) (*Request, *HTTPError) {
	line, rest, _ := strings.Cut(head, "\r\n")
	r := &Request{HTTP10: http10, fields: make([]field, 0, headers)}
	r.Method, line, _ = strings.Cut(line, " ")
	r.Target, _, _ = strings.Cut(line, " ")
	for {
		line, rest, _ = strings.Cut(rest, "\r\n")
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		r.fields = append(r.fields, field{name, strings.Trim(value, " \t")})
	}
	if err := r.checkBody(); err != nil {
		return nil, err
	}
	if err := r.setHost(); err != nil {
		return nil, err
	}
	if err := r.setTarget(); err != nil {
		return nil, err
	}
	return r, nil
}

// checkBody refuses every request that has, or could be thought to have, a body: where a request ends must never be a matter of opinion
// between us and a load balancer (request smuggling). One "Content-Length: 0" is let through.
func (r *Request) checkBody() *HTTPError {
	if _, n := r.one("Transfer-Encoding"); n > 0 {
		return ErrBody
	}
	if length, n := r.one("Content-Length"); n > 1 || n == 1 && length != "0" {
		return ErrBody
	}
	return nil
}

// setHost demands exactly one well-formed Host (RFC 9112 §3.2); HTTP/1.0 may do without.
func (r *Request) setHost() *HTTPError {
	host, n := r.one("Host")
	if n == 0 && r.HTTP10 {
		return nil
	}
	if n != 1 || !isHost(host) {
		return ErrBadHost
	}
	r.Host = host
	return nil
}
