package strict

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write ../kubernetes anew, from the chart")

// render renders the chart as `helm template` does, by the names of its templates. A value that is not there is an error.
func render(t *testing.T, values map[string]any) (map[string]string, error) {
	t.Helper()
	c, err := loader.Load("../helm/sluice")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	options := chartutil.ReleaseOptions{Name: "sluice", Namespace: "default", Revision: 1, IsInstall: true}
	v, err := chartutil.ToRenderValues(c, values, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err // values.schema.json
	}
	files, err := engine.Engine{Strict: true}.Render(c, v)
	if err != nil {
		return nil, err
	}
	rendered := map[string]string{}
	for path, text := range files {
		name := filepath.Base(path)
		if text = strings.TrimSpace(text); text != "" && name[0] != '_' {
			rendered[name] = text + "\n"
		}
	}
	return rendered, nil
}

// kinds are what the chart may make, by apiVersion and kind.
var kinds = map[string]func() any{
	"v1 ConfigMap":                            func() any { return new(core.ConfigMap) },
	"v1 Service":                              func() any { return new(core.Service) },
	"apps/v1 Deployment":                      func() any { return new(apps.Deployment) },
	"policy/v1 PodDisruptionBudget":           func() any { return new(policy.PodDisruptionBudget) },
	"autoscaling/v2 HorizontalPodAutoscaler":  func() any { return new(autoscaling.HorizontalPodAutoscaler) },
	"networking.k8s.io/v1 NetworkPolicy":      func() any { return new(networking.NetworkPolicy) },
	"monitoring.coreos.com/v1 ServiceMonitor": func() any { return new(monitoring.ServiceMonitor) },
}

// decode reads every document of a file with the type of its kind, in which no field may be unknown or come twice.
func decode(t *testing.T, name, text string) (objects []any) {
	t.Helper()
	for document := range strings.SplitSeq(text, "\n---\n") {
		var head struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			t.Errorf("%s: %v\n%s", name, err, document)
			continue
		}
		kind := kinds[head.APIVersion+" "+head.Kind]
		if kind == nil {
			t.Errorf("%s: %s %s is not what the chart should make", name, head.APIVersion, head.Kind)
			continue
		}
		object := kind()
		if err := yaml.UnmarshalStrict([]byte(document), object); err != nil {
			t.Errorf("%s: %v\n%s", name, err, document)
			continue
		}
		objects = append(objects, object)
	}
	return objects
}

// everything switches on what a chart's user may.
var everything = map[string]any{
	"image":            map[string]any{"repository": "registry.example/sluice", "tag": "v1", "pullPolicy": "Always"},
	"imagePullSecrets": []any{map[string]any{"name": "registry"}},
	"config":           map[string]any{"namespaces": []any{map[string]any{"name": "chat", "durable": true}}, "drain": map[string]any{"window": "9h"}},
	"env":              []any{map[string]any{"name": "SLUICE_LOG_LEVEL", "value": "debug"}},
	"tls":              map[string]any{"secretName": "push-tls", "ticketKeysSecretName": "push-tickets"},
	"service": map[string]any{"type": "LoadBalancer", "externalTrafficPolicy": "Local",
		"annotations": map[string]any{"example.com/idle-timeout": "75"}},
	"autoscaling":         map[string]any{"enabled": true},
	"serviceMonitor":      map[string]any{"enabled": true, "labels": map[string]any{"release": "prometheus"}},
	"preStopSleepSeconds": 5,
	"podAnnotations":      map[string]any{"example.com/a": "b"},
	"podLabels":           map[string]any{"team": "push"},
	"nodeSelector":        map[string]any{"pool": "push"},
	"tolerations":         []any{map[string]any{"key": "push", "operator": "Exists"}},
	"priorityClassName":   "high",
}

var nothing = map[string]any{
	"autoscaling": map[string]any{"enabled": false}, "serviceMonitor": map[string]any{"enabled": false},
	"networkPolicy": map[string]any{"enabled": false}, "podDisruptionBudget": map[string]any{"enabled": false},
}

