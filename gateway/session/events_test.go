package session

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"sluice/codec"
	"sluice/config"
	"sluice/gateway/hub"
	"sluice/pubsub"
)

func TestPlaceOf(t *testing.T) {
	p := &Policy{Namespace: func(channel string) config.Namespace {
		durable := !strings.HasPrefix(channel, "plain")
		return config.Namespace{Durable: &durable}
	}}
	for _, row := range []struct {
		name     string
		header   []string
		query    string
		channels string
		want     string // the positions, and whether an id was shown; or the refusal
	}{
		{"nothing", nil, "channel=a&channel=b", "a b", "[0 0] false"},
		{"an empty header", []string{""}, "channel=a", "a", "[0] false"},
		{"a header", []string{"17"}, "channel=a", "a", "[17] true"},
		{"of several channels", []string{"17.0.9007199254740991"}, "channel=a&channel=b&channel=c", "a b c", "[17 0 9007199254740991] true"},
		{"the header is newer than the query", []string{"17"}, "channel=a&since=16", "a", "[17] true"},
		{"two headers", []string{"17", "17"}, "channel=a", "a", "[0] true"},
		{"too few", []string{"17"}, "channel=a&channel=b", "a b", "[0 0] true"},
		{"too many", []string{"17.18"}, "channel=a", "a", "[0] true"},
		{"too big", []string{"9007199254740992"}, "channel=a", "a", "[0] true"},
		{"negative", []string{"-1"}, "channel=a", "a", "[0] true"},
		{"half of it", []string{"17.x"}, "channel=a&channel=b", "a b", "[0 0] true"},
		{"an empty part", []string{"17."}, "channel=a&channel=b", "a b", "[0 0] true"},
		{"since, a whole id", nil, "channel=a&channel=b&since=17.18", "a b", "[17 18] true"},
		{"since, by channel", nil, "channel=a&channel=b&channel=c&since=17&since=&since=19", "a b c", "[17 0 19] true"},
		{"since, by channel, one of which is asked for twice", nil, "channel=a&channel=a&channel=b&since=17&since=&since=19", "a b", "[17 19] true"},
		{"since, and channels of the token's", nil, "channel=a&since=17", "a given", "[17 0] true"},
		{"since, empty", nil, "channel=a&since=", "a", "[0] false"},
		{"since, too long", nil, "channel=a&since=17.18", "a", errSince.Reason},
		{"since, too many", nil, "channel=a&since=17&since=18", "a", errSince.Reason},
		{"since, nonsense", nil, "channel=a&since=x", "a", errSince.Reason},
		{"since, of a channel without positions", nil, "channel=plain&since=17", "plain", errNotDurable.Reason},
	} {
		t.Run(row.name, func(t *testing.T) {
			query, err := url.ParseQuery(row.query)
			if err != nil {
				t.Fatal(err)
			}
			w, refusal := p.placeOf(row.header, query, strings.Fields(row.channels))
			got := fmt.Sprint(w.at, " ", w.shown)
			if refusal != nil {
				got = refusal.Reason
			}
			if got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

// What is written as an id is read as the same place.
func FuzzPlace(f *testing.F) {
	for _, id := range []string{"", "0", "17", "17.0.9007199254740991", "00017", "+1", "1..2", "9007199254740992"} {
		f.Add(id, 1)
		f.Add(id, 3)
	}
	f.Fuzz(func(t *testing.T, id string, n int) {
		if n < 1 || n > 100 {
			return
		}
		p := place{at: make([]pubsub.Position, n)}
		if !p.parse(id) {
			return
		}
		again := place{at: make([]pubsub.Position, n)}
		if written := string(p.append(nil)); !again.parse(written) || fmt.Sprint(p.at) != fmt.Sprint(again.at) {
			t.Fatalf("%q was read as %v, written as %q and read as %v", id, p.at, written, again.at)
		}
	})
}

func TestCORS(t *testing.T) {
	const app, evil = "https://app.example", "https://evil.example"
	for _, row := range []struct {
		name    string
		policy  Policy
		headers string
		ambient bool
		want    string // the CORS headers, or the refusal
	}{
		{"no browser", Policy{Origins: []string{app}}, "", false, ""},
		{"listed", Policy{Origins: []string{app}}, "Origin: " + app, false, app + "; true"},
		{"listed, with a cookie", Policy{Origins: []string{app}}, "Origin: " + app, true, app + "; true"},
		{"not listed", Policy{Origins: []string{app}}, "Origin: " + evil, false, errOrigin.Reason},
		{"not listed, with a cookie", Policy{Origins: []string{app}}, "Origin: " + evil, true, errOrigin.Reason},
		{"null", Policy{Origins: []string{app}}, "Origin: null", false, errOrigin.Reason},
		{"none are listed", Policy{}, "Origin: " + evil, false, "*"},
		{"none are listed, with a cookie", Policy{}, "Origin: " + evil, true, errOrigin.Reason},
		{"dev, of this machine", Policy{Dev: true}, "Origin: http://localhost:3000", false, "*"},
		{"dev, of elsewhere", Policy{Dev: true}, "Origin: " + evil, false, errOrigin.Reason},
		{"dev, of this machine, others listed", Policy{Dev: true, Origins: []string{app}}, "Origin: http://localhost:3000", false, "*"},
		{"the same origin, with a cookie", Policy{}, "Sec-Fetch-Site: same-origin", true, ""},
		{"the same site, with a cookie", Policy{}, "Sec-Fetch-Site: same-site", true, errOrigin.Reason},
		{"nobody says, with a cookie", Policy{}, "", true, errOrigin.Reason},
		{"two", Policy{}, "Origin: " + app + "\r\nOrigin: " + app, false, "more than one Origin header"},
	} {
		t.Run(row.name, func(t *testing.T) {
			header, refusal := row.policy.streamOrigin(requestWith(t, row.headers), row.ambient)
			var got []string
			vary := false
			for _, line := range header {
				name, value, _ := strings.Cut(line, ": ")
				if vary = vary || line == "Vary: Origin"; line != "Vary: Origin" && strings.HasPrefix(name, "Access-Control-Allow-") {
					got = append(got, value)
				}
			}
			words := strings.Join(got, "; ")
			if refusal != nil {
				words = refusal.Reason
			} else if vary != (words != "") {
				t.Errorf("headers %q", header)
			}
			if words != row.want {
				t.Errorf("%s, want %s", words, row.want)
			}
		})
	}
}

func TestEventOfAMessage(t *testing.T) {
	for _, row := range []struct {
		message hub.Message
		want    string
	}{
		{hub.Message{Payload: []byte("hello")}, "data: hello\n\n"},
		{hub.Message{Payload: []byte("hello"), Position: 17}, "id: 17\ndata: hello\n\n"},
		{hub.Message{Payload: []byte("\xFF\x00"), Position: 17}, "id: 17\nevent: binary\ndata: /wA=\n\n"},
		{hub.Message{}, "data: \n\n"},
	} {
		if op, got := event(&row.message); op != 0 || string(got) != row.want {
			t.Errorf("%q, want %q", got, row.want)
		}
		p := place{at: []pubsub.Position{3, 4}}
		_, shared := eventOwn(&row.message)
		want := strings.Replace(row.want, "id: 17", "id: 3.17", 1)
		if got := p.event(1, &row.message); string(got) != want || !strings.HasSuffix(want, string(shared)) {
			t.Errorf("%q of several, shared %q, want %q", got, shared, want)
		}
	}
}

// requestWith is a request with more header lines.
func requestWith(t *testing.T, lines string) *codec.Request {
	t.Helper()
	if lines != "" {
		lines = "\r\n" + lines
	}
	return request(t, "x"+lines)
}
