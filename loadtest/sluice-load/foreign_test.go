package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"sluice/loadtest/internal/proof"
)

// TestServersThatPutMessagesTogether lets every second message arrive in one WebSocket message with the one before it.
func TestServersThatPutMessagesTogether(t *testing.T) {
	h := newHub(t)
	waiting := map[int][]byte{}
	h.tamper = func(i int, p []byte, send func([]byte)) {
		s, err := proof.Parse(p, len(p))
		if err != nil || s.Kind != proof.Data {
			send(p)
		} else if waiting[i] == nil {
			waiting[i] = slices.Clone(p)
		} else {
			send(slices.Concat([]byte(`{"data":"`), waiting[i], []byte("\"}\n{\"data\":\""), p, []byte(`"}`)))
			delete(waiting, i)
		}
	}
	report, _, err := load(t, h, fanoutArgs(h)...)
	if want := (proof.Counts{Delivered: 2000}); err != nil || report.Traffic.Proof != want {
		t.Errorf("%v, %+v", err, report.Traffic)
	}
}

// TestEnvelope lets a server see the bytes that the flags ask for, around echoes and around what is published.
func TestEnvelope(t *testing.T) {
	h := newHub(t)
	wrapped := func(p []byte) bool {
		return bytes.HasPrefix(p, []byte("42[\"m\",\"sluiceLT")) && bytes.HasSuffix(p, []byte("\"]"))
	}
	h.echoing(func(p []byte, send func([]byte)) {
		if string(p) == "40" {
			send([]byte(`40{"sid":"x"}`))
		} else if wrapped(p) {
			send(p)
		}
	})
	report, _, err := load(t, nil, "echo", "--url", h.ws("/echo"), "-n", "5", "--warmup", "0s", "--for", "100ms", "--hello", "40", "--before", `42["m","`, "--after", `"]`)
	if err != nil || report.Traffic.Proof.Foreign != 5 || report.Traffic.Proof.Delivered == 0 {
		t.Errorf("%v, %+v", err, report.Traffic)
	}
	h.tamper = func(_ int, p []byte, send func([]byte)) {
		if wrapped(p) {
			send(p)
		}
	}
	if report, _, err = load(t, h, fanoutArgs(h, "--before", `42["m","`, "--after", `"]`)...); err != nil {
		t.Errorf("%v, %+v", err, report.Traffic)
	}
	for text, want := range map[string]string{`\x93\xd9\x80"é`: "\x93\xd9\x80\"é", `a\nb`: "a\nb", `\x9`: ""} {
		if got, err := unescape(text); string(got) != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

// TestStalledSubscribers lets some subscribers stop reading: the others get everything.
func TestStalledSubscribers(t *testing.T) {
	h := newHub(t)
	report, table, err := load(t, h, fanoutArgs(h, "--stalled", "20")...)
	if err != nil || report.Traffic.Proof != (proof.Counts{Delivered: 30 * 40}) || report.Traffic.Stalled != 20 || !strings.Contains(table, "20 subscribers, 0 of them ended") {
		t.Errorf("%v\n%s", err, table)
	}
}

// TestPoster publishes over HTTP, message by message and all at once.
func TestPoster(t *testing.T) {
	var mu sync.Mutex
	var got []string                         // guarded by mu
	answer := `{"replies":[{"publish":{}}]}` // guarded by mu
	set := func(a string) {
		mu.Lock()
		defer mu.Unlock()
		got, answer = nil, a
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Method+" "+r.URL.String()+" "+string(body))
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	batch := []publication{{"a b", []byte("1")}, {"c", []byte("2")}}
	for _, test := range []struct {
		o    posting
		want []string
	}{
		{posting{Post: "/pub?id={channel}", PostItem: "{payload}"}, []string{"POST /pub?id=a+b 1", "POST /pub?id=c 2"}},
		{posting{Post: "/batch", PostItem: `{"c":"{channel}","d":{payload}}`, PostBatch: `[{items}]`}, []string{`POST /batch [{"c":"a b","d":1},{"c":"c","d":2}]`}},
		{posting{PostItem: "{payload}"}, []string{"POST / 1", "POST / 2"}},
	} {
		set(`{"replies":[{"publish":{}}]}`)
		test.o.Post = server.URL + test.o.Post
		p, err := newPoster(t.Context(), &test.o)
		if err != nil {
			t.Fatal(err)
		}
		err = p.publish(t.Context(), batch)
		mu.Lock()
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%v\ngot  %q\nwant %q", err, got, test.want)
		}
		mu.Unlock()
		_ = p.close() // done with
	}
	set(`{"error":{"code":102}}`)
	p, err := newPoster(t.Context(), &posting{Post: server.URL, PostItem: "{payload}"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close() }() // done with
	if err := p.publish(t.Context(), batch[:1]); err == nil || !strings.Contains(err.Error(), "102") {
		t.Errorf("an error in the body: %v", err)
	}
	if _, err := newPoster(context.Background(), &posting{Post: "redis://x"}); err == nil {
		t.Error("a URL that is not http:// was taken")
	}
}
