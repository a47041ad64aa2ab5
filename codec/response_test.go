package codec

import (
	"strings"
	"testing"
)

var refusals = []*HTTPError{ErrBadMethod, ErrBadTarget, ErrBadEscape, ErrNoSuchPath, ErrBadVersion, ErrVersion, ErrLineTooLong, ErrHeadTooBig,
	ErrTooManyHeaders, ErrBareCR, ErrFoldedHeader, ErrBadHeaderName, ErrBadHeaderValue, ErrBody, ErrBadHost, ErrMethod, ErrExpect,
	ErrUpgradeRequired, ErrWebSocketVersion, ErrBadConnection, ErrBadKey, ErrBadOrigin, ErrBadProtocol,
	{401, "unauthorized"}, {403, "forbidden"}, {408, "too slow"}, {429, "too many"}, {500, "internal"}, {502, "bad"}, {503, "draining"}, {504, "late"}}

func TestRefusalsAreResponses(t *testing.T) {
	for _, e := range refusals {
		t.Run(e.Error(), func(t *testing.T) {
			resp := checkResponse(t, e.Append(nil), e.Status)
			if resp.Status == resp.Proto || strings.HasSuffix(resp.Status, " ") {
				t.Errorf("status line %q lacks its phrase", resp.Status)
			}
			if !resp.Close || resp.ContentLength != int64(len(e.Reason)+1) || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("close %v, length %d, headers %v", resp.Close, resp.ContentLength, resp.Header)
			}
			for name, status := range map[string]int{"Allow": 405, "Sec-Websocket-Version": 426, "Upgrade": 426} {
				if has := resp.Header.Get(name) != ""; has != (e.Status == status) {
					t.Errorf("%s: %v", name, has)
				}
			}
			if has := resp.Header.Get("Retry-After") != ""; has != (e.Status == 503 || e.Status == 429) {
				t.Errorf("Retry-After: %v", has)
			}
		})
	}
}

func TestAppendResponse(t *testing.T) {
	got := string(AppendResponse(nil, 200, []string{"X-A: 1", "X-B: a\r\nX-Evil: 1", "no header"}, "text/plain", "ok\n", false))
	want := "HTTP/1.1 200 OK\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Length: 3\r\nContent-Type: text/plain\r\nX-A: 1\r\n\r\nok\n"
	if got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if got := string(AppendResponse(nil, 200, nil, "", "ok\n", true)); !strings.HasSuffix(got, "Content-Length: 3\r\n\r\n") {
		t.Errorf("RFC 9110 §9.3.2: HEAD: %q", got)
	}
	if resp := checkResponse(t, AppendResponse(nil, 299, nil, "", "", false), 299); resp.ContentLength != 0 {
		t.Errorf("status without a phrase: length %d", resp.ContentLength)
	}
}
