package codec

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSendable(t *testing.T) {
	for c := range 1 << 16 {
		want := c >= 1000 && c <= 1003 || c >= 1007 && c <= 1014 || c >= 3000 && c < 5000
		if got := StatusCode(c).Sendable(); got != want {
			t.Errorf("RFC 6455 §7.4: code %d: sendable %v", c, got)
		}
	}
}

func TestStatusNamesAreLabels(t *testing.T) {
	names := map[string]bool{}
	for c := range 1 << 16 {
		name := StatusCode(c).String()
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" || name == "" {
			t.Fatalf("code %d is named %q", c, name)
		}
		names[name] = true
	}
	if len(names) != 18 {
		t.Errorf("%d names, want one for each of 15 codes and 3 for all others", len(names))
	}
}

func TestParseClose(t *testing.T) {
	r123 := strings.Repeat("r", 123)
	tests := []struct {
		name    string
		payload string
		code    StatusCode
		reason  string
		err     error
	}{
		{"§7.1.5: empty means no status", "", StatusNoStatus, "", nil},
		{"§5.5.1: one byte", "\x03", 1002, "", ErrCloseLength},
		{"§7.4.1: 1000", "\x03\xe8", 1000, "", nil},
		{"§5.5.1: 1001 with a reason", "\x03\xe9bye €", 1001, "bye €", nil},
		{"§5.5: reason of 123 bytes", "\x03\xe8" + r123, 1000, r123, nil},
		{"§7.4.2: code 0", "\x00\x00", 1002, "", ErrCloseCode},
		{"§7.4.2: code 999", "\x03\xe7", 1002, "", ErrCloseCode},
		{"§7.4.1: code 1004", "\x03\xec", 1002, "", ErrCloseCode},
		{"§7.4.1: code 1005", "\x03\xed", 1002, "", ErrCloseCode},
		{"§7.4.1: code 1006", "\x03\xee", 1002, "", ErrCloseCode},
		{"§7.4.1: code 1015", "\x03\xf7", 1002, "", ErrCloseCode},
		{"§7.4.2: code 1016", "\x03\xf8", 1002, "", ErrCloseCode},
		{"§7.4.2: code 2999", "\x0b\xb7", 1002, "", ErrCloseCode},
		{"§7.4.2: code 3000", "\x0b\xb8", 3000, "", nil},
		{"§7.4.2: code 4999", "\x13\x87", 4999, "", nil},
		{"§7.4.2: code 5000", "\x13\x88", 1002, "", ErrCloseCode},
		{"§7.4.2: code 65535", "\xff\xff", 1002, "", ErrCloseCode},
		{"§5.5.1: reason not UTF-8", "\x03\xe8\xff", 1007, "", ErrCloseReasonEncoding},
		{"§5.5.1: reason ends inside a code point", "\x03\xe8\xe2\x82", 1007, "", ErrCloseReasonEncoding},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, reason, err := ParseClose([]byte(tt.payload))
			if code != tt.code || reason != tt.reason || err != tt.err {
				t.Errorf("got %d %q %v, want %d %q %v", code, reason, err, tt.code, tt.reason, tt.err)
			}
		})
	}
}

