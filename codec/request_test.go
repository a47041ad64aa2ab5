package codec

import (
	"bufio"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

// head writes a request line and headers as they go over the wire.
func head(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// readHead runs a new reader over in, in pieces, and gives the request, what follows its head, and after how many bytes it failed.
func readHead(t fataler, in string, lim *RequestLimits, cut func() int) (req *Request, rest string, after int, err error) {
	t.Helper()
	var r RequestReader
	seen := 0
	for seen < len(in) {
		size := min(max(cut(), 1), len(in)-seen)
		var n int
		req, n, err = r.Next([]byte(in[seen:seen+size]), lim)
		if lim != nil && r.Held() > lim.Head {
			t.Fatalf("%d bytes held, limit %d", r.Held(), lim.Head)
		}
		if err != nil {
			if _, ok := err.(*HTTPError); !ok || req != nil || n != size || r.Held() != 0 || r.Partial() {
				t.Fatalf("error is a %T, request %v, n %d of %d, %d bytes held", err, req, n, size, r.Held())
			}
			if _, n, again := r.Next([]byte("GET"), lim); again != err || n != 3 {
				t.Fatalf("after %v: n %d, %v", err, n, again)
			}
			return nil, "", seen + size, err
		}
		if req != nil {
			if r.Held() != 0 || r.Partial() {
				t.Fatalf("after the head: %d bytes held", r.Held())
			}
			return req, in[seen+n:], 0, nil
		}
		if n != size {
			t.Fatalf("no request, but %d of %d bytes taken", n, size)
		}
		seen += size
	}
	if seen > 0 && !r.Partial() {
		t.Fatalf("not partial after %d bytes", seen)
	}
	return nil, "", 0, nil
}

func TestRequestRefused(t *testing.T) {
	get := "GET /ws HTTP/1.1"
	headers := func(n int) string {
		return get + "\r\nHost: a\r\n" + strings.Repeat("x: y\r\n", n-1) + "\r\n"
	}
	tests := []struct {
		name string
		in   string
		want *HTTPError
		at   int // bytes after which it is refused, 0: not looked at
	}{
		{"TLS ClientHello", "\x16\x03\x01\x02\x00\x01", ErrBadMethod, 1},
		{"WebSocket frame", "\x81\x85aaaabbbbb", ErrBadMethod, 1},
		{"HTTP/2 preface (RFC 9113 §3.4)", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ErrBadTarget, 5},
		{"RFC 9112 §2.2: empty line before the request", "\r\nGET / HTTP/1.1\r\n", ErrBadMethod, 1},
		{"RFC 9112 §3: no method", " / HTTP/1.1\r\n", ErrBadMethod, 1},
		{"RFC 9112 §3: two spaces", "GET  / HTTP/1.1\r\n", ErrBadTarget, 5},
		{"RFC 9112 §3: tab", "GET\t/ HTTP/1.1\r\n", ErrBadMethod, 4},
		{"RFC 9112 §3.2.4: asterisk-form", "OPTIONS * HTTP/1.1\r\n", ErrBadTarget, 9},
		{"RFC 9112 §3.2.3: authority-form", head("GET a:80 HTTP/1.1", "Host: a:80"), ErrBadTarget, 0},
		{"RFC 9112 §3.2.3: CONNECT", head("CONNECT a:80 HTTP/1.1", "Host: a:80"), ErrMethod, 0},
		{"RFC 9112 §3.2: neither form", head("GET ws HTTP/1.1", "Host: a"), ErrBadTarget, 0},
		{"RFC 9112 §3.2: fragment", "GET /#f HTTP/1.1\r\n", ErrBadTarget, 6},
		{"RFC 9112 §3.2: bytes above ASCII", "GET /\xc3\xa9 HTTP/1.1\r\n", ErrBadTarget, 6},
		{"RFC 9112 §3.2: NUL", "GET /\x00 HTTP/1.1\r\n", ErrBadTarget, 6},
		{"RFC 9112 §3.2.2: absolute-form of another host", head("GET http://b/ws HTTP/1.1", "Host: a"), ErrBadTarget, 0},
		{"RFC 9112 §3.2.2: absolute-form with user information", head("GET http://a@b/ws HTTP/1.1", "Host: b"), ErrBadTarget, 0},
		{"RFC 9112 §3.2.2: absolute-form of another scheme", head("GET ftp://a/ws HTTP/1.1", "Host: a"), ErrBadTarget, 0},
		{"RFC 9112 §3.2.2: absolute-form without authority", head("GET http:///ws HTTP/1.1", "Host: a"), ErrBadTarget, 0},
		{"HTTP/0.9", "GET /\r\n", ErrBadTarget, 6},
		{"RFC 9112 §2.3: lower case", "GET / http/1.1\r\n", ErrBadVersion, 7},
		{"RFC 9112 §2.3: HTTP/2.0", "GET / HTTP/2.0\r\n", ErrVersion, 12},
		{"RFC 9112 §2.3: HTTP/1.2", "GET / HTTP/1.2\r\n", ErrVersion, 14},
		{"RFC 9112 §2.3: HTTP/1.10", "GET / HTTP/1.10\r\n", ErrBadVersion, 15},
		{"RFC 9112 §2.3: space after the version", "GET / HTTP/1.1 \r\n", ErrBadVersion, 15},
		{"RFC 9112 §2.2: bare LF after the request line", "GET / HTTP/1.1\nHost: a\n\n", ErrBadVersion, 15},
		{"RFC 9112 §2.2: bare CR after the request line", "GET / HTTP/1.1\rHost: a", ErrBareCR, 16},
		{"RFC 9112 §2.2: bare LF in a header", get + "\r\nHost: a\n\n", ErrBadHeaderValue, 26},
		{"RFC 9112 §2.2: bare CR in a header", get + "\r\nHost: a\rb", ErrBareCR, 27},
		{"RFC 9112 §2.2: bare CR for the empty line", get + "\r\nHost: a\r\n\rX", ErrBareCR, 29},
		{"RFC 9112 §5.1: space before the colon", get + "\r\nHost : a", ErrBadHeaderName, 23},
		{"RFC 9112 §2.2: leading space on the first header", get + "\r\n Host: a", ErrFoldedHeader, 19},
		{"RFC 9112 §5.2: obs-fold", get + "\r\nHost: a\r\n\tb", ErrFoldedHeader, 28},
		{"RFC 9110 §5.1: name is no token", get + "\r\nHo(st: a", ErrBadHeaderName, 21},
		{"RFC 9110 §5.1: empty name", get + "\r\n: a", ErrBadHeaderName, 19},
		{"RFC 9110 §5.1: line without a colon", get + "\r\nHost\r\n", ErrBadHeaderName, 23},
		{"RFC 9110 §5.1: name above ASCII", get + "\r\n\xc3\xa9: a", ErrBadHeaderName, 19},
		{"RFC 9110 §5.5: NUL", get + "\r\nHost: \x00", ErrBadHeaderValue, 25},
		{"RFC 9110 §5.5: escape", get + "\r\nX: \x1b[0m", ErrBadHeaderValue, 22},
		{"RFC 9110 §5.5: DEL", get + "\r\nX: \x7f", ErrBadHeaderValue, 22},
		{"RFC 9112 §3.2: no Host", head(get), ErrBadHost, 0},
		{"RFC 9112 §3.2: empty Host", head(get, "Host:"), ErrBadHost, 0},
		{"RFC 9112 §3.2: two Hosts", head(get, "Host: a", "Host: a"), ErrBadHost, 0},
		{"RFC 9112 §3.2: two Hosts in one", head(get, "Host: a, b"), ErrBadHost, 0},
		{"RFC 9110 §7.2: Host with user information", head(get, "Host: u@a"), ErrBadHost, 0},
		{"RFC 9110 §7.2: Host with a path", head(get, "Host: a/b"), ErrBadHost, 0},
		{"RFC 9110 §7.2: Host with a port that is none", head(get, "Host: a:b"), ErrBadHost, 0},
		{"RFC 9110 §7.2: Host of a port alone", head(get, "Host: :80"), ErrBadHost, 0},
		{"RFC 9110 §7.2: IPv6 without brackets", head(get, "Host: ::1"), ErrBadHost, 0},
		{"RFC 9110 §7.2: bracket not closed", head(get, "Host: [::1"), ErrBadHost, 0},
		{"RFC 9112 §3.2: two Hosts in HTTP/1.0", head("GET / HTTP/1.0", "Host: a", "Host: b"), ErrBadHost, 0},
		{"RFC 9112 §6: Transfer-Encoding", head(get, "Host: a", "Transfer-Encoding: chunked"), ErrBody, 0},
		{"RFC 9112 §6: Transfer-Encoding identity", head(get, "Host: a", "transfer-encoding: identity"), ErrBody, 0},
		{"RFC 9112 §6: empty Transfer-Encoding", head(get, "Host: a", "Transfer-Encoding:"), ErrBody, 0},
		{"RFC 9112 §6.3: Content-Length 5", head(get, "Host: a", "Content-Length: 5"), ErrBody, 0},
		{"RFC 9112 §6.3: Content-Length +0", head(get, "Host: a", "Content-Length: +0"), ErrBody, 0},
		{"RFC 9112 §6.3: Content-Length 00", head(get, "Host: a", "Content-Length: 00"), ErrBody, 0},
		{"RFC 9112 §6.3: Content-Length 0,0", head(get, "Host: a", "Content-Length: 0,0"), ErrBody, 0},
		{"RFC 9112 §6.3: empty Content-Length (CVE-2023-40225)", head(get, "Host: a", "Content-Length:"), ErrBody, 0},
		{"RFC 9112 §6.3: two Content-Lengths", head(get, "Host: a", "Content-Length: 0", "Content-Length: 0"), ErrBody, 0},
		{"request line of 4,097 bytes", "GET /" + strings.Repeat("a", 4083) + " HTTP/1.1\r\n", ErrLineTooLong, 4097},
		{"method that never ends", strings.Repeat("A", 20000), ErrLineTooLong, 4097},
		{"head of 8,193 bytes", get + "\r\nHost: a\r\nx: " + strings.Repeat("y", 8193-34) + "\r\n\r\n", ErrHeadTooBig, 8193},
		{"header of 20 MB (CVE-2023-43669)", get + "\r\nHost: a\r\nx: " + strings.Repeat("y", 20<<20), ErrHeadTooBig, 8193},
		{"65 headers", headers(65), ErrTooManyHeaders, 18 + 9 + 63*6 + 1},
		{"2,000 headers (CVE-2024-37890)", headers(2000), ErrTooManyHeaders, 18 + 9 + 63*6 + 1},

		{"path policy: escape of one digit", head("GET /%4 HTTP/1.1", "Host: a"), ErrBadEscape, 0},
		{"path policy: lone percent", head("GET /% HTTP/1.1", "Host: a"), ErrBadEscape, 0},
		{"path policy: escape of no digits", head("GET /%zz HTTP/1.1", "Host: a"), ErrBadEscape, 0},
		{"path policy: NUL", head("GET /a%00 HTTP/1.1", "Host: a"), ErrNoSuchPath, 0},
		{"path policy: CRLF", head("GET /a%0d%0aX: HTTP/1.1", "Host: a"), ErrNoSuchPath, 0},
		{"path policy: invalid UTF-8", head("GET /%ff HTTP/1.1", "Host: a"), ErrNoSuchPath, 0},
		{"path policy: overlong slash", head("GET /..%c0%af HTTP/1.1", "Host: a"), ErrNoSuchPath, 0},
		{"path policy: dot segments", head("GET /a/../ws HTTP/1.1", "Host: a"), ErrNoSuchPath, 0},
		{"path policy: dot segment at the end", head("GET /ws/. HTTP/1.1", "Host: a"), ErrNoSuchPath, 0},
		{"path policy: escaped dot segments", head("GET /a/%2e%2E/ws HTTP/1.1", "Host: a"), ErrNoSuchPath, 0},
		{"path policy: two slashes", head("GET //ws HTTP/1.1", "Host: a"), ErrNoSuchPath, 0},
		{"path policy: two slashes inside", head("GET /a//ws HTTP/1.1", "Host: a"), ErrNoSuchPath, 0},
		{"path policy: escaped slash", head("GET /a%2Fws HTTP/1.1", "Host: a"), ErrNoSuchPath, 0},
		{"path policy: escaped slash before another escape", head("GET /a%2Fw%73 HTTP/1.1", "Host: a"), ErrNoSuchPath, 0},
		{"path policy: backslash", head(`GET /a\ws HTTP/1.1`, "Host: a"), ErrNoSuchPath, 0},
		{"path policy: escaped backslash", head("GET /a%5cws HTTP/1.1", "Host: a"), ErrNoSuchPath, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1 << 30, 1, 3, 1000} {
				_, _, after, err := readHead(t, tt.in, nil, pieces(size))
				if err != tt.want {
					t.Errorf("in pieces of %d: error %v, want %v", size, err, tt.want)
				}
				if size == 1 && tt.at > 0 && after != tt.at {
					t.Errorf("refused after %d bytes, want %d", after, tt.at)
				}
			}
		})
	}
}

