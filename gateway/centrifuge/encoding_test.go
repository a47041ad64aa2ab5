package centrifuge

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/centrifugal/protocol"
)

// list reads a frame, and shows each command as JSON.
func list(e Encoding, frame []byte) string {
	var all []string
	for c, err := range e.Commands(frame) {
		if err != nil {
			all = append(all, "malformed")
			continue
		}
		all = append(all, string(c.AppendJSON(nil)))
	}
	return strings.Join(all, " ")
}

func TestCommandsInJSON(t *testing.T) {
	for _, row := range []struct{ frame, want string }{
		{`{}`, `{}`},
		{`{"id":1,"connect":{"token":"t"}}`, `{"id":1,"connect":{"token":"t"}}`},
		{"{\"id\":1,\"ping\":{}}\n{\"id\":2,\"ping\":{}}", `{"id":1,"ping":{}} {"id":2,"ping":{}}`},
		{"{\"id\":1,\"ping\":{}}\n", `{"id":1,"ping":{}}`},
		{`{"id":1,"teleport":{"x":[1,{}]}}`, `{"id":1}`},
		{"", "malformed"},
		{"\n", "malformed"},
		{"{}\n\n{}", "{} malformed"},
		{"{}{}", "malformed"},
		{"[]", "malformed"},
		{`{"id":"1"}`, "malformed"},
		{`{"id":-1}`, "malformed"},
		{`{"id":1.5}`, "malformed"},
		{`{"id":1,"id":2}`, "malformed"},
		{"{\"id\":1,\"ping\":{}}\n{\"id\":", `{"id":1,"ping":{}} malformed`},
	} {
		if got := list(JSON, []byte(row.frame)); got != row.want {
			t.Errorf("%q: got %s, want %s", row.frame, got, row.want)
		}
	}
}

func TestCommandsInProtobuf(t *testing.T) {
	ping := []byte{4, 8, 1, 0x5a, 0} // id 1, ping
	for _, row := range []struct {
		frame []byte
		want  string
	}{
		{[]byte{0}, `{}`},
		{ping, `{"id":1,"ping":{}}`},
		{slices.Concat(ping, []byte{0}, ping), `{"id":1,"ping":{}} {} {"id":1,"ping":{}}`},
		{nil, "malformed"},
		{[]byte{5, 8, 1, 0x5a, 0}, "malformed"},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, "malformed"},
		{[]byte{1, 0xff}, "malformed"},
		{slices.Concat(ping, ping[:3]), `{"id":1,"ping":{}} malformed`},
	} {
		if got := list(Protobuf, row.frame); got != row.want {
			t.Errorf("%x: got %s, want %s", row.frame, got, row.want)
		}
	}
}

// What is appended is read by the decoders that the SDKs have.
func TestAppend(t *testing.T) {
	replies := []*protocol.Reply{
		{Id: 1, Connect: &protocol.ConnectResult{Client: "c", Subs: map[string]*protocol.SubscribeResult{"a": {Offset: 1 << 52}}}},
		{},
		{Id: 2, Error: ErrPermissionDenied},
		{Push: &protocol.Push{Channel: "a", Pub: &protocol.Publication{Data: protocol.Raw(`{"x":1}`), Offset: 7}}},
		Unsubscribed("a", Insufficient),
	}
	for e, decoder := range map[Encoding]protocol.ReplyDecoder{JSON: protocol.NewJSONReplyDecoder(nil), Protobuf: protocol.NewProtobufReplyDecoder(nil)} {
		var frame []byte
		for _, r := range replies {
			frame = e.Append(frame, r)
		}
		if err := decoder.Reset(frame); err != nil {
			t.Fatal(err)
		}
		for i, want := range replies {
			got, err := decoder.Decode()
			if err != nil || !reflect.DeepEqual(got.AppendJSON(nil), want.AppendJSON(nil)) {
				t.Errorf("encoding %d, reply %d: %s, %v, want %s", e, i, got.AppendJSON(nil), err, want.AppendJSON(nil))
			}
		}
	}
}