func TestAppendClose(t *testing.T) {
	r123 := strings.Repeat("r", 123)
	tests := []struct {
		name   string
		code   StatusCode
		reason string
		want   []byte
	}{
		{"§5.5.1: code and reason", StatusGoingAway, "bye", wire(t, `88 05 03e9 "bye"`)},
		{"§7.1.5: no status", StatusNoStatus, "ignored", wire(t, "88 00")},
		{"§7.4.1: 1006 is never sent", StatusAbnormal, "ignored", wire(t, "88 00")},
		{"§7.4.2: 0 is never sent", 0, "", wire(t, "88 00")},
		{"§5.5: reason of 123 bytes", 4000, r123, wire(t, `88 7d 0fa0 "`+r123+`"`)},
		{"§5.5: reason of 124 bytes", 4000, r123 + "r", wire(t, `88 7d 0fa0 "`+r123+`"`)},
		{"§5.5: reason cut before a rune", 4000, r123[:121] + "€", wire(t, `88 7b 0fa0 "`+r123[:121]+`"`)},
		{"§5.5: rune that just fits", 4000, r123[:120] + "€", wire(t, `88 7d 0fa0 "`+r123[:120]+`€"`)},
		{"§5.5.1: reason cut before bytes that are not UTF-8", 4000, "ab\xff", wire(t, `88 04 0fa0 "ab"`)},
		{"§5.5.1: U+FFFD itself is sent", 4000, "\uFFFD", wire(t, `88 05 0fa0 efbfbd`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := AppendClose([]byte("x"), tt.code, tt.reason)
			if !bytes.Equal(got[1:], tt.want) {
				t.Errorf("got %x, want %x", got[1:], tt.want)
			}
		})
	}
}

func TestErrorsFitACloseFrame(t *testing.T) {
	for _, err := range protocolErrors {
		if !err.Code.Sendable() || len(err.Reason) > 123 || err.Reason == "" || err.Error() == "" {
			t.Errorf("%v: code %d, reason of %d bytes", err, err.Code, len(err.Reason))
		}
		if code, reason, bad := ParseClose(AppendClose(nil, err.Code, err.Reason)[2:]); code != err.Code || reason != err.Reason || bad != nil {
			t.Errorf("%v reads back as %d %q %v", err, code, reason, bad)
		}
	}
}

var protocolErrors = []*Error{ErrReservedBits, ErrOpcode, ErrUnmasked, ErrMasked, ErrControlFragmented, ErrControlTooLong, ErrLengthNotMinimal,
	ErrLengthSign, ErrContinuation, ErrInterleaved, ErrMessageTooBig, ErrTooManyFragments, ErrInvalidText, ErrCloseLength, ErrCloseCode,
	ErrCloseReasonEncoding}

// What ParseClose accepts, AppendClose writes back the same; whatever AppendClose writes is a legal close frame.
func FuzzClose(f *testing.F) {
	f.Add([]byte{}, uint16(1000), "bye")
	f.Add([]byte("\x03\xe8bye"), uint16(1005), strings.Repeat("€", 50))
	f.Add([]byte("\x0f\xa0\xff"), uint16(4999), "\xff")
	f.Fuzz(func(t *testing.T, payload []byte, c uint16, reason string) {
		code, text, err := ParseClose(payload)
		if bad, ok := err.(*Error); err != nil && (!ok || bad.Code != code || text != "") {
			t.Fatalf("ParseClose(%x): %d %q %v", payload, code, text, err)
		}
		if err == nil && len(payload) <= maxControl {
			if back := AppendClose(nil, code, text); !bytes.Equal(back[2:], payload) {
				t.Fatalf("%x comes back as %x", payload, back[2:])
			}
		}
		frame := AppendClose(nil, StatusCode(c), reason)
		h, n, err := ParseHeader(frame)
		if err != nil || h.Op != OpClose || !h.Fin || h.Masked || int(h.Length) != len(frame)-n {
			t.Fatalf("AppendClose(%d, %q): header %+v, error %v", c, reason, h, err)
		}
		code, text, err = ParseClose(frame[n:])
		if err != nil || !strings.HasPrefix(reason, text) {
			t.Fatalf("AppendClose(%d, %q) reads as %d %q %v", c, reason, code, text, err)
		}
		if StatusCode(c).Sendable() && utf8.ValidString(reason) && (code != StatusCode(c) || len(reason) <= 123 && text != reason || len(reason)-len(text) > 0 && len(text) < 120) {
			t.Fatalf("AppendClose(%d, %q) lost too much: %d %q", c, reason, code, text)
		}
	})
}
