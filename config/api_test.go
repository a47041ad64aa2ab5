package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAPIKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		args []string
		want string // part of the fault; "" for none
	}{
		{"none", nil, ""},
		{"a key", []string{"--api-key", "0123456789abcdef"}, ""},
		{"a file", []string{"--api-key-file", file}, ""},
		{"a short one", []string{"--api-key", "0123456789abcde"}, "has 15 bytes"},
		{"one that no header can hold", []string{"--api-key", "0123456789abcdef é"}, "cannot stand in a header"},
		{"both", []string{"--api-key", "0123456789abcdef", "--api-key-file", file}, "keep one"},
		{"a file that is not there", []string{"--api-key-file", file + "x"}, "no such file"},
		{"nothing to serve it", []string{"--api-key", "0123456789abcdef", "--admin", ""}, "admin listener"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Load(row.args, nil)
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
			if err != nil && strings.Contains(err.Error(), "0123456789") {
				t.Errorf("the key is shown: %v", err)
			}
		})
	}
}
