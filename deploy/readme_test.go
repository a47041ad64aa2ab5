package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the pages of this folder speak of is there: files, settings, metrics, variables.
func TestReadmesNameWhatIsThere(t *testing.T) {
	t.Parallel()
	doc, err := exec.Command(program, "config", "doc").Output()
	if err != nil {
		t.Fatal(err)
	}
	texts, err := readAll(".")
	if err != nil {
		t.Fatal(err)
	}
	var files strings.Builder // all but the pages
	for path, text := range texts {
		if filepath.Ext(path) != ".md" && filepath.Ext(path) != ".go" {
			files.WriteString(text)
		}
	}
	all := liveFigures(t)
	for _, page := range []string{"README.md", "OPERATE.md", "kernel/README.md"} {
		text := texts[page]
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), link[1])); err != nil {
				t.Errorf("%s leads to what is not there: %v", page, err)
			}
		}
		for _, setting := range regexp.MustCompile("`([a-z]+\\.[a-z_]+)`").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(doc), "`"+setting[1]+"`") && !strings.HasPrefix(setting[1], "fs.") { // those are the kernel's
				t.Errorf("%s speaks of the setting %s, which is not there", page, setting[1])
			}
		}
		for _, metric := range regexp.MustCompile(`sluice_[a-z_]+[a-z]`).FindAllString(text, -1) {
			if !all.has(metric) {
				t.Errorf("%s speaks of the metric %s, which is not there", page, metric)
			}
		}
		for _, variable := range regexp.MustCompile(`LB_[A-Z0-9_]+|[A-Z][a-z]+StopSec|LimitNOFILE|[a-z]+_grace_period|terminationGrace[A-Za-z]+|net\.[a-z0-9_.]+[a-z]`).FindAllString(text, -1) {
			if !strings.Contains(files.String(), variable) && variable != "net.ipv4.tcp_mem" { // of which the page says that it is left alone
				t.Errorf("%s speaks of %s, which no file sets", page, variable)
			}
		}
	}
}
