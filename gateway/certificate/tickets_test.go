package certificate

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const someKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func TestLoadTickets(t *testing.T) {
	const other = "an old secret, sixteen and more!"
	inBase64 := base64.StdEncoding.EncodeToString([]byte(other))
	for _, row := range []struct{ name, text, want string }{
		{"hexadecimal", someKey, "1"},
		{"capitals", strings.ToUpper(someKey) + "\r\n", "1"},
		{"both notations, the newest first", "# of Monday\n" + someKey + "\n\n  # of Sunday\n " + inBase64 + " \n", "2"},
		{"base64 without padding", strings.TrimRight(inBase64, "="), "1"},
		{"empty", "", "has no key: openssl"},
		{"remarks alone", "# nothing\n", "has no key: openssl"},
		{"a key that is too short", someKey + "\n" + someKey[2:], ", line 2: this is not 32 bytes"},
		{"words", "secret of ours", ", line 1: this is not 32 bytes"},
		{"a key that is none", strings.Repeat("00", 32), ", line 1: a key of which all bytes are the same"},
		{"as many as may be", strings.Repeat(someKey+"\n", 16), "16"},
		{"too many", strings.Repeat(someKey+"\n", 17), "has more than 16 keys"},
	} {
		t.Run(row.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "tickets")
			if err := os.WriteFile(file, []byte(row.text), 0o600); err != nil {
				t.Fatal(err)
			}
			keys, err := LoadTickets(file)
			if err != nil {
				if !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), file) {
					t.Errorf("%v, want %s", err, row.want)
				}
				for _, line := range strings.Fields(row.text) {
					if len(line) > 2 && strings.Contains(strings.TrimPrefix(err.Error(), file), line) {
						t.Errorf("the error tells the secret: %v", err)
					}
				}
				return
			}
			if got := len(keys); strconv.Itoa(got) != row.want {
				t.Errorf("%d keys, want %s", got, row.want)
			}
			if row.want == "2" && string(keys[1][:]) != other {
				t.Errorf("the second key is %q", keys[1])
			}
		})
	}
	if _, err := LoadTickets(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there was taken")
	}
}
