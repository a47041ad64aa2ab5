package main

import (
	"fmt"
	"strconv"
	"strings"
)

// envelope is what a server wants around each payload.
type envelope struct {
	Before string `help:"Put before each payload, for servers that want an envelope; \\n, \\x81 and so on as in Go."`
	After  string `help:"Put after each payload."`

	before, after []byte
}

// open takes the flags apart.
func (e *envelope) open() (err error) {
	if e.before, err = unescape(e.Before); err != nil {
		return fmt.Errorf("--before: %w", err)
	}
	if e.after, err = unescape(e.After); err != nil {
		return fmt.Errorf("--after: %w", err)
	}
	return nil
}

// size is what the envelope adds to a payload, in bytes.
func (e *envelope) size() int { return len(e.before) + len(e.after) }

// unescape replaces Go's escapes in text; quotes may stand as they are.
func unescape(text string) ([]byte, error) {
	var b []byte
	for rest := text; rest != ""; {
		r, wide, tail, err := strconv.UnquoteChar(rest, 0)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		if rest = tail; wide {
			b = append(b, string(r)...)
		} else {
			b = append(b, byte(r))
		}
	}
	return b, nil
}

// answersOf takes --answer apart: what a server says, and what it is answered.
func answersOf(list []string) (map[string]string, error) {
	answers := make(map[string]string, len(list))
	for _, text := range list {
		said, reply, ok := strings.Cut(text, "=")
		if !ok || said == "" {
			return nil, fmt.Errorf("--answer %q: want TEXT=REPLY", text)
		}
		answers[said] = reply
	}
	return answers, nil
}
