package deploy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/config"
)

// The nodes of the plain manifests, which are the chart's own, start with what these set. Package strict looks at the rest.
func TestKubernetesNodes(t *testing.T) {
	var files struct{ Data map[string]string }
	readYAML(t, "kubernetes/configmap.yaml", &files)
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(file, []byte(files.Data["sluice.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct {
					Grace      int `yaml:"terminationGracePeriodSeconds"`
					Containers []struct {
						Args []string
						Env  []struct{ Name, Value string }
					}
				}
			}
		}
	}
	readYAML(t, "kubernetes/deployment.yaml", &deployment)
	pod := deployment.Spec.Template.Spec
	environ := []string{"SLUICE_REDIS=redis://redis:6379/0", "SLUICE_AUTH_HMAC_SECRET=" + strings.Repeat("k", 16) + "0123456789abcdef"} // as the Secret has it
	for _, e := range pod.Containers[0].Env {
		environ = append(environ, e.Name+"="+e.Value)
	}
	args := pod.Containers[0].Args
	if len(args) != 3 || args[0] != "serve" || args[2] != "/etc/sluice/sluice.yaml" {
		t.Fatalf("the container's arguments are %q", args)
	}
	c, err := config.Load([]string{args[1], file}, environ)
	if err != nil {
		t.Fatal(err)
	}
	if drain := c.Drain.Delay + c.Drain.Window + c.Shutdown.Timeout; float64(pod.Grace) < drain.Seconds()+10 {
		t.Errorf("terminationGracePeriodSeconds is %d, and the drain takes %v", pod.Grace, drain)
	}
	for _, w := range c.Warnings() {
		if !strings.HasPrefix(w, "SLUICE_ADMIN: ") { // the network policy sees to that
			t.Error(w)
		}
	}
}
