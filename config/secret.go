package config

import (
	"fmt"
	"io"
)

// redacted is what is printed for a secret, and what url.URL.Redacted writes for a password.
const redacted = "xxxxx"

// Secret is a text that must not be seen: however it is printed, logged or marshalled, there is only a placeholder.
// string(secret) is the text itself.
type Secret string

// String returns the placeholder, or nothing for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format is String for every verb: fmt shows the text itself where a verb does not fit.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.String()) // fmt's own buffer takes everything
}

// MarshalText is String, for JSON and the like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
