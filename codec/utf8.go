package codec

import (
	"unicode/utf8"

	fastutf8 "github.com/segmentio/asm/utf8"
)

// fastText is the length in bytes from which the vector check beats the standard library's (BenchmarkUTF8); below it that one has no vector code.
const fastText = 32

// ValidText reports whether p is well-formed UTF-8 (RFC 3629; RFC 6455 §8.1): the check that a Decoder leaves out for a message that is
// deflated, to be made when it has been inflated. If it is not, ErrInvalidText says so.
func ValidText(p []byte) bool { return validText(p) }

// validText reports whether p is well-formed UTF-8 (RFC 3629; RFC 6455 §8.1).
func validText(p []byte) bool {
	if len(p) < fastText {
		return utf8.Valid(p)
	}
	return fastutf8.Valid(p)
}

// validTextPrefix reports whether p can begin a well-formed text. tail is the number of bytes (0–3) at its end that begin a code
// point not yet complete; check them again together with what follows.
func validTextPrefix(p []byte) (tail int, ok bool) {
	tail = incompleteTail(p)
	return tail, validText(p[:len(p)-tail])
}

func incompleteTail(p []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		end := p[len(p)-i:]
		if !utf8.RuneStart(end[0]) {
			continue
		}
		if utf8.FullRune(end) { // also where end can never become a code point: the check of the whole refuses it
			return 0
		}
		return i
	}
	return 0
}