func TestRequestAccepted(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want Request
	}{
		{"RFC 9112 §3.2.1: origin-form", head("GET /ws?a=1&b=%20? HTTP/1.1", "Host: a.example:8000"),
			Request{Method: "GET", Target: "/ws?a=1&b=%20?", Path: "/ws", RawQuery: "a=1&b=%20?", Host: "a.example:8000"}},
		{"RFC 9112 §3.2.2: absolute-form", head("GET HTTP://A/ws?q HTTP/1.1", "Host: a"),
			Request{Method: "GET", Target: "HTTP://A/ws?q", Path: "/ws", RawQuery: "q", Host: "a"}},
		{"RFC 9112 §3.2.2: absolute-form without path", head("GET ws://[::1]:80?q HTTP/1.1", "Host: [::1]:80"),
			Request{Method: "GET", Target: "ws://[::1]:80?q", Path: "/", RawQuery: "q", Host: "[::1]:80"}},
		{"RFC 9112 §2.3: HTTP/1.0 without Host", head("HEAD /readyz HTTP/1.0"),
			Request{Method: "HEAD", Target: "/readyz", Path: "/readyz", HTTP10: true}},
		{"RFC 9112 §3.2: HTTP/1.0 with Host", head("GET / HTTP/1.0", "Host: a"),
			Request{Method: "GET", Target: "/", Path: "/", Host: "a", HTTP10: true}},
		{"RFC 9112 §6.3: Content-Length 0", head("POST / HTTP/1.1", "Host: a", "Content-Length: 0"),
			Request{Method: "POST", Target: "/", Path: "/", Host: "a"}},
		{"RFC 9110 §5.5: white space around a value, bytes above ASCII inside one", head("GET / HTTP/1.1", "hOST:\t a \t", "X: \xff é"),
			Request{Method: "GET", Target: "/", Path: "/", Host: "a"}},
		{"path policy: escapes are decoded once", head("GET /%61pi/%2561/%C3%A9/a+b/ HTTP/1.1", "Host: a"),
			Request{Method: "GET", Target: "/%61pi/%2561/%C3%A9/a+b/", Path: "/api/%61/é/a+b/", Host: "a"}},
		{"path policy: dots that are no dot segments", head("GET /.well-known/..a/... HTTP/1.1", "Host: a"),
			Request{Method: "GET", Target: "/.well-known/..a/...", Path: "/.well-known/..a/...", Host: "a"}},
		{"request line of 4,096 bytes", head("GET /"+strings.Repeat("a", 4082)+" HTTP/1.1", "Host: a"),
			Request{Method: "GET", Target: "/" + strings.Repeat("a", 4082), Path: "/" + strings.Repeat("a", 4082), Host: "a"}},
		{"head of 8,192 bytes", head("GET / HTTP/1.1", "Host: a", "x: "+strings.Repeat("y", 8192-32)),
			Request{Method: "GET", Target: "/", Path: "/", Host: "a"}},
		{"64 headers", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("x: y\r\n", 63) + "\r\n",
			Request{Method: "GET", Target: "/", Path: "/", Host: "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const frames = "\x81\x80\x00\x00\x00\x00"
			for _, size := range []int{1 << 30, 1, 2, 7, 1000} {
				req, rest, _, err := readHead(t, tt.in+frames, nil, pieces(size))
				if err != nil || req == nil {
					t.Fatalf("in pieces of %d: request %v, error %v", size, req, err)
				}
				if size == 1<<30 && rest != frames {
					t.Errorf("what follows the head is %q", rest)
				}
				got := *req
				got.fields = nil
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("in pieces of %d:\n got %+v\nwant %+v", size, got, tt.want)
				}
			}
		})
	}
}