// The chart renders, whatever is switched on, and Kubernetes' own types take every field of it.
func TestChart(t *testing.T) {
	for name, row := range map[string]struct {
		values  map[string]any
		objects int
	}{"as it is": {nil, 6}, "everything": {everything, 8}, "nothing": {nothing, 4}} {
		t.Run(name, func(t *testing.T) {
			files, err := render(t, row.values)
			if err != nil {
				t.Fatal(err)
			}
			objects := 0
			for name, text := range files {
				if strings.HasSuffix(name, ".yaml") {
					objects += len(decode(t, name, text))
				}
			}
			if objects != row.objects {
				t.Errorf("it makes %d objects, want %d", objects, row.objects)
			}
		})
	}
}

// The pod is given the time that its node takes to leave, and probes and selectors fit what they are for.
func TestChartFits(t *testing.T) {
	files, err := render(t, everything)
	if err != nil {
		t.Fatal(err)
	}
	pod := decode(t, "deployment", files["deployment.yaml"])[0].(*apps.Deployment).Spec
	const drain = 5 + 10 + 60 + 10 // preStopSleepSeconds and drain, as values.yaml has it; config cannot say otherwise
	if grace := pod.Template.Spec.TerminationGracePeriodSeconds; grace == nil || *grace < drain+10 {
		t.Errorf("terminationGracePeriodSeconds is %v, and the drain takes %d s", grace, drain)
	}
	if links := pod.Template.Spec.EnableServiceLinks; links == nil || *links {
		t.Error("service links are on: a node would not start beside a Service named sluice")
	}
	if pod.Replicas != nil {
		t.Error("the deployment and the autoscaler both say how many nodes there are")
	}
	container := pod.Template.Spec.Containers[0]
	ports := map[string]bool{}
	for _, p := range container.Ports {
		ports[p.Name] = true
	}
	for name, probe := range map[string]*core.Probe{"startup": container.StartupProbe, "liveness": container.LivenessProbe, "readiness": container.ReadinessProbe} {
		want := "/healthz"
		if name == "readiness" {
			want = "/readyz"
		}
		if probe.HTTPGet.Path != want || !ports[probe.HTTPGet.Port.StrVal] {
			t.Errorf("the %s probe asks %s on %s", name, probe.HTTPGet.Path, probe.HTTPGet.Port.StrVal)
		}
	}
	if container.Lifecycle == nil || container.Lifecycle.PreStop == nil || container.Lifecycle.PreStop.Sleep.Seconds != 5 {
		t.Error("there is no preStop hook")
	}
	for _, object := range decode(t, "service", files["service.yaml"]) {
		service := object.(*core.Service)
		for k, v := range service.Spec.Selector {
			if pod.Template.Labels[k] != v {
				t.Errorf("%s selects %s=%s, which the pods do not have", service.Name, k, v)
			}
		}
		for _, p := range service.Spec.Ports {
			if !ports[p.TargetPort.StrVal] {
				t.Errorf("%s leads to the port %s, which the pods do not have", service.Name, p.TargetPort.StrVal)
			}
		}
	}
	hpa := decode(t, "autoscaler", files["horizontalpodautoscaler.yaml"])[0].(*autoscaling.HorizontalPodAutoscaler)
	if down := hpa.Spec.Behavior.ScaleDown.Policies[0]; down.PeriodSeconds > 1800 || down.PeriodSeconds < drain {
		t.Errorf("a node goes every %d s, and takes %d s to leave", down.PeriodSeconds, drain)
	}
}

