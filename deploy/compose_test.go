package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"sluice/config"
)

// composed is what these tests look at of compose.yaml; package strict reads all of it.
type composed struct {
	Services map[string]struct {
		Image       string
		Environment map[string]string
		Volumes     []string
		Ports       []string
		Grace       string `yaml:"stop_grace_period"`
		Build       struct{ Context, Dockerfile, Target string }
	}
	Volumes map[string]any
}

func compose(t *testing.T) (c composed) {
	t.Helper()
	readYAML(t, "docker/compose.yaml", &c)
	return c
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// The nodes of compose.yaml start with what it sets, and are given the time to leave.
func TestComposedNodes(t *testing.T) {
	nodes := 0
	for name, s := range compose(t).Services {
		if s.Image != "sluice" {
			continue
		}
		nodes++
		var environ []string
		for k, v := range s.Environment {
			environ = append(environ, k+"="+v)
		}
		c, err := config.Load(nil, environ)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.Node.ID != name || c.Redis != "redis://redis:6379/0" || slices.ContainsFunc(c.Warnings(), func(w string) bool { return !strings.HasPrefix(w, "SLUICE_ADMIN: ") }) {
			t.Errorf("%s is %q on %s, with the warnings %q", name, c.Node.ID, c.Redis, c.Warnings())
		}
		grace, err := time.ParseDuration(s.Grace)
		if drain := c.Drain.Delay + c.Drain.Window + c.Shutdown.Timeout; err != nil || grace < drain+10*time.Second {
			t.Errorf("%s is killed after %s, and its drain takes %v", name, s.Grace, drain)
		}
	}
	if nodes != 2 {
		t.Errorf("there are %d nodes", nodes)
	}
}

// What the services name is there: files, services, variables of haproxy.cfg.
func TestComposeNamesWhatIsThere(t *testing.T) {
	c := compose(t)
	balancer, err := os.ReadFile("haproxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range c.Services {
		for _, volume := range s.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			if _, known := c.Volumes[from]; known {
				continue
			}
			if _, err := os.Stat(filepath.Join("docker", from)); err != nil {
				t.Errorf("%s mounts: %v", name, err)
			}
		}
		for variable, value := range s.Environment {
			if strings.HasPrefix(variable, "LB_") && !strings.Contains(string(balancer), "presetenv "+variable+" ") {
				t.Errorf("%s sets %s, which haproxy.cfg does not know", name, variable)
			}
			host, _, _ := strings.Cut(value, ":")
			if _, known := c.Services[host]; strings.HasPrefix(variable, "LB_NODE_") && !known {
				t.Errorf("%s is %s, and there is no such service", variable, value)
			}
		}
		if s.Build.Context == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join("docker", s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s is built from: %v", name, err)
		}
		if len(of(dockerfile(t), s.Build.Target, "FROM")) != 1 {
			t.Errorf("%s is built to %q, which the Dockerfile does not have", name, s.Build.Target)
		}
	}

	var scrape struct {
		Rules   []string `yaml:"rule_files"`
		Configs []struct {
			Static []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, "prometheus/prometheus.yml", &scrape)
	scraped := map[string]bool{}
	for _, s := range scrape.Configs {
		for _, static := range s.Static {
			for _, target := range static.Targets {
				host, port, _ := strings.Cut(target, ":")
				if _, known := c.Services[host]; !known {
					t.Errorf("%s is scraped, and there is no such service", target)
				}
				scraped[host+" "+port] = true
			}
		}
	}
	for name, s := range c.Services {
		if s.Image == "sluice" && !scraped[name+" "+strings.TrimPrefix(s.Environment["SLUICE_ADMIN"], ":")] {
			t.Errorf("%s is not scraped on its admin port", name)
		}
	}
	for _, file := range scrape.Rules {
		if !regexp.MustCompile(`(?m)/` + regexp.QuoteMeta(file) + `:/etc/prometheus/` + regexp.QuoteMeta(file)).MatchString(strings.Join(c.Services["prometheus"].Volumes, "\n")) {
			t.Errorf("Prometheus is to read %s, which is not mounted", file)
		}
	}
}