func TestRequestHeaders(t *testing.T) {
	req, _, _, err := readHead(t, head("GET / HTTP/1.1", "Host: a", "X-One:1", "x-two: 2", "X-TWO: ", "constructor: x"), nil, pieces(1<<30))
	if err != nil {
		t.Fatal(err)
	}
	if got := req.Header("x-one") + req.Header("X-Two") + req.Header("absent") + req.Header("Constructor"); got != "12x" {
		t.Errorf("headers %q", got)
	}
	if got := req.Values("X-Two"); !reflect.DeepEqual(got, []string{"2", ""}) || req.Values("absent") != nil {
		t.Errorf("values %q", got)
	}
}

func TestRequestOwnsItsMemory(t *testing.T) {
	b := []byte(browserRequest)
	var r RequestReader
	req, n, err := r.Next(b, nil)
	if err != nil || n != len(b) {
		t.Fatalf("n %d, error %v", n, err)
	}
	clear(b)
	if req.Path != "/ws" || req.Header("Origin") != "https://example.com" {
		t.Errorf("the request changed with the input: %+v", req)
	}
}

// A head of 8 KiB in 8,192 segments costs a few allocations: its copy grows geometrically and nothing is parsed again.
func TestRequestByteByByteIsLinear(t *testing.T) {
	in := []byte(head("GET / HTTP/1.1", "Host: a", "x: "+strings.Repeat("y", 8192-32)))
	allocs := testing.AllocsPerRun(5, func() {
		var r RequestReader
		var req *Request
		for i := range in {
			var err error
			if req, _, err = r.Next(in[i:i+1], nil); err != nil {
				panic(err)
			}
		}
		if req == nil {
			panic("no request")
		}
	})
	if allocs > 16 {
		t.Errorf("%v allocations for 8,192 segments", allocs)
	}
}

