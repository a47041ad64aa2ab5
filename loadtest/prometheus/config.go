package prometheus

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Node is what is asked.
type Node struct {
	Admin string // host:port of its admin port
	Name  string // what it is called in the label instance; "": as its port
}

// Config writes deploy's files, which lie in source, into dir as an operator would edit them: with these nodes, asked at this interval,
// and without the balancer. It returns the path of the configuration.
func Config(source, dir string, interval time.Duration, nodes ...Node) (string, error) {
	targets := ""
	for _, n := range nodes {
		targets += fmt.Sprintf("      - { targets: [%q], labels: { instance: %q } }\n", n.Admin, cmp.Or(n.Name, n.Admin))
	}
	b, err := os.ReadFile(filepath.Join(source, "prometheus.yml"))
	if err != nil {
		return "", err
	}
	text := string(b)
	for _, e := range []struct{ was, is string }{
		{"scrape_interval: 5s", fmt.Sprintf("scrape_interval: %dms", interval.Milliseconds())},
		{"evaluation_interval: 5s", fmt.Sprintf("evaluation_interval: %dms", interval.Milliseconds())},
		{"      - targets: [sluice-1:8001, sluice-2:8001]\n", targets},
		{"  - job_name: haproxy\n    static_configs:\n      - targets: [haproxy:8404]\n", ""},
	} {
		if strings.Count(text, e.was) != 1 {
			return "", fmt.Errorf("%s/prometheus.yml does not have this once, which is to be replaced:\n%s", source, e.was)
		}
		text = strings.Replace(text, e.was, e.is, 1)
	}
	alerts, err := os.ReadFile(filepath.Join(source, "alerts.yml"))
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "alerts.yml"), alerts, 0o600); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "prometheus.yml")
	return file, os.WriteFile(file, []byte(text), 0o600)
}
