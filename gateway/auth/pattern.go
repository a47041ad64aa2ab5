package auth

import "strings"

// Pattern names channels: an asterisk stands for any run of bytes, none at all included, and every other byte for
// itself. There is no way to escape an asterisk, and no other special character.
type Pattern string

// Match reports whether the whole of channel fits. It takes time linear in both lengths whatever they contain: the
// text between two asterisks is looked for once, at its leftmost place after the text before, and never again,
// since a later place leaves less for the rest.
func (p Pattern) Match(channel string) bool {
	rest := string(p)
	head, rest, starred := strings.Cut(rest, "*")
	if !starred {
		return head == channel
	}
	channel, ok := strings.CutPrefix(channel, head)
	if !ok {
		return false
	}
	for {
		piece, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(channel, piece)
		}
		at := strings.Index(channel, piece)
		if at < 0 {
			return false
		}
		channel, rest = channel[at+len(piece):], after
	}
}

// matchAny reports whether one of the patterns fits. Channels whose name begins with # are users' own, and not meant
// by who writes * for all channels: the pattern has to begin with # itself.
func matchAny(patterns []Pattern, channel string) bool {
	personal := strings.HasPrefix(channel, "#")
	for _, p := range patterns {
		if personal && !strings.HasPrefix(string(p), "#") {
			continue
		}
		if p.Match(channel) {
			return true
		}
	}
	return false
}
