package redisurl

import (
	"net/url"
	"slices"
	"strings"
)

const placeholder = "xxxxx" // for a secret; what url.URL.Redacted writes for a password

// Redact is the setting for logs and printed configurations: passwords, and every parameter
// that may hold a secret, replaced. Parse refuses what was replaced. What cannot be read is
// not shown at all.
func Redact(text string) string {
	list := split(text)
	for i, text := range list {
		u, err := readURL(text)
		if err == nil {
			_, err = readSetting(u)
		}
		if err != nil {
			return "(not a URL, not shown)"
		}
		parameters := strings.Split(u.RawQuery, "&") // as they stand, in their order
		for i, p := range parameters {
			name, _, _ := strings.Cut(p, "=")
			if plain, err := url.QueryUnescape(name); err != nil || isSecret(plain) {
				parameters[i] = name + "=" + placeholder
			}
		}
		u.RawQuery = strings.Join(parameters, "&")
		list[i] = u.Redacted()
	}
	return strings.Join(list, ",")
}

// isSecret says whether the parameter name may hold a secret.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"pass", "secret", "token", "auth"}, func(part string) bool { return strings.Contains(name, part) })
}

// hasPlaceholder says whether a secret of u is what Redact writes in its place.
func hasPlaceholder(u *url.URL) bool {
	password, _ := u.User.Password()
	found := password == placeholder
	for name, values := range u.Query() {
		found = found || isSecret(name) && slices.Contains(values, placeholder)
	}
	return found
}
