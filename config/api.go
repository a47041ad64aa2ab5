package config

import (
	"errors"
	"fmt"
)

// API is the HTTP API for services that have no Redis client, on the admin listener.
type API struct {
	Key     Secret `yaml:"key" help:"Key that services show to the HTTP API of the admin listener, in X-API-Key or as Authorization: apikey KEY, at least 16 bytes; without one the API is off; other users of this machine can see flags, so prefer the file or api.key_file"`
	KeyFile string `yaml:"key_file" help:"File that holds such a key, without white space at its ends; a relative path begins where sluice was started"`
}

// minAPIKey is the shortest key of the API, bytes: it is not guessed.
const minAPIKey = 16

// CheckAPIKey judges a key of the API, wherever it comes from.
func CheckAPIKey(key string) error {
	if len(key) < minAPIKey {
		return fmt.Errorf("has %d bytes; a key that nobody guesses has %d or more: openssl rand -hex 32", len(key), minAPIKey)
	}
	for _, b := range []byte(key) {
		if b <= ' ' || b >= 0x7F {
			return errors.New("has a character that cannot stand in a header: letters, digits and punctuation of ASCII only")
		}
	}
	return nil
}

func (v *validator) api() {
	a := &v.config.API
	if a.Key != "" {
		v.fault("api.key", CheckAPIKey(string(a.Key)))
	}
	if a.KeyFile != "" {
		v.fault("api.key_file", checkFile(a.KeyFile))
		if a.Key != "" {
			v.fault("api.key_file", fmt.Errorf("%s has the key already; keep one", v.config.typed("api.key")))
		}
	}
	if (a.Key != "" || a.KeyFile != "") && v.config.Admin == "" {
		v.fault("api.key", errors.New("the API is on the admin listener, which admin: \"\" has switched off"))
	}
}
