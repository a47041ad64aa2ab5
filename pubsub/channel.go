package pubsub

import (
	"unicode"
	"unicode/utf8"
)

// MaxChannel is the longest channel name, in bytes, without the prefix.
const MaxChannel = 255

// ChannelError is a rule for channel names that a name breaks. The values are
// the package's Err… variables, so they can be compared.
type ChannelError struct {
	Rule   string // one word of a closed set, fit for a metric label
	Reason string // for the client; says nothing about the name itself
}

func (e *ChannelError) Error() string { return e.Reason }

// The rules of CheckChannel.
var (
	ErrChannelEmpty   = &ChannelError{"empty", "channel name is empty"}
	ErrChannelLong    = &ChannelError{"long", "channel name is longer than 255 bytes"}
	ErrChannelUTF8    = &ChannelError{"utf8", "channel name is not valid UTF-8"}
	ErrChannelSpace   = &ChannelError{"space", "channel name contains a space"}
	ErrChannelControl = &ChannelError{"unprintable", "channel name contains an unprintable character"}
	ErrChannelPattern = &ChannelError{"reserved", `channel name contains one of { } * ? [ ] \`}
)

// CheckChannel says whether name may be a channel: 1 to MaxChannel bytes of
// valid UTF-8 whose characters are letters, marks, numbers, punctuation or
// symbols of Unicode (unicode.IsPrint without the ASCII space), except
//
//	{ }        a Redis Cluster hash tag
//	* ? [ ] \  a Redis pattern
//
// Hence no white space of any alphabet, no control, format, surrogate or
// private-use characters (zero-width joiners, byte order marks and
// direction overrides would make two names that look the same), and nothing
// that Unicode has not assigned. Names are compared byte by byte: nothing is
// normalised, nor is case folded.
//
// The error is one of the package's ErrChannel… values, or nil.
func CheckChannel(name string) error {
	if name == "" {
		return ErrChannelEmpty
	}
	if len(name) > MaxChannel {
		return ErrChannelLong
	}
	for i := 0; i < len(name); {
		r, n := rune(name[i]), 1
		if r >= utf8.RuneSelf {
			if r, n = utf8.DecodeRuneInString(name[i:]); r == utf8.RuneError && n == 1 {
				return ErrChannelUTF8
			}
		}
		if err := checkRune(r); err != nil {
			return err
		}
		i += n
	}
	return nil
}

// checkRune returns error, not *ChannelError: a nil *ChannelError is no nil error.
func checkRune(r rune) error {
	switch r {
	case '{', '}', '*', '?', '[', ']', '\\':
		return ErrChannelPattern
	}
	switch {
	case unicode.IsSpace(r) || unicode.Is(unicode.Zs, r):
		return ErrChannelSpace
	case !unicode.IsPrint(r):
		return ErrChannelControl
	}
	return nil
}
