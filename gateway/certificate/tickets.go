package certificate

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Tickets are keys of session tickets (RFC 8446 §4.6.1, RFC 5077) which several nodes
// share, so that a client comes back to any of them without a whole handshake. New tickets
// are made with the first, and those of all are taken. None: the node makes its own.
type Tickets [][keySize]byte

const (
	keySize    = 32 // bytes
	maxTickets = 16 // keys, all of which a ticket that fits none is tried with
)

// LoadTickets reads keys from a file: one a line, 32 bytes in hexadecimal or base64; empty
// lines, and what begins with #, mean nothing. An error names the file and the line, and
// nothing that is secret.
func LoadTickets(file string) (Tickets, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all Tickets
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		key, err := parseTicketKey(line)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", file, number, err)
		}
		if all = append(all, key); len(all) > maxTickets {
			return nil, fmt.Errorf("%s has more than %d keys: take the oldest away", file, maxTickets)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no key: openssl rand -hex 32 makes one", file)
	}
	return all, nil
}

func parseTicketKey(line string) (key [keySize]byte, err error) {
	b, err := hex.DecodeString(line)
	if err != nil {
		b, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(line, "="))
	}
	switch {
	case err != nil || len(b) != keySize: // not err itself, which has a byte of the key in it
		return key, errors.New("this is not 32 bytes in hexadecimal or base64: openssl rand -hex 32 makes a key")
	case bytes.Count(b, b[:1]) == keySize:
		return key, errors.New("a key of which all bytes are the same protects nothing: openssl rand -hex 32 makes one")
	}
	return [keySize]byte(b), nil
}
