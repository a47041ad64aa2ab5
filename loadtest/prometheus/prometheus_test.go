package prometheus

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAsksItself(t *testing.T) {
	// It asks a node that is not there.
	file, err := Config("../../deploy/prometheus", t.TempDir(), time.Second, Node{Admin: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var samples []Sample
	for end := time.Now().Add(Patience); len(samples) == 0 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if samples, err = s.Query(t.Context(), `up`); err != nil {
			t.Fatal(err)
		}
	}
	if len(samples) != 1 || samples[0].Value != 0 || samples[0].Labels["instance"] != "127.0.0.1:1" || samples[0].Labels["job"] != "sluice" {
		t.Errorf("got %v", samples)
	}
	to := time.Now().Truncate(time.Second)
	series, err := s.Range(t.Context(), `vector(1/0)`, to.Add(-2*time.Second), to, time.Second)
	if err != nil || len(series) != 1 || len(series[0].Times) != 3 || series[0].Times[2] != float64(to.Unix()) || !math.IsInf(series[0].Values[0], 1) {
		t.Errorf("got %v, %v", series, err)
	}
	if _, err := s.Query(t.Context(), `up{`); err == nil || !strings.Contains(err.Error(), "parse error") {
		t.Errorf("what is no query: %v", err)
	}
	rules, err := s.Rules(t.Context())
	if err != nil || len(rules) == 0 || rules[0].Name != "SluiceDown" || rules[0].Query == "" {
		t.Errorf("got %v, %v", rules, err)
	}
}

func TestFaults(t *testing.T) {
	dir := t.TempDir()
	if _, err := Config(dir, dir, time.Second); err == nil {
		t.Error("files that are not there are taken")
	}
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte("no such setting: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Config(dir, t.TempDir(), time.Second); err == nil || !strings.Contains(err.Error(), "scrape_interval") {
		t.Errorf("a file without what is to be replaced: %v", err)
	}
	if _, err := Start(file); err == nil || !strings.Contains(err.Error(), "no such setting") {
		t.Errorf("a configuration that it cannot read: %v", err)
	}
}
