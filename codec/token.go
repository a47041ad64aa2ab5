package codec

import "strings"

// The classes of bytes that HTTP's grammar tells apart (RFC 9110 §5.5, §5.6.2; RFC 3986).
const (
	inToken      = 1 << iota // tchar: methods, header names, subprotocols
	inURI                    // what may stand in a request target
	inField                  // what may stand in a header value
	inHostName               // reg-name and IPv4
	inAddress                // inside the brackets of an IP literal
	inParameters             // besides tokens, in a list of extensions with their parameters
)

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

var classes = func() (t [256]uint8) {
	mark := func(class uint8, bytes string) {
		for i := range len(bytes) {
			t[bytes[i]] |= class
		}
	}
	mark(inToken, alphanumeric+"!#$%&'*+-.^_`|~")
	mark(inHostName, alphanumeric+"-._~!$&'()*+,;=%")
	mark(inAddress, alphanumeric+"-._~!$&'()*+,;=%:")
	mark(inParameters, " ,;=\"")
	for c := range t {
		// Wider than RFC 3986: browsers leave '|', '{', '^' and their like as they are in queries. '#' never reaches a server.
		if c > ' ' && c < 0x7F && c != '#' {
			t[c] |= inURI
		}
		if c >= ' ' && c != 0x7F || c == '\t' {
			t[c] |= inField
		}
	}
	return t
}()

func isToken(c byte) bool  { return classes[c]&inToken != 0 }
func isTarget(c byte) bool { return classes[c]&inURI != 0 }

// valueBytes is the number of bytes at the front of b that may stand in a header value.
func valueBytes(b []byte) int {
	for i, c := range b {
		if classes[c]&inField == 0 {
			return i
		}
	}
	return len(b)
}

// isEvery reports whether s consists of bytes of that class.
func isEvery(s string, class uint8) bool {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

// elements walks over the elements of a comma-separated header value (RFC 9110 §5.6.1), without the white space around them; empty
// ones do not count. Commas inside quoted strings do not separate.
func elements(value string, yield func(string) bool) bool {
	for value != "" {
		end := elementEnd(value)
		if e := strings.Trim(value[:end], " \t"); e != "" && !yield(e) {
			return false
		}
		if end == len(value) {
			break
		}
		value = value[end+1:]
	}
	return true
}

func elementEnd(value string) int {
	quoted := false
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '"':
			quoted = !quoted
		case '\\':
			if quoted {
				i++
			}
		case ',':
			if !quoted {
				return i
			}
		}
	}
	return len(value)
}
