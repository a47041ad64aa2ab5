package centrifuge

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"

	"github.com/centrifugal/protocol"
	"github.com/centrifugal/protocol/cfjson"
)

// Value is a payload as it stands in a message of this encoding. Protobuf has bytes and
// takes it as it is. JSON has values:
//
//	{"a":1}, 42, "text", null   a JSON value stays what it is, without line breaks around its tokens
//	hello                       other text becomes a JSON string
//	\xff\x00                    and what is no UTF-8 a JSON string in base64 (RFC 4648 §4): who publishes bytes should have protobuf clients
//
// The result may be payload itself.
func (e Encoding) Value(payload []byte) protocol.Raw {
	if e == Protobuf {
		return payload
	}
	switch {
	case cfjson.Valid(payload):
		return oneLine(payload)
	case utf8.Valid(payload):
		return quote(string(payload))
	}
	return quote(base64.StdEncoding.EncodeToString(payload))
}

// oneLine takes the line breaks out of a JSON value: they part messages, a newline for all
// clients, a carriage return for some. In JSON they stand only between tokens.
func oneLine(value []byte) []byte {
	if bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0 {
		return value
	}
	return bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, value)
}

func quote(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string is always written
	}
	return b
}