// With a Secret the nodes speak TLS: the files that the configuration names are where the Secrets are put, in a way that
// renewals come through, and where probes ask there is none.
func TestChartTLS(t *testing.T) {
	for name, row := range map[string]struct {
		values  map[string]any
		files   map[string]string // of tls in the configuration, and the Secrets that they are of
		reread  string
		service string
	}{
		"none":        {nil, nil, "", "kubernetes.io/ws"},
		"certificate": {map[string]any{"secretName": "push-tls"}, map[string]string{"cert": "push-tls tls.crt", "key": "push-tls tls.key"}, "1m", "kubernetes.io/wss"},
		"tickets, too": {map[string]any{"secretName": "push-tls", "ticketKeysSecretName": "push-tickets"},
			map[string]string{"cert": "push-tls tls.crt", "key": "push-tls tls.key", "ticket_keys": "push-tickets tickets.keys"}, "1m", "kubernetes.io/wss"},
		"tickets of no TLS": {map[string]any{"ticketKeysSecretName": "push-tickets"}, nil, "", "kubernetes.io/ws"},
	} {
		t.Run(name, func(t *testing.T) {
			values := map[string]any{}
			if row.values != nil {
				values["tls"] = row.values
			}
			files, err := render(t, values)
			if err != nil {
				t.Fatal(err)
			}
			var config struct{ TLS map[string]string }
			text := decode(t, "configmap", files["configmap.yaml"])[0].(*core.ConfigMap).Data["sluice.yaml"]
			if err := yaml.Unmarshal([]byte(text), &config); err != nil {
				t.Fatal(err)
			}
			if got := config.TLS["reread"]; got != row.reread {
				t.Errorf("files are looked at every %q, want %q", got, row.reread)
			}
			delete(config.TLS, "reread")
			pod := decode(t, "deployment", files["deployment.yaml"])[0].(*apps.Deployment).Spec.Template.Spec
			for setting, path := range config.TLS {
				if got := secretFile(t, &pod, path); got != row.files[setting] {
					t.Errorf("tls.%s is %s, which is %q, want %q", setting, path, got, row.files[setting])
				}
			}
			if len(config.TLS) != len(row.files) || len(pod.Volumes) != 1+len(row.files)/3+min(1, len(row.files)) {
				t.Errorf("%v, %d volumes", config.TLS, len(pod.Volumes))
			}
			for _, probe := range []*core.Probe{pod.Containers[0].StartupProbe, pod.Containers[0].LivenessProbe, pod.Containers[0].ReadinessProbe} {
				if probe.HTTPGet.Port.StrVal != "admin" || probe.HTTPGet.Scheme == core.URISchemeHTTPS {
					t.Error("a probe asks where TLS is spoken, or with TLS where none is")
				}
			}
			service := decode(t, "service", files["service.yaml"])[0].(*core.Service)
			if got := service.Spec.Ports[0].AppProtocol; got == nil || *got != row.service {
				t.Errorf("the Service says %v, want %s", got, row.service)
			}
		})
	}
}

// secretFile is the Secret that is mounted where path is, and the file of it.
func secretFile(t *testing.T, pod *core.PodSpec, path string) string {
	t.Helper()
	for _, mount := range pod.Containers[0].VolumeMounts {
		if mount.MountPath != filepath.Dir(path) {
			continue
		}
		if mount.SubPath != "" || !mount.ReadOnly {
			t.Errorf("%s is mounted so that it stays as it is, or can be written to", mount.MountPath)
		}
		for _, volume := range pod.Volumes {
			if volume.Name != mount.Name || volume.Secret == nil {
				continue
			}
			if mode := volume.Secret.DefaultMode; mode == nil || *mode != 0o440 || pod.SecurityContext.FSGroup == nil || *pod.SecurityContext.FSGroup != *pod.SecurityContext.RunAsGroup {
				t.Errorf("%s cannot be read by the node, or by too many", volume.Secret.SecretName)
			}
			return volume.Secret.SecretName + " " + filepath.Base(path)
		}
	}
	return ""
}

// A value that the chart does not know is refused.
func TestChartRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, values := range []map[string]any{
		{"replicaCount": 3},
		{"drain": map[string]any{"window": "60s"}},
		{"replicas": "3"},
		{"service": map[string]any{"type": "External"}},
		{"tls": map[string]any{"secret": "push-tls"}},
	} {
		if _, err := render(t, values); err == nil {
			t.Errorf("%v was taken", values)
		}
	}
}

// The plain manifests are what the chart makes.
func TestPlainManifests(t *testing.T) {
	files, err := render(t, map[string]any{"autoscaling": map[string]any{"enabled": true}, "serviceMonitor": map[string]any{"enabled": true},
		"image": map[string]any{"tag": "latest"}})
	if err != nil {
		t.Fatal(err)
	}
	const dir = "../kubernetes"
	seen := 0
	for name, text := range files {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		seen++
		file := filepath.Join(dir, name)
		// Whoever applies them does without Helm.
		text = strings.ReplaceAll(text, "app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kubectl")
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // everybody may read it
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if string(got) != text {
			t.Errorf("%s is not what the chart makes; write it anew: cd deploy/strict && go test -run Plain -update", file)
		}
	}
	there, err := filepath.Glob(dir + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(there) != seen {
		t.Errorf("there are %d manifests, and the chart makes %d", len(there), seen)
	}
}
