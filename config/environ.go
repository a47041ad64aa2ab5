package config

import (
	"regexp"
	"slices"
	"strings"
)

// fileEnv names the configuration file, as --config does.
const fileEnv = envPrefix + "CONFIG"

// fallbacks are the names that hosting platforms set by themselves. They stand below the setting's own name and
// above the file, because the platform knows and the file was written elsewhere. Empty ones count as unset.
var fallbacks = []struct {
	env, key string
	value    func(string) string
}{
	{"REDIS_URL", "redis", func(url string) string { return url }},
	{"PORT", "listen", func(port string) string { return ":" + port }},
}

// environ is the environment as a map; of a name given twice the last counts.
func environ(pairs []string) map[string]string {
	variables := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		if name, value, ok := strings.Cut(pair, "="); ok {
			variables[name] = value
		}
	}
	return variables
}

// environment lays the environment over what is there, and refuses SLUICE_ names that mean nothing.
func (l *loader) environment(variables map[string]string) {
	for _, fallback := range fallbacks {
		if value := variables[fallback.env]; value != "" {
			s, _ := lookup(fallback.key)
			l.set(s, []string{fallback.value(value)}, origin{fromFallback, fallback.env})
		}
	}
	known := []string{fileEnv}
	for _, s := range settings() {
		known = append(known, s.env)
		if value, ok := variables[s.env]; ok {
			l.set(s, []string{value}, origin{fromEnv, s.env})
		}
	}
	var unknown []string
	for name, value := range variables {
		if strings.HasPrefix(name, envPrefix) && !slices.Contains(known, name) && !isServiceLink(name, value) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		if list, ok := listNamed(name); ok {
			l.fault("%s: %s stands in the file only; name a file with %s", name, list, fileEnv)
			continue
		}
		l.fault("%s: unknown setting; the nearest known one is %s", name, nearest(name, known))
	}
}

// listNamed finds the list of sections that would have that name in the environment.
func listNamed(env string) (key string, ok bool) {
	for _, s := range entries() {
		if s.item != nil && env == envName(s.key) {
			return s.key, true
		}
	}
	return "", false
}

// serviceLink are the names that Kubernetes puts into every container for each Service of the namespace: a Service
// named sluice gives SLUICE_SERVICE_HOST, SLUICE_PORT_8000_TCP_ADDR and their like; nobody typed them.
var serviceLink = regexp.MustCompile(`^SLUICE_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

func isServiceLink(name, value string) bool {
	return serviceLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
}