// FuzzRequest reads a head whole, byte by byte and in fuzzed pieces: the same request, or the same refusal. What is accepted and
// net/http accepts too must mean the same to both.
func FuzzRequest(f *testing.F) {
	for _, in := range []string{
		browserRequest + "\x81\x80",
		head("GET http://a/%61?b HTTP/1.1", "Host: A"),
		head("HEAD / HTTP/1.0"),
		head("POST / HTTP/1.1", "Host: [::1]:1", "Content-Length: 0", "Expect: 100-continue"),
		head("GET / HTTP/1.1", "Host: a", "Connection: keep-alive, Upgrade", "Upgrade: h2c, websocket", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol: a,b", `Sec-WebSocket-Extensions: a;b="c,d", e`),
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01", "GET / HTTP/1.1\r\n x", "GET /%2e%2e/%zz HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add([]byte(in), []byte{1, 5, 2}, false)
		f.Add([]byte(in), []byte{30}, true)
	}
	f.Fuzz(func(t *testing.T, in, cuts []byte, tight bool) {
		lim := &RequestLimits{Line: 4096, Head: 8192, Headers: 64}
		if tight {
			lim = &RequestLimits{Line: 24, Head: 100, Headers: 3}
		}
		req, rest, _, err := readHead(t, string(in), lim, pieces(1<<20))
		for name, cut := range map[string]func() int{"byte by byte": pieces(1), "cut": byCuts(cuts)} {
			other, _, _, otherErr := readHead(t, string(in), lim, cut)
			if otherErr != err || !reflect.DeepEqual(other, req) {
				t.Fatalf("%s: %q\n got %+v, %v\nwant %+v, %v", name, in, other, otherErr, req, err)
			}
		}
		if req == nil {
			return
		}
		whole := string(in[:len(in)-len(rest)])
		if len(whole) > lim.Head || len(req.fields) > lim.Headers || !strings.HasSuffix(whole, "\r\n\r\n") || !strings.HasPrefix(req.Path, "/") {
			t.Fatalf("accepted %q as %+v", whole, req)
		}
		agreesWithNetHTTP(t, whole, req)
		checkUpgrade(t, req)
	})
}

func agreesWithNetHTTP(t *testing.T, whole string, req *Request) {
	t.Helper()
	theirs, err := http.ReadRequest(bufio.NewReader(strings.NewReader(whole)))
	if err != nil {
		return // stricter than ours, nothing to compare
	}
	if theirs.Method != req.Method || theirs.RequestURI != req.Target || !strings.EqualFold(theirs.Host, req.Host) ||
		theirs.ContentLength != 0 || len(theirs.TransferEncoding) != 0 || theirs.ProtoAtLeast(1, 1) == req.HTTP10 {
		t.Fatalf("%q:\n ours %+v\ntheirs %+v", whole, req, theirs)
	}
	if path := theirs.URL.Path; path != req.Path && (path != "" || req.Path != "/") || theirs.URL.RawQuery != req.RawQuery {
		t.Fatalf("%q: path %q and query %q, theirs %q and %q", whole, req.Path, req.RawQuery, path, theirs.URL.RawQuery)
	}
	for _, f := range req.fields {
		if !strings.EqualFold(f.name, "Host") && theirs.Header.Get(f.name) != req.Header(f.name) {
			t.Fatalf("%q: header %q is %q, theirs %q", whole, f.name, req.Header(f.name), theirs.Header.Get(f.name))
		}
	}
}

// checkUpgrade looks at what an accepted handshake may be, and that the answer to it is two parties' one reading.
func checkUpgrade(t *testing.T, req *Request) {
	t.Helper()
	u, err := req.Upgrade()
	if err != nil {
		bad, ok := err.(*HTTPError)
		if !ok || !reflect.DeepEqual(u, Upgrade{}) {
			t.Fatalf("Upgrade: %+v, %T", u, err)
		}
		checkResponse(t, bad.Append(nil), bad.Status)
		return
	}
	for _, protocol := range append([]string{""}, append(u.Protocols, u.Extensions...)...) {
		answer := AppendSwitch(nil, u.Key, protocol, protocol)
		if strings.Count(string(answer), "\r\n\r\n") != 1 {
			t.Fatalf("answer %q", answer)
		}
		checkResponse(t, answer, 101)
	}
}

func checkResponse(t *testing.T, answer []byte, status int) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(answer))), nil)
	if err != nil || resp.StatusCode != status {
		t.Fatalf("answer %q: %v", answer, err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || int64(len(body)) != max(0, resp.ContentLength) {
		t.Fatalf("answer %q: body of %d bytes, %v", answer, len(body), err)
	}
	return resp
}

func TestRequestReaderIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(RequestReader{}); size > 48 {
		t.Errorf("a RequestReader takes %d bytes, more than 48", size)
	}
}