func TestFrames(t *testing.T) {
	for _, row := range []struct {
		name string
		got  []byte
		want string
	}{
		{"ping", JSON.Ping(), `{}`},
		{"ping in protobuf", Protobuf.Ping(), "\x00"},
		{"publication", JSON.Publication("news", []byte(`{"a":1}`), 0), `{"push":{"channel":"news","pub":{"data":{"a":1}}}}`},
		{"publication with a position", JSON.Publication("news", []byte(`1`), 1<<52), `{"push":{"channel":"news","pub":{"data":1,"offset":4503599627370496}}}`},
		{"a channel with quotes", JSON.Publication(`a"b`, []byte(`1`), 0), `{"push":{"channel":"a\"b","pub":{"data":1}}}`},
		{"message", JSON.Message([]byte(`hi`)), `{"push":{"message":{"data":"hi"}}}`},
	} {
		if string(row.got) != row.want {
			t.Errorf("%s: %q, want %q", row.name, row.got, row.want)
		}
	}
}

func TestValue(t *testing.T) {
	for payload, want := range map[string]string{
		`{"a":1}`:               `{"a":1}`,
		` [1, 2] `:              ` [1, 2] `,
		"{\n  \"a\": 1\r\n}":    `{  "a": 1}`,
		`42`:                    `42`,
		`null`:                  `null`,
		`"text"`:                `"text"`,
		`hello`:                 `"hello"`,
		`{"a":1`:                `"{\"a\":1"`,
		`{"a":1} {"b":2}`:       `"{\"a\":1} {\"b\":2}"`,
		"line\nbreak":           `"line\nbreak"`,
		"\u2028":                `"\u2028"`,
		"":                      `""`,
		"\xff\x00":              `"/wA="`,
		"\"\xff\"":              `"Iv8i"`, // no JSON: it is no UTF-8
		strings.Repeat("[", 99): `"` + strings.Repeat("[", 99) + `"`,
	} {
		got := JSON.Value([]byte(payload))
		if string(got) != want || !json.Valid(got) || bytes.ContainsAny(got, "\r\n") {
			t.Errorf("%q became %s, want %s", payload, got, want)
		}
		if got := Protobuf.Value([]byte(payload)); string(got) != payload {
			t.Errorf("in protobuf %q became %q", payload, got)
		}
	}
}

// FuzzCommands: whatever a client sends, reading it ends, and each command that is read can be written
// and read again.
func FuzzCommands(f *testing.F) {
	for _, frame := range []string{
		`{}`, "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\",\"recover\":true,\"offset\":1}}", `{"id":1,"rpc":{"method":"m","data":[1]}}`,
		`{"id":1,"subscribe":{"tf":{"nodes":[{"nodes":[]}]}}}`, `{"id":1`, "\n", "\x00", "\x04\x08\x01\x5a\x00", "\x05\x08\x01\x5a\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
	} {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		was := bytes.Clone(frame)
		for _, e := range []Encoding{JSON, Protobuf} {
			n := 0
			for c, err := range e.Commands(frame) {
				if n++; n > len(frame)+1 {
					t.Fatalf("encoding %d: more commands than bytes", e)
				}
				if err != nil {
					continue
				}
				text := c.AppendJSON(nil)
				if e == Protobuf && !utf8.Valid(text) { // its strings are checked where they are used
					continue
				}
				again := list(JSON, text)
				if e == JSON && again != string(text) {
					t.Errorf("%q was read as %s, and that as %s", frame, text, again)
				}
			}
		}
		if !bytes.Equal(was, frame) {
			t.Error("the frame was changed")
		}
	})
}

// FuzzValue: whatever is published, a JSON client gets one JSON value, on one line, that means the same.
func FuzzValue(f *testing.F) {
	for _, payload := range []string{`{"a":1}`, "x", "\xff", "1\n", `"a`, "\u2028", "1e999"} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		got := JSON.Value(payload)
		if !json.Valid(got) || bytes.ContainsAny(got, "\r\n") {
			t.Fatalf("%q became %q", payload, got)
		}
		frame := JSON.Publication("c", payload, 1)
		if !json.Valid(frame) || bytes.ContainsAny(frame, "\r\n") {
			t.Fatalf("%q became the frame %q", payload, frame)
		}
		var text string
		if !json.Valid(payload) && utf8.Valid(payload) {
			if err := json.Unmarshal(got, &text); err != nil || text != string(payload) {
				t.Errorf("%q became %q, %v", payload, text, err)
			}
		}
	})
}
