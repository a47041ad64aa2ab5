package auth

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on JSON in a token.
const (
	maxDepth   = 16  // objects and arrays inside each other
	maxMembers = 128 // names in one object
)

// object is a JSON object whose members are not decoded yet, in the order of the text.
type object []member

type member struct {
	name string
	raw  []byte // the value as it stands in the text, which it aliases
}

// parseObject takes text apart that must be one object, and refuses what parsers are known to disagree about: a
// name that stands twice at any depth (RFC 7519 §4 lets us), bytes that are not UTF-8. Names are matched exactly.
func parseObject(text []byte) (object, *Error) {
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, errJSON
	}
	w := walker{text: text}
	w.space()
	if w.at >= len(text) || text[w.at] != '{' {
		return nil, errJSON
	}
	o := w.object(1)
	switch {
	case w.err != nil:
		return nil, w.err
	case w.peek() != 0: // not in valid JSON
		return nil, errJSON
	}
	return o, nil
}

// get is the value of a member; nil if there is none.
func (o object) get(name string) []byte {
	for i := range o {
		if o[i].name == name {
			return o[i].raw
		}
	}
	return nil
}

// walker goes over text that encoding/json has found valid, so that it has only to find where things end.
type walker struct {
	text []byte
	at   int
	err  *Error // the first refusal; what is returned after it means nothing
}

func (w *walker) space() {
	for w.at < len(w.text) {
		switch w.text[w.at] {
		case ' ', '\t', '\r', '\n':
			w.at++
		default:
			return
		}
	}
}

// peek is the next byte that is not space, or 0 at the end and after a refusal.
func (w *walker) peek() byte {
	w.space()
	if w.err != nil || w.at >= len(w.text) {
		return 0
	}
	return w.text[w.at]
}

// object stands on the opening brace, and leaves behind the closing one.
func (w *walker) object(depth int) object {
	if depth > maxDepth {
		w.err = errDeep
		return nil
	}
	var o object
	w.at++
	for w.peek() == '"' {
		name := w.name()
		if w.peek() != ':' {
			break
		}
		w.at++
		raw := w.value(depth)
		switch {
		case w.err != nil:
			return nil
		case len(o) == maxMembers:
			w.err = errDeep
			return nil
		case o.get(name) != nil:
			w.err = errTwice
			return nil
		}
		o = append(o, member{name, raw})
		if w.peek() == ',' {
			w.at++
		}
	}
	w.end('}')
	return o
}

func (w *walker) array(depth int) {
	if depth > maxDepth {
		w.err = errDeep
		return
	}
	w.at++
	for c := w.peek(); c != ']' && c != 0; c = w.peek() {
		w.value(depth)
		if w.peek() == ',' {
			w.at++
		}
	}
	w.end(']')
}

// end steps over the byte that closes an object or an array.
func (w *walker) end(with byte) {
	switch {
	case w.peek() == with:
		w.at++
	case w.err == nil:
		w.err = errJSON
	}
}

// value steps over one value and returns its text, never empty.
func (w *walker) value(depth int) []byte {
	first := w.peek()
	begin := w.at
	switch first {
	case 0:
		if w.err == nil {
			w.err = errJSON
		}
	case '{':
		w.object(depth + 1)
	case '[':
		w.array(depth + 1)
	case '"':
		w.string()
	default:
		for w.at < len(w.text) && strings.IndexByte(",]} \t\r\n", w.text[w.at]) < 0 {
			w.at++
		}
		if w.at == begin { // a closing byte where a value should be: not in valid JSON
			w.err = errJSON
		}
	}
	return w.text[begin:w.at]
}

// string steps over a string and returns its text, quotes included.
func (w *walker) string() []byte {
	begin := w.at
	for w.at++; w.at < len(w.text); w.at++ {
		switch w.text[w.at] {
		case '\\':
			w.at++
		case '"':
			w.at++
			return w.text[begin:w.at]
		}
	}
	if w.err == nil {
		w.err = errJSON
	}
	w.at = len(w.text)
	return nil
}

// name steps over a member's name and returns what it stands for.
func (w *walker) name() string {
	s, ok := decodeString(w.string())
	if !ok && w.err == nil {
		w.err = errJSON
	}
	return s
}

// decodeString is what the text of a JSON value stands for, if it is a string.
func decodeString(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	plain := raw[1 : len(raw)-1]
	for _, c := range plain {
		if c == '\\' {
			var s string
			err := json.Unmarshal(raw, &s)
			return s, err == nil
		}
	}
	return string(plain), true
}

// Longest names, identifiers and patterns in a token, in bytes.
const maxName = 255

// decodeName is a string of 1 to 255 bytes that can be shown. U+FFFD is not among them: it is what encoding/json
// makes of half a surrogate pair, so that different texts would become the same name.
func decodeName(raw []byte) (string, bool) {
	s, ok := decodeString(raw)
	if !ok || s == "" || len(s) > maxName {
		return "", false
	}
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return "", false
		}
	}
	return s, true
}

// decodeNames is a list of at most most names; what is null is no list.
func decodeNames(raw []byte, most int) ([]string, bool) {
	var items []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &items) != nil || len(items) > most {
		return nil, false
	}
	names := make([]string, len(items))
	for i, item := range items {
		name, ok := decodeName(item)
		if !ok {
			return nil, false
		}
		names[i] = name
	}
	return names, true
}
