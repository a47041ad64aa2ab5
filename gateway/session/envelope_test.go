package session

import (
	"testing"
	"unicode/utf8"

	"sluice/codec"
	"sluice/gateway/hub"
)

// Whatever is published, a client of sluice.v1 is sent valid text.
func TestEnvelopeIsText(t *testing.T) {
	for _, row := range []struct{ payload, message, answer string }{
		{`{"a":1}`, `{"channel":"c","data":{"a":1}}`, `{"reply":"7","data":{"a":1}}`},
		{`"ä"`, `{"channel":"c","data":"ä"}`, `{"reply":"7","data":"ä"}`},
		{"no JSON", `{"channel":"c","text":"no JSON"}`, `{"reply":"7","text":"no JSON"}`},
		{"", `{"channel":"c","text":""}`, `{"reply":"7","text":""}`},
		{"\xFF", `{"channel":"c","base64":"/w=="}`, `{"reply":"7","base64":"/w=="}`},
		{`["` + "\xFF" + `"]`, `{"channel":"c","base64":"WyL/Il0="}`, `{"reply":"7","base64":"WyL/Il0="}`},
		{`"` + "\xED\xA0\x80" + `"`, `{"channel":"c","base64":"Iu2ggCI="}`, `{"reply":"7","base64":"Iu2ggCI="}`}, // half of a surrogate pair
	} {
		op, got := envelope(&hub.Message{Channel: "c", Payload: []byte(row.payload)})
		if op != codec.OpText || string(got) != row.message || !utf8.Valid(got) {
			t.Errorf("%q comes as %q, want %q", row.payload, got, row.message)
		}
		n := notice{Reply: "7"}
		n.carry([]byte(row.payload))
		want := codec.AppendFrame(nil, codec.OpText, []byte(row.answer))
		if got := n.frame(); string(got) != string(want) {
			t.Errorf("%q is answered as %q, want %q", row.payload, got, want)
		}
	}
}
